//! Bodies of all sizes come and go, many at a time: memory returns, and a round later it is no more than before.

use std::time::Duration;

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};

use crate::Failure;

use super::books::Books;
use super::kit::{Config, Edge, Stage, closed, mib, most_held, until};
use super::outcome::Notes;
use super::served::Bad;

/// Bodies at a time.
const AT_ONCE: usize = 64;

/// Sizes are powers of two from the first on, and a little more: what lies beside another size in memory is what breaks it up.
const SMALLEST: u64 = 1 << 10;
const SIZES: u64 = 11;

/// What may be held more than at first: while bodies pass, for each of them at most what a stalled one may have; and afterwards.
const EACH: u64 = 512 << 10;
const BESIDE: u64 = 64 << 20;
const LEFT: u64 = 48 << 20;

/// What a round may leave behind more than the one after which all pools are full.
const GROWTH: u64 = 12 << 20;

/// How long memory may take to return.
const SETTLE: Duration = Duration::from_secs(8);

/// Bodies of a size that follows from the number, down and up in turns.
#[derive(Debug)]
struct Mixed {
    body: Vec<u8>,
}

impl Mixed {
    fn size(number: u64) -> u64 {
        // A step of 7 goes through all 11 sizes.
        (SMALLEST << (number * 7 % SIZES)) + number * 131 % 997
    }
}

impl Source for Mixed {
    fn write(&mut self, number: u64, out: &mut Vec<u8>) -> usize {
        let size = Self::size(number);
        if number.is_multiple_of(2) {
            out.extend_from_slice(format!("GET /bytes/{size} HTTP/1.1\r\nHost: load.test\r\n\r\n").as_bytes());
        } else {
            let head = format!("POST /sink HTTP/1.1\r\nHost: load.test\r\nContent-Length: {size}\r\n\r\n");
            out.extend_from_slice(head.as_bytes());
            let size = usize::try_from(size).unwrap_or_default();
            out.extend_from_slice(self.body.get(..size).unwrap_or_default());
        }
        0
    }

    fn judge(&mut self, _: usize, number: u64, answer: &Answer<'_>) -> Became {
        let whole = !number.is_multiple_of(2) || answer.length == Self::size(number);
        match (answer.status, whole) {
            (200, true) => Became::Succeeded,
            (200, false) => Became::Failed(Kind::Mismatch),
            _ => Became::Failed(Kind::Status),
        }
    }
}

/// Plays.
pub(super) fn allocator(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{}")?;
    let routes = "      - { name: sink, match: { path: /sink }, body_limit: 0, to: origin }\n".to_owned();
    let edge = Edge::start(stage, "edge", &Config { routes, ..Config::to(origin.address()) })?;
    let books = Books::open(&edge, &origin)?;
    let largest = usize::try_from((SMALLEST << (SIZES - 1)) + 1000)?;
    let mut mixed = Mixed { body: vec![b'x'; largest] };
    let before = edge.process.resident()?;
    let length = stage.size(Duration::from_millis(1500), Duration::from_secs(20));
    let rounds = stage.size(5, 12);
    let (mut peak, mut left, mut sent, mut bad) = (0, Vec::new(), 0, Bad::default());
    for round in 1..=rounds {
        let load = closed(edge.address, AT_ONCE, length);
        let (played, most) = most_held(&edge, || edge.play_of(outcome, &format!("round {round}"), &load, &mut mixed));
        let (tally, part) = played?;
        part.expect_served(outcome, &tally);
        sent += tally.all.sent();
        bad += Bad::of(&tally);
        peak = peak.max(most?);
        until(SETTLE, || Ok(edge.process.resident()? <= before + LEFT / 2));
        left.push(edge.process.resident()?.saturating_sub(before));
    }
    books.close(outcome, "all bodies", [sent, sent - bad.refused], bad.late)?;
    let in_mib: Vec<f64> = left.iter().map(|left| *left as f64 / f64::from(1 << 20)).collect();
    outcome.rounds("left_mib", &in_mib);
    let most = peak.saturating_sub(before);
    let bound = EACH * AT_ONCE as u64 + BESIDE;
    outcome.resource(format!("memory grows by at most {} meanwhile", mib(bound)), most <= bound, mib(most));
    let last = left.last().copied().unwrap_or_default();
    outcome.resource(format!("at most {} of it stay", mib(LEFT)), last <= LEFT, mib(last));
    // The second round is the first that begins with full pools.
    let second = left.get(1).copied().unwrap_or_default();
    outcome.resource(
        format!("the last round leaves at most {} more than the second", mib(GROWTH)),
        last <= second + GROWTH,
        format!("{} and {}", mib(last), mib(second)),
    );
    Ok(())
}
