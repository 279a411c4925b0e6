//! How near a bound is: one type for every queue, cap and table that has a limit.
//!
//! A bound is counted where it is enforced and exported by [`crate::Metrics`] in three families
//! (`portcullis_bound_used`, `_limit`, `_refused_total`), so that one alert rule watches them all. It may also do
//! the admission itself: [`Bound::try_add`] never lets `used` pass `limit`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The use of something bounded. The unit is the owner's: connections, bytes, entries.
#[derive(Debug, Default)]
pub struct Bound {
    used: AtomicU64,
    limit: AtomicU64,
    refused: AtomicU64,
}

impl Bound {
    /// An unused bound of this limit.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit: AtomicU64::new(limit), refused: AtomicU64::new(0) }
    }

    /// Changes the limit, as a reload does; what is in use stays.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// States the use, for an owner that counts by itself.
    pub fn set_used(&self, used: u64) {
        self.used.store(used, Relaxed);
    }

    /// Takes `n` if that stays within the limit; counts a refusal otherwise.
    #[must_use]
    pub fn try_add(&self, n: u64) -> bool {
        let limit = self.limit();
        let fits = |used: u64| used.checked_add(n).filter(|sum| *sum <= limit);
        let taken = self.used.try_update(Relaxed, Relaxed, fits).is_ok();
        if !taken {
            self.refuse();
        }
        taken
    }

    /// [`Bound::try_add`], given back when the guard is dropped.
    #[must_use]
    pub fn try_hold(self: &Arc<Self>, n: u64) -> Option<Held> {
        self.try_add(n).then(|| Held { bound: Arc::clone(self), n })
    }

    /// Takes `n` whatever the limit says, for an owner that decided by itself.
    pub fn add(&self, n: u64) {
        self.used.fetch_add(n, Relaxed);
    }

    /// Gives `n` back. Never goes below zero.
    pub fn sub(&self, n: u64) {
        self.used.update(Relaxed, Relaxed, |used| used.saturating_sub(n));
    }

    /// Counts one refusal.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// What is in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The limit; 0 while none has been set.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// How often the bound refused something.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// A part of a [`Bound`] that is in use.
#[derive(Debug)]
pub struct Held {
    bound: Arc<Bound>,
    n: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bound.sub(self.n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_up_to_the_limit_and_counts_the_rest() {
        let bound = Bound::new(3);
        assert!(bound.try_add(2));
        assert!(!bound.try_add(2));
        assert!(bound.try_add(1));
        assert_eq!((bound.used(), bound.refused()), (3, 1));
        bound.sub(2);
        assert_eq!(bound.used(), 1);
    }

    #[test]
    fn what_is_held_is_given_back() {
        let bound = Arc::new(Bound::new(3));
        let held = bound.try_hold(2);
        assert!(held.is_some() && bound.try_hold(2).is_none());
        drop(held);
        assert_eq!((bound.used(), bound.refused()), (0, 1));
    }

    #[test]
    fn a_lower_limit_keeps_what_is_in_use_and_refuses_more() {
        let bound = Bound::new(10);
        bound.add(8);
        bound.set_limit(4);
        assert!(!bound.try_add(1));
        bound.sub(100);
        assert_eq!(bound.used(), 0);
        assert!(!bound.try_add(u64::MAX));
    }
}
