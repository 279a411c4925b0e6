//! When a second attempt is made while the first is still waited for.
//!
//! The wait before it is a quantile of the latency of late, so that of healthy traffic only the slowest few per cent
//! are repeated; the budget keeps the extra load to that also when all of it turns slow. Which requests may be hedged
//! (idempotent, with a body that is at hand) the caller knows.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis_types::Percent;
use portcullis_types::quantity::format_duration;

use crate::budget::{Budget, BudgetPolicy};
use crate::quantile::LatencyQuantiles;
use crate::tuning::percent;

/// When to hedge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HedgePolicy {
    /// The quantile of latency after which the second attempt is made.
    pub after: Percent,
    /// Never sooner than this: below it there is nothing to win.
    pub at_least: Duration,
    /// Extra load at most.
    pub budget: BudgetPolicy,
}

impl Default for HedgePolicy {
    /// After the 95th percentile and at least a millisecond, for at most 5 % of requests.
    fn default() -> Self {
        Self { after: percent(950_000), at_least: Duration::from_millis(1), budget: BudgetPolicy::hedges() }
    }
}

impl fmt::Display for HedgePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = format_duration(self.at_least);
        write!(f, "after {} of the answers and at least {least}, for {} of the requests", self.after, self.budget.share)
    }
}

/// Samples before the quantile means anything.
const LEAST: u32 = 100;
/// How often the quantile is worked out anew.
const RENEWED: Duration = Duration::from_millis(100);

/// The hedging of one route; see the module's text. Shared by all workers, kept across reloads.
#[derive(Debug)]
pub struct Hedge {
    policy: HedgePolicy,
    latency: LatencyQuantiles,
    budget: Budget,
    began: Instant,
    /// The wait in nanoseconds, 0 when it is not known, and how many times [`RENEWED`] it was worked out after.
    wait: AtomicU64,
    renewed: AtomicU64,
}

impl Hedge {
    /// Without experience: it hedges nothing until it has seen enough.
    #[must_use]
    pub fn new(policy: HedgePolicy, now: Instant) -> Self {
        Self {
            policy,
            latency: LatencyQuantiles::new(now),
            budget: Budget::new(policy.budget, now),
            began: now,
            wait: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
        }
    }

    /// Counts a request, and answers how long to wait before it is hedged; `None` when it is not.
    #[must_use]
    pub fn request(&self, now: Instant) -> Option<Duration> {
        self.budget.request(now);
        let elapsed = now.saturating_duration_since(self.began).as_nanos() / RENEWED.as_nanos();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let known = self.wait.load(Relaxed);
        if known != 0 && self.renewed.load(Relaxed) >= elapsed {
            return Some(Duration::from_nanos(known));
        }
        self.renewed.store(elapsed, Relaxed);
        let after = self.latency.quantile(now, self.policy.after, LEAST);
        let wait = after.map(|after| after.max(self.policy.at_least));
        let nanos = wait.map_or(0, |wait| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        self.wait.store(nanos, Relaxed);
        wait
    }

    /// Takes in how long a first attempt took to its first byte, or how long it had been waited for when it lost.
    pub fn record(&self, now: Instant, latency: Duration) {
        self.latency.record(now, latency);
    }

    /// Asks to send the second attempt, the wait being over. Never granted while the cluster or the gateway is
    /// `overloaded`.
    #[must_use = "what is granted is spent"]
    pub fn grant(&self, now: Instant, overloaded: bool) -> bool {
        !overloaded && self.budget.grant(now)
    }

    /// When a second attempt is made.
    #[must_use]
    pub const fn policy(&self) -> &HedgePolicy {
        &self.policy
    }

    /// How long a first attempt is waited for, as it was last worked out; `None` while too little is known.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        Some(self.wait.load(Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }

    /// The account of the budget.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_quantile_once_it_knows_it() {
        let now = Instant::now();
        let hedge = Hedge::new(HedgePolicy::default(), now);
        assert_eq!(hedge.request(now), None);
        (1..=100).for_each(|millis| hedge.record(now, Duration::from_millis(millis)));
        let wait = hedge.request(now).unwrap();
        assert!((90..=110).contains(&wait.as_millis()), "{wait:?}");
        let quick = Hedge::new(HedgePolicy::default(), now);
        (0..100).for_each(|_| quick.record(now, Duration::from_micros(80)));
        assert_eq!(quick.request(now), Some(Duration::from_millis(1)));
        let later = now + Duration::from_millis(150);
        (0..200).for_each(|_| quick.record(later, Duration::from_millis(20)));
        assert!(quick.request(later) > Some(Duration::from_millis(19)), "it follows");
    }

    #[test]
    fn adds_five_per_cent_at_most_and_nothing_under_overload() {
        let start = Instant::now();
        let hedge = Hedge::new(HedgePolicy::default(), start);
        let mut granted = 0;
        for nth in 0..10_000 {
            let now = start + Duration::from_millis(nth);
            let _ = hedge.request(now);
            assert!(!hedge.grant(now, true));
            granted += u32::from(hedge.grant(now, false));
        }
        assert!((200..=500).contains(&granted), "{granted}");
    }
}
