//! How a cap stands: its limit, what is left, and when there is more.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::{Held, Scope, Unit};
use crate::short::Wait;

/// What a cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// What is spent.
    Spent(Unit),
    /// What is held.
    Held(Held),
}

/// How a cap stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The cap's name, as it stands in a 429.
    pub cap: Arc<str>,
    /// Whose cap it is.
    pub scope: Scope,
    /// What it counts.
    pub counted: Counted,
    /// The most at once: a burst, a quota, a number.
    pub limit: u64,
    /// The time in which that much comes: what an empty bucket takes to fill, the length of the day or month. `None`
    /// for what is held.
    pub window: Option<Duration>,
    /// What is left.
    pub remaining: u64,
    /// How long until all of the limit is left, if nothing is spent. `None` for what is held.
    pub reset: Option<Duration>,
}

/// What kind of a cap refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// A rate.
    OverRate,
    /// A quota.
    OverQuota,
    /// A number at once.
    OverConcurrency,
    /// No cap: the ledger holds as many consumers as it may, and none of them is idle. What the refusal says of a cap
    /// means nothing then; it is the gateway that is overloaded.
    NoRoom,
}

/// Why a request may not be spent. Nothing was spent anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of a cap it was.
    pub kind: RefusalKind,
    /// The cap and how it stands. Where several refuse it is the one that takes longest.
    pub standing: Standing,
    /// The name of the route or plan that the cap is of.
    pub set: Arc<str>,
    /// What the request would have spent of it.
    pub cost: u64,
    /// When the same request would be allowed by this cap.
    pub wait: Wait,
}

impl Refusal {
    /// Whole seconds for `Retry-After` (RFC 9110 section 10.2.3), rounded up, at least 1. One second where nobody can
    /// know; `None` where the same request is never allowed, since it costs more than the cap's limit.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self.wait {
            Wait::Never => None,
            Wait::Unknown => Some(1),
            Wait::For(time) => Some(ceil(time).max(1)),
        }
    }
}

/// Whole seconds, rounded up.
pub(crate) fn ceil(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
