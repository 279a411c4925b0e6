//! What became of requests in the last minutes, in steps: for the dashboard, for the verdict on the gateway's health, and for
//! comparing one generation with another.
//!
//! [`Outcomes`] is the sink: a request adds to sharded counters. Somebody calls [`Timeline::tick`] every half second, which
//! takes what was added since. Invariants: memory is fixed (about 2 MiB), labels are closed enums, a late tick makes a longer
//! step and loses nothing.

mod latency;
mod outcomes;
mod step;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

pub use latency::Latencies;
pub use outcomes::{Outcomes, Side};
pub use step::Step;

use outcomes::Totals;

/// How often [`Timeline::tick`] is called.
pub const TICK: Duration = Duration::from_millis(500);
/// Ticks that are kept one by one: two minutes.
const FINE: usize = 240;
/// Ticks that are put together: five seconds.
const TOGETHER: usize = 10;
/// Of these, how many are kept: fifteen minutes.
const COARSE: usize = 180;

/// The last minutes. See the module's text.
pub struct Timeline {
    outcomes: Arc<Outcomes>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// All that was counted until the last tick.
    totals: Totals,
    fine: VecDeque<[Step; 2]>,
    coarse: VecDeque<Step>,
    /// What becomes the next coarse step, and from how many ticks.
    growing: Option<(Step, usize)>,
}

impl Timeline {
    /// Nothing was counted yet. The outcomes are a sink of records.
    #[must_use]
    pub fn new(outcomes: Arc<Outcomes>) -> Self {
        Self { outcomes, kept: Mutex::default() }
    }

    /// Takes what was counted since the last tick: what became of those on the usual side, and on trial.
    pub fn tick(&self, now: SystemTime) -> [Step; 2] {
        let mut kept = self.kept.lock();
        let totals = self.outcomes.totals();
        let steps = Side::ALL.map(|side| totals.since(&kept.totals, side, now));
        kept.totals = totals;
        if kept.fine.len() == FINE {
            kept.fine.pop_front();
        }
        kept.fine.push_back(steps.clone());
        kept.grow(&steps);
        steps
    }

    /// The last ticks, oldest first, at most so many.
    #[must_use]
    pub fn last(&self, ticks: usize) -> Vec<[Step; 2]> {
        let kept = self.kept.lock();
        kept.fine.iter().skip(kept.fine.len().saturating_sub(ticks)).cloned().collect()
    }

    /// The last fifteen minutes in steps of five seconds, oldest first, both sides together.
    #[must_use]
    pub fn minutes(&self) -> Vec<Step> {
        self.kept.lock().coarse.iter().cloned().collect()
    }

    /// What became of all requests of the last `span`, up to fifteen minutes; what is older than two minutes is known to five
    /// seconds.
    #[must_use]
    pub fn sum(&self, span: Duration) -> Step {
        let kept = self.kept.lock();
        let ticks = usize::try_from(span.as_millis() / TICK.as_millis()).unwrap_or(usize::MAX).max(1);
        let mut sum = Step::default();
        if ticks <= FINE {
            let steps = kept.fine.iter().skip(kept.fine.len().saturating_sub(ticks)).flatten();
            steps.for_each(|step| sum.add(step));
        } else {
            let steps = ticks.div_ceil(TOGETHER);
            kept.coarse.iter().skip(kept.coarse.len().saturating_sub(steps)).for_each(|step| sum.add(step));
        }
        sum
    }
}

impl Kept {
    fn grow(&mut self, steps: &[Step; 2]) {
        let (mut sum, ticks) = self.growing.take().unwrap_or_default();
        steps.iter().for_each(|step| sum.add(step));
        if ticks + 1 < TOGETHER {
            self.growing = Some((sum, ticks + 1));
            return;
        }
        if self.coarse.len() == COARSE {
            self.coarse.pop_front();
        }
        self.coarse.push_back(sum);
    }
}

#[cfg(test)]
mod tests;
