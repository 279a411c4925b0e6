//! What one core holds, by workload: requests a second while p99 keeps the objective, and the CPU that a request costs.
//!
//! A round has a closed loop, which says what a request costs when many are answered at a time, and open loops, which find the
//! highest rate that is held, by halving the ratio of one that is and one that is not. The interval is over rounds.

use std::time::Duration;

use portcullis_engine::tally::Tally;
use portcullis_judge::stats::Estimate;

use crate::Failure;
use crate::report::{progress, say};

use super::books::SETTLE;
use super::kit::{Edge, Stage, until};
use super::outcome::Notes;
use super::rates::{Search, Window};
use super::served::Bad;
use super::steady::judged;
use super::workloads::{Caller, Running, WARM_UP, Workload};

/// The objective: the p99 up to which a rate is held.
const HELD: Duration = Duration::from_millis(25);

/// How near a rate that is held and one that is not must be, and where the search begins, as a share of a closed loop's rate.
const NEAR: f64 = 1.06;
const LOWEST: f64 = 0.3;

/// Callers of the closed loop.
const CALLERS: usize = 32;

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
    /// Rounds of them in which the next higher rate was not held by the gateway, and not for want of the machine.
    limited: usize,
    /// Rounds in which no rate is held, and it may be the machine's fault.
    unclear: usize,
    /// Of the last window.
    seed: u64,
    /// All requests.
    sent: u64,
    bad: Bad,
}

impl Found {
    fn note(&mut self, tally: &Tally) {
        self.sent += tally.all.sent();
        self.bad += Bad::of(tally);
    }
}

/// Plays.
pub(super) fn capacity(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let mut table = String::from(
        "| workload | CPU µs per request, closed loop | requests/s held | CPU µs per request then | of its core |\n|---|---|---|---|---|\n",
    );
    for workload in Workload::ALL {
        let name = workload.name();
        let mut running = Running::start(stage, workload)?;
        let mut found = Found { seed: stage.seed, ..Found::default() };
        let before = running.counted()?;
        let Running { edge, caller, .. } = &mut running;
        let warm = |caller: &mut Caller| caller.closed(CALLERS, Duration::from_millis(500));
        let (tally, part) = edge.watched(outcome, name, || Ok((warm(caller)?, None)))?;
        part.expect_served(outcome, &tally);
        found.note(&tally);
        let rounds = stage.size(3, 7);
        for _ in 0..rounds {
            let closed = cost(stage, name, &mut running, &mut found, outcome)?;
            search(stage, name, (&mut running, closed), &mut found, outcome)?;
        }
        close(name, &running, before, &found, outcome)?;
        tell(name, rounds, &found, outcome, &mut table);
    }
    say(&table)?;
    Ok(())
}

/// A closed loop. Says how many requests a second it brought.
fn cost(stage: &Stage, name: &str, running: &mut Running, found: &mut Found, outcome: &Notes) -> Result<f64, Failure> {
    let length = stage.size(Duration::from_secs(1), Duration::from_secs(5));
    let Running { edge, caller, .. } = running;
    let before = edge.process.cpu()?;
    let (tally, part) =
        edge.watched(outcome, &format!("{name}, closed loop"), || Ok((caller.closed(CALLERS, length)?, None)))?;
    let spent = Duration::from_nanos(edge.process.cpu()?.nanoseconds.saturating_sub(before.nanoseconds));
    part.expect_served(outcome, &tally);
    part.keep(outcome, &tally);
    found.note(&tally);
    let sent = tally.all.sent().max(1) as f64;
    found.closed_us.push(spent.as_secs_f64() * 1e6 / sent);
    Ok(sent / length.as_secs_f64())
}

/// Looks for the highest rate that is held, between a share of a closed loop's and all of it. Nothing is found where none is.
fn search(
    stage: &Stage,
    name: &str,
    (running, closed): (&mut Running, f64),
    found: &mut Found,
    outcome: &Notes,
) -> Result<(), Failure> {
    let length = stage.size(Duration::from_secs(1), Duration::from_secs(3));
    let Running { edge, caller, .. } = running;
    // What the last rate that was held cost.
    let mut last = (0.0, 0.0);
    let mut play = |rate: f64| {
        found.seed += 1;
        let seed = found.seed;
        let ((tally, spent), part) = edge.watched(outcome, &format!("{name}, window"), || {
            let (tally, spent) = spent_by(edge, || caller.open(rate, length, seed))?;
            let lag = tally.lag();
            Ok(((tally, spent), Some(lag)))
        })?;
        let used = spent.as_secs_f64() / length.saturating_sub(WARM_UP).as_secs_f64();
        part.keep(outcome, &tally);
        let window = judged(&tally, &part, used, HELD);
        let p99 = tally.quantile(0.99);
        progress(&format!("  {rate:.0}/s: p99 {p99:.1?}, {:.0} % of its core: {window:?}", used * 100.0));
        if window == Window::Held {
            last = (spent.as_secs_f64() * 1e6 / tally.counted.sent().max(1) as f64, used);
        }
        found.note(&tally);
        Ok(window)
    };
    let mut search = Search::new(&mut play);
    let (best, _) = search.halved((closed * LOWEST, closed), NEAR)?;
    let gateways = search.is_the_gateways();
    match best {
        Some(rate) => {
            found.held.push(rate);
            found.open_us.push(last.0);
            found.used.push(last.1);
            found.limited += usize::from(gateways);
        }
        None => found.unclear += usize::from(!gateways),
    }
    Ok(())
}

/// What the gateway spends of an open loop, once its warm-up is over.
fn spent_by(edge: &Edge, play: impl FnOnce() -> Result<Tally, Failure>) -> Result<(Tally, Duration), Failure> {
    std::thread::scope(|scope| {
        let warm = scope.spawn(|| {
            std::thread::sleep(WARM_UP);
            edge.process.cpu().map_err(|failure| failure.to_string())
        });
        let tally = play()?;
        let now = edge.process.cpu()?;
        let before = warm.join().map_err(|_| "what reads the CPU time panicked")??;
        Ok((tally, Duration::from_nanos(now.nanoseconds.saturating_sub(before.nanoseconds))))
    })
}

/// The books of a workload, and whether anything failed at any rate but by its time or by a refusal.
fn close(
    name: &str,
    running: &Running,
    before: (Option<u64>, u64),
    found: &Found,
    outcome: &Notes,
) -> Result<(), Failure> {
    let &Found { sent, bad, .. } = found;
    outcome.count(
        format!("{name}: at no rate anything fails but by its time or by a refusal"),
        bad.wrong == 0,
        format!("{} of {sent}, beside {} whose time was up and {} refused", bad.wrong, bad.late, bad.refused),
    );
    let since = || -> Result<(Option<u64>, u64), Failure> {
        let (edge, origin) = running.counted()?;
        let edge = edge.zip(before.0).map(|(now, then)| now.saturating_sub(then));
        Ok((edge, origin.saturating_sub(before.1)))
    };
    let agree = |(edge, origin): (Option<u64>, u64)| {
        edge.is_none_or(|edge| edge.abs_diff(sent) <= bad.late) && origin.abs_diff(sent - bad.refused) <= bad.late
    };
    until(SETTLE, || Ok(agree(since()?)));
    let (edge, origin) = since()?;
    let at_edge = edge.map_or_else(|| "no records".to_owned(), |edge| edge.to_string());
    outcome.count(
        format!("{name}: the books of client, gateway and origin agree"),
        agree((edge, origin)),
        format!("{sent} at the client, {at_edge} at the gateway, {origin} at the origin"),
    );
    Ok(())
}

fn tell(name: &str, rounds: usize, found: &Found, outcome: &Notes, table: &mut String) {
    let Found { closed_us, held, open_us, used, limited, unclear, .. } = found;
    for (what, values) in
        [("closed_us", closed_us), ("held_per_second", held), ("open_us", open_us), ("share_of_core", used)]
    {
        outcome.rounds(&format!("{name}.{what}"), values);
    }
    let most = |count: usize| count * 2 > rounds;
    let excuse = most(held.len() + unclear).then(|| format!("it could not be told in {unclear} of {rounds} rounds"));
    outcome.timing(
        excuse,
        format!("{name}: in most rounds a rate of at least {:.0} % of a closed loop's is held", LOWEST * 100.0),
        most(held.len()),
        format!(
            "in {} of {rounds}{}",
            held.len(),
            Estimate::of(held).map(|held| format!(", {held:.0}/s")).unwrap_or_default()
        ),
    );
    let text = |values: &[f64], digits: usize| {
        Estimate::of(values).map_or_else(|| "none".to_owned(), |estimate| format!("{estimate:.digits$}"))
    };
    // Where the gateway was not the limit, it may hold more.
    let at_least = if !held.is_empty() && limited * 2 <= held.len() { "at least " } else { "" };
    let share = Estimate::of(used).map_or_else(|| "none".to_owned(), |used| format!("{:.0} %", used.median * 100.0));
    table.push_str(&format!(
        "| {name} | {} | {at_least}{} | {} | {share} |\n",
        text(closed_us, 1),
        text(held, 0),
        text(open_us, 1)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;

    #[test]
    fn most_rounds_hold_a_rate_or_it_is_a_failure_or_cannot_be_told() {
        for (held, limited, unclear, status, row) in [
            (3, 3, 0, Status::Passed, "| 7 [7, 7] |"),
            (3, 1, 0, Status::Passed, "| at least 7 [7, 7] |"),
            (2, 2, 1, Status::Passed, "| 7 [7, 7] |"),
            (1, 1, 0, Status::Failed, "| 7 [7, 7] |"),
            (1, 1, 1, Status::Invalid, "| 7 [7, 7] |"),
            (0, 0, 1, Status::Failed, "| none |"),
            (0, 0, 2, Status::Invalid, "| none |"),
        ] {
            let values = vec![7.0; held];
            let found = Found { held: values.clone(), used: values, limited, unclear, ..Found::default() };
            let (notes, mut table) = (Notes::default(), String::new());
            tell("plain", 3, &found, &notes, &mut table);
            assert_eq!(notes.outcome().status(), status, "{held} {limited} {unclear}");
            assert!(table.contains(row), "{table}");
        }
    }
}
