//! What one core holds, by workload: requests a second while p99 keeps the objective, and the CPU that a request costs.
//!
//! A round has a closed loop, which says what a request costs when many are answered at a time, and open loops, which find the
//! highest rate that is held, by halving the ratio of one that is and one that is not. The interval is over rounds.

use std::time::Duration;

use portcullis_judge::stats::Estimate;
use serde_json::json;

use crate::Failure;
use crate::report::{progress, say};

use super::kit::{Stage, told};
use super::outcome::Outcome;
use super::workloads::{Running, Workload};

/// The objective: the p99 up to which a rate is held.
const HELD: Duration = Duration::from_millis(25);

/// How near a rate that is held and one that is not must be, and where the search begins, as a share of a closed loop's rate.
const NEAR: f64 = 1.06;
const LOWEST: f64 = 0.3;

/// Callers of the closed loop.
const CALLERS: usize = 32;

/// The share of its core below which a gateway is not at its end: something else is, mostly the core of tool and origin.
const BELOW: f64 = 0.65;

/// What was found of a workload, a value for each round.
#[derive(Debug, Default)]
struct Found {
    /// Microseconds of CPU per request in the closed loop.
    closed_us: Vec<f64>,
    /// Requests a second that are held.
    held: Vec<f64>,
    /// Microseconds of CPU per request at that rate.
    open_us: Vec<f64>,
    /// The share of its core that the gateway used for it.
    used: Vec<f64>,
}

/// Plays.
pub(super) fn capacity(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut table = String::from(
        "| workload | CPU µs per request, closed loop | requests/s held | CPU µs per request then | of its core |\n|---|---|---|---|---|\n",
    );
    for workload in Workload::ALL {
        let name = workload.name();
        let mut running = Running::start(stage, workload)?;
        let warm = running.closed(CALLERS, Duration::from_millis(500))?;
        outcome.expect(
            format!("{name}: it does what it is asked"),
            warm.all.succeeded == warm.all.sent() && warm.all.sent() > 0,
            told(&warm),
        );
        let (mut found, mut seed) = (Found::default(), stage.seed);
        for _ in 0..stage.size(3, 7) {
            let closed = cost(stage, &mut running, &mut found)?;
            search(stage, &mut running, closed, &mut seed, &mut found)?;
        }
        tell(name, &found, &mut outcome, &mut table);
    }
    say(&table)?;
    Ok(outcome)
}

/// A closed loop. Says how many requests a second it brought.
fn cost(stage: &Stage, running: &mut Running, found: &mut Found) -> Result<f64, Failure> {
    let length = stage.size(Duration::from_secs(1), Duration::from_secs(5));
    let before = running.edge.process.cpu()?;
    let tally = running.closed(CALLERS, length)?;
    let spent = running.spent_since(before)?;
    if tally.all.succeeded != tally.all.sent() {
        return Err(format!("a closed loop: {}", told(&tally)).into());
    }
    let sent = tally.all.sent().max(1) as f64;
    found.closed_us.push(spent.as_secs_f64() * 1e6 / sent);
    Ok(sent / length.as_secs_f64())
}

/// Looks for the highest rate that is held, between a share of a closed loop's and all of it. Nothing is found where none is.
fn search(stage: &Stage, running: &mut Running, closed: f64, seed: &mut u64, found: &mut Found) -> Result<(), Failure> {
    let length = stage.size(Duration::from_secs(1), Duration::from_secs(8));
    let (mut low, mut high, mut best) = (closed * LOWEST, closed, None);
    while high / low > NEAR {
        let rate = (low * high).sqrt();
        *seed += 1;
        let before = running.edge.process.cpu()?;
        let tally = running.open(rate, length, *seed)?;
        let spent = running.spent_since(before)?.as_secs_f64();
        let p99 = tally.quantile(0.99);
        let held = tally.all.succeeded == tally.all.sent() && p99.is_some_and(|p99| p99 <= HELD);
        let used = spent / length.as_secs_f64();
        progress(&format!("  {rate:.0}/s: p99 {p99:.1?}, {:.0} % of its core, held: {held}", used * 100.0));
        if held {
            (low, best) = (rate, Some((rate, spent * 1e6 / tally.all.sent().max(1) as f64, used)));
        } else {
            high = rate;
        }
    }
    if let Some((rate, open_us, used)) = best {
        found.held.push(rate);
        found.open_us.push(open_us);
        found.used.push(used);
    }
    Ok(())
}

fn tell(name: &str, found: &Found, outcome: &mut Outcome, table: &mut String) {
    let Found { closed_us, held, open_us, used } = found;
    for (what, values) in
        [("closed_us", closed_us), ("held_per_second", held), ("open_us", open_us), ("share_of_core", used)]
    {
        let Some(Estimate { median, low, high }) = Estimate::of(values) else { continue };
        outcome.number(&format!("{name}.{what}"), median);
        outcome.number(&format!("{name}.{what}.interval"), json!([low, high]));
    }
    let text = |values: &[f64], digits: usize| {
        Estimate::of(values).map_or_else(|| "none".to_owned(), |estimate| format!("{estimate:.digits$}"))
    };
    let Some(share) = Estimate::of(used).map(|used| used.median) else {
        return outcome.invalidate(&format!("{name}: no rate is held"));
    };
    let at_least = if share < BELOW { "at least " } else { "" };
    table.push_str(&format!(
        "| {name} | {} | {at_least}{} | {} | {:.0} % |\n",
        text(closed_us, 1),
        text(held, 0),
        text(open_us, 1),
        share * 100.0
    ));
}
