//! Counters of who was let in and who was not, and why: as many as there are causes, whatever callers send.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;

/// What a caller was known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A key.
    Key,
    /// A token.
    Token,
    /// A client certificate.
    Certificate,
    /// Nothing: it is anonymous by policy.
    Anonymous,
}

impl Proof {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Key, Self::Token, Self::Certificate, Self::Anonymous];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Anonymous => "anonymous",
        }
    }
}

/// The counters.
pub struct Counts {
    admitted: [AtomicU64; 4],
    failed: Box<[(&'static str, AtomicU64)]>,
    store_failed: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        let failed = Failure::all().map(|failure| (failure.name(), AtomicU64::new(0))).collect();
        Self { admitted: Default::default(), failed, store_failed: AtomicU64::new(0) }
    }
}

impl Counts {
    /// Counts a caller that was let in.
    pub fn admit(&self, proof: Proof) {
        if let Some(count) = self.admitted.get(proof as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a failure.
    pub fn fail(&self, failure: Failure) {
        let name = failure.name();
        if let Some((_, count)) = self.failed.iter().find(|(one, _)| *one == name) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a question that a store did not answer.
    pub fn store_failed(&self) {
        self.store_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Callers that were let in, by what they were known by.
    pub fn admitted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.admitted.iter().map(|count| count.load(Ordering::Relaxed));
        Proof::ALL.iter().map(|proof| proof.name()).zip(counts)
    }

    /// Failures, by cause.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.failed.iter().map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
    }

    /// Questions that a store did not answer.
    #[must_use]
    pub fn store_failures(&self) -> u64 {
        self.store_failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_and_every_proof_has_a_counter_of_its_own() {
        let counts = Counts::default();
        Failure::all().for_each(|failure| counts.fail(failure));
        Proof::ALL.into_iter().for_each(|proof| counts.admit(proof));
        assert!(counts.failures().all(|(_, count)| count == 1));
        assert_eq!(counts.failures().count(), Failure::all().count());
        assert!(counts.admitted().all(|(_, count)| count == 1));
    }
}
