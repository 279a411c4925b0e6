//! Floods of heads: too many fields, too large ones, without an end, kept open, and what HTTP/2 adds to it. All are refused,
//! memory is bounded, and good callers are not moved.

mod attack;
mod frames;

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_engine::origin::Origin;

use crate::Failure;

use super::kit::{Books, Edge, Stage, expect_unmoved, mib, most_held, open, play, until, watched};
use super::outcome::Outcome;

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
    /// Served, or left without an answer.
    other: u64,
}

/// Plays.
pub(super) fn headers(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let length = stage.size(Duration::from_secs(8), Duration::from_secs(60));
    let kept = stage.size(200, 2000);
    let load = |seed| open(edge.address, GOOD, length, seed);
    let alone = watched(&mut outcome, "alone", || {
        let tally = play(&load(stage.seed))?;
        let lag = tally.lag();
        Ok((tally, Some(lag)))
    })?;
    let before = edge.process.resident()?;
    let books = Books::open(&edge, &origin)?;
    let (stop, book) = (AtomicBool::new(false), Mutex::new(Book::default()));
    let (beside, most) = most_held(&edge, || {
        watched(&mut outcome, "beside", || {
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
    })?;
    let beside = beside?;
    expect_unmoved(&mut outcome, [&alone, &beside]);
    let book = book.into_inner().map_err(|_| "an attacker panicked")?;
    for (attack, ended) in Attack::ALL.into_iter().zip(book.0) {
        outcome.expect(
            format!("{}: {}", attack.name(), attack.refusal()),
            ended.refused > 0 && ended.other == 0,
            format!("{} refused, {} not", ended.refused, ended.other),
        );
    }
    let bound = EACH * kept as u64 + BESIDE;
    let grown = most.saturating_sub(before);
    outcome.expect(format!("memory grows by at most {}", mib(bound)), grown <= bound, mib(grown));
    let [_, at_origin] = books.since()?;
    // Streams that are reset were well-formed requests until then.
    let streams =
        Attack::ALL.into_iter().zip(book.0).map(|(attack, ended)| (ended.refused + ended.other) * attack.streams());
    let most = beside.all.sent() + streams.sum::<u64>();
    outcome.expect(
        "nothing that is malformed reaches the origin",
        (beside.all.sent()..=most).contains(&at_origin),
        format!(
            "{at_origin} at the origin, {} good ones and at most {most} with streams that were reset",
            beside.all.sent()
        ),
    );
    counted(&edge, &book, &mut outcome).map(|()| outcome)
}

/// What was refused is counted under its reason.
fn counted(edge: &Edge, book: &Book, outcome: &mut Outcome) -> Result<(), Failure> {
    for reason in ["head_too_large", "target_too_long", "http2_"] {
        let attacks = Attack::ALL.into_iter().zip(book.0).filter(|(attack, _)| attack.reason() == Some(reason));
        let refused: u64 = attacks.map(|(_, ended)| ended.refused).sum();
        let found = || edge.metric("portcullis_failures_total", &format!("reason=\"{reason}"));
        let all = until(Duration::from_secs(5), || Ok(found()? >= refused as f64))?;
        outcome.expect(
            format!("portcullis_failures_total has them as {reason}"),
            all,
            format!("{} of {refused}", found()?),
        );
    }
    Ok(())
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
                Answered::Other => ended.other += 1,
            }
        }
        drop(book);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
