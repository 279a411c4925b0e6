//! Reloads without a pause, of many routes, under load: nothing fails, all old generations end, memory returns.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::client::Client;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::Counts;
use portcullis_engine::tally::Lag;

use crate::Failure;

use super::books::Books;
use super::kit::{Config, Edge, Stage, mib, most_held, open, play, until};
use super::outcome::Notes;
use super::served::{Bad, told};

/// Routes of each config.
const ROUTES: usize = 1000;

/// Requests a second.
const RATE: f64 = 200.0;

/// Reloads until memory counts: allocators keep what a second config beside the first needs.
const FIRST: usize = 5;

/// Reloads that are asked for at once.
const AT_ONCE: usize = 20;

/// What may be held more after all reloads than after the first ones, and at most meanwhile.
const LEFT: u64 = 24 << 20;
const PEAK: u64 = 192 << 20;

/// How long a reload may take, and how long memory may take to return.
const PATIENCE: Duration = Duration::from_secs(20);

/// A slice of the load, which goes on until the reloads are done.
const SLICE: Duration = Duration::from_secs(1);

fn config(origin: &Origin, number: usize) -> Result<Config, Failure> {
    let mut routes = String::new();
    for route in 0..ROUTES {
        writeln!(routes, "      - {{ name: r{route}, match: {{ path: /r{route}/v{number} }}, to: origin }}")?;
    }
    writeln!(routes, "      - {{ name: now, match: {{ exact: /now }}, respond: {{ body: \"{number}\" }} }}")?;
    Ok(Config { routes, ..Config::to(origin.address()) })
}

fn applied(edge: &Edge) -> Result<f64, Failure> {
    edge.metric("portcullis_reloads_total", "outcome=\"applied\"")
}

/// One after the other, each as soon as the one before serves. Says how many did.
fn reload(edge: &Edge, origin: &Origin, numbers: std::ops::Range<usize>) -> Result<usize, Failure> {
    let mut done = 0;
    for number in numbers {
        let before = applied(edge)?;
        edge.write(&config(origin, number)?)?;
        edge.process.hang_up()?;
        done += usize::from(until(PATIENCE, || Ok(applied(edge)? > before)));
    }
    Ok(done)
}

/// The load, in slices until it is told to stop. Says what was sent, what was bad, what that was in words, and how late the tool was.
fn slices(stage: &Stage, edge: &Edge, stop: &AtomicBool) -> Result<((Counts, Bad, String), Lag), Failure> {
    let (mut counts, mut bad, mut worst) = (Counts::default(), Bad::default(), String::new());
    let mut latest = Lag::default();
    for seed in stage.seed + 1.. {
        let tally = play(&open(edge.address, RATE, SLICE, seed))?;
        let (now, lag) = (Bad::of(&tally), tally.lag());
        if now.total() > 0 {
            worst = format!(", at the last {}", told(&tally));
        }
        counts.merge(&tally.all);
        bad += now;
        let delayed = latest.delayed + lag.delayed;
        latest = Lag { delayed, ..if lag.most > latest.most { lag } else { latest } };
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(((counts, bad, worst), latest))
}

/// Plays.
pub(super) fn storm(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = Edge::start(stage, "edge", &config(&origin, 0)?)?;
    let (warm, part) = edge.play(outcome, "warm", &open(edge.address, RATE, SLICE, stage.seed))?;
    part.expect_served(outcome, &warm);
    let first = reload(&edge, &origin, 1..FIRST + 1)?;
    let one = || Ok(edge.metric("portcullis_generations_live", "")? < 1.5);
    until(PATIENCE, one);
    let before = edge.process.resident()?;
    let (books, reloads) = (Books::open(&edge, &origin)?, stage.size(30, 500));
    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let (played, peak) = most_held(&edge, || {
        edge.watched(outcome, "load", || {
            std::thread::scope(|scope| {
                let load = scope.spawn(|| slices(stage, &edge, &stop));
                let done = reload(&edge, &origin, FIRST + 1..FIRST + 1 + reloads);
                stop.store(true, Ordering::SeqCst);
                let (sent, lag) = load.join().map_err(|_| "the load panicked")??;
                Ok(((sent, done?), Some(lag)))
            })
        })
    });
    let (((counts, bad, worst), done), part) = played?;
    outcome.number("reloads_per_second", reloads as f64 / begun.elapsed().as_secs_f64());
    part.expect_none(outcome, "no request fails", bad, &format!("{counts}{worst}"));
    outcome.timing(
        part.excuse_for(PATIENCE),
        format!("all {} reloads serve within {} s", FIRST + reloads, PATIENCE.as_secs()),
        first == FIRST && done == reloads,
        first + done,
    );
    books.close(outcome, "load", [counts.sent(), counts.sent() - bad.refused], bad.late)?;
    // Signals that come faster than a config is read: the last text is in force in the end.
    let last = FIRST + reloads + AT_ONCE;
    for number in last - AT_ONCE + 1..=last {
        edge.write(&config(&origin, number)?)?;
        edge.process.hang_up()?;
    }
    let newest = last.to_string();
    let now = until(PATIENCE, || Ok(Client::patient(edge.address, PATIENCE)?.get("/now")?.body == newest.as_bytes()));
    outcome.count(format!("of {AT_ONCE} at once the last is in force"), now, now);
    let ended = until(PATIENCE, one);
    outcome.count("one generation lives in the end", ended, edge.metric("portcullis_generations_live", "")?);
    until(PATIENCE, || Ok(edge.process.resident()? <= before + LEFT));
    let after = edge.process.resident()?.saturating_sub(before);
    let most = peak?.saturating_sub(before);
    outcome.number("memory_peak_mib", most as f64 / f64::from(1 << 20));
    outcome.resource(
        format!("memory returns to at most {} more than before", mib(LEFT)),
        after <= LEFT,
        format!("{} more, of {}", mib(after), mib(before)),
    );
    outcome.resource(format!("and is never more than {} above it", mib(PEAK)), most <= PEAK, mib(most));
    Ok(())
}
