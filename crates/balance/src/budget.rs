//! How much may be done over again: a share of the requests of a sliding window, shared by all workers of a gateway.
//!
//! For retries and for hedges. Without it each layer that retries multiplies the load of an upstream that is failing
//! already, and keeps it failing after the cause is gone.
//!
//! Asking is counted too: when more than twice the share of requests want to be repeated, it is not a few endpoints that
//! fail, and repeating helps little. Half of the share is granted then, so that what was saved up before an outage and
//! what is granted during it stay within the share together.
//!
//! Invariant: at the moment one is granted, those granted within the window, it included, are no more than the share
//! of the requests counted in the window, or the floor, whichever is more. Workers that race for the last one may all
//! be refused; they are never all granted.

use std::time::Duration;

use portcullis_types::Percent;

use crate::tuning::percent;

mod account;

pub use account::Budget;

/// What a budget grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetPolicy {
    /// The part of the window's requests that may be repeated.
    pub share: Percent,
    /// Repetitions per second, over the window, that are granted however few requests there are.
    pub floor: u32,
    /// How far back requests count. At least ten milliseconds.
    pub window: Duration,
}

impl BudgetPolicy {
    /// The default for retries: 20 % over a second, at least three per second. A longer window would save up more for
    /// the beginning of an outage; in a second there is enough for what an endpoint that dies leaves behind.
    #[must_use]
    pub const fn retries() -> Self {
        Self { share: percent(200_000), floor: 3, window: Duration::from_secs(1) }
    }

    /// The default for hedges: 5 % over ten seconds, and no floor, so that extra load is never more than that.
    #[must_use]
    pub const fn hedges() -> Self {
        Self { share: percent(50_000), floor: 0, window: Duration::from_secs(10) }
    }
}

/// What a budget has seen and granted within its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Requests.
    pub requests: u64,
    /// Repetitions asked for.
    pub asked: u64,
    /// Repetitions granted.
    pub granted: u64,
    /// Repetitions that the window allows.
    pub allowed: u64,
}

#[cfg(test)]
mod tests;
