//! Where kept records wait for the thread: bounded in spans, one short lock a record.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_telemetry::metrics::{SpanDrop, TraceMetrics};
use portcullis_telemetry::record::Kept;
use portcullis_telemetry::{Record, RecordSink};
use tokio::sync::Notify;

/// A record whose trace is kept, and why.
pub(crate) type Waiting = (Arc<Record>, Kept);

/// Records whose spans go out together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Waiting>,
    pub(crate) spans: usize,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Waiting>,
    /// Spans of the records that wait.
    waiting: usize,
    /// Spans of the batch that the thread has.
    held: usize,
    /// How long the end may take, once there is to be one.
    closing: Option<Duration>,
}

/// Where they wait. See the module's text.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// To the thread: there is something new.
    pub(crate) news: Notify,
    limit: usize,
    batch: usize,
    metrics: Arc<TraceMetrics>,
    /// Spans that were not delivered at the end.
    lost: AtomicU64,
}

/// The spans that are made of a record: one for itself, one for each attempt.
pub(crate) fn spans(record: &Record) -> usize {
    1 + record.attempts.iter().len()
}

impl Inbox {
    pub(crate) fn new(limit: usize, batch: usize, metrics: &Arc<TraceMetrics>) -> Self {
        Self {
            state: Mutex::default(),
            news: Notify::new(),
            limit,
            batch,
            metrics: Arc::clone(metrics),
            lost: AtomicU64::new(0),
        }
    }

    fn push(&self, record: &Arc<Record>, why: Kept) {
        let spans = spans(record);
        let mut state = self.state.lock();
        if state.closing.is_some() || state.waiting + state.held + spans > self.limit {
            let cause = if state.closing.is_some() { SpanDrop::Closed } else { SpanDrop::QueueFull };
            drop(state);
            self.metrics.dropped(cause, spans as u64);
            self.metrics.queue().refuse();
            return;
        }
        let before = state.waiting;
        state.records.push_back((Arc::clone(record), why));
        state.waiting += spans;
        let news = before == 0 || (before < self.batch && state.waiting >= self.batch);
        drop(state);
        self.metrics.queue().add(spans as u64);
        if news {
            self.news.notify_one();
        }
    }

    /// Takes a batch out; its spans count as held until [`Inbox::let_go`].
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        let mut batch = Batch { records: Vec::new(), spans: 0 };
        while let Some((record, _)) = state.records.front() {
            let more = spans(record);
            if batch.spans > 0 && batch.spans + more > self.batch {
                break;
            }
            batch.records.extend(state.records.pop_front());
            batch.spans += more;
        }
        state.waiting -= batch.spans;
        state.held += batch.spans;
        (batch.spans > 0).then_some(batch)
    }

    /// The batch is delivered, or given up.
    pub(crate) fn let_go(&self) {
        let held = std::mem::take(&mut self.state.lock().held);
        self.metrics.queue().sub(held as u64);
    }

    /// Spans that wait, those of the batch on its way not among them.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Whether a whole batch waits here.
    pub(crate) fn has_batch(&self) -> bool {
        self.waiting() >= self.batch
    }

    /// From now on nothing is taken in, and what is here is to be gone soon.
    pub(crate) fn close(&self, within: Duration) {
        self.state.lock().closing.get_or_insert(within);
        self.news.notify_one();
    }

    /// How long the end may take, once there is to be one.
    pub(crate) fn closing(&self) -> Option<Duration> {
        self.state.lock().closing
    }

    pub(crate) fn metrics(&self) -> &TraceMetrics {
        &self.metrics
    }

    /// Gives up what waits, and what is on its way.
    pub(crate) fn lose(&self) {
        let mut state = self.state.lock();
        let lost = (state.waiting + state.held) as u64;
        state.records.clear();
        (state.waiting, state.held) = (0, 0);
        drop(state);
        self.metrics.queue().sub(lost);
        self.lost.fetch_add(lost, Relaxed);
        self.metrics.dropped(SpanDrop::Closed, lost);
    }

    /// Spans that were not delivered at the end.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

impl RecordSink for Inbox {
    fn record(&self, record: &Arc<Record>) {
        if let Some(why) = record.kept() {
            self.metrics.kept(why);
            self.push(record, why);
        }
    }
}
