//! What is counted and known of one endpoint, shared by all workers and by every generation that has it.
//!
//! Counters are atomics that requests touch; health is written by checks alone, which are rare, behind a lock that
//! no request takes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_types::{EndpointName, Reason};

use crate::atomics::{AtomicU8, AtomicU64, AtomicUsize, Mutex, Ordering::Relaxed};
use crate::capacity::CapacityReport;
use crate::health::CheckFailure;
use crate::height::Mark;
use crate::lineage::Lineage;
use crate::outlier::EjectionCause;
use crate::outlier::watch::Watch;
use crate::signals::{Signals, Stamp};

/// What active checks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// No check has ended yet, or none is configured.
    Unknown,
    /// Checks pass.
    Healthy,
    /// Checks fail.
    Unhealthy,
}

impl Health {
    /// The metric label and the word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counters since the endpoint was first seen. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Requests (attempts) the endpoint was chosen for.
    pub requests: u64,
    /// Those that were reported as failed.
    pub failures: u64,
    /// Those dropped before any outcome was known: the client left, or the exchange was cancelled.
    pub abandoned: u64,
}

/// Health with its history; what [`crate::HealthMachine`] works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HealthRecord {
    pub(crate) health: Health,
    pub(crate) since: Instant,
    /// How the latest failing check failed; kept while the endpoint is unhealthy.
    pub(crate) failure: Option<CheckFailure>,
    /// Passing checks in a row.
    pub(crate) passes: u32,
    /// Failing checks in a row.
    pub(crate) fails: u32,
}

impl HealthRecord {
    pub(crate) const fn unknown(since: Instant) -> Self {
        Self { health: Health::Unknown, since, failure: None, passes: 0, fails: 0 }
    }

    /// Forgets what checks said, if they said anything.
    pub(crate) fn forget(&mut self, now: Instant) {
        let since = if self.health == Health::Unknown { self.since } else { now };
        *self = Self::unknown(since);
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct EndpointState {
    signals: Signals,
    name: EndpointName,
    address: SocketAddr,
    lineage: Arc<Lineage>,
    requests: AtomicU64,
    failures: AtomicU64,
    abandoned: AtomicU64,
    watch: Watch,
    mark: Mark,
    /// The stamp, and the place in `Reason::ALL` plus one; 0 before the first failure.
    failed_at: AtomicU64,
    failed_for: AtomicUsize,
    /// `record.health` again, for readers that must not wait.
    health: AtomicU8,
    record: Mutex<HealthRecord>,
}

impl EndpointState {
    pub(crate) fn new(name: EndpointName, address: SocketAddr, lineage: Arc<Lineage>, now: Instant) -> Self {
        Self {
            signals: Signals::default(),
            name,
            address,
            lineage,
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            watch: Watch::default(),
            mark: Mark::default(),
            failed_at: AtomicU64::new(0),
            failed_for: AtomicUsize::new(0),
            health: AtomicU8::new(Health::Unknown as u8),
            record: Mutex::new(HealthRecord::unknown(now)),
        }
    }

    /// The endpoint's name.
    #[must_use]
    pub const fn name(&self) -> &EndpointName {
        &self.name
    }

    /// The endpoint's address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What active checks say of it now.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.health.load(Relaxed) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    /// Requests in flight to it, of all generations.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.signals.in_flight()
    }

    /// The counters.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
        }
    }

    /// The mean latency of late, weighted towards now; `None` before the first success.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.signals.mean_latency()
    }

    /// The latest failed request: why, and when.
    #[must_use]
    pub fn last_failure(&self) -> Option<(Reason, Instant)> {
        let place = self.failed_for.load(Relaxed).checked_sub(1)?;
        let reason = Reason::ALL.get(place).copied()?;
        Some((reason, self.lineage.instant(Stamp(self.failed_at.load(Relaxed)))))
    }

    /// The share of answers of late that were failures, 0 to 1, weighted towards now.
    #[must_use]
    pub fn trouble(&self) -> f32 {
        self.signals.trouble()
    }

    /// Takes in what the endpoint says of its capacity, from whatever source. See [`crate::CapacityReport`] for how
    /// far that is believed.
    pub fn report(&self, now: Instant, report: &CapacityReport) {
        self.signals.reported().take_in(self.lineage.stamp(now), report);
    }

    /// Forgets that the endpoint wanted to be left alone.
    pub fn come_back(&self) {
        self.signals.reported().come_back();
    }

    /// What the endpoint said of its capacity, as far as that is still believed: its utilisation, 0 to 2, and for how
    /// much longer it wants to be left alone.
    #[must_use]
    pub fn reported(&self, now: Instant) -> (f32, Option<Duration>) {
        let (now, reported) = (self.lineage.stamp(now), self.signals.reported());
        (reported.latest(now), reported.away_for(now))
    }

    /// Whether outlier detection has taken it out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.watch.is_out()
    }

    pub(crate) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    pub(crate) fn record(&self) -> HealthRecord {
        *self.record.lock()
    }

    /// Changes the health record. The caller refreshes the lineage when health changed.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut HealthRecord) -> T) -> T {
        let mut record = self.record.lock();
        let out = change(&mut record);
        self.health.store(record.health as u8, Relaxed);
        out
    }

    pub(crate) const fn signals(&self) -> &Signals {
        &self.signals
    }

    pub(crate) const fn mark(&self) -> &Mark {
        &self.mark
    }

    pub(crate) const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Begins slow start: the endpoint comes back, or is new.
    pub(crate) fn begin_ramp(&self, now: Instant) {
        self.signals.begin_ramp(self.lineage.stamp(now));
    }

    pub(crate) fn enter(&self, now: Option<Instant>) {
        self.signals.enter(|| now.map(|now| self.lineage.stamp(now)));
        self.requests.fetch_add(1, Relaxed);
        self.lineage.enter();
    }

    pub(crate) fn leave(&self) {
        self.signals.leave();
        self.lineage.leave();
    }

    pub(crate) fn count_abandoned(&self) {
        self.abandoned.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_success(&self, now: Instant, latency: Duration) {
        self.signals.good(self.lineage.stamp(now), latency);
        self.watch.good(latency);
    }

    /// An attempt that took `waited` at the least.
    pub(crate) fn count_outrun(&self, now: Instant, waited: Duration) {
        self.signals.outrun(self.lineage.stamp(now), waited);
    }

    /// A refusal for lack of capacity: it makes the endpoint less wanted, and says nothing of its health.
    pub(crate) fn count_overload(&self, now: Instant) {
        self.signals.bad(self.lineage.stamp(now));
    }

    /// A failure; with a reason when there was no answer at all.
    pub(crate) fn count_failure(&self, now: Instant, reason: Option<Reason>) {
        let stamp = self.lineage.stamp(now);
        self.failures.fetch_add(1, Relaxed);
        if let Some(reason) = reason {
            self.failed_at.store(stamp.0, Relaxed);
            self.failed_for.store(reason as usize + 1, Relaxed);
        }
        self.signals.bad(stamp);
        let streak = self.watch.bad();
        if self.lineage.is_streak(streak) {
            self.lineage.eject(self, now, EjectionCause::Consecutive(streak));
        }
    }
}
