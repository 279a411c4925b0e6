//! What a gateway holds: at shares of its capacity, and where it ends.

use std::time::Duration;

use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;
use portcullis_judge::random::Random;
use portcullis_judge::scalability::{Interval, Law, Point};
use serde_json::json;

use crate::Failure;
use crate::report::progress;

use super::kit::{Books, Edge, Stage, capacity, closed, ms, open, play, told, watched};
use super::outcome::Outcome;

/// The p99 up to which a rate is held.
const HELD: Duration = Duration::from_millis(100);

/// Shares of the capacity, with the p99 that each may have.
const SHARES: [(f64, Duration); 3] =
    [(0.3, Duration::from_millis(25)), (0.6, Duration::from_millis(50)), (0.8, Duration::from_millis(100))];

/// The lowest rate that is tried.
const FIRST: f64 = 500.0;

/// How near two rates must be until the search ends.
const NEAR: f64 = 1.03;

/// Times that a rate must be held to be believed.
const CONFIRM: usize = 3;

/// An open loop at 30, 60 and 80 % of what a closed loop holds.
pub(super) fn steady(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let (capacity, cost) = capacity(&edge, 32, stage.size(Duration::from_secs(2), Duration::from_secs(10)))?;
    outcome.number("capacity_per_second", capacity);
    outcome.number("cpu_per_request_us", cost * 1e6);
    for (seed, (share, most)) in (stage.seed..).zip(SHARES) {
        let name = format!("{:.0} %", share * 100.0);
        let books = Books::open(&edge, &origin)?;
        let length = stage.size(Duration::from_secs(5), Duration::from_secs(60));
        let load = open(edge.address, capacity * share, length, seed);
        let tally = watched(&mut outcome, &name, || {
            let tally = play(&load)?;
            let lag = tally.lag();
            Ok((tally, Some(lag)))
        })?;
        outcome.expect(
            format!("{name}: nothing fails"),
            tally.all.failures() == 0 && tally.all.refused == 0,
            told(&tally),
        );
        let p99 = tally.quantile(0.99);
        let shown = p99.map_or_else(|| "among failed".to_owned(), ms);
        outcome.expect(format!("{name}: p99 at most {}", ms(most)), p99.is_some_and(|p99| p99 <= most), shown);
        outcome.number(&format!("{name}.p99_ms"), p99.map(|p99| p99.as_secs_f64() * 1e3));
        books.close_even(&mut outcome, &name, &tally)?;
    }
    Ok(outcome)
}

/// What one window at a rate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Held,
    /// The gateway did not hold it.
    Missed,
    /// The tool itself did not.
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
        // Once more where the tool could not tell; a rate that it never holds is not held.
        for _ in 0..2 {
            seed += 1;
            let (found, tally) =
                window(&edge, rate, stage.size(Duration::from_secs(2), Duration::from_secs(10)), seed)?;
            sent += tally.all.sent();
            let p99 = tally.quantile(0.99).map_or_else(|| "among failed".to_owned(), ms);
            progress(&format!("  {rate:.0}/s: {found:?}, p99 {p99}"));
            match found {
                Window::Held => return Ok(true),
                Window::Missed => return Ok(false),
                Window::Unclear => unclear += 1,
            }
        }
        Ok(false)
    };
    let (low, high) = search(FIRST, &mut window)?;
    let rate = low / NEAR;
    let mut confirmed = 0;
    for _ in 0..CONFIRM {
        confirmed += usize::from(window(rate)?);
    }
    outcome.number("held_per_second", low);
    outcome.number("not_held_per_second", high);
    outcome.number("windows_that_could_not_tell", unclear);
    outcome.expect(format!("at least {FIRST:.0}/s are held"), low >= FIRST, format!("{low:.0}/s"));
    outcome.expect(
        format!("the rate is held {CONFIRM} times"),
        confirmed == CONFIRM,
        format!("{confirmed} of {CONFIRM} at {rate:.0}/s"),
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
    let tally = play(&open(edge.address, rate, length, seed))?;
    let held = tally.all.failures() == 0 && tally.quantile(0.99).is_some_and(|p99| p99 <= HELD);
    let window = match (held, tally.lag().held()) {
        (true, true) => Window::Held,
        (false, true) => Window::Missed,
        (_, false) => Window::Unclear,
    };
    Ok((window, tally))
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
}
