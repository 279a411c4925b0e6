//! The rig's open-loop load, on the engine: what is sent to a fleet of replicas, or of a list of requests.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::{self, Pace, Source, Watch};
use portcullis_engine::outcome::{Kind, Outcome};

use crate::Failure;

pub use portcullis_engine::schedule::{Arrivals, Schedule};
pub use portcullis_engine::tally::{Failed, Lag, Tally};

/// How long answers may still come after the last request was planned.
const GRACE: Duration = Duration::from_secs(5);

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

impl Source for Method<'_> {
    fn write(&mut self, id: u64, out: &mut Vec<u8>) -> usize {
        // A vector takes all that is written.
        match self {
            Self::Get => drop(write!(out, "GET /r/{id} HTTP/1.1\r\nHost: rig.test\r\n\r\n")),
            Self::Post => drop(write!(out, "POST /r/{id} HTTP/1.1\r\nHost: rig.test\r\nContent-Length: 4\r\n\r\nbody")),
            Self::These(requests) => {
                let turn = usize::try_from(id).unwrap_or_default() % requests.len().max(1);
                out.extend_from_slice(requests.get(turn).map_or(&[], Vec::as_slice));
            }
        }
        0
    }

    fn judge(&mut self, _: usize, _: u64, answer: &Answer<'_>) -> Outcome {
        if answer.status == 200 { Outcome::Succeeded } else { Outcome::Failed(Kind::Status) }
    }
}

/// Sends a load that starts at a moment, and says what came of it. It returns when all is answered, or five seconds after
/// the last request was planned; what is not answered by then has failed.
///
/// # Errors
///
/// When the process has no descriptors left. Requests that fail are no error, they are counted.
pub fn run(load: &Load<'_>, start: Instant) -> Result<Tally, Failure> {
    let pace = Pace::Open(Schedule::new(load.arrivals, load.rate, load.length, load.seed));
    let engine = drive::Load {
        warm_up: load.warm_up,
        objective: load.objective,
        in_flight: load.in_flight,
        timeout: load.length + GRACE,
        ..drive::Load::new(load.to, pace)
    };
    drive::run(&engine, &mut load.method.clone(), start, &Watch::default())
}
