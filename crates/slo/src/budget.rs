//! An objective and what is left of its budget.

use std::time::Duration;

use crate::alert::{Alert, Firing};
use crate::ring::{Cell, Ring};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
/// What the minutes reach back to: the longest window of an alert.
const MINUTES: usize = 3 * 24 * 60;
/// The shortest and the longest window of an objective, in days.
const DAYS: (u64, u64) = (1, 92);

/// What share of requests is to go well, and over how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    target: f64,
    window: Duration,
}

/// Why something is no objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// Nothing may go badly, or everything.
    #[error("the target must be above 0 % and below 100 %: at 100 % there is no budget")]
    Target,
    /// Too short or too long.
    #[error("the window must be 1 to 92 days")]
    Window,
}

impl Objective {
    /// `target` as a share of 1.
    ///
    /// # Errors
    /// The target leaves no budget or asks for nothing; the window is shorter than a day or longer than 92.
    pub fn new(target: f64, window: Duration) -> Result<Self, ObjectiveError> {
        if !(target > 0.0 && target < 1.0) {
            return Err(ObjectiveError::Target);
        }
        let day = 24 * HOUR;
        if !(DAYS.0 * day..=DAYS.1 * day).contains(&window.as_secs()) {
            return Err(ObjectiveError::Window);
        }
        Ok(Self { target, window })
    }

    /// The share that is to go well, 0 to 1.
    #[must_use]
    pub const fn target(&self) -> f64 {
        self.target
    }

    /// Over how long.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }
}

/// Requests of one hour or minute, to be kept over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// When the step began, in Unix seconds.
    pub at: u64,
    /// Requests that went well.
    pub good: u64,
    /// Requests that did not.
    pub bad: u64,
}

/// What was counted for an objective. About 70 KiB, and 24 bytes for each hour of the window.
#[derive(Debug, Clone)]
pub struct Budget {
    objective: Objective,
    minutes: Ring,
    hours: Ring,
}

impl Budget {
    /// Nothing was counted yet.
    #[must_use]
    pub fn new(objective: Objective) -> Self {
        let hours = usize::try_from(objective.window.as_secs().div_ceil(HOUR)).unwrap_or(usize::MAX);
        Self { objective, minutes: Ring::new(MINUTES), hours: Ring::new(hours) }
    }

    /// What it is about.
    #[must_use]
    pub const fn objective(&self) -> Objective {
        self.objective
    }

    /// Counts requests that ended about `now`, in Unix seconds.
    pub fn add(&mut self, now: u64, good: u64, bad: u64) {
        let cell = Cell { good, bad };
        self.minutes.add(now / MINUTE, cell);
        self.hours.add(now / HOUR, cell);
    }

    /// The share of bad requests of the last `window`, over the share that is allowed. `None` where there were no requests. A
    /// window up to three days is told by the minute, a longer one by the hour.
    #[must_use]
    pub fn burn(&self, now: u64, window: Duration) -> Option<f64> {
        self.bad_share(now, window).map(|share| share / (1.0 - self.objective.target))
    }

    /// The share of the budget that is left, of all requests in the objective's window: 1 when nothing went badly, 0 when the
    /// objective is just met, below 0 when it is missed. Of no requests nothing is used up.
    #[must_use]
    pub fn left(&self, now: u64) -> f64 {
        1.0 - self.burn(now, self.objective.window).unwrap_or_default()
    }

    /// Good and bad requests of the last `window`.
    #[must_use]
    pub fn counted(&self, now: u64, window: Duration) -> (u64, u64) {
        let Cell { good, bad } = self.cell(now, window);
        (good, bad)
    }

    /// The alerts that fire, most urgent first.
    #[must_use]
    pub fn firing(&self, now: u64) -> Vec<Firing> {
        let one = |alert: &Alert| {
            let (long, short) = (self.burn(now, alert.long)?, self.burn(now, alert.short)?);
            (long >= alert.factor && short >= alert.factor).then_some(Firing { alert: *alert, long, short })
        };
        Alert::ALL.iter().filter_map(one).collect()
    }

    /// What is counted, by the hour, to be kept; newest first. The current hour is in it: the newest word on an hour counts.
    pub fn keep(&self) -> impl Iterator<Item = Kept> + '_ {
        self.hours.each().map(|(hour, Cell { good, bad })| Kept { at: hour * HOUR, good, bad })
    }

    /// Takes an hour that was kept before the first request was counted. What is too old, or lies ahead of `now`, is left out. The
    /// windows of alerts see it as if all of it had come at the beginning of its hour.
    pub fn restore(&mut self, now: u64, kept: Kept) {
        if kept.at > now {
            return;
        }
        let cell = Cell { good: kept.good, bad: kept.bad };
        self.hours.restore(kept.at / HOUR, cell);
        self.minutes.restore(kept.at / MINUTE, cell);
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn bad_share(&self, now: u64, window: Duration) -> Option<f64> {
        let Cell { good, bad } = self.cell(now, window);
        let all = good.saturating_add(bad);
        (all > 0).then(|| bad as f64 / all as f64)
    }

    fn cell(&self, now: u64, window: Duration) -> Cell {
        let seconds = window.as_secs();
        if seconds <= MINUTES as u64 * MINUTE {
            self.minutes.sum(now / MINUTE, seconds.div_ceil(MINUTE))
        } else {
            self.hours.sum(now / HOUR, seconds.div_ceil(HOUR))
        }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
