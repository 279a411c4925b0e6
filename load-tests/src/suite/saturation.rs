//! Where a gateway ends, and what more connections bring.

use std::time::Duration;

use portcullis_engine::origin::Origin;
use portcullis_judge::random::Random;
use portcullis_judge::scalability::{Interval, Law, Point};
use serde_json::json;

use crate::Failure;
use crate::report::progress;

use super::kit::{Books, Edge, Stage, closed, ms, play};
use super::outcome::Outcome;
use super::steady::{Window, window};

/// The lowest rate that is tried.
const FIRST: f64 = 500.0;

/// How near two rates must be until the search ends.
const NEAR: f64 = 1.03;

/// Times that a rate must be held to be believed, and how much lower than the one that was found it may be.
const CONFIRM: usize = 3;
const LOWEST: f64 = 0.8;

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
}
