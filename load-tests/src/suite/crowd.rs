//! Closed loops of a few and of many connections.

use std::time::Duration;

use portcullis_engine::origin::Origin;

use crate::Failure;

use super::books::Books;
use super::kit::{Stage, capacity, closed};
use super::outcome::Notes;

/// How much dearer a request may be among many.
const DEARER: f64 = 2.0;

/// 32 and 256 connections.
pub(super) fn crowd(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let length = stage.size(Duration::from_secs(3), Duration::from_secs(30));
    let mut costs = Vec::new();
    for connections in [32, 256] {
        let name = format!("c{connections}");
        let (rate, cost) = capacity(outcome, (&edge, &origin), connections, length)?;
        let books = Books::open(&edge, &origin)?;
        let (tally, part) = edge.play(outcome, &name, &closed(edge.address, connections, length))?;
        part.expect_served(outcome, &tally);
        outcome.number(&format!("{name}.per_second"), rate);
        outcome.number(&format!("{name}.cpu_per_request_us"), cost * 1e6);
        outcome.number(&format!("{name}.p99_ms"), tally.quantile(0.99).map(|p99| p99.as_secs_f64() * 1e3));
        // Who waits for all others of the loop waits so long.
        let turn = Duration::from_secs_f64(connections as f64 / rate.max(1.0));
        let most = turn * 10 + Duration::from_millis(20);
        part.expect_quantile(outcome, "p99 at most ten turns and 20 ms", (&tally, 0.99), most);
        books.close_even(outcome, &name, &[&tally])?;
        costs.push(cost);
    }
    let ratio = costs.last().copied().unwrap_or_default() / costs.first().copied().unwrap_or(1.0).max(1e-12);
    outcome.resource(
        format!("a request among 256 costs at most {DEARER} times one among 32"),
        ratio <= DEARER,
        format!("{ratio:.2} times the CPU"),
    );
    Ok(())
}
