//! So much per day or month of a calendar.
//!
//! What was spent belongs to a window. A wall clock that is set back over the end of a window does not give the
//! earlier window's quota a second time: what was spent in the next window counts until that one begins again. A clock
//! that was wrong by more than a window starts anew, or a consumer whose gateway once believed it was 2040 would
//! wait until then.

use std::time::Duration;

use crate::calendar::{Period, Window, Zone};
use crate::moment::Moment;
use crate::short::{Short, Wait};

/// A limit per day or month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The most per window.
    pub limit: u64,
    /// Days or months.
    pub period: Period,
    /// Whose days and months.
    pub zone: Zone,
}

/// What was spent, and in which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// The window's number; see [`Window::number`].
    pub window: u32,
    /// What was spent in it.
    pub spent: u64,
}

impl Used {
    /// What counts in a window.
    #[inline]
    const fn within(self, window: u32) -> Self {
        // The next window's: the clock was set back.
        if self.window == window || self.window == window + 1 { self } else { Self { window, spent: 0 } }
    }
}

impl Quota {
    /// The window of a moment.
    #[must_use]
    #[inline]
    pub fn window(&self, now: Moment) -> Window {
        self.zone.window(self.period, now.unix())
    }

    /// Whether `cost` may be spent now, and the state after that.
    ///
    /// # Errors
    /// Less than that is left in the window.
    #[inline]
    pub fn check(&self, used: Used, now: Moment, cost: u64) -> Result<Used, Short> {
        let after = self.spend(used, now, cost);
        if after.spent <= self.limit {
            return Ok(after);
        }
        let remaining = self.remaining(used, now);
        let wait = if cost > self.limit { Wait::Never } else { Wait::For(self.ends_in(now)) };
        Err(Short { remaining, wait })
    }

    /// The state after `cost` was spent, whether it was left or not.
    #[must_use]
    #[inline]
    pub fn spend(&self, used: Used, now: Moment, cost: u64) -> Used {
        let used = used.within(self.window(now).number);
        Used { spent: used.spent.saturating_add(cost), ..used }
    }

    /// What is left in the window of this moment.
    #[must_use]
    pub fn remaining(&self, used: Used, now: Moment) -> u64 {
        self.limit.saturating_sub(used.within(self.window(now).number).spent)
    }

    /// How long the window of this moment still takes.
    #[must_use]
    pub fn ends_in(&self, now: Moment) -> Duration {
        let end = self.window(now).end.saturating_mul(1000);
        Duration::from_millis(end.saturating_sub(now.unix_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn at(unix_millis: u64) -> Moment {
        Moment { nanos: 0, unix_millis }
    }

    fn quota(limit: u64) -> Quota {
        Quota { limit, period: Period::Day, zone: Zone::utc() }
    }

    #[test]
    fn allows_the_limit_and_says_when_the_window_ends() {
        let quota = quota(10);
        let used = quota.check(Used::default(), at(DAY * 5), 7).unwrap();
        assert_eq!(used, Used { window: 5, spent: 7 });
        let late = at(DAY * 6 - 1_500);
        let wait = Wait::For(Duration::from_millis(1_500));
        assert_eq!(quota.check(used, late, 4), Err(Short { remaining: 3, wait }));
        assert_eq!(quota.check(used, late, 3).map(|used| used.spent), Ok(10));
        assert_eq!(quota.check(used, late, 11), Err(Short { remaining: 3, wait: Wait::Never }));
        assert_eq!(quota.check(used, at(DAY * 6), 10), Ok(Used { window: 6, spent: 10 }));
    }

    #[test]
    fn what_was_spent_after_the_fact_may_be_more_than_the_limit() {
        let used = quota(10).spend(Used { window: 5, spent: 9 }, at(DAY * 5), 100);
        assert_eq!((used.spent, quota(10).remaining(used, at(DAY * 5))), (109, 0));
        assert!(quota(10).check(used, at(DAY * 5), 1).is_err() && quota(200).check(used, at(DAY * 5), 1).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_twice() {
        for (used, today, expected) in [
            (Used { window: 6, spent: 9 }, 5, Used { window: 6, spent: 10 }),
            (Used { window: 5, spent: 9 }, 5, Used { window: 5, spent: 10 }),
            (Used { window: 4, spent: 9 }, 5, Used { window: 5, spent: 1 }),
            (Used { window: 7, spent: 9 }, 5, Used { window: 5, spent: 1 }),
        ] {
            assert_eq!(quota(10).check(used, at(DAY * today), 1), Ok(expected), "{used:?}");
        }
    }
}
