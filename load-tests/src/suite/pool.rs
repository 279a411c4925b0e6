//! More requests than an upstream may have at once: those that fit are served, the others are refused in time, none hangs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};

use crate::Failure;

use super::books::Books;
use super::kit::{Config, Edge, Stage, ms, open};
use super::outcome::Notes;
use super::served::{Bad, told};

/// Requests that the upstream may have at once, and those that may wait for a place.
const AT_ONCE: u64 = 8;
const QUEUE: u64 = 16;

/// How long one may wait for a place, and how long the upstream takes.
const WAIT: Duration = Duration::from_millis(300);
const SERVICE: Duration = Duration::from_millis(50);

/// How much more is asked than there is room for, and how much less afterwards.
const OVER: f64 = 3.0;
const UNDER: f64 = 0.3;

/// The share of what the upstream can do that must still be done.
const USED: f64 = 0.8;

/// What a refusal calls itself in Proxy-Status.
const REASON: &[u8] = b"overloaded";

/// Requests that take the upstream a known time.
#[derive(Debug, Default)]
struct Waits {
    /// Refusals that do not say so: another reason, or no time to come back at.
    unclear: u64,
}

impl Source for Waits {
    fn write(&mut self, _: u64, out: &mut Vec<u8>) -> usize {
        let wait = SERVICE.as_millis();
        out.extend_from_slice(format!("GET /wait/{wait} HTTP/1.1\r\nHost: load.test\r\n\r\n").as_bytes());
        0
    }

    fn judge(&mut self, _: usize, _: u64, answer: &Answer<'_>) -> Became {
        match answer.status {
            200 => Became::Succeeded,
            503 => {
                let why = answer.field("proxy-status").unwrap_or_default();
                let says = why.windows(REASON.len()).any(|part| part == REASON);
                self.unclear += u64::from(!says || answer.field("retry-after").is_none());
                Became::Refused
            }
            _ => Became::Failed(Kind::Status),
        }
    }
}

/// Plays.
pub(super) fn pool(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{}")?;
    let wait = WAIT.as_millis();
    let cluster = format!(
        ", limits: {{ requests: {AT_ONCE}, per_endpoint: {AT_ONCE}, queue: {QUEUE}, queue_timeout: {wait}ms }}"
    );
    let edge = Edge::start(stage, "edge", &Config { cluster, ..Config::to(origin.address()) })?;
    let (books, mut waits) = (Books::open(&edge, &origin)?, Waits::default());
    let length = stage.size(Duration::from_secs(5), Duration::from_secs(60));
    let able = AT_ONCE as f64 / SERVICE.as_secs_f64();
    let reason = "reason=\"overloaded\"";
    let before = edge.refused_for(reason)?;
    let (tally, part) =
        edge.play_of(outcome, "peak", &open(edge.address, able * OVER, length, stage.seed), &mut waits)?;
    part.expect_none(outcome, "none fails, and none hangs", Bad::failed(&tally), &told(&tally));
    outcome.count("peak: what does not fit is refused", tally.all.refused > 0, tally.all.refused);
    // What it refused for its own lateness says so, and no time to come back at.
    let unclear = Bad { refused: waits.unclear, ..Bad::default() };
    let found = format!("{} refused, {} of them otherwise", tally.all.refused, waits.unclear);
    part.expect_none(outcome, "it is refused as `overloaded` with Retry-After", unclear, &found);
    let most = origin.counters().most_waiting.load(Ordering::SeqCst);
    outcome.count(format!("the upstream never has more than {AT_ONCE} at once"), most <= AT_ONCE, most);
    let done = tally.all.succeeded as f64 / length.as_secs_f64();
    outcome.timing(
        part.excuse(1.0 - USED),
        format!("peak: at least {:.0} % of what the upstream can do is done", USED * 100.0),
        done >= able * USED,
        format!("{done:.0}/s of {able:.0}/s"),
    );
    // The queue's wait, the service, and as much again for a core that others have.
    let bound = (WAIT + SERVICE) * 2;
    let what = format!("who is served waits no longer than the queue allows, p99.9 at most {}", ms(bound));
    part.expect_quantile(outcome, &what, (&tally, 0.999), bound);
    books.close_even(outcome, "peak", &[&tally])?;
    let refused = edge.refused_for(reason)?.saturating_sub(before);
    let seen = tally.all.refused.saturating_sub(waits.unclear);
    outcome.count(
        "every refusal is in portcullis_failures_total",
        refused == seen,
        format!("{refused} counted, {seen} seen"),
    );
    let books = Books::open(&edge, &origin)?;
    let load = open(edge.address, able * UNDER, length / 4, stage.seed + 1);
    let (after, part) = edge.play_of(outcome, "afterwards", &load, &mut waits)?;
    part.expect_served(outcome, &after);
    books.close_even(outcome, "afterwards", &[&after])
}
