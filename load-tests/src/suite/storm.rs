//! Reloads without a pause, of many routes, under load: nothing fails, all old generations end, memory returns.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::client::Client;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::Counts;

use crate::Failure;

use super::kit::{Books, Config, Edge, Stage, mib, most_held, open, play, told, until, watched};
use super::outcome::Outcome;

/// Routes of each config.
const ROUTES: usize = 1000;

/// Requests a second.
const RATE: f64 = 200.0;

/// Reloads until memory counts: allocators keep what a second config beside the first needs.
const FIRST: usize = 5;

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
        done += usize::from(until(PATIENCE, || Ok(applied(edge)? > before))?);
    }
    Ok(done)
}

/// Plays.
pub(super) fn storm(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = Edge::start(stage, "edge", &config(&origin, 0)?)?;
    play(&open(edge.address, RATE, SLICE, stage.seed))?;
    let first = reload(&edge, &origin, 1..FIRST + 1)?;
    let one = |edge: &Edge| Ok(edge.metric("portcullis_generations_live", "")? < 1.5);
    until(PATIENCE, || one(&edge))?;
    let before = edge.process.resident()?;
    let (books, reloads) = (Books::open(&edge, &origin)?, stage.size(30, 500));
    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let ((counts, done), peak) = most_held(&edge, || {
        watched(&mut outcome, "load", || {
            std::thread::scope(|scope| {
                let load = scope.spawn(|| -> Result<Counts, Failure> {
                    let mut counts = Counts::default();
                    for seed in stage.seed + 1.. {
                        let tally = play(&open(edge.address, RATE, SLICE, seed))?;
                        if tally.all.failures() + tally.all.refused > 0 {
                            crate::report::progress(&format!("  {}", told(&tally)));
                        }
                        counts.merge(&tally.all);
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                    Ok(counts)
                });
                let done = reload(&edge, &origin, FIRST + 1..FIRST + 1 + reloads);
                stop.store(true, Ordering::SeqCst);
                let counts = load.join().map_err(|_| "the load panicked")??;
                Ok(((counts, done?), None))
            })
        })
    })
    .and_then(|(played, peak)| Ok((played?, peak)))?;
    outcome.number("reloads_per_second", reloads as f64 / begun.elapsed().as_secs_f64());
    outcome.expect("no request fails", counts.failures() == 0 && counts.refused == 0, &counts);
    outcome.expect(
        format!("all {} reloads serve within {} s", FIRST + reloads, PATIENCE.as_secs()),
        first == FIRST && done == reloads,
        first + done,
    );
    books.close(&mut outcome, "load", [counts.sent(), counts.sent()])?;
    // Signals that come faster than a config is read: the last text is in force in the end.
    let last = FIRST + 1 + reloads;
    for number in last..=last + 20 {
        edge.write(&config(&origin, number)?)?;
        edge.process.hang_up()?;
    }
    let newest = (last + 20).to_string();
    let now = until(PATIENCE, || Ok(Client::connect(edge.address)?.get("/now")?.body == newest.as_bytes()))?;
    outcome.expect("of twenty at once the last is in force", now, now);
    let ended = until(PATIENCE, || one(&edge))?;
    outcome.expect("one generation lives in the end", ended, edge.metric("portcullis_generations_live", "")?);
    until(PATIENCE, || Ok(edge.process.resident()? <= before + LEFT))?;
    let after = edge.process.resident()?.saturating_sub(before);
    outcome.number("memory_peak_mib", peak.saturating_sub(before) as f64 / f64::from(1 << 20));
    outcome.expect(
        format!("memory returns to at most {} more than before", mib(LEFT)),
        after <= LEFT,
        format!("{} more, of {}", mib(after), mib(before)),
    );
    let most = peak.saturating_sub(before);
    outcome.expect(format!("and is never more than {} above it", mib(PEAK)), most <= PEAK, mib(most));
    Ok(outcome)
}
