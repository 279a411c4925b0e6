//! What stays behind: memory, descriptors and threads of a long run, and of connections that come and go.

use std::time::{Duration, Instant};

use portcullis_artifacts::Series;
use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_engine::proof;
use portcullis_judge::growth::{Growth, Outlook, Point, Residue, Slope, floors};
use portcullis_types::quantity::{format_duration, parse_duration};
use rustix::thread::disable_transparent_huge_pages;
use serde_json::json;

use crate::Failure;
use crate::tool::progress::shown;

use super::books::{Books, SETTLE};
use super::kit::{Config, Edge, Stage, closed, open, play, play_of, until};
use super::outcome::Notes;
use super::served::Bad;

/// Requests a second.
const RATE: f64 = 200.0;

/// What may have been added after 24 hours: bytes (by a minute, which shows no less; by hours), descriptors, threads, tasks.
const MEMORY: (f64, f64) = (1024.0 * MIB, 256.0 * MIB);
const DESCRIPTORS: f64 = 200.0;
const THREADS: f64 = 10.0;
const TASKS: f64 = 200.0;
const MIB: f64 = 1_048_576.0;

/// What may be more after all connections of a churn: timers, and what is on its way out.
const MORE: usize = 8;

/// The shortest load from which is told what a day would bring.
const SHORTEST: Duration = Duration::from_secs(60);

/// Looks of which the quietest counts, for what comes and goes with requests.
const BLOCKS: usize = 12;

/// Bytes that may stay behind of a thousand requests, once pools and rings are full.
const LEFT: f64 = 256.0;

/// For how long nothing may change until a gateway is still.
const STILL: Duration = Duration::from_millis(1500);

/// Records in a ring of what was slow or failed.
const RING: usize = 250;

/// The closed loop that looks for what requests leave behind: its connections, its rounds, and the requests of a block at least.
const LOOP: usize = 8;
const ROUND: Duration = Duration::from_millis(500);
const BLOCK: u64 = 8000;

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
pub(super) fn churn(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    // Idle connections upstream are gone before anything is looked at: what is more then stays.
    let cluster = ", keepalive: 1s".to_owned();
    let edge = Edge::start(stage, "edge", &Config { cluster, ..Config::to(origin.address()) })?;
    let books = Books::open(&edge, &origin)?;
    let load = open(edge.address, RATE, Duration::from_secs(1), stage.seed);
    let (warm, part) = edge.play_of(outcome, "warm", &load, &mut Once)?;
    part.expect_served(outcome, &warm);
    part.keep(outcome, &warm);
    settled(&edge)?;
    let (descriptors, threads, tasks) = (edge.process.descriptors()?, edge.process.threads()?, tasks(&edge)?);
    outcome.count("the gateway tells its tasks", tasks >= 1.0, tasks);
    let length = stage.size(Duration::from_secs(5), Duration::from_secs(120));
    let load = open(edge.address, RATE * 2.0, length, stage.seed + 1);
    let (tally, part) = edge.play_of(outcome, "load", &load, &mut Once)?;
    part.expect_served(outcome, &tally);
    books.close_even(outcome, "all connections", &[&warm, &tally])?;
    let left = || -> Result<usize, Failure> { Ok(edge.process.descriptors()?.saturating_sub(descriptors)) };
    until(SETTLE, || Ok(left()? <= MORE));
    let (left, connections) = (left()?, tally.all.sent());
    let found = format!("{left} more after {connections} connections");
    outcome.resource(format!("no descriptors stay behind: at most {MORE}"), left <= MORE, found);
    let more = edge.process.threads()?.saturating_sub(threads);
    outcome.resource(format!("no threads stay behind: at most {MORE}"), more <= MORE, format!("{more} more"));
    let more_tasks = || Ok::<_, Failure>(self::tasks(&edge)? - tasks);
    until(SETTLE, || Ok(more_tasks()? <= MORE as f64));
    let more = more_tasks()?;
    outcome.resource(format!("no tasks stay behind: at most {MORE}"), more <= MORE as f64, format!("{more:.0} more"));
    Ok(())
}

/// How long the soak's load is.
pub(super) fn length(small: bool, said: Option<Duration>) -> Duration {
    said.unwrap_or(Duration::from_secs(if small { 60 } else { 3 * 3600 }))
}

/// The length of the soak's load that `--soak` says.
///
/// # Errors
///
/// When it is no duration, or so short that nothing follows from it for a day.
pub fn parse_length(text: &str) -> Result<Duration, Failure> {
    let length = parse_duration(text)?;
    if length < SHORTEST {
        return Err(format!(
            "a soak of {text} is too short: {} at least, or what is found says nothing of 24 hours",
            format_duration(SHORTEST)
        )
        .into());
    }
    Ok(length)
}

/// Waits until the number of descriptors stands still for longer than an idle connection is kept.
fn settled(edge: &Edge) -> Result<(), Failure> {
    let start = Instant::now();
    let (mut last, mut since) = (edge.process.descriptors()?, Instant::now());
    while since.elapsed() < STILL && start.elapsed() < SETTLE {
        std::thread::sleep(STILL / 20);
        let now = edge.process.descriptors()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Live tasks of the gateway.
fn tasks(edge: &Edge) -> Result<f64, Failure> {
    edge.metric("portcullis_tasks", "")
}

/// A steady load, looked at for long.
pub(super) fn soak(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = on_small_pages(|| stage.plain(origin.address()))?;
    fill(stage, &edge, &origin, outcome)?;
    left_behind(stage, &edge, &origin, outcome)?;
    let books = Books::open(&edge, &origin)?;
    let length = length(stage.small, stage.soak);
    outcome.number("load.seconds", length.as_secs_f64());
    let step = length / 240;
    let load = open(edge.address, RATE, length, stage.seed + 1);
    let ((tally, looks), part) = edge.watched(outcome, "load", || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&load));
            let looks = look(&edge, length, step);
            let tally = load.join().map_err(|_| "the load panicked")??;
            let lag = tally.lag();
            Ok(((tally, looks), Some(lag)))
        })
    })?;
    part.expect_served(outcome, &tally);
    part.keep(outcome, &tally);
    books.close_even(outcome, "the whole run", &[&tally])?;
    let [memory, descriptors, threads, tasks] = looks?;
    // Requests that nobody answers in time pile up, and what they hold is no growth.
    let excuse = part.excuse_for_silence().filter(|_| tally.all.failures() > 0);
    // Of what is there for requests in flight the quietest looks count.
    for (what, unit, points, every, room) in [
        ("memory", "bytes", memory, 1, stage.size(MEMORY.0, MEMORY.1)),
        ("descriptors", "open", descriptors, BLOCKS, DESCRIPTORS),
        ("threads", "running", threads, 1, THREADS),
        ("tasks", "alive", tasks, BLOCKS, TASKS),
    ] {
        let Some(slope) = Slope::of(&floors(&points, every)) else {
            outcome.invalidate(&format!("{what}: too few looks"));
            continue;
        };
        let first = points.first().map_or(0.0, |point| point.value);
        let growth = Growth { what: what.to_owned(), slope, cap: first + room };
        outcome.number(&format!("{what}.slope_per_second"), slope.median);
        outcome.number(&format!("{what}.after_a_day"), growth.after_a_day());
        outcome.number(&format!("{what}.after_a_day_allowed"), growth.cap);
        let series = Series { name: what.to_owned(), unit: unit.to_owned(), points, growth: Some(growth.clone()) };
        outcome.number(&format!("{what}.over_time"), json!({ "series": series }));
        grown(stage.small, &growth, length, excuse.clone(), outcome);
    }
    Ok(())
}

/// Growth is a failure where it is proven to go beyond the cap. A minute proves little about a day; a long run that proves neither
/// says nothing.
fn grown(small: bool, growth: &Growth, length: Duration, excuse: Option<String>, outcome: &Notes) {
    let outlook = growth.outlook();
    let (what, holds) =
        (format!("{}: no growth beyond the cap within 24 hours is proven", growth.what), outlook != Outlook::Exceeds);
    let found = format!("{}; from {} of load", upper(growth), format_duration(length));
    match excuse {
        None => outcome.resource(what, holds, &found),
        Some(_) => outcome.timing(excuse, what, holds, &found),
    }
    if !small && outlook == Outlook::Unclear {
        outcome.invalidate(&format!("{found}: it is not proven that it stays under the cap for 24 hours"));
    }
}

/// How far it may grow at most beside what is allowed, and how far at least where it is shown to grow.
fn upper(growth: &Growth) -> String {
    let unit =
        |value: f64| if growth.what == "memory" { format!("{:.1} MiB", value / MIB) } else { format!("{value:.1}") };
    let Slope { median, level, .. } = growth.slope;
    let (most, cap) = (unit(growth.after_a_day()), unit(growth.cap));
    let far = if growth.outlook() == Outlook::Unclear { "; too short a time to show less" } else { "" };
    format!("{}, {} an hour, at most {most} after 24 h, {cap} allowed{far}", unit(level), unit(median * 3600.0))
}

/// Starts something whose memory comes in small pages alone. The kernel puts small pages together when it finds time, and with
/// what was free between them a process grows by two mebibytes at a moment that says nothing of it.
fn on_small_pages<T>(start: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Of this process, and of those that it starts.
    disable_transparent_huge_pages(true)?;
    let started = start();
    disable_transparent_huge_pages(false)?;
    started
}

/// Pools, buffers and the rings of records fill at first: that is no growth. There is a ring for what was slow and one for what
/// failed, which on a busy machine fill in the midst of a run.
fn fill(stage: &Stage, edge: &Edge, origin: &Origin, outcome: &Notes) -> Result<(), Failure> {
    let books = Books::open(edge, origin)?;
    let length = stage.size(Duration::from_secs(10), Duration::from_secs(60));
    let (tally, part) = edge.play(outcome, "warm-up", &open(edge.address, RATE * 4.0, length, stage.seed))?;
    part.expect_served(outcome, &tally);
    let ring =
        |target, length| play_of(&closed(edge.address, RING, Duration::from_millis(length)), &mut proof::get(target));
    let (slow, failed) = (ring("/wait/1050", 1000)?, ring("/status/500", 500)?);
    books.close_even(outcome, "warm-up", &[&tally, &slow, &failed])
}

/// What requests leave behind, however slowly time passes: a closed loop in blocks of equally many requests, and what each has added
/// to the memory when nothing is in flight. A kibibyte in a thousand requests is proven within a minute, where memory over time
/// moves by more than that in the same minute.
fn left_behind(stage: &Stage, edge: &Edge, origin: &Origin, outcome: &Notes) -> Result<(), Failure> {
    let books = Books::open(edge, origin)?;
    let (enough, patience) = stage.size((24, Duration::from_secs(60)), (240, Duration::from_secs(1200)));
    let ((sent, bad, blocks), part) = edge.watched(outcome, "blocks", || {
        let (mut sent, mut bad, mut blocks) = (0, Bad::default(), Vec::new());
        let (start, mut begun) = (Instant::now(), (0, edge.process.anonymous()?));
        while blocks.len() < enough && start.elapsed() < patience {
            let tally = play(&closed(edge.address, LOOP, ROUND))?;
            sent += tally.all.sent();
            bad += Bad::of(&tally);
            if sent - begun.0 >= BLOCK {
                let now = (sent, edge.process.anonymous()?);
                blocks.push((now.1 as f64 - begun.1 as f64) / ((now.0 - begun.0) as f64 / 1e3));
                begun = now;
            }
        }
        Ok(((sent, bad, blocks), None))
    })?;
    part.expect_none(outcome, "nothing fails", bad, &format!("{} of {sent}", bad.total()));
    books.close(outcome, "blocks", [sent, sent - bad.refused], bad.late)?;
    outcome.number("left_behind.requests", sent);
    let Some(left) = Residue::of(&blocks) else {
        outcome.invalidate(&format!(
            "only {sent} requests in {}: nothing is shown of what they leave behind",
            shown(patience)
        ));
        return Ok(());
    };
    outcome.number("left_behind.bytes_in_thousand", left.median);
    outcome.resource(
        format!("more than {LEFT} bytes left behind of a thousand requests are not proven"),
        left.low <= LEFT,
        format!(
            "{:.0}, at least {:.0}, in the middle of {} blocks of {BLOCK} requests",
            left.median, left.low, left.blocks
        ),
    );
    Ok(())
}

fn look(edge: &Edge, length: Duration, step: Duration) -> Result<[Vec<Point>; 4], Failure> {
    let start = Instant::now();
    let mut looks = [const { Vec::new() }; 4];
    let mut next = start;
    while start.elapsed() < length {
        let seconds = start.elapsed().as_secs_f64();
        let values = [
            edge.process.resident()? as f64,
            edge.process.descriptors()? as f64,
            edge.process.threads()? as f64,
            tasks(edge)?,
        ];
        for (points, value) in looks.iter_mut().zip(values) {
            points.push(Point { seconds, value });
        }
        next += step;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(looks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;

    #[test]
    fn proven_growth_is_a_failure_and_a_long_run_that_proves_nothing_says_nothing() {
        let slope = |low, high| Slope { median: (low + high) / 2.0, low, high, level: 100.0 };
        let excused = |small, low, high, excuse: Option<&str>| {
            let notes = Notes::default();
            let growth = Growth { what: "threads".to_owned(), slope: slope(low, high), cap: 150.0 };
            grown(small, &growth, Duration::from_secs(2700), excuse.map(str::to_owned), &notes);
            let text = notes.outcome().text("soak", Duration::ZERO);
            assert!(text.contains(" allowed") && text.contains("; from 45m of load"), "{text}");
            notes.outcome().status()
        };
        let check = |small, low, high| excused(small, low, high, None);
        for small in [true, false] {
            assert_eq!(check(small, 0.0, 0.0001), Status::Passed);
            assert_eq!(check(small, 0.001, 0.002), Status::Failed);
        }
        assert_eq!((check(true, 0.0, 0.01), check(false, 0.0, 0.01)), (Status::Passed, Status::Invalid));
        let piled_up = Some("the tool was late, and requests piled up");
        assert_eq!(excused(true, 0.001, 0.002, piled_up), Status::Invalid);
        assert_eq!(excused(true, 0.0, 0.0001, piled_up), Status::Passed);
    }

    #[test]
    fn a_soak_has_its_own_length_or_the_one_that_is_said_if_a_day_can_be_told_from_it() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert_eq!([length(true, None), length(false, None)], [minutes(1), minutes(180)]);
        assert_eq!([true, false].map(|small| length(small, Some(minutes(45)))), [minutes(45); 2]);
        assert_eq!(parse_length("45m").unwrap(), minutes(45));
        assert_eq!(parse_length("60s").unwrap(), SHORTEST);
        for (wrong, said) in [
            ("59s", "a soak of 59s is too short: 1m at least, or what is found says nothing of 24 hours"),
            ("0", "a soak of 0 is too short"),
            ("45", "expected a duration such as `250ms`"),
            ("long", "expected a duration such as `250ms`"),
        ] {
            assert!(parse_length(wrong).unwrap_err().to_string().contains(said), "{wrong}");
        }
    }

    #[test]
    fn a_minute_says_how_far_it_may_grow_beside_what_is_allowed() {
        let growth = |low, high, cap| Growth {
            what: "memory".to_owned(),
            slope: Slope { median: 0.0, low, high, level: 100.0 * MIB },
            cap,
        };
        let said = upper(&growth(0.0, MIB / 8640.0, 100.0 * MIB));
        assert_eq!(
            said,
            "100.0 MiB, 0.0 MiB an hour, at most 110.0 MiB after 24 h, 100.0 MiB allowed; too short a time to show less"
        );
        assert!(upper(&growth(0.0, 0.0, 356.0 * MIB)).ends_with("at most 100.0 MiB after 24 h, 356.0 MiB allowed"));
    }
}
