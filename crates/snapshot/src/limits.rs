//! How many requests and streams a cluster or a route may have at once, and the queue of those that wait for a place.
//!
//! A [`Gate`] belongs to a name of the config and is kept across generations, so that what is in flight still counts
//! when the limit is edited; the rules are those of the newest generation, put in force when it is ([`Limits::enforce`]).
//!
//! Invariants:
//! - Where a place is free and nobody waits, a request takes atomics alone: no lock, no allocation.
//! - A place that is given back goes to who waits before it goes to who comes, unless who comes is more important.
//! - A place is given back once, however its request ends, and one that waits leaves the queue when its future ends.

mod gate;
#[cfg(test)]
#[path = "../../balance/src/tests/interleaved.rs"]
mod interleaved;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use portcullis_balance::{LimitPolicy, QueuePolicy};
use portcullis_telemetry::Bound;
use portcullis_types::quantity::format_duration;

pub use gate::{Admission, Gate, Place, Refused, Waiting};

/// What the config says of a cluster's or a route's limits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LimitRules {
    /// Requests in flight.
    pub requests: Option<LimitPolicy>,
    /// Requests in flight to one endpoint, streams included.
    pub per_endpoint: Option<u32>,
    /// Who waits for a place. A capacity of 0 refuses at once.
    pub queue: Option<QueuePolicy>,
    /// WebSockets and other long streams.
    pub streams: Option<u32>,
}

impl LimitRules {
    /// Whether requests need a place: of the limit itself, or of what the endpoints take together.
    #[must_use]
    pub const fn bound_requests(&self) -> bool {
        self.requests.is_some() || self.per_endpoint.is_some()
    }
}

impl fmt::Display for LimitRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.requests.map(|policy| match policy {
            LimitPolicy::Fixed(requests) => format!("at most {requests} requests"),
            LimitPolicy::Adaptive(policy) => format!("as many requests as latency allows, at most {}", policy.max),
        });
        let each = self.per_endpoint.map(|each| format!("{each} to an endpoint"));
        let queue = self.queue.map(|queue| match queue.capacity {
            0 => "none waits".to_owned(),
            capacity => format!("{capacity} may wait, {} at most", format_duration(queue.timeout)),
        });
        let streams = self.streams.map(|streams| format!("at most {streams} streams"));
        let words: Vec<String> = [requests, each, queue, streams].into_iter().flatten().collect();
        f.write_str(&words.join(", "))
    }
}

/// The limits of a cluster or a route, with what is counted against them.
#[derive(Clone)]
pub struct Limits {
    /// What the config says.
    pub rules: LimitRules,
    /// Requests in flight and waiting.
    pub gate: Arc<Gate>,
    /// Streams in flight.
    pub streams: Arc<Bound>,
}

impl Limits {
    /// Puts the rules in force, when the generation that has them is. Who waits is let in where there is room now.
    pub fn enforce(&self, now: Instant) {
        if self.rules.bound_requests() {
            let policy = self.rules.requests.unwrap_or(LimitPolicy::Fixed(u32::MAX));
            self.gate.set_policy(policy, self.rules.queue.unwrap_or(NO_QUEUE), now);
        }
        if let Some(streams) = self.rules.streams {
            self.streams.set_limit(u64::from(streams));
        }
    }
}

/// The queue of a limit that has none.
pub const NO_QUEUE: QueuePolicy =
    QueuePolicy { capacity: 0, timeout: std::time::Duration::ZERO, stress_after: std::time::Duration::ZERO };

/// The atomics and the lock of a gate. In the tests they give way to a scheduler that tries interleavings.
mod atomics {
    #[cfg(test)]
    pub(super) use super::interleaved::{AtomicU32, AtomicUsize, Mutex, Ordering, fence};
    #[cfg(not(test))]
    pub(super) use parking_lot::Mutex;
    #[cfg(not(test))]
    pub(super) use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
}

#[cfg(test)]
mod concurrent;
#[cfg(test)]
mod tests;
