//! What a gateway holds: at shares of its capacity, and where it ends.

use std::time::Duration;

use portcullis_engine::drive::Load;
use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;
use portcullis_judge::random::Random;
use portcullis_judge::scalability::{Interval, Law, Point};
use serde_json::json;

use crate::Failure;
use crate::report::progress;

use super::kit::{Books, Edge, Stage, capacity, closed, ms, open, play, told, watched};
use super::outcome::{Outcome, Status};

/// The p99 up to which a rate is held.
const HELD: Duration = Duration::from_millis(100);

/// Shares of the capacity, with the p99 that each may have.
const SHARES: [(f64, Duration); 3] =
    [(0.3, Duration::from_millis(25)), (0.6, Duration::from_millis(50)), (0.8, Duration::from_millis(100))];

/// The share of a core that a gateway has used which is at its end.
const FULL: f64 = 0.95;

/// The lowest rate that is tried.
const FIRST: f64 = 500.0;

/// How near two rates must be until the search ends.
const NEAR: f64 = 1.03;

/// Times that a rate must be held to be believed, and how much lower than the one that was found it may be.
const CONFIRM: usize = 3;
const LOWEST: f64 = 0.8;

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
enum Window {
    Held,
    /// The gateway did not hold it.
    Missed,
    /// The tool itself did not, or the gateway was kept from its core.
    Unclear,
}

/// The highest rate at which p99 stays below 100 ms and nothing fails: doubled until one is not held, bisected to 3 %,
/// confirmed three times.
pub(super) fn saturation(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    play(&closed(edge.address, 32, Duration::from_millis(500)))?;
    let books = Books::open(&edge, &origin)?;
    let mut sent = 0;
    let mut seed = stage.seed;
    let mut unclear = 0;
    let mut window = |rate: f64| -> Result<bool, Failure> {
        // Again where the tool could not tell. What it cannot tell of in three windows is not held, and no limit of the gateway's.
        for _ in 0..3 {
            seed += 1;
            let (found, tally) =
                window(&edge, rate, stage.size(Duration::from_secs(2), Duration::from_secs(10)), seed)?;
            sent += tally.all.sent();
            let p99 = tally.quantile(0.99).map_or_else(|| "among failed".to_owned(), ms);
            progress(&format!("  {rate:.0}/s: {found:?}, p99 {p99}"));
            match found {
                Window::Held => return Ok(true),
                Window::Missed => return Ok(false),
                Window::Unclear => {}
            }
        }
        unclear += 1;
        Ok(false)
    };
    let (low, high) = search(FIRST, &mut window)?;
    let confirmed = confirm(low, &mut window)?;
    outcome.number("found_per_second", low);
    outcome.number("held_per_second", confirmed.unwrap_or_default());
    outcome.number("not_held_per_second", high);
    outcome.number("windows_that_could_not_tell", unclear);
    outcome.expect(format!("at least {FIRST:.0}/s are held"), low >= FIRST, format!("{low:.0}/s"));
    outcome.expect(
        format!("a rate not lower by more than a fifth is held {CONFIRM} times on end"),
        confirmed.is_some(),
        confirmed.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}/s")),
    );
    if unclear > 0 {
        outcome.invalidate(&format!(
            "the tool itself did not hold its rate in {unclear} windows: the limit may be the machine's"
        ));
    }
    sent += scalability(stage, &edge, &mut outcome)?;
    books.close(&mut outcome, "all windows", [sent, sent])?;
    Ok(outcome)
}

/// What more connections bring in a closed loop: the universal scalability law, fitted to what was measured and said of
/// nothing beyond it. Says how many requests were sent.
fn scalability(stage: &Stage, edge: &Edge, outcome: &mut Outcome) -> Result<u64, Failure> {
    let length = stage.size(Duration::from_millis(700), Duration::from_secs(5));
    let (mut points, mut sent) = (Vec::new(), 0);
    for connections in [1, 2, 4, 8, 16, 32, 64] {
        let tally = play(&closed(edge.address, connections, length))?;
        sent += tally.all.sent();
        let throughput = tally.all.succeeded as f64 / length.as_secs_f64();
        points.push(Point { concurrency: connections as f64, throughput });
    }
    let interval = |interval: Interval| json!({ "fit": interval.fit, "low": interval.low, "high": interval.high });
    match Law::fit(&points, 500, &mut Random::new(stage.seed)) {
        Ok(law) => outcome.number(
            "scalability",
            json!({
                "points": points,
                "lambda": interval(law.lambda),
                "sigma": interval(law.sigma),
                "kappa": interval(law.kappa),
                "peak": law.peak,
            }),
        ),
        // A gateway that follows no law is no worse for it.
        Err(why) => outcome.number("scalability", json!({ "points": points, "no_fit": why.to_string() })),
    }
    Ok(sent)
}

fn window(edge: &Edge, rate: f64, length: Duration, seed: u64) -> Result<(Window, Tally), Failure> {
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

/// A rate that is held three times on end, from one on down: the best of many windows was lucky. `None` when it would be lower by
/// more than a fifth.
fn confirm(found: f64, held: &mut dyn FnMut(f64) -> Result<bool, Failure>) -> Result<Option<f64>, Failure> {
    let mut rate = found / NEAR;
    while rate >= found * LOWEST {
        let mut times = 0;
        while times < CONFIRM && held(rate)? {
            times += 1;
        }
        if times == CONFIRM {
            return Ok(Some(rate));
        }
        rate /= NEAR;
    }
    Ok(None)
}

/// The highest rate that is held, and the lowest that is not, not further apart than 3 %. Nothing held is 0.
fn search(first: f64, held: &mut dyn FnMut(f64) -> Result<bool, Failure>) -> Result<(f64, f64), Failure> {
    let (mut low, mut high) = (0.0, first);
    while held(high)? {
        low = high;
        high *= 2.0;
        // Nobody is faster than that; the search shall end anyway.
        if high > 1e7 {
            return Ok((low, high));
        }
    }
    while low > 0.0 && high / low > NEAR {
        // In the middle of a ratio, not of a difference.
        let middle = (low * high).sqrt();
        if held(middle)? { low = middle } else { high = middle }
    }
    Ok((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_ends_within_three_percent_of_the_limit() {
        for limit in [501.0, 777.0, 12_345.0, 250_000.0] {
            let mut windows = 0;
            let (low, high) = search(FIRST, &mut |rate| {
                windows += 1;
                Ok(rate <= limit)
            })
            .unwrap();
            assert!(low <= limit && limit < high && high / low <= NEAR, "{limit}: {low} {high}");
            assert!(windows <= 16, "{windows}");
        }
        assert_eq!(search(FIRST, &mut |_| Ok(false)).unwrap(), (0.0, FIRST));
    }

    #[test]
    fn a_rate_is_believed_when_it_is_held_three_times_on_end() {
        // Held once by luck, and then as far as the second step down.
        let mut windows = 0;
        let found = confirm(1000.0, &mut |rate| {
            windows += 1;
            Ok(windows == 1 || rate < 950.0)
        });
        assert!((found.unwrap().unwrap() - 1000.0 / NEAR / NEAR).abs() < 1e-9);
        assert_eq!(windows, 2 + CONFIRM);
        assert_eq!(confirm(1000.0, &mut |rate| Ok(rate < 790.0)).unwrap(), None);
    }

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
