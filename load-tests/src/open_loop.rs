//! An open-loop load: requests are sent when a schedule says so, whether or not earlier ones are answered.
//!
//! A closed loop stops asking while nobody answers and so leaves out the very requests that would have waited. Here the
//! latency of a request counts from the moment it was planned for, and a request that waits for a place among those in
//! flight waits inside its latency.
//!
//! Invariants: what is sent when depends on the seed alone; requests in flight are bounded, and what the bound delayed is
//! counted; what the tool itself sent late is measured, and a window with too much of it is invalid, not slow.

mod connection;
mod generator;
mod schedule;
mod tally;

use std::net::SocketAddr;
use std::time::Duration;

pub use generator::run;
pub use schedule::{Arrivals, Schedule};
pub use tally::{Failed, Lag, Tally};

/// A load's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'a> {
    /// Idempotent: whoever is between may ask again.
    Get,
    /// Not idempotent: once an upstream may have it, asking again is wrong.
    Post,
    /// These requests, whole, in turns.
    These(&'a [Vec<u8>]),
}

/// What is asked, and when.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Who is asked.
    pub to: SocketAddr,
    /// What is sent.
    pub method: Method<'a>,
    /// Requests a second.
    pub rate: f64,
    /// How the requests lie in time.
    pub arrivals: Arrivals,
    /// How long requests are sent.
    pub length: Duration,
    /// Requests that are planned before this moment are sent and not counted.
    pub warm_up: Duration,
    /// A counted request that takes longer, or fails, is beyond the objective.
    pub objective: Duration,
    /// Requests in flight at most.
    pub in_flight: usize,
    /// The seed of the schedule.
    pub seed: u64,
}
