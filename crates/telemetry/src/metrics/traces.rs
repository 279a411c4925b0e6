//! What became of spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use smallvec::{SmallVec, smallvec};

use super::family::{Export, Family, Page};
use crate::bound::Bound;
use crate::record::Kept;
use crate::sink::{SinkStat, SinkStats};

/// Why spans are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanDrop {
    /// The queue is full: spans come faster than they can be sent, or the collector is down.
    QueueFull,
    /// The collector refused the batch for good.
    Rejected,
    /// The collector took the batch but for these (partial success).
    Partial,
    /// They were not delivered when the exporter ended, or came after.
    Closed,
}

impl SpanDrop {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::Rejected, Self::Partial, Self::Closed];

    /// The word of metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::Partial => "partial",
            Self::Closed => "closed",
        }
    }
}

/// What became of spans, over all exporters of the process.
#[derive(Debug, Default)]
pub struct TraceMetrics {
    on: AtomicBool,
    kept: [AtomicU64; 3],
    exported: AtomicU64,
    dropped: [AtomicU64; 4],
    batches: AtomicU64,
    failures: AtomicU64,
    queue: Arc<Bound>,
}

impl TraceMetrics {
    /// Whether requests are traced: else nothing is exported of this.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Relaxed);
    }

    /// A request's trace is kept.
    pub fn kept(&self, why: Kept) {
        if let Some(counter) = self.kept.get(why as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// The collector took spans.
    pub fn exported(&self, spans: u64) {
        self.batches.fetch_add(1, Relaxed);
        self.exported.fetch_add(spans, Relaxed);
    }

    /// Spans are lost.
    pub fn dropped(&self, cause: SpanDrop, spans: u64) {
        if let Some(counter) = self.dropped.get(cause as usize) {
            counter.fetch_add(spans, Relaxed);
        }
    }

    /// A batch was not taken, for now or for good.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// How many were dropped for a cause.
    #[must_use]
    pub fn drops(&self, cause: SpanDrop) -> u64 {
        self.dropped.get(cause as usize).map_or(0, |counter| counter.load(Relaxed))
    }

    /// How many the collector took.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// How full the queue is, in spans.
    #[must_use]
    pub const fn queue(&self) -> &Arc<Bound> {
        &self.queue
    }
}

impl SinkStats for TraceMetrics {
    fn stats(&self) -> SmallVec<[SinkStat; 4]> {
        let mut stats: SmallVec<[SinkStat; 4]> = smallvec![SinkStat::Written(self.taken())];
        let dropped = |cause: SpanDrop| SinkStat::Dropped { cause: cause.as_str(), count: self.drops(cause) };
        stats.extend(SpanDrop::ALL.map(dropped));
        stats
    }
}

impl Export for TraceMetrics {
    const FAMILIES: &'static [Family] = &[
        Family::counter("portcullis_traces_kept_total", "Requests whose trace is kept, by why.", &["why"]),
        Family::counter("portcullis_traces_exported_total", "Spans that the collector took.", &[]),
        Family::counter("portcullis_traces_dropped_total", "Spans that were dropped, by cause.", &["cause"]),
        Family::counter("portcullis_traces_batches_total", "Batches of spans that the collector took.", &[]),
        Family::counter(
            "portcullis_traces_failures_total",
            "Times that a batch of spans was not taken, for now or for good.",
            &[],
        ),
    ];

    fn export(&self, page: &mut Page) {
        if !self.on.load(Relaxed) {
            return;
        }
        for (why, counter) in Kept::ALL.iter().zip(&self.kept) {
            page.count(0, &[why.as_str()], counter.load(Relaxed));
        }
        page.count(1, &[], self.taken());
        for cause in SpanDrop::ALL {
            page.count(2, &[cause.as_str()], self.drops(cause));
        }
        page.count(3, &[], self.batches.load(Relaxed));
        page.count(4, &[], self.failures.load(Relaxed));
    }
}
