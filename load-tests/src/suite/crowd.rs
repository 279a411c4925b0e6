//! Closed loops of a few and of many connections.

use std::time::Duration;

use portcullis_engine::origin::Origin;

use crate::Failure;

use super::kit::{Books, Stage, capacity, closed, ms, play, told, watched};
use super::outcome::Outcome;

/// How much dearer a request may be among many.
const DEARER: f64 = 2.0;

/// 32 and 256 connections.
pub(super) fn crowd(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let length = stage.size(Duration::from_secs(3), Duration::from_secs(30));
    let mut costs = Vec::new();
    for connections in [32, 256] {
        let name = format!("c{connections}");
        let (rate, cost) = capacity(&edge, connections, length)?;
        let books = Books::open(&edge, &origin)?;
        let tally = watched(&mut outcome, &name, || Ok((play(&closed(edge.address, connections, length))?, None)))?;
        outcome.expect(
            format!("{name}: nothing fails"),
            tally.all.failures() == 0 && tally.all.refused == 0,
            told(&tally),
        );
        outcome.number(&format!("{name}.per_second"), rate);
        outcome.number(&format!("{name}.cpu_per_request_us"), cost * 1e6);
        let p99 = tally.quantile(0.99).unwrap_or(Duration::MAX);
        outcome.number(&format!("{name}.p99_ms"), p99.as_secs_f64() * 1e3);
        // Who waits for all others of the loop waits so long.
        let turn = Duration::from_secs_f64(connections as f64 / rate.max(1.0));
        let most = turn * 10 + Duration::from_millis(20);
        outcome.expect(
            format!("{name}: p99 at most ten turns and 20 ms"),
            p99 <= most,
            format!("{} of {}", ms(p99), ms(most)),
        );
        books.close_even(&mut outcome, &name, &tally)?;
        costs.push(cost);
    }
    let ratio = costs.last().copied().unwrap_or_default() / costs.first().copied().unwrap_or(1.0).max(1e-12);
    outcome.expect(
        format!("a request among 256 costs at most {DEARER} times one among 32"),
        ratio <= DEARER,
        format!("{ratio:.2} times the CPU"),
    );
    Ok(outcome)
}
