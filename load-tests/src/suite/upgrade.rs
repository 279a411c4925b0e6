//! Another process takes over, under load: nothing fails, and what is in flight over it neither.
//!
//! What is promised of connections (docs/upgrade.md): those of HTTP/1 are told `connection: close` with their next answer, or are
//! closed in good order when they were idle for `drain.idle`; those of HTTP/2 get GOAWAY; a WebSocket is told 1001 between two
//! messages, so that a message which crosses it has no answer. Nothing is cut.

mod takeovers;
mod uploads;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_engine::drive::{Load, Watch};
use portcullis_engine::http2::{self, Settings};
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::Kind;
use portcullis_engine::tally::{Failed, Tally};
use portcullis_engine::{proof, websocket};

use crate::Failure;

use super::books::{SETTLE, agree};
use super::kit::{Config, Edge, Stage, open, play, play_of, until};
use super::outcome::Notes;
use super::part::Part;
use super::reload::Echo;
use super::served::{Bad, told};

use takeovers::{Line, takeovers};

/// How long a command may take, and the time from one to the next.
const PATIENCE: Duration = Duration::from_secs(40);
const EACH: Duration = Duration::from_secs(3);

/// Requests a second: short ones, ones that take a while on HTTP/1 and on HTTP/2, and messages on WebSockets.
const SHORT: f64 = 200.0;
const LONG: f64 = 20.0;
const MESSAGES: f64 = 100.0;

/// How long a request takes that is in flight over a takeover.
const WAIT: Duration = Duration::from_millis(400);

/// Callers that upload.
const UPLOADS: usize = 4;

/// WebSockets end within the scene; nothing else is to.
const DRAIN: &str = "drain: { timeout: 20s, idle: 1s, streams: 1s }\n";

/// What came of the loads.
#[derive(Debug)]
struct Played {
    short: Tally,
    long: Tally,
    http2: Tally,
    uploads: Tally,
    echoes: Tally,
}

impl Played {
    fn requests(&self) -> [&Tally; 4] {
        [&self.short, &self.long, &self.http2, &self.uploads]
    }
}

/// Plays. Every process has metrics of its own, and all write one log: its lines are the gateway's books.
pub(super) fn upgrade(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let help = Command::new(stage.binary()).args(["upgrade", "--help"]).output()?;
    if !help.status.success() {
        outcome.invalidate("this gateway has no `upgrade`: not available");
        return Ok(());
    }
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = Edge::start(stage, "edge", &Config { top: DRAIN.to_owned(), ..Config::to(origin.address()) })?;
    edge.process.may_end();
    let before = origin.requests();
    let upgrades = stage.size(3, 20);
    let ((played, replaced), mut part) = edge.watched(outcome, "load", || {
        let (played, replaced) = load(stage, &edge, upgrades)?;
        let lag = played.short.lag();
        Ok(((played, replaced), Some(lag)))
    })?;
    let found = replaced.map_or_else(|failure| failure.to_string(), |()| "all".to_owned());
    let done = found == "all";
    outcome.timing(part.excuse_for(PATIENCE), format!("all {upgrades} upgrades are done"), done, found);
    let (requests, bad) = Bad::of_all(&played.requests());
    let sent = requests + played.echoes.opened;
    let echoes = Bad::of(&played.echoes);
    let (unsure, expected) = (bad.late + echoes.late, [sent, sent - bad.refused - echoes.refused]);
    let books = || -> Result<[u64; 2], Failure> { Ok([lines(&edge)?.len() as u64, origin.requests() - before]) };
    until(SETTLE, || Ok(agree(books()?, expected, unsure)));
    let (found, lines) = (books()?, lines(&edge)?);
    // What a process counts goes with it, and what it wrote stays.
    part.shed = lines.iter().filter(|line| line.shed).count() as u64;
    check(&played, &part, outcome);
    outcome.count(
        "the books of client, gateway and origin agree",
        agree(found, expected, unsure),
        format!("{expected:?} at the client, {found:?} in the gateway's log and at the origin"),
    );
    in_flight(&lines, upgrades, &part, outcome);
    Ok(())
}

/// All loads at once, and an upgrade every three seconds.
fn load(stage: &Stage, edge: &Edge, upgrades: u64) -> Result<(Played, Result<(), Failure>), Failure> {
    let length = EACH * u32::try_from(upgrades)? + Duration::from_secs(2);
    let load = |rate, seed| open(edge.address, rate, length, stage.seed + seed);
    let handshake = websocket::upgrade("/ws", "load.test", "");
    let messages = Load { upgrade: Some(&handshake), ..load(MESSAGES, 1) };
    let [short, long, http2] = [load(SHORT, 0), load(LONG, 2), load(LONG, 3)];
    let waits = format!("/wait/{}", WAIT.as_millis());
    std::thread::scope(|scope| {
        let short = scope.spawn(|| play(&short));
        let long = scope.spawn(|| play_of(&long, &mut proof::get(&waits)));
        let http2 = scope.spawn(|| {
            let (settings, start) = (Settings { connections: 4, grpc: false }, Instant::now());
            http2::run(&http2, settings, &mut proof::get_parts(&waits), start, &Watch::default())
        });
        let uploads = scope.spawn(|| uploads::play(edge.address, UPLOADS, (length, WAIT)));
        let echoes = scope.spawn(|| play_of(&messages, &mut Echo));
        let start = Instant::now();
        let replaced = (0..upgrades).try_for_each(|number| {
            let at = start + EACH * u32::try_from(number)? + Duration::from_secs(1);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            replace(stage, edge)
        });
        let panicked = "the load panicked";
        let played = Played {
            short: short.join().map_err(|_| panicked)??,
            long: long.join().map_err(|_| panicked)??,
            http2: http2.join().map_err(|_| panicked)??,
            uploads: uploads.join().map_err(|_| panicked)??,
            echoes: echoes.join().map_err(|_| panicked)??,
        };
        Ok((played, replaced))
    })
}

fn check(played: &Played, part: &Part, outcome: &Notes) {
    let Played { short, long, http2, uploads, echoes } = played;
    part.expect_served(outcome, short);
    for (name, tally) in [("requests of 400 ms", long), ("requests on HTTP/2", http2), ("uploads", uploads)] {
        part.expect_none(outcome, &format!("none of the {name} fails"), Bad::of(tally), &told(tally));
        outcome.count(format!("{name} are asked"), tally.all.sent() > 0, tally.all.sent());
    }
    for (name, tally) in [("short requests", short), ("requests of 400 ms", long), ("HTTP/2", http2)] {
        part.expect_kept(outcome, &format!("connections of {name} end in good order"), tally, true);
    }
    let (crossed, lost): (Vec<&Failed>, Vec<&Failed>) =
        echoes.failed.iter().partition(|failed| failed.kind == Kind::Goodbye);
    let mut bad = Bad::among(lost.into_iter());
    bad.refused += echoes.all.refused;
    bad.wrong += echoes.unasked.said;
    let what = "no message on a WebSocket is lost or changed, but what crosses a goodbye";
    part.expect_none(outcome, what, bad, &told(echoes));
    part.expect_kept(outcome, "WebSockets are ended by a goodbye of 1001 or 1012, and none is cut", echoes, true);
    outcome.number("websockets.goodbyes", echoes.unasked.closed + crossed.len() as u64);
    outcome.number("websockets.messages_that_crossed_one", crossed.len());
}

/// A takeover that meets nothing shows nothing.
fn in_flight(lines: &[Line], upgrades: u64, part: &Part, outcome: &Notes) {
    let met = takeovers(lines);
    for (number, met) in met.iter().enumerate() {
        for (what, count) in met {
            outcome.number(&format!("in_flight.{}.{what}", number + 1), *count);
        }
    }
    let all = met.len() as u64 == upgrades && met.iter().all(|met| met.values().all(|count| *count > 0));
    outcome.timing(
        part.excuse_for(WAIT),
        format!("{upgrades} takeovers meet requests, uploads, HTTP/2 and WebSockets in flight"),
        all,
        format!("{met:?}"),
    );
}

/// Lines in the log of all processes, but for those that a new one sends to itself.
fn lines(edge: &Edge) -> Result<Vec<Line>, Failure> {
    let log = fs::read_to_string(edge.file.with_file_name("access.log"))?;
    // The last one may be on its way.
    let whole = log.rfind('\n').map_or("", |end| log.get(..end).unwrap_or_default());
    whole.lines().filter(|line| !line.contains("portcullis.invalid")).map(Line::read).collect()
}

fn replace(stage: &Stage, edge: &Edge) -> Result<(), Failure> {
    let output = Command::new("timeout")
        .arg(PATIENCE.as_secs().to_string())
        .arg(stage.binary())
        .args(["upgrade", "-c"])
        .arg(&edge.file)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("`upgrade` ended with {}: {}", output.status, String::from_utf8_lossy(&said)).into())
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Status;
    use super::*;

    #[test]
    fn a_gateway_without_the_command_is_invalid_and_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(&folder.path().join("upgrade"), "/bin/false".as_ref(), true, 1).unwrap();
        let notes = Notes::default();
        upgrade(&stage, &notes).unwrap();
        let outcome = notes.outcome();
        assert_eq!(outcome.status(), Status::Invalid);
        assert!(outcome.text("upgrade", Duration::ZERO).contains("not available"));
    }

    #[test]
    fn a_websocket_that_is_cut_fails_it_and_a_goodbye_does_not() {
        let ms = Duration::from_millis;
        let served = || {
            let mut tally = Tally::new(ms(50), ms(0)).unwrap();
            tally.answered(ms(0), ms(1));
            tally
        };
        let status = |change: fn(&mut Tally)| {
            let mut echoes = served();
            change(&mut echoes);
            let [short, long, http2, uploads] = std::array::from_fn(|_| served());
            let (notes, part) = (Notes::default(), Part::fixture(ms(10_000), ms(10_000), 0));
            check(&Played { short, long, http2, uploads, echoes }, &part, &notes);
            notes.outcome().status()
        };
        let failed = |kind| Failed { id: 1, planned: Duration::ZERO, status: None, kind };
        assert_eq!(status(|_| {}), Status::Passed);
        assert_eq!(status(|echoes| echoes.unasked.closed += 1), Status::Passed);
        assert_eq!(status(|echoes| echoes.unasked.cut += 1), Status::Failed);
        assert_eq!(status(|echoes| echoes.unasked.said += 1), Status::Failed);
        for (kind, expected) in [(Kind::Goodbye, Status::Passed), (Kind::Reset, Status::Failed)] {
            let (notes, part) = (Notes::default(), Part::fixture(ms(10_000), ms(10_000), 0));
            let mut echoes = served();
            echoes.failed(failed(kind));
            let [short, long, http2, uploads] = std::array::from_fn(|_| served());
            check(&Played { short, long, http2, uploads, echoes }, &part, &notes);
            assert_eq!(notes.outcome().status(), expected, "{kind}");
        }
    }

    #[test]
    fn a_takeover_that_meets_no_upload_shows_nothing() {
        let line = |generation, begun: f64, ended: f64, what| Line { generation, begun, ended, what, shed: false };
        let all = ["requests", "uploads", "http2", "websockets"];
        let mut lines: Vec<Line> = all.map(|what| line(1, 0.0, 10.0, what)).to_vec();
        lines.push(line(2, 5.0, 6.0, "requests"));
        let status = |lines: &[Line], upgrades| {
            let (notes, part) = (Notes::default(), Part::fixture(PATIENCE, Duration::ZERO, 0));
            in_flight(lines, upgrades, &part, &notes);
            notes.outcome().status()
        };
        assert_eq!((status(&lines, 1), status(&lines, 2)), (Status::Passed, Status::Failed));
        lines[1].ended = 5.0;
        assert_eq!(status(&lines, 1), Status::Failed);
    }
}
