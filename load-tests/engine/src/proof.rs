//! The tool proves itself before it judges others: it measures a stall that it knows.
//!
//! An origin of the tool's own does nothing for half a second in a load of three, at a constant rate. Who is planned
//! within the stall waits for its end, so latency falls in a straight line from the stall's length to nothing, and what
//! every quantile must be follows from the two lengths. A tool that counts from the send, or that stops sending, does
//! not find it.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::drive::{self, Load, Pace, Watch};
use crate::origin::Origin;
use crate::request::{Mix, Request, Wire};
use crate::schedule::{Arrivals, Schedule};
use crate::tally::{Lag, Tally};
use crate::template::{Template, Values};

/// The stall, and the load around it.
const STALL: Duration = Duration::from_secs(1);
const LENGTH: Duration = Duration::from_secs(5);
const BEFORE: Duration = Duration::from_secs(1);
/// Few enough that what has piled up in the stall is worked off at once, on a slow core too: that takes no part of what is known.
const RATE: f64 = 150.0;

/// Times that the proof may be tried: a busy machine is no fault of the tool.
const TRIES: usize = 3;

/// By how much a quantile may be off.
const TOLERANCE: f64 = 0.05;

/// What was injected, and what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// How long the origin did nothing, by its own clock.
    pub stall: Duration,
    /// What p90 must be.
    pub p90: Duration,
    /// What was measured.
    pub measured_p90: Duration,
    /// What p99 must be.
    pub p99: Duration,
    /// What was measured.
    pub measured_p99: Duration,
    /// How late the tool sent.
    pub lag: Lag,
    /// Requests that failed.
    pub failed: u64,
    /// Proofs that were tried until this one.
    pub tries: usize,
}

impl Proof {
    /// What makes everything invalid that the tool says, if something does.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        let off = |measured: Duration, known: Duration| {
            (measured.as_secs_f64() - known.as_secs_f64()).abs() > known.as_secs_f64() * TOLERANCE
        };
        for (name, known, measured) in [("p90", self.p90, self.measured_p90), ("p99", self.p99, self.measured_p99)] {
            if off(measured, known) {
                return Some(format!("of a known stall, {name} is {known:.1?} and was measured as {measured:.1?}"));
            }
        }
        (self.failed > 0).then(|| format!("{} requests to the tool's own origin failed", self.failed))
    }
}

/// Proves the tool. The proof that is returned may have a flaw: then the machine, or the tool, cannot be trusted now.
///
/// # Errors
///
/// When there is no origin, or no load.
pub fn prove() -> Result<Proof, Failure> {
    let mut tries = 1;
    loop {
        let proof = once(tries)?;
        if proof.flaw().is_none() || tries == TRIES {
            return Ok(proof);
        }
        tries += 1;
    }
}

fn once(tries: usize) -> Result<Proof, Failure> {
    let origin = Origin::start("{\"stall\":true}")?;
    let start = Instant::now() + Duration::from_millis(50);
    origin.stall(start + BEFORE, STALL);
    let pace = Pace::Open(Schedule::new(Arrivals::Constant, RATE, LENGTH, 1));
    let tally = drive::run(&Load::new(origin.address(), pace), &mut get("/"), start, &Watch::default())?;
    let (from, to) = origin.stalled().ok_or("the stall did not happen")?;
    Ok(compare(to.saturating_duration_since(from), &tally, tries))
}

fn compare(stall: Duration, tally: &Tally, tries: usize) -> Proof {
    let measured = |share| tally.quantile(share).unwrap_or(Duration::MAX);
    Proof {
        stall,
        p90: known(stall, 0.9),
        measured_p90: measured(0.9),
        p99: known(stall, 0.99),
        measured_p99: measured(0.99),
        lag: tally.lag(),
        failed: tally.all.failures(),
        tries,
    }
}

/// The latency that this share of the load does not exceed, when it stalls for so long.
fn known(stall: Duration, share: f64) -> Duration {
    stall.saturating_sub(LENGTH.mul_f64(1.0 - share))
}

/// GETs of one target.
#[must_use]
pub fn get(target: &str) -> Mix {
    let target = Template::parse(target, &Values::new()).unwrap_or_default();
    let request = Request {
        name: "get".to_owned(),
        weight: 1,
        method: "GET".to_owned(),
        target,
        fields: Vec::new(),
        body: None,
        json_rpc: false,
        expect: Vec::new(),
    };
    Mix::new(vec![request], "load.test", Wire::Http1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tally as a tool would fill it that counts latency from the planned moment, or from the send.
    fn tally(stall: Duration, from_the_send: bool) -> Tally {
        let mut tally = Tally::new(Duration::from_millis(50), Duration::ZERO).unwrap();
        for n in 0..5000 {
            let planned = Duration::from_millis(n);
            let wait = (BEFORE + stall).saturating_sub(planned);
            let stalled = planned >= BEFORE && !wait.is_zero();
            // Who waits for each answer before it asks again has one slow request and leaves the others out.
            let latency =
                if stalled && (!from_the_send || planned == BEFORE) { wait } else { Duration::from_micros(200) };
            tally.answered(planned, latency);
        }
        tally
    }

    #[test]
    fn a_tool_that_tells_the_truth_passes_and_one_that_leaves_out_waits_does_not() {
        assert_eq!((known(STALL, 0.9).as_millis(), known(STALL, 0.99).as_millis()), (500, 950));
        let proof = compare(STALL, &tally(STALL, false), 1);
        assert_eq!(proof.flaw(), None, "{proof:?}");
        let proof = compare(STALL, &tally(STALL, true), 1);
        assert!(proof.flaw().is_some_and(|flaw| flaw.contains("p90")), "{proof:?}");
        let longer = compare(STALL, &tally(STALL.mul_f64(1.1), false), 1);
        assert!(longer.flaw().is_some(), "{longer:?}");
    }
}
