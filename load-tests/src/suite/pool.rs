//! More requests than an upstream may have at once: those that fit are served, the others are refused in time, none hangs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};

use crate::Failure;

use super::kit::{Books, Config, Edge, Stage, ms, open, play_of, told, watched};
use super::outcome::Outcome;

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
pub(super) fn pool(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{}")?;
    let wait = WAIT.as_millis();
    let cluster = format!(
        ", limits: {{ requests: {AT_ONCE}, per_endpoint: {AT_ONCE}, queue: {QUEUE}, queue_timeout: {wait}ms }}"
    );
    let edge = Edge::start(stage, "edge", &Config { cluster, ..Config::to(origin.address()) })?;
    let (books, mut waits) = (Books::open(&edge, &origin)?, Waits::default());
    let length = stage.size(Duration::from_secs(5), Duration::from_secs(60));
    let able = AT_ONCE as f64 / SERVICE.as_secs_f64();
    let tally = watched(&mut outcome, "peak", || {
        let tally = play_of(&open(edge.address, able * OVER, length, stage.seed), &mut waits)?;
        let lag = tally.lag();
        Ok((tally, Some(lag)))
    })?;
    outcome.expect("peak: none fails, and none hangs", tally.all.failures() == 0, told(&tally));
    outcome.expect(
        "peak: what does not fit is refused, as `overloaded` with Retry-After",
        tally.all.refused > 0 && waits.unclear == 0,
        format!("{} refused, {} of them unclear", tally.all.refused, waits.unclear),
    );
    let most = origin.counters().most_waiting.load(Ordering::SeqCst);
    outcome.expect(format!("the upstream never has more than {AT_ONCE} at once"), most <= AT_ONCE, most);
    let done = tally.all.succeeded as f64 / length.as_secs_f64();
    outcome.expect(
        format!("peak: at least {:.0} % of what the upstream can do is done", USED * 100.0),
        done >= able * USED,
        format!("{done:.0}/s of {able:.0}/s"),
    );
    // The queue's wait, the service, and as much again for a core that others have.
    let bound = (WAIT + SERVICE) * 2;
    let p999 = tally.quantile(0.999).unwrap_or(Duration::MAX);
    outcome.expect(
        format!("peak: who is served waits no longer than the queue allows, p99.9 at most {}", ms(bound)),
        p999 <= bound,
        ms(p999),
    );
    books.close(&mut outcome, "peak", [tally.all.sent(), tally.all.succeeded])?;
    let refused = edge.metric("portcullis_failures_total", "reason=\"overloaded\"")?;
    outcome.expect(
        "every refusal is in portcullis_failures_total",
        (refused - tally.all.refused as f64).abs() < 0.5,
        format!("{refused} counted, {} seen", tally.all.refused),
    );
    let after = play_of(&open(edge.address, able * UNDER, length / 4, stage.seed + 1), &mut waits)?;
    outcome.expect("afterwards: nothing fails or is refused", after.all.succeeded == after.all.sent(), told(&after));
    Ok(outcome)
}
