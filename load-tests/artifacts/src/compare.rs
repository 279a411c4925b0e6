//! Two results side by side: a baseline carried to another day or another machine.
//!
//! What is compared on another machine is ratios to rulers that both runs had, since microseconds do not carry over. On the same
//! machine numbers are compared as well, where no ruler tells. Two medians differ when their intervals do not touch and
//! the ratio between them is beyond a margin: intervals hold what moved within a run, not what moves from one run to the next. Two
//! shares differ when windows that are dealt out at random between both runs hardly ever differ by as much.

use portcullis_judge::bootstrap::{self, Count};
use portcullis_judge::random::Random;
use portcullis_judge::window::{Side, Window};
use portcullis_judge::{Exit, Gate, Sample};

use crate::escape::markdown as escape;
use crate::report::{Environment, Measured, Report};
use crate::rulers::estimate;
use crate::svg::put;

mod rows;
mod text;

/// How a number of the later run stands to the earlier one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Not told apart.
    Same,
    /// Lower, beyond both intervals and the margin.
    Better,
    /// Higher, beyond both intervals and the margin.
    Worse,
    /// One of them has no interval.
    Unknown,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Of what.
    pub metric: String,
    /// The ruler that it is a ratio to; `None` for a number.
    pub ruler: Option<String>,
    /// In the earlier run.
    pub before: Measured,
    /// In the later run.
    pub now: Measured,
    /// How they stand.
    pub change: Change,
    /// Whether it counts for the outcome: it is told, and it is compared.
    pub judged: bool,
}

/// Two results side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The table.
    pub rows: Vec<Row>,
    /// What is to be known about it, a sentence each.
    pub warnings: Vec<String>,
    /// Why what a request costs is not compared at all, if it is not.
    incomparable: Option<&'static str>,
}

/// Why two results cannot be laid side by side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoComparison {
    /// There are no windows.
    #[error("the {which} result has no windows of the {side}: it says nothing to compare")]
    Nothing {
        /// `first` or `second`.
        which: &'static str,
        /// Whose are missing.
        side: Side,
    },
}

impl Comparison {
    /// The baseline of a run against one side of a later one. `margin` is the ratio, above 1, up to which medians count as the same.
    ///
    /// # Errors
    ///
    /// When one of them has no windows.
    pub fn of(before: &Report, now: &Report, side: Side, margin: f64) -> Result<Self, NoComparison> {
        for (which, report, side) in [("first", before, Side::Baseline), ("second", now, side)] {
            if report.windows(side).is_empty() {
                return Err(NoComparison::Nothing { which, side });
            }
        }
        let sides = rows::Sides { before, now, side, margin };
        let other = differing(&before.environment, &now.environment);
        let ruled = sides.ruled();
        let by_ruler =
            |gate: &Gate| ruled.iter().any(|row| row.metric == gate.as_str() && row.change != Change::Unknown);
        let direct = sides.direct(&|gate| other.is_empty() && !by_ruler(&gate));
        let incomparable = incomparable(before, now);
        let rows = ruled.into_iter().chain(direct);
        let rows = rows.map(|row| Row { judged: row.judged && incomparable.is_none(), ..row }).collect();
        let mut comparison = Self { rows, warnings: Vec::new(), incomparable };
        comparison.warnings = comparison.warnings(before, now, &other);
        Ok(comparison)
    }

    fn warnings(&self, before: &Report, now: &Report, other: &[String]) -> Vec<String> {
        let mut warnings: Vec<String> =
            self.incomparable.iter().map(|why| format!("nothing is compared: {why}")).collect();
        if before.plan_digest.is_none() || now.plan_digest.is_none() {
            warnings.push(format!("what they say of their plans: {}; {}", before.plan, now.plan));
        }
        if !other.is_empty() {
            let what = other.join("; ");
            warnings
                .push(format!("another machine ({what}): numbers are shown, and only ratios to rulers are compared"));
        } else if self.rows.iter().any(|row| row.judged && row.ruler.is_none()) {
            let what = "numbers are compared directly: what neighbours did on one of the days is in them";
            warnings.push(what.to_owned());
        }
        for ruler in &before.rulers {
            let later = now.rulers.iter().find(|later| later.name == ruler.name);
            let Some(later) = later else {
                warnings.push(format!("{} is in the first result alone", ruler.name));
                continue;
            };
            for (which, one) in [("first", ruler), ("second", later)] {
                if let Some(why) = &one.left_out {
                    warnings.push(format!("{} was left out of the {which} run: {why}", ruler.name));
                }
            }
            if let (Some(then), Some(now)) = (&ruler.version, &later.version)
                && then != now
            {
                warnings.push(format!("{} is another one: {then} before, {now} now", ruler.name));
            }
        }
        warnings
    }

    /// What it comes to. A metric with rulers is worse or better when most of the common ones say so; where some do, and not most, it is
    /// not known. What is worse is so whatever else is open; nothing else is known where what a request costs was measured and is not
    /// compared.
    #[must_use]
    pub fn outcome(&self) -> Change {
        let mut metrics: Vec<&str> = self.judged().map(|row| row.metric.as_str()).collect();
        metrics.dedup();
        let cost = Gate::Cpu.as_str();
        let cost_is_open = self.rows.iter().any(|row| row.metric == cost) && !metrics.contains(&cost);
        let open = metrics.is_empty() || cost_is_open;
        let outcomes: Vec<Change> = metrics.into_iter().map(|metric| self.of_metric(metric)).collect();
        let any = |change: Change| outcomes.contains(&change);
        match (any(Change::Worse), open || any(Change::Unknown), any(Change::Better)) {
            (true, ..) => Change::Worse,
            (false, true, _) => Change::Unknown,
            (false, false, true) => Change::Better,
            (false, false, false) => Change::Same,
        }
    }

    fn judged(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.judged)
    }

    fn of_metric(&self, metric: &str) -> Change {
        let changes: Vec<Change> = self.judged().filter(|row| row.metric == metric).map(|row| row.change).collect();
        let count = |change: Change| changes.iter().filter(|one| **one == change).count();
        let most = |change: Change| 2 * count(change) > changes.len();
        if most(Change::Worse) {
            Change::Worse
        } else if count(Change::Worse) > 0 {
            Change::Unknown
        } else if most(Change::Better) {
            Change::Better
        } else {
            Change::Same
        }
    }

    /// The exit code: the same or better, worse, or not told.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.outcome() {
            Change::Same | Change::Better => Exit::Pass,
            Change::Worse => Exit::Rollback,
            Change::Unknown => Exit::Inconclusive,
        }
    }
}

/// Why a request of one is not a request of the other, if it is not.
fn incomparable(before: &Report, now: &Report) -> Option<&'static str> {
    match (&before.plan_digest, &now.plan_digest) {
        (Some(then), Some(now)) if then != now => return Some("the plans differ"),
        (None, _) | (_, None) => return Some("whether the plans are the same is not told"),
        (Some(_), Some(_)) => {}
    }
    // At half the rate less is done at once, and a request costs more.
    (before.duet != now.duet).then_some("one was measured in a duet and the other in turns")
}

/// In what two machines differ as far as a number depends on it. How much memory is told of a machine moves with its kernel.
fn differing(before: &Environment, now: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |what: &str, before: &str, now: &str| {
        if before != now {
            found.push(format!("{what}: {before} before, {now} now"));
        }
    };
    note("system", &before.system, &now.system);
    note("processor", &before.cpu, &now.cpu);
    note("cores", &before.cores.to_string(), &now.cores.to_string());
    note("virtualised", &before.virtualised.to_string(), &now.virtualised.to_string());
    if before.memory_bytes.abs_diff(now.memory_bytes) > before.memory_bytes / 20 {
        note("bytes of memory", &before.memory_bytes.to_string(), &now.memory_bytes.to_string());
    }
    found
}

#[cfg(test)]
mod tests;
