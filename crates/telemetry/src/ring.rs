//! The last records, for `/api/requests` and the dashboard.
//!
//! Sampled by the tail: beside the most recent records of every kind, rings of their own keep failures of the
//! gateway and the upstreams, refusals of clients, and slow requests, so that neither traffic that goes well nor a
//! flood of refusals pushes out what an engineer looks for. Invariants: a push never waits (a slot that a reader
//! holds is skipped and counted), memory is bounded by the number of slots times a record's own bounds.

mod query;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use portcullis_types::{Fault, RequestId};
use smallvec::{SmallVec, smallvec};

pub use query::{Query, QueryError};

use crate::record::{Flag, Record};
use crate::sink::{RecordSink, SinkStat, SinkStats};

/// How many records of each kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingOptions {
    /// The most recent, of whatever kind: 1,000 by default.
    pub recent: usize,
    /// Failures of the gateway and the upstreams: 250 by default.
    pub failed: usize,
    /// Requests and connections that failed by the client's fault: 250 by default.
    pub refused: usize,
    /// Slow requests: 250 by default.
    pub slow: usize,
    /// What is slow: 1 s by default. Upgraded streams are never slow.
    pub slow_after: Duration,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { recent: 1000, failed: 250, refused: 250, slow: 250, slow_after: Duration::from_secs(1) }
    }
}

/// The rings. See the module's text.
#[derive(Debug)]
pub struct Ring {
    recent: Slots,
    failed: Slots,
    refused: Slots,
    slow: Slots,
    slow_after: Duration,
    skipped: AtomicU64,
}

impl Ring {
    /// Empty rings. A ring of size 0 keeps nothing.
    #[must_use]
    pub fn new(options: RingOptions) -> Self {
        Self {
            recent: Slots::new(options.recent),
            failed: Slots::new(options.failed),
            refused: Slots::new(options.refused),
            slow: Slots::new(options.slow),
            slow_after: options.slow_after,
            skipped: AtomicU64::new(0),
        }
    }

    /// Keeps a record, in every ring it belongs to.
    pub fn push(&self, record: &Arc<Record>) {
        self.keep(&self.recent, record);
        let fault = record.reason.map(portcullis_types::Reason::fault);
        match fault {
            Some(Fault::Client) => self.keep(&self.refused, record),
            Some(Fault::Gateway | Fault::Upstream) => self.keep(&self.failed, record),
            None if record.failed() => self.keep(&self.failed, record),
            None => {}
        }
        if record.timers.total >= self.slow_after && !record.flags.has(Flag::Upgraded) {
            self.keep(&self.slow, record);
        }
    }

    fn keep(&self, slots: &Slots, record: &Arc<Record>) {
        if !slots.push(record) {
            self.skipped.fetch_add(1, Relaxed);
        }
    }

    /// The records that match, latest arrival first, each once, at most [`Query::limit`].
    #[must_use]
    pub fn query(&self, query: &Query) -> Vec<Arc<Record>> {
        let mut found = Vec::new();
        for slots in [&self.recent, &self.failed, &self.refused, &self.slow] {
            slots.each(|record| {
                if query.matches(record) {
                    found.push(Arc::clone(record));
                }
            });
        }
        found.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| Arc::as_ptr(a).cmp(&Arc::as_ptr(b))));
        // A record that is in two rings is one allocation, so the sort has put its copies side by side.
        found.dedup_by(|a, b| Arc::ptr_eq(a, b));
        found.truncate(query.limit);
        found
    }

    /// The most recent records of any kind that arrived since `since`, in no order, at most so many: a fair sample of what came.
    #[must_use]
    pub fn latest(&self, since: SystemTime, most: usize) -> Vec<Arc<Record>> {
        let mut found = Vec::new();
        self.recent.each(|record| {
            if record.at >= since && found.len() < most {
                found.push(Arc::clone(record));
            }
        });
        found
    }

    /// The record of one request.
    #[must_use]
    pub fn find(&self, id: RequestId) -> Option<Arc<Record>> {
        self.query(&Query { id: Some(id), limit: 1, ..Query::default() }).pop()
    }
}

impl RecordSink for Ring {
    fn record(&self, record: &Arc<Record>) {
        self.push(record);
    }
}

impl SinkStats for Ring {
    fn stats(&self) -> SmallVec<[SinkStat; 4]> {
        smallvec![SinkStat::Dropped { cause: "slot_busy", count: self.skipped.load(Relaxed) }]
    }
}

/// One ring: a lock a slot, so that writers meet only when they are a whole round apart.
#[derive(Debug)]
struct Slots {
    slots: Box<[Mutex<Option<Arc<Record>>>]>,
    next: AtomicUsize,
}

impl Slots {
    fn new(size: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| Mutex::new(None)).take(size).collect(), next: AtomicUsize::new(0) }
    }

    /// `false` when the slot was held by somebody else.
    fn push(&self, record: &Arc<Record>) -> bool {
        if self.slots.is_empty() {
            return true;
        }
        let place = self.next.fetch_add(1, Relaxed) % self.slots.len();
        let Some(mut slot) = self.slots.get(place).and_then(Mutex::try_lock) else { return false };
        let old = slot.replace(Arc::clone(record));
        // The old record is freed after the lock: freeing it takes longer than storing the new one.
        drop(slot);
        drop(old);
        true
    }

    fn each(&self, mut see: impl FnMut(&Arc<Record>)) {
        for slot in &self.slots {
            // A clone, so that the lock is not held while somebody compares texts.
            let record = slot.lock().clone();
            if let Some(record) = record {
                see(&record);
            }
        }
    }
}

#[cfg(test)]
mod tests;
