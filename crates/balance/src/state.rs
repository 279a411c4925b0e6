//! What is counted and known of one endpoint, shared by all workers and by every generation that has it.
//!
//! Counters are atomics that requests touch; health is written by checks alone, which are rare, behind a lock that
//! no request takes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_types::{EndpointName, Reason};

use crate::health::CheckFailure;
use crate::latency::Latency;
use crate::lineage::Lineage;

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
    name: EndpointName,
    address: SocketAddr,
    lineage: Arc<Lineage>,
    born: Instant,
    in_flight: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    abandoned: AtomicU64,
    latency: Latency,
    /// Nanoseconds from birth, and the place in `Reason::ALL` plus one; 0 before the first failure.
    failed_at: AtomicU64,
    failed_for: AtomicUsize,
    /// `record.health` again, for readers that must not wait.
    health: AtomicU8,
    record: Mutex<HealthRecord>,
}

impl EndpointState {
    pub(crate) fn new(name: EndpointName, address: SocketAddr, lineage: Arc<Lineage>, now: Instant) -> Self {
        Self {
            name,
            address,
            lineage,
            born: now,
            in_flight: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            latency: Latency::default(),
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
        self.in_flight.load(Relaxed)
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
        self.latency.mean()
    }

    /// The latest failed request: why, and when.
    #[must_use]
    pub fn last_failure(&self) -> Option<(Reason, Instant)> {
        let place = self.failed_for.load(Relaxed).checked_sub(1)?;
        let reason = Reason::ALL.get(place).copied()?;
        Some((reason, self.born + Duration::from_nanos(self.failed_at.load(Relaxed))))
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

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.lineage.enter();
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.lineage.leave();
    }

    pub(crate) fn count_abandoned(&self) {
        self.abandoned.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_success(&self, now: Instant, latency: Duration) {
        self.latency.record(now.saturating_duration_since(self.born), latency);
    }

    pub(crate) fn count_failure(&self, now: Instant, reason: Reason) {
        self.failures.fetch_add(1, Relaxed);
        let age = now.saturating_duration_since(self.born).as_nanos();
        self.failed_at.store(u64::try_from(age).unwrap_or(u64::MAX), Relaxed);
        self.failed_for.store(reason as usize + 1, Relaxed);
    }
}
