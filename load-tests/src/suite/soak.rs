//! What stays behind: memory, descriptors and threads of a long run, and of connections that come and go.

use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_judge::growth::{Growth, Outlook, Point, Slope};

use crate::Failure;

use super::kit::{Books, Edge, Stage, open, play, play_of, told, until, watched};
use super::outcome::Outcome;

/// Requests a second.
const RATE: f64 = 200.0;

/// What may have been added after 24 hours: bytes, descriptors, threads.
const MEMORY: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;
const DESCRIPTORS: f64 = 1000.0;
const THREADS: f64 = 50.0;

/// Requests on connections of their own.
#[derive(Debug)]
struct Once;

impl Source for Once {
    fn write(&mut self, _: u64, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"GET / HTTP/1.1\r\nHost: load.test\r\nConnection: close\r\n\r\n");
        0
    }

    fn judge(&mut self, _: usize, _: u64, answer: &Answer<'_>) -> Became {
        if answer.status == 200 { Became::Succeeded } else { Became::Failed(Kind::Status) }
    }
}

/// A connection for each request.
pub(super) fn churn(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    play_of(&open(edge.address, RATE, Duration::from_secs(1), stage.seed), &mut Once)?;
    let (descriptors, threads) = (edge.process.descriptors()?, edge.process.threads()?);
    let books = Books::open(&edge, &origin)?;
    let length = stage.size(Duration::from_secs(5), Duration::from_secs(120));
    let load = open(edge.address, RATE * 2.0, length, stage.seed + 1);
    let tally = watched(&mut outcome, "load", || {
        let tally = play_of(&load, &mut Once)?;
        let lag = tally.lag();
        Ok((tally, Some(lag)))
    })?;
    outcome.expect("nothing fails", tally.all.failures() == 0 && tally.all.refused == 0, told(&tally));
    books.close_even(&mut outcome, "all connections", &tally)?;
    let left = |edge: &Edge| -> Result<usize, Failure> { Ok(edge.process.descriptors()?.saturating_sub(descriptors)) };
    let closed = until(Duration::from_secs(10), || Ok(left(&edge)? <= 64))?;
    outcome.expect("no descriptors stay behind but idle ones upstream", closed, format!("{} more", left(&edge)?));
    let more = edge.process.threads()?.saturating_sub(threads);
    outcome.expect("no threads stay behind", more <= 8, format!("{more} more"));
    Ok(outcome)
}

/// A steady load, looked at for long.
pub(super) fn soak(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    // Pools, buffers and the ring of recent requests fill at first: that is no growth.
    play(&open(edge.address, RATE * 4.0, stage.size(Duration::from_secs(10), Duration::from_secs(60)), stage.seed))?;
    let books = Books::open(&edge, &origin)?;
    let length = stage.size(Duration::from_secs(60), Duration::from_secs(3 * 3600));
    let step = length / 240;
    let load = open(edge.address, RATE, length, stage.seed + 1);
    let (tally, looks) = watched(&mut outcome, "load", || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&load));
            let looks = look(&edge, length, step);
            let tally = load.join().map_err(|_| "the load panicked")??;
            let lag = tally.lag();
            Ok(((tally, looks?), Some(lag)))
        })
    })?;
    outcome.expect("nothing fails", tally.all.failures() == 0 && tally.all.refused == 0, told(&tally));
    books.close_even(&mut outcome, "the whole run", &tally)?;
    let [memory, descriptors, threads] = looks;
    for (what, points, room) in
        [("memory", memory, MEMORY), ("descriptors", descriptors, DESCRIPTORS), ("threads", threads, THREADS)]
    {
        let Some(slope) = Slope::of(&points) else {
            outcome.invalidate(&format!("{what}: too few looks"));
            continue;
        };
        let first = points.first().map_or(0.0, |point| point.value);
        let growth = Growth { what: what.to_owned(), slope, cap: first + room };
        outcome.number(&format!("{what}.slope_per_second"), slope.median);
        outcome.number(&format!("{what}.after_a_day"), growth.after_a_day());
        // A minute proves little about a day: a short run only fails where growth is proven.
        let (holds, says) = if stage.small {
            (growth.outlook() != Outlook::Exceeds, "no growth beyond the cap within 24 hours is proven")
        } else {
            (growth.outlook() == Outlook::Kept, "stays under the cap for 24 hours")
        };
        outcome.expect(format!("{what}: {says}"), holds, &growth);
    }
    Ok(outcome)
}

fn look(edge: &Edge, length: Duration, step: Duration) -> Result<[Vec<Point>; 3], Failure> {
    let start = Instant::now();
    let mut looks = [const { Vec::new() }; 3];
    let mut next = start;
    while start.elapsed() < length {
        let seconds = start.elapsed().as_secs_f64();
        let values =
            [edge.process.resident()? as f64, edge.process.descriptors()? as f64, edge.process.threads()? as f64];
        for (points, value) in looks.iter_mut().zip(values) {
            points.push(Point { seconds, value });
        }
        next += step;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(looks)
}
