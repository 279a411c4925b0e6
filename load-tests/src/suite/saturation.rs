//! Where a gateway ends, and what more connections bring.

use std::time::Duration;

use portcullis_engine::origin::Origin;
use portcullis_judge::random::Random;
use portcullis_judge::scalability::{Interval, Law, Point};
use serde_json::json;

use crate::Failure;

use super::books::Books;
use super::kit::{Edge, Stage, closed, play};
use super::outcome::Notes;
use super::rates::{CONFIRM, Search};
use super::steady::Windows;

/// The lowest rate that is tried.
const FIRST: f64 = 500.0;

/// How near two rates must be until the search ends, and by how much the rate is lowered until it is held three times on end.
const NEAR: f64 = 1.03;

/// The share of the rate that was found which must be held three times on end. The first that is tried lies 3 % below it: what was
/// found is the best of many windows.
const LOWEST: f64 = 0.9;

/// The highest rate at which p99 stays below 100 ms and nothing fails: doubled until one is not held, bisected to 3 %,
/// confirmed three times.
pub(super) fn saturation(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let books = Books::open(&edge, &origin)?;
    let mut windows = Windows::new(stage, &edge, outcome);
    windows.note(&play(&closed(edge.address, 32, Duration::from_millis(500)))?);
    let mut play = |rate| windows.play(rate);
    let mut search = Search::new(&mut play);
    let (low, high) = search.doubled(FIRST)?;
    let (found, not_held) = match low {
        Some(low) => {
            let (best, high) = search.halved((low, high), NEAR)?;
            (Some(best.unwrap_or(low)), high)
        }
        None => (None, high),
    };
    let confirmed = found.map(|found| search.confirmed(found, NEAR, LOWEST)).transpose()?.flatten();
    let excuse = || {
        let unclear = search.unclear.filter(|_| !search.is_the_gateways());
        unclear.map(|rate| format!("it could not be told in three windows whether {rate:.0}/s are held"))
    };
    outcome.number("found_per_second", found);
    outcome.number("held_per_second", confirmed);
    outcome.number("not_held_per_second", not_held);
    let told = |rate: Option<f64>| rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}/s"));
    outcome.timing(excuse(), format!("at least {FIRST:.0}/s are held"), found.is_some(), told(found));
    outcome.timing(
        excuse(),
        format!("a rate not more than 10 % below the one that was found is held {CONFIRM} times on end"),
        confirmed.is_some(),
        format!("found {}, held {}", told(found), told(confirmed)),
    );
    if let Some(why) = excuse() {
        outcome.invalidate(&format!("the limit may be the machine's: {why}"));
    }
    windows.expect_no_wrong();
    scalability(stage, &edge, &mut windows, outcome)?;
    windows.close(&books)
}

/// What more connections bring in a closed loop: the universal scalability law, fitted to what was measured and said of
/// nothing beyond it.
fn scalability(stage: &Stage, edge: &Edge, windows: &mut Windows<'_>, outcome: &Notes) -> Result<(), Failure> {
    let length = stage.size(Duration::from_millis(700), Duration::from_secs(5));
    let mut points = Vec::new();
    for connections in [1, 2, 4, 8, 16, 32, 64] {
        let name = format!("closed loop of {connections}");
        let (tally, part) = edge.play(outcome, &name, &closed(edge.address, connections, length))?;
        part.expect_served(outcome, &tally);
        windows.note(&tally);
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
    Ok(())
}
