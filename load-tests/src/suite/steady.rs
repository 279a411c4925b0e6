//! A gateway at shares of what it holds, and what a window at a rate says of it.

use std::time::Duration;

use portcullis_engine::drive::Load;
use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;

use crate::Failure;
use crate::report::progress;

use super::kit::{Books, Edge, Stage, capacity, ms, open, play, told, watched};
use super::outcome::{Outcome, Status};

/// The p99 up to which a rate is held.
const HELD: Duration = Duration::from_millis(100);

/// Shares of the capacity, with the p99 that each may have.
const SHARES: [(f64, Duration); 3] =
    [(0.3, Duration::from_millis(25)), (0.6, Duration::from_millis(50)), (0.8, Duration::from_millis(100))];

/// The share of a core that a gateway has used which is at its end.
const FULL: f64 = 0.95;

/// By how much the rate is lowered until one is held, and how often.
const STEP: f64 = 0.9;
const STEPS: usize = 12;

/// Times that a share is tried at most.
const TRIES: usize = 3;

/// An open loop at 30, 60 and 80 % of what an open loop holds: a closed one answers many at a time, which costs less each, and
/// brings more.
pub(super) fn steady(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let (closed, cost) = capacity(&edge, 32, stage.size(Duration::from_secs(2), Duration::from_secs(10)))?;
    outcome.number("closed_per_second", closed);
    outcome.number("cpu_per_request_us", cost * 1e6);
    let mut seed = stage.seed;
    let held = lowered(closed, &mut |rate| {
        // Again where the machine could not tell.
        for _ in 0..TRIES {
            seed += 1;
            let (found, _) = window(&edge, rate, stage.size(Duration::from_secs(2), Duration::from_secs(10)), seed)?;
            progress(&format!("  {rate:.0}/s: {found:?}"));
            if found != Window::Unclear {
                return Ok(found == Window::Held);
            }
        }
        Ok(false)
    })?;
    let Some(capacity) = held else {
        outcome.invalidate(&format!("no rate is held, down to {:.0} % of a closed loop's", STEP.powi(12) * 100.0));
        return Ok(outcome);
    };
    outcome.number("capacity_per_second", capacity);
    for (seed, (share, most)) in (stage.seed..).zip(SHARES) {
        let length = stage.size(Duration::from_secs(5), Duration::from_secs(60));
        // Again where the machine did not hold it, which the last try is excused for.
        for left in (0..TRIES).rev() {
            let mut tried = Outcome::default();
            at(
                &edge,
                &origin,
                (share, most),
                (&open(edge.address, capacity * share, length, seed), length),
                &mut tried,
            )?;
            if tried.status() != Status::Invalid || left == 0 {
                outcome.append(tried);
                break;
            }
            progress(&format!("  {:.0} %: the machine did not hold it", share * 100.0));
        }
    }
    Ok(outcome)
}

/// One share of the capacity, with the p99 that it may have.
fn at(
    edge: &Edge,
    origin: &Origin,
    (share, most): (f64, Duration),
    (load, length): (&Load<'_>, Duration),
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let name = format!("{:.0} %", share * 100.0);
    let (books, turns) = (Books::open(edge, origin)?, edge.turns()?);
    let tally = watched(outcome, &name, || {
        let tally = play(load)?;
        let lag = tally.lag();
        Ok((tally, Some(lag)))
    })?;
    if let Some(why) = edge.kept_out(&turns, length)? {
        outcome.excuse(&format!("{name}: {why}"));
    }
    outcome.expect(format!("{name}: nothing fails"), tally.all.failures() == 0 && tally.all.refused == 0, told(&tally));
    let p99 = tally.quantile(0.99);
    let shown = p99.map_or_else(|| "among failed".to_owned(), ms);
    outcome.expect(format!("{name}: p99 at most {}", ms(most)), p99.is_some_and(|p99| p99 <= most), shown);
    outcome.number(&format!("{name}.p99_ms"), p99.map(|p99| p99.as_secs_f64() * 1e3));
    books.close_even(outcome, &name, &tally)
}

/// The first rate that is held, from one on down; `None` when none is.
fn lowered(from: f64, held: &mut dyn FnMut(f64) -> Result<bool, Failure>) -> Result<Option<f64>, Failure> {
    let mut rate = from;
    for _ in 0..STEPS {
        if held(rate)? {
            return Ok(Some(rate));
        }
        rate *= STEP;
    }
    Ok(None)
}

/// What one window at a rate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    Held,
    /// The gateway did not hold it.
    Missed,
    /// The tool itself did not, or the gateway was kept from its core.
    Unclear,
}

/// A window at a rate.
pub(super) fn window(edge: &Edge, rate: f64, length: Duration, seed: u64) -> Result<(Window, Tally), Failure> {
    let (turns, before) = (edge.turns()?, edge.process.cpu()?);
    let tally = play(&open(edge.address, rate, length, seed))?;
    let spent = Duration::from_nanos(edge.process.cpu()?.nanoseconds.saturating_sub(before.nanoseconds));
    let held = tally.all.failures() == 0 && tally.quantile(0.99).is_some_and(|p99| p99 <= HELD);
    let clear = tally.lag().held() && edge.kept_out(&turns, length)?.is_none();
    // A gateway that had its core all the time is at its end, however late the tool was.
    let full = spent.as_secs_f64() >= FULL * length.as_secs_f64();
    let window = match (held, clear || full) {
        // Latency counts from the planned moment: what a late tool found is no shorter than it was.
        (true, _) => Window::Held,
        (false, true) => Window::Missed,
        (false, false) => Window::Unclear,
    };
    Ok((window, tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_lowered_until_it_is_held_or_there_is_none() {
        let mut tried = Vec::new();
        let found = lowered(1000.0, &mut |rate| {
            tried.push(rate);
            Ok(rate <= 800.0)
        });
        assert!((found.unwrap().unwrap() - 729.0).abs() < 1e-9);
        assert_eq!(tried.len(), 4);
        assert_eq!(lowered(1000.0, &mut |_| Ok(false)).unwrap(), None);
    }
}
