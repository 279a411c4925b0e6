//! The token bucket, exact: so many tokens per period, and a burst of them saved up.
//!
//! It is kept as one number, the time at which it is full again (GCRA's theoretical arrival time). A rate is a
//! fraction, tokens over nanoseconds, and the time between two tokens need not be a whole number of nanoseconds; so
//! times are held as nanoseconds and a part of one, the part counted in `1/count`. Nothing is rounded, and a bucket of
//! 3 per second gives 3 million tokens in a million seconds.
//!
//! Invariants:
//! - Within any `t` nanoseconds at most `burst + t × rate` tokens are taken by [`Bucket::check`].
//! - After exactly the wait that a refusal states the same is allowed, and not a nanosecond before.

use std::fmt;
use std::time::Duration;

use portcullis_types::Rate;
use portcullis_types::quantity::Period;

use crate::short::{Short, Wait};

mod span;

use span::Span;
#[cfg(test)]
mod tests;

/// When a bucket is full again. The default is a bucket that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FullAt {
    /// Nanoseconds of the monotonic clock.
    pub(crate) nanos: u64,
    /// The rest, in `1/count` of a nanosecond of the bucket's rate.
    pub(crate) part: u32,
}

impl FullAt {
    /// The next whole nanosecond.
    pub(crate) const fn whole(self) -> Self {
        Self { nanos: self.nanos.saturating_add((self.part > 0) as u64), part: 0 }
    }
}

/// A rate and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Tokens per `per` nanoseconds; the fraction is reduced.
    count: u32,
    per: u64,
    burst: u64,
    /// The time of one token.
    step: Span,
    /// The time of the whole burst.
    depth: Span,
}

/// Why a rate and a burst make no bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// A rate of zero.
    #[error("the rate must be at least 1 per period; to forbid something, leave it out of what is allowed")]
    NoRate,
    /// A burst of zero.
    #[error("the burst must be at least 1, or nothing is ever allowed")]
    NoBurst,
    /// Months are not equally long.
    #[error("a month is not a fixed time; write a rate per `s`, `m`, `h` or `d`, or a quota per `month`")]
    Month,
    /// More than 4,294,967,295 tokens in lowest terms.
    #[error("the rate is too fine to be held exactly; round it")]
    TooFine,
    /// It would take longer than 146 years to fill.
    #[error("the burst is too large for the rate: it would take more than 146 years to fill")]
    TooDeep,
}

impl Bucket {
    /// A bucket of this rate that saves up at most `burst` tokens.
    ///
    /// # Errors
    /// See [`BucketError`].
    pub fn new(rate: Rate, burst: u64) -> Result<Self, BucketError> {
        Self::of(rate.count, period_nanos(rate.per)?, burst)
    }

    /// `count` tokens per `per` nanoseconds.
    fn of(count: u64, per: u64, burst: u64) -> Result<Self, BucketError> {
        if count == 0 {
            return Err(BucketError::NoRate);
        }
        if burst == 0 {
            return Err(BucketError::NoBurst);
        }
        let common = gcd(count, per);
        let per = per / common;
        let count = u32::try_from(count / common).map_err(|_| BucketError::TooFine)?;
        let step = Span::of(u128::from(per), count).ok_or(BucketError::TooDeep)?;
        let depth = u128::from(per).checked_mul(u128::from(burst)).and_then(|units| Span::of(units, count));
        let depth = depth.filter(|depth| depth.nanos < 1 << 62).ok_or(BucketError::TooDeep)?;
        Ok(Self { count, per, burst, step, depth })
    }

    /// The most tokens it saves up.
    #[must_use]
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// The rate as a fraction in lowest terms: tokens, and the nanoseconds in which they come.
    #[must_use]
    pub const fn fraction(&self) -> (u32, u64) {
        (self.count, self.per)
    }

    /// How long an empty bucket takes to fill, rounded up to a nanosecond.
    #[must_use]
    pub const fn fill_time(&self) -> Duration {
        Duration::from_nanos(self.depth.ceil())
    }

    /// How many tokens come in a while, rounded down.
    #[must_use]
    pub fn tokens_in(&self, time: Duration) -> u64 {
        let tokens = time.as_nanos().saturating_mul(u128::from(self.count)) / u128::from(self.per);
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }

    /// Whether `cost` tokens may be taken now, and the state after that.
    ///
    /// # Errors
    /// There are fewer tokens than that.
    #[inline]
    pub fn check(&self, full_at: FullAt, now: u64, cost: u64) -> Result<FullAt, Short> {
        let after = self.spend(full_at, now, cost);
        portcullis_mutants::when!(BurstOffByOne =>
            if self.debt(self.spend(full_at, now, cost.saturating_sub(1)), now) <= self.depth {
                return Ok(after);
            }
        );
        if self.debt(after, now) <= self.depth { Ok(after) } else { Err(self.short(full_at, now, cost)) }
    }

    /// The state after `cost` tokens were taken, whether they were there or not. What was not there is debt, which
    /// the bucket pays off at its rate before it allows anything again.
    #[inline]
    #[must_use]
    pub fn spend(&self, full_at: FullAt, now: u64, cost: u64) -> FullAt {
        let from = if full_at.nanos < now { FullAt { nanos: now, part: 0 } } else { full_at };
        let cost = if cost == 1 { self.step } else { self.step.times(cost, self.count) };
        let sum = Span { nanos: from.nanos, part: from.part }.plus(cost, self.count);
        FullAt { nanos: sum.nanos, part: sum.part }
    }

    /// The state after `cost` tokens were given back; what would be more than full is lost.
    #[must_use]
    pub fn refund(&self, full_at: FullAt, now: u64, cost: u64) -> FullAt {
        let back = self.step.times(cost, self.count).units(self.count);
        let debt = self.debt(full_at, now).units(self.count).saturating_sub(back);
        let debt = Span::of(debt, self.count).unwrap_or_default();
        FullAt { nanos: now.saturating_add(debt.nanos), part: debt.part }
    }

    /// The state with at most a full burst of debt.
    #[must_use]
    pub fn clamp(&self, full_at: FullAt, now: u64) -> FullAt {
        if self.debt(full_at, now) <= self.depth {
            return full_at;
        }
        FullAt { nanos: now.saturating_add(self.depth.nanos), part: self.depth.part }
    }

    /// Whole tokens that could be taken now.
    #[must_use]
    pub fn remaining(&self, full_at: FullAt, now: u64) -> u64 {
        let debt = self.debt(full_at, now);
        if debt >= self.depth {
            return 0;
        }
        let room = self.depth.units(self.count) - debt.units(self.count);
        u64::try_from(room / u128::from(self.per)).unwrap_or(u64::MAX)
    }

    /// How long until the bucket is full, rounded up to a nanosecond.
    #[must_use]
    pub fn full_in(&self, full_at: FullAt, now: u64) -> Duration {
        Duration::from_nanos(self.debt(full_at, now).ceil())
    }

    /// The state of a bucket that was kept as `other` until now: the tokens that are missing stay missing, however
    /// fast they come now. A debt that is more than the new burst stays one.
    #[must_use]
    pub fn adopt(&self, other: &Self, full_at: FullAt, now: u64) -> FullAt {
        let debt = other.debt(full_at, now).units(other.count);
        let (tokens, rest) = (debt / u128::from(other.per), debt % u128::from(other.per));
        // Rounded up: what is owed is never forgiven by an edit.
        let rest = (rest * u128::from(self.per)).div_ceil(u128::from(other.per));
        let units = tokens.saturating_mul(u128::from(self.per)).saturating_add(rest);
        let debt = Span::of(units, self.count).unwrap_or(Span { nanos: u64::MAX, part: 0 });
        FullAt { nanos: now.saturating_add(debt.nanos), part: debt.part }
    }

    /// The same bucket with its rate and burst multiplied by thousandths. A rate that is too fine then is rounded in
    /// its tenth digit; nothing gets smaller than one.
    #[must_use]
    pub fn scaled(&self, thousandths: u32) -> Self {
        let (mut count, mut per) =
            (u64::from(self.count) * u64::from(thousandths).max(1), self.per.saturating_mul(1000));
        let common = gcd(count, per);
        (count, per) = (count / common, per / common);
        while count > u64::from(u32::MAX) {
            (count, per) = (count / 2, (per / 2).max(1));
        }
        let burst = u128::from(self.burst) * u128::from(thousandths) / 1000;
        let burst = u64::try_from(burst).unwrap_or(u64::MAX).max(1);
        Self::of(count, per, burst).unwrap_or(*self)
    }

    /// This bucket's part for one of so many that share it: its rate and burst divided.
    #[must_use]
    pub fn divided(&self, by: u32) -> Self {
        let by = u64::from(by.max(1));
        let burst = (self.burst / by).max(1);
        Self::of(u64::from(self.count), self.per.saturating_mul(by), burst).unwrap_or(*self)
    }

    /// How long so many tokens take to come, rounded up to a nanosecond.
    #[must_use]
    pub fn time_of(&self, tokens: u64) -> Duration {
        Duration::from_nanos(self.step.times(tokens, self.count).ceil())
    }

    fn debt(&self, full_at: FullAt, now: u64) -> Span {
        match full_at.nanos.checked_sub(now) {
            Some(nanos) => Span { nanos, part: full_at.part },
            None => Span::default(),
        }
    }

    fn short(&self, full_at: FullAt, now: u64, cost: u64) -> Short {
        let remaining = self.remaining(full_at, now);
        if cost > self.burst {
            return Short { remaining, wait: Wait::Never };
        }
        let after = self.debt(self.spend(full_at, now, cost), now);
        let over = after.units(self.count).saturating_sub(self.depth.units(self.count));
        let nanos = u64::try_from(over.div_ceil(u128::from(self.count))).unwrap_or(u64::MAX);
        Short { remaining, wait: Wait::For(Duration::from_nanos(nanos)) }
    }
}

/// `10 per second, burst 20`; a rate that has no such form is written with its nanoseconds.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [
            (1_000_000_000, "second"),
            (60_000_000_000, "minute"),
            (3_600_000_000_000, "hour"),
            (86_400_000_000_000, "day"),
        ];
        match UNITS.iter().find(|(nanos, _)| nanos.is_multiple_of(self.per)) {
            Some((nanos, name)) => write!(f, "{} per {name}", u64::from(self.count) * (nanos / self.per))?,
            None => write!(f, "{} per {} ns", self.count, self.per)?,
        }
        write!(f, ", burst {}", self.burst)
    }
}

const fn period_nanos(period: Period) -> Result<u64, BucketError> {
    match period {
        Period::Second => Ok(1_000_000_000),
        Period::Minute => Ok(60_000_000_000),
        Period::Hour => Ok(3_600_000_000_000),
        Period::Day => Ok(86_400_000_000_000),
        Period::Month => Err(BucketError::Month),
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
