//! On which terms a cap is shared, and the words that pass between a gateway and the pool.

use std::time::Duration;

use crate::policy::Limit;

use super::members::GatewayId;

/// How much a gateway may be ahead of the pool, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The most tokens a gateway holds.
    pub most: u64,
    /// What a gateway that holds none may spend before it first hears from the pool, so that the first request of a
    /// consumer waits for nothing.
    pub overdraft: u64,
    /// For how long a gateway draws ahead, by its demand. A few times what a word there and back takes.
    pub ahead: Duration,
    /// How long a lease is good for that is not renewed. Then the gateway takes it for an outage, and the pool takes
    /// back what it granted.
    pub ttl: Duration,
}

/// Why terms make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// No token may be held.
    #[error("a gateway must be allowed to hold at least 1")]
    NoneHeld,
    /// Leases end before they are used.
    #[error("`ttl` must be at least `ahead`, which must be at least 1ms")]
    TooShort,
}

impl Terms {
    /// For how long a gateway draws ahead when nothing else is said.
    pub const AHEAD: Duration = Duration::from_millis(300);
    /// How long a lease is good for when nothing else is said.
    pub const TTL: Duration = Duration::from_secs(1);

    /// Terms that fit a limit: a gateway holds what the whole rate brings in the time it draws ahead, or a thousandth
    /// of a quota, and overdraws an eighth of that.
    #[must_use]
    pub fn for_limit(limit: &Limit) -> Self {
        let most = match limit {
            Limit::Rate(_, bucket) => bucket.tokens_in(Self::AHEAD).min(bucket.burst()),
            Limit::Quota(_, quota) => quota.limit / 1000,
            Limit::AtOnce(..) => 1,
        };
        let most = most.max(1);
        Self { most, overdraft: (most / 8).max(1), ahead: Self::AHEAD, ttl: Self::TTL }
    }

    /// Checks terms.
    ///
    /// # Errors
    /// See [`TermsError`].
    pub fn checked(self) -> Result<Self, TermsError> {
        if self.most == 0 {
            return Err(TermsError::NoneHeld);
        }
        if self.ahead < Duration::from_millis(1) || self.ttl < self.ahead {
            return Err(TermsError::TooShort);
        }
        Ok(self)
    }

    /// How far one gateway may be ahead of the pool: the lease of the bound.
    #[must_use]
    pub const fn lease(&self) -> u64 {
        self.most.saturating_add(self.overdraft)
    }
}

/// What a gateway says to the pool of one cap. Totals are of one life of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Who says it.
    pub gateway: GatewayId,
    /// Which life of the share: when it began, in milliseconds since 1970, so that later ones have greater numbers,
    /// over restarts too. While a clock was set back the pool takes a smaller one when the greater has gone silent.
    pub life: u64,
    /// Which word of that life.
    pub word: u64,
    /// What this gateway spent of a quota in this window before this life; 0 of a rate.
    pub before: u64,
    /// What was spent, ever.
    pub spent: u64,
    /// How much of that a pool has heard of. A pool that lost its memory does not charge it again.
    pub heard: u64,
    /// The total up to which it will spend; less than what it was granted when it gives back.
    pub allowance: u64,
    /// What it takes to be its own of a quota in an outage, until it hears otherwise.
    pub share: u64,
    /// How many tokens it would like to hold.
    pub want: u64,
}

/// What the pool answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The life it is for.
    pub life: u64,
    /// The word it answers.
    pub word: u64,
    /// The total up to which the gateway may spend.
    pub allowance: u64,
    /// What is left in the pool after that.
    pub left: u64,
    /// What the gateway may spend of a quota in an outage; the pool keeps it back. Of a rate it is 0, since the
    /// gateway's share is the rate divided by the gateways.
    pub share: u64,
}
