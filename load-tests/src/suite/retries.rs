//! An upstream that answers nothing but 503, before a gateway that tries again: what it gets is bounded by the budget.

use std::time::Duration;

use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Failed;

use crate::Failure;

use super::books::{Books, SETTLE};
use super::kit::{Config, Edge, Stage, open, until};
use super::outcome::Notes;
use super::served::{Bad, told};

/// Requests a second.
const RATE: f64 = 300.0;

/// How often one request may be tried.
const ATTEMPTS: u32 = 3;

/// The share of requests that may be tried again, in percent, and what may be besides within ten seconds.
const BUDGET: u64 = 20;
const RESERVE: u64 = 30;

/// Plays.
pub(super) fn retries(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let retry = format!("on: [\"503\"], attempts: {ATTEMPTS}, budget: {BUDGET}%");
    let cluster = format!(", retry: {{ {retry} }}");
    let edge = Edge::start(stage, "edge", &Config { cluster, ..Config::to(origin.address()) })?;
    let books = Books::open(&edge, &origin)?;
    let length = stage.size(Duration::from_secs(5), Duration::from_secs(60));
    origin.answer_with(503);
    let (tally, part) = edge.play(outcome, "load", &open(edge.address, RATE, length, stage.seed))?;
    let sent = tally.all.sent();
    // An upstream's own 503 says neither who refused it nor when to come back, as the gateway's does.
    let (own, others): (Vec<&Failed>, Vec<&Failed>) =
        tally.failed.iter().partition(|failed| failed.status == Some(503));
    let bad = Bad { refused: tally.all.refused, ..Bad::among(others.into_iter()) };
    let what = "every failure is answered, by the upstream's own status";
    part.expect_none(outcome, what, bad, &told(&tally));
    outcome.count("load: everything fails", own.len() as u64 + bad.total() == sent && sent > 0, &tally.all);
    until(SETTLE, || Ok(books.since()?.first() == Some(&sent)));
    let [at_edge, at_origin] = books.since()?;
    let recorded = at_edge <= sent && at_edge + bad.late >= sent;
    outcome.count("client and gateway count the same", recorded, format!("{sent} and {at_edge}"));
    let [attempts, again] = [books.attempts()?, books.retries()?];
    outcome.count(
        "some are tried again, so that the budget is asked",
        again > 0,
        format!("{again} of {sent}, {at_origin} at the origin"),
    );
    let most = most(sent, length);
    outcome.count(
        format!("the origin gets at most {BUDGET} % more than clients send, and {RESERVE} within ten seconds"),
        at_origin <= most,
        format!("{at_origin} for {sent}, {most} allowed"),
    );
    // Each attempt is one that a client asked for or one that repeats it, and each arrives. What a late gateway refuses is none.
    outcome.count(
        "the books of attempts agree: each arrives, and is a request or repeats one",
        at_origin == attempts && attempts + part.shed == at_edge + again,
        format!(
            "{at_edge} requests and {again} repeated at the gateway, {} refused at once, {attempts} attempts, {at_origin} at the origin",
            part.shed
        ),
    );
    outcome.number("amplification", at_origin as f64 / sent.max(1) as f64);
    Ok(())
}

/// What an origin may get of so many requests.
fn most(sent: u64, length: Duration) -> u64 {
    sent + sent * BUDGET / 100 + RESERVE * (length.as_secs() / 10 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_budget_the_bound_is_far_exceeded() {
        let sent = 1500;
        assert_eq!(most(sent, Duration::from_secs(5)), 1830);
        assert!(most(sent, Duration::from_secs(5)) < sent * u64::from(ATTEMPTS) / 2);
    }
}
