//! What became of the requests that ended in a span of time.

use std::time::SystemTime;

use portcullis_types::Reason;

use super::latency::Latencies;

/// A span of time and what ended in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it ended.
    pub until: SystemTime,
    /// Requests.
    pub requests: u64,
    /// Of these, failed by the fault of the gateway or an upstream, or answered with 5xx.
    pub failed: u64,
    /// Of these, refused by the fault of the client.
    pub refused: u64,
    /// By reason; those that occurred, in the order of [`Reason::ALL`].
    pub reasons: Vec<(Reason, u64)>,
    /// How long they took; upgraded ones left out.
    pub latencies: Latencies,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            until: SystemTime::UNIX_EPOCH,
            requests: 0,
            failed: 0,
            refused: 0,
            reasons: Vec::new(),
            latencies: Latencies::default(),
        }
    }
}

impl Step {
    /// Adds what became of others, to the later end.
    pub fn add(&mut self, other: &Self) {
        self.until = self.until.max(other.until);
        self.requests += other.requests;
        self.failed += other.failed;
        self.refused += other.refused;
        self.latencies.add(&other.latencies);
        for (reason, count) in &other.reasons {
            match self.reasons.binary_search_by_key(reason, |(known, _)| *known) {
                Ok(place) => {
                    if let Some((_, sum)) = self.reasons.get_mut(place) {
                        *sum += count;
                    }
                }
                Err(place) => self.reasons.insert(place, (*reason, *count)),
            }
        }
    }
}
