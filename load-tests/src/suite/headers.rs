//! Floods of heads: too many fields, too large ones, without an end, kept open, and what HTTP/2 adds to it. All are refused,
//! memory is bounded, and good callers are not moved.

mod attack;
mod frames;

use std::fmt::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;

use crate::Failure;

use super::books::{SETTLE, agree};
use super::kit::{Config, Edge, Stage, mib, most_held, open, play, until};
use super::outcome::Notes;
use super::served::{Bad, expect_unmoved};

use attack::{Answered, Attack};

/// Attackers, and how long each waits between two attacks.
const ATTACKERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(15);

/// What a connection whose head is not over may hold, and the gateway beside them.
const EACH: u64 = 96 << 10;
const BESIDE: u64 = 48 << 20;

/// Good requests a second.
const GOOD: f64 = 200.0;

/// What became of the attacks, by kind.
#[derive(Debug, Default)]
struct Book([Ended; Attack::ALL.len()]);

#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    refused: u64,
    /// Served.
    served: u64,
    /// Left without an answer.
    silent: u64,
}

impl Ended {
    const fn all(self) -> u64 {
        self.refused + self.served + self.silent
    }
}

/// Under what the gateway counts what it refuses of these attacks.
const REASONS: [&str; 3] = ["head_too_large", "target_too_long", "http2_"];

/// Plays. What is malformed asks for a cluster of its own, and what is well-formed until it is reset for another, so that the good
/// requests are counted alone.
pub(super) fn headers(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let (origin, malformed, streams) = (start_origin()?, start_origin()?, start_origin()?);
    let [mut clusters, mut routes] = [const { String::new() }; 2];
    for (name, origin) in [("malformed", &malformed), ("streams", &streams)] {
        writeln!(clusters, "  {name}: {{ endpoints: [\"{}\"] }}", origin.address())?;
        writeln!(routes, "      - {{ name: {name}, match: {{ path: /{name} }}, to: {name} }}")?;
    }
    let edge = Edge::start(stage, "edge", &Config { clusters, routes, ..Config::to(origin.address()) })?;
    let length = stage.size(Duration::from_secs(8), Duration::from_secs(60));
    let kept = stage.size(200, 2000);
    let load = |seed| open(edge.address, GOOD, length, seed);
    let counted = Counted::open(&edge, &origin)?;
    let alone = edge.play(outcome, "alone", &load(stage.seed))?;
    let before = edge.process.resident()?;
    let (stop, book) = (AtomicBool::new(false), Mutex::new(Book::default()));
    let (beside, most) = most_held(&edge, || {
        edge.watched(outcome, "beside", || {
            let unfinished =
                (0..kept).map(|_| attack::unfinished(edge.address)).collect::<Result<Vec<TcpStream>, _>>()?;
            std::thread::scope(|scope| {
                let attackers: Vec<_> = (0..ATTACKERS)
                    .map(|number| {
                        scope.spawn({
                            let (edge, stop, book) = (&edge, &stop, &book);
                            move || flood(edge, number, stop, book)
                        })
                    })
                    .collect();
                let tally = play(&load(stage.seed + 1))?;
                let lag = tally.lag();
                stop.store(true, Ordering::SeqCst);
                for attacker in attackers {
                    attacker.join().map_err(|_| "an attacker panicked")??;
                }
                drop(unfinished);
                Ok((tally, Some(lag)))
            })
        })
    });
    let beside = beside?;
    beside.1.keep(outcome, &beside.0);
    expect_unmoved(outcome, [&alone, &beside]);
    let book = book.into_inner().map_err(|_| "an attacker panicked")?;
    for (attack, ended) in Attack::ALL.into_iter().zip(book.0) {
        let Ended { refused, served, silent } = ended;
        let found = format!("{refused} refused, {served} served, {silent} left without an answer");
        let bad = Bad { wrong: served + u64::from(refused + silent == 0), late: silent, refused: 0 };
        let what = format!("{}: {}", attack.name(), attack.refusal());
        beside.1.expect_none(outcome, &what, bad, &found);
    }
    let bound = EACH * kept as u64 + BESIDE;
    let grown = most?.saturating_sub(before);
    outcome.resource(format!("memory grows by at most {}", mib(bound)), grown <= bound, mib(grown));
    outcome.count("nothing that is malformed reaches an origin", malformed.requests() == 0, malformed.requests());
    // Streams that are reset were well-formed requests until then.
    let opened: u64 = Attack::ALL.into_iter().zip(book.0).map(|(attack, ended)| ended.all() * attack.streams()).sum();
    outcome.count(
        "no more streams reach an origin than were opened",
        streams.requests() <= opened,
        format!("{} of {opened}", streams.requests()),
    );
    counted.close([&alone.0, &beside.0], &book, outcome)
}

fn start_origin() -> Result<Origin, Failure> {
    Origin::start("{\"fine\":true}")
}

/// What gateway and origin had counted before the loads.
struct Counted<'a> {
    edge: &'a Edge,
    origin: &'a Origin,
    good: [u64; 2],
    refused: [u64; REASONS.len()],
}

impl<'a> Counted<'a> {
    fn open(edge: &'a Edge, origin: &'a Origin) -> Result<Self, Failure> {
        Ok(Self { edge, origin, good: [edge.requests_of("all")?, origin.requests()], refused: refused(edge)? })
    }

    /// All good requests have a record and came to the origin, and all attacks are counted under their reasons, once.
    fn close(&self, good: [&Tally; 2], book: &Book, outcome: &Notes) -> Result<(), Failure> {
        let (sent, bad) = Bad::of_all(&good);
        let since = || -> Result<[u64; 2], Failure> {
            let [records, heard] = self.good;
            Ok([self.edge.requests_of("all")? - records, self.origin.requests() - heard])
        };
        let expected = [sent, sent - bad.refused];
        until(SETTLE, || Ok(agree(since()?, expected, bad.late)));
        let found = since()?;
        outcome.count(
            "good requests: the books of client, gateway and origin agree",
            agree(found, expected, bad.late),
            format!("{expected:?} at the client, {found:?} at the gateway and the origin"),
        );
        let own = REASONS.map(|reason| {
            let attacks = Attack::ALL.into_iter().zip(book.0).filter(|(attack, _)| attack.reason() == Some(reason));
            attacks.map(|(_, ended)| ended.refused).sum::<u64>()
        });
        let all: u64 = book.0.iter().map(|ended| ended.all()).sum();
        let since = || -> Result<[u64; REASONS.len()], Failure> {
            let [heads, targets, http2] = self.refused;
            let [now_heads, now_targets, now_http2] = refused(self.edge)?;
            Ok([now_heads - heads, now_targets - targets, now_http2 - http2])
        };
        let anywhere = all - own.iter().sum::<u64>();
        until(SETTLE, || Ok(counted(since()?, own, anywhere)));
        let found = since()?;
        outcome.count(
            "portcullis_failures_total has every attack, under its reason",
            counted(found, own, anywhere),
            format!("{found:?} as {}; {own:?} must be, and {anywhere} as one of them", REASONS.join(", ")),
        );
        Ok(())
    }
}

/// Whether so many are counted as heads, as targets, and of HTTP/2, and some more as either a head or of HTTP/2. What HTTP/1 refuses
/// is counted once; of HTTP/2 each stream that ends with its connection may count too.
const fn counted(
    [heads, targets, http2]: [u64; REASONS.len()],
    [own_heads, own_targets, own_http2]: [u64; REASONS.len()],
    anywhere: u64,
) -> bool {
    let more = heads.saturating_sub(own_heads) + http2.saturating_sub(own_http2);
    heads >= own_heads
        && targets == own_targets
        && http2 >= own_http2
        && heads <= own_heads + anywhere
        && more >= anywhere
}

/// What the gateway has counted, by reason.
fn refused(edge: &Edge) -> Result<[u64; REASONS.len()], Failure> {
    let [heads, targets, http2] = REASONS.map(|reason| edge.refused_for(&format!("reason=\"{reason}")));
    Ok([heads?, targets?, http2?])
}

/// Attacks of all kinds in turns, until it is told to stop.
fn flood(edge: &Edge, first: usize, stop: &AtomicBool, book: &Mutex<Book>) -> Result<(), Failure> {
    for turn in first.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let place = turn % Attack::ALL.len();
        let Some(attack) = Attack::ALL.get(place) else { break };
        let answered = attack.play(edge.address)?;
        let mut book = book.lock().map_err(|_| "an attacker panicked")?;
        if let Some(ended) = book.0.get_mut(place) {
            match answered {
                Answered::Refused => ended.refused += 1,
                Answered::Served => ended.served += 1,
                Answered::Silent => ended.silent += 1,
            }
        }
        drop(book);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_that_is_not_counted_and_one_of_http1_that_is_counted_twice_are_found() {
        for (found, holds) in [
            ([71, 24, 96], true),
            ([95, 24, 72], true),
            ([71, 24, 168], true),
            ([71, 24, 95], false),
            ([70, 24, 96], false),
            ([71, 25, 96], false),
            ([96, 24, 96], false),
        ] {
            assert_eq!(counted(found, [71, 24, 72], 24), holds, "{found:?}");
        }
    }
}
