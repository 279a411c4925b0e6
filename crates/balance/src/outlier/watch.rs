//! What is counted of one endpoint for its judgement, and its record of times out.

use std::time::{Duration, Instant};

use super::{EjectionCause, OutlierPolicy};
use crate::atomics::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering::Relaxed};

/// Counters that requests touch, and the record that only ejections touch.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    good: AtomicU32,
    bad: AtomicU32,
    /// Of the good ones, in microseconds.
    latency: AtomicU64,
    /// Failures since the last good answer.
    streak: AtomicU32,
    /// `record.out` again, for readers that must not wait.
    out: AtomicBool,
    record: Mutex<Record>,
}

/// What a window saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Window {
    pub(crate) good: u32,
    pub(crate) bad: u32,
    /// The mean of the good ones.
    pub(crate) latency: Duration,
}

/// The times out of an endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Record {
    pub(crate) out: Option<Out>,
    /// Times out in a row; the next is longer by this.
    times: u32,
    /// The end of the last time out.
    returned: Option<Instant>,
}

/// A time out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    pub(crate) cause: EjectionCause,
    pub(crate) times: u32,
}

impl Watch {
    pub(crate) fn good(&self, latency: Duration) {
        self.good.fetch_add(1, Relaxed);
        self.latency.fetch_add(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Relaxed);
        if self.streak.load(Relaxed) != 0 {
            self.streak.store(0, Relaxed);
        }
    }

    /// Counts a failure; answers with the failures in a row.
    pub(crate) fn bad(&self) -> u32 {
        self.bad.fetch_add(1, Relaxed);
        self.streak.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Failures since the last good answer.
    pub(crate) fn streak(&self) -> u32 {
        self.streak.load(Relaxed)
    }

    pub(crate) fn is_out(&self) -> bool {
        self.out.load(Relaxed)
    }

    pub(crate) fn record(&self) -> Record {
        *self.record.lock()
    }

    /// Closes the window and begins another.
    pub(crate) fn close(&self) -> Window {
        let (good, bad) = (self.good.swap(0, Relaxed), self.bad.swap(0, Relaxed));
        let mean = self.latency.swap(0, Relaxed).checked_div(u64::from(good)).unwrap_or(0);
        Window { good, bad, latency: Duration::from_micros(mean) }
    }

    /// Takes the endpoint out; `None` when it is out already. Called under the lineage's lock alone.
    pub(crate) fn eject(&self, policy: &OutlierPolicy, now: Instant, cause: EjectionCause) -> Option<Out> {
        let mut record = self.record.lock();
        if record.out.is_some() {
            return None;
        }
        let times = record.held_against(policy, now).saturating_add(1);
        let lasts = policy.ejection.saturating_mul(times).min(policy.max_ejection).max(policy.ejection);
        let out = Out { since: now, until: now + lasts, cause, times };
        (record.out, record.times) = (Some(out), times);
        self.out.store(true, Relaxed);
        Some(out)
    }

    /// Brings the endpoint back; `None` when it was not out. Called under the lineage's lock alone.
    pub(crate) fn bring_back(&self, now: Instant) -> Option<Out> {
        let mut record = self.record.lock();
        let out = record.out.take()?;
        record.returned = Some(now);
        self.out.store(false, Relaxed);
        self.streak.store(0, Relaxed);
        let _ = self.close();
        Some(out)
    }
}

impl Record {
    /// Times out that still count: one is forgotten for each stretch of good conduct as long as the first time out.
    fn held_against(&self, policy: &OutlierPolicy, now: Instant) -> u32 {
        let Some(returned) = self.returned else { return self.times };
        let stretch = policy.ejection.as_millis().max(1);
        let good = now.saturating_duration_since(returned).as_millis() / stretch;
        self.times.saturating_sub(u32::try_from(good).unwrap_or(u32::MAX))
    }
}
