//! The tool proves itself before it judges others: it measures a stall that it knows, by each of its drivers.
//!
//! Origins of the tool's own do nothing for six tenths of a second in a load of three seconds, at a constant rate. Who is planned
//! within the stall waits for its end, so what every quantile must be follows from the planned moments and the stall's. Few may be in
//! flight at once: most of those that are planned in the stall are sent behind it, so that a driver which counts from the send, or
//! stops sending, does not find what is known. All drivers are proven at the same time: HTTP/1.1, WebSockets, HTTP/2, gRPC.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::drive::{self, Load, Pace, Watch};
use crate::http2::{self, Settings};
use crate::origin::Origin;
use crate::origin::grpc::GrpcOrigin;
use crate::request::{Mix, Request, Wire};
use crate::schedule::{Arrivals, Schedule};
use crate::tally::{Lag, Tally};
use crate::template::{Template, Values};
use crate::websocket;

/// The stall, and the load around it.
const STALL: Duration = Duration::from_millis(600);
const LENGTH: Duration = Duration::from_secs(3);
const BEFORE: Duration = Duration::from_millis(790);

/// Requests a second of each driver. So few that what has piled up in the stall is worked off at once, on a slow core too: that takes
/// no part of what is known.
const RATE: f64 = 50.0;

/// Requests that each driver may have in flight: a fifth of those that are planned in the stall.
const IN_FLIGHT: usize = 6;

/// Times that the proof may be tried: a busy machine is no fault of the tool.
const TRIES: usize = 3;

/// By how much a quantile may be off.
const TOLERANCE: f64 = 0.05;

/// What sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// Messages on WebSockets.
    Websocket,
    /// HTTP/2.
    Http2,
    /// Unary calls of gRPC.
    Grpc,
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http1, Self::Websocket, Self::Http2, Self::Grpc];

    /// Its name, which is that of its protocol in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Websocket => "websocket",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }

    fn play(self, [http, grpc]: [SocketAddr; 2], start: Instant) -> Result<Tally, Failure> {
        let pace = || Pace::Open(schedule());
        let load = |to| Load { in_flight: IN_FLIGHT, ..Load::new(to, pace()) };
        let watch = Watch::default();
        let of_h2 = |grpc| Settings { connections: 2, grpc };
        match self {
            Self::Http1 => drive::run(&load(http), &mut get("/"), start, &watch),
            Self::Websocket => {
                let handshake = websocket::upgrade("/ws", HOST, "");
                let load = Load { upgrade: Some(&handshake), ..load(http) };
                drive::run(&load, &mut asking("/", Some("message"), Wire::Message), start, &watch)
            }
            Self::Http2 => http2::run(&load(grpc), of_h2(false), &mut get_parts("/"), start, &watch),
            Self::Grpc => {
                let mut mix = asking("/pkg.Service/Call", Some("call"), Wire::Parts);
                http2::run(&load(grpc), of_h2(true), &mut mix, start, &watch)
            }
        }
    }
}

/// The host that is asked for.
const HOST: &str = "load.test";

fn schedule() -> Schedule {
    Schedule::new(Arrivals::Constant, RATE, LENGTH, 1)
}

/// What was injected, and what one driver measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Who measured.
    pub driver: Driver,
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
}

impl Measured {
    fn new(driver: Driver, tally: &Tally, start: Instant, stall: (Instant, Instant)) -> Self {
        let measured = |share| tally.quantile(share).unwrap_or(Duration::MAX);
        let latencies = known(schedule(), start, stall);
        Self {
            driver,
            stall: stall.1.saturating_duration_since(stall.0),
            p90: quantile(&latencies, 0.9),
            measured_p90: measured(0.9),
            p99: quantile(&latencies, 0.99),
            measured_p99: measured(0.99),
            lag: tally.lag(),
            failed: tally.all.failures(),
        }
    }

    /// The first quantile that is off in a way.
    fn off(&self, is_off: impl Fn(f64, f64) -> bool) -> Option<String> {
        let quantiles = [("p90", self.p90, self.measured_p90), ("p99", self.p99, self.measured_p99)];
        let off =
            quantiles.into_iter().find(|(_, known, measured)| is_off(measured.as_secs_f64(), known.as_secs_f64()));
        off.map(|(share, known, measured)| {
            let name = self.driver.name();
            format!("of a known stall, {share} is {known:.1?} and was measured as {measured:.1?} by {name}")
        })
    }

    fn hides(&self) -> Option<String> {
        let name = self.driver.name();
        let failed = || format!("{} requests of {name} to the tool's own origin failed", self.failed);
        let less = self.off(|measured, known| measured < known * (1.0 - TOLERANCE));
        // How long those would have waited nobody knows.
        less.or_else(|| (self.failed > 0).then(failed))
    }

    fn adds(&self) -> Option<String> {
        self.off(|measured, known| measured > known * (1.0 + TOLERANCE))
    }
}

/// What all drivers measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// Of each driver.
    pub measured: Vec<Measured>,
    /// Proofs that were tried until this one.
    pub tries: usize,
}

impl Proof {
    /// What makes everything invalid that the tool says, if something does.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        self.hides().or_else(|| self.measured.iter().find_map(Measured::adds))
    }

    /// What makes latencies seem shorter than they are, or leaves some out, if something does: then nothing that the tool finds to
    /// be in time need be. A flaw without this makes them longer, and what is in time nevertheless is.
    #[must_use]
    pub fn hides(&self) -> Option<String> {
        self.measured.iter().find_map(Measured::hides)
    }

    /// Whether no latency seems longer than it is: no driver measured too much, and none had a request that failed. Then what the tool
    /// finds to be late is, be there a flaw or none.
    #[must_use]
    pub fn adds_nothing(&self) -> bool {
        self.measured.iter().all(|measured| measured.failed == 0 && measured.adds().is_none())
    }
}

/// Proves the tool, in a little more than three seconds. The proof that is returned may have a flaw: then the machine, or the tool,
/// cannot be trusted now.
///
/// # Errors
///
/// When there is no origin, or no load.
pub fn prove() -> Result<Proof, Failure> {
    let mut tries = 1;
    loop {
        let proof = Proof { measured: once()?, tries };
        if proof.flaw().is_none() || tries == TRIES {
            return Ok(proof);
        }
        tries += 1;
    }
}

fn once() -> Result<Vec<Measured>, Failure> {
    let (http, grpc) = (Origin::start("{\"stall\":true}")?, GrpcOrigin::start()?);
    let addresses = [http.address(), grpc.address()];
    let start = Instant::now() + Duration::from_millis(50);
    http.stall(start + BEFORE, STALL);
    grpc.stall(start + BEFORE, STALL);
    let tallies = std::thread::scope(|scope| {
        let loads = Driver::ALL.map(|driver| (driver, scope.spawn(move || driver.play(addresses, start))));
        loads
            .into_iter()
            .map(|(driver, load)| Ok((driver, load.join().map_err(|_| "a driver panicked")??)))
            .collect::<Result<Vec<_>, Failure>>()
    })?;
    let measured = tallies.iter().map(|(driver, tally)| {
        let stalled = match driver {
            Driver::Http1 | Driver::Websocket => http.stalled(),
            Driver::Http2 | Driver::Grpc => grpc.stalled(),
        };
        let stalled = stalled.ok_or("the stall did not happen")?;
        Ok(Measured::new(*driver, tally, start, stalled))
    });
    measured.collect()
}

/// The latencies of what is planned, shortest first, before an origin that answers at once but for a stall.
fn known(planned: impl Iterator<Item = Duration>, start: Instant, (from, to): (Instant, Instant)) -> Vec<Duration> {
    let waits = |planned: Duration| {
        let at = start + planned;
        if at < from { Duration::ZERO } else { to.saturating_duration_since(at) }
    };
    let mut latencies: Vec<Duration> = planned.map(waits).collect();
    latencies.sort_unstable();
    latencies
}

/// The latency that this share of them does not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is an index")]
fn quantile(latencies: &[Duration], share: f64) -> Duration {
    let rank = (share * latencies.len() as f64).ceil() as usize;
    latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// GETs of one target.
#[must_use]
pub fn get(target: &str) -> Mix {
    asking(target, None, Wire::Http1)
}

/// The same over HTTP/2.
#[must_use]
pub fn get_parts(target: &str) -> Mix {
    asking(target, None, Wire::Parts)
}

fn asking(target: &str, body: Option<&str>, wire: Wire) -> Mix {
    let template = |text| Template::parse(text, &Values::new()).unwrap_or_default();
    let request = Request {
        name: "ask".to_owned(),
        weight: 1,
        method: if body.is_some() { "POST" } else { "GET" }.to_owned(),
        target: template(target),
        fields: Vec::new(),
        body: body.map(template),
        json_rpc: false,
        expect: Vec::new(),
    };
    Mix::new(vec![request], HOST, wire, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// What a tool would measure of a stall that counts latency from the planned moment, or from the send.
    fn measured(longer: Duration, from_the_send: bool) -> Measured {
        let start = Instant::now();
        let stall = (start + BEFORE, start + BEFORE + STALL);
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        let mut sent_in_stall = 0;
        for planned in schedule() {
            let wait =
                if planned < BEFORE { Duration::ZERO } else { (BEFORE + STALL + longer).saturating_sub(planned) };
            sent_in_stall += usize::from(!wait.is_zero());
            // Of those that are planned in the stall only so many are sent before it ends.
            let held = from_the_send && sent_in_stall > IN_FLIGHT;
            tally.answered(planned, if held || wait.is_zero() { Duration::from_micros(200) } else { wait });
        }
        Measured::new(Driver::Http1, &tally, start, stall)
    }

    #[test]
    fn a_tool_that_tells_the_truth_passes_and_one_that_leaves_out_waits_does_not() {
        let proof = |measured: Measured| Proof { measured: vec![measured], tries: 1 };
        let found = measured(Duration::ZERO, false);
        assert_eq!((proof(found).flaw(), found.p90.as_millis(), found.p99.as_millis()), (None, 310, 570));
        let hides = proof(measured(Duration::ZERO, true));
        assert!(proof(found).adds_nothing() && hides.adds_nothing());
        assert!(hides.flaw().is_some_and(|flaw| flaw.contains("p90")) && hides.hides() == hides.flaw());
        let adds = proof(measured(ms(60), false));
        assert!(adds.flaw().is_some_and(|flaw| flaw.contains("p90")) && adds.hides().is_none());
        assert!(!adds.adds_nothing() && !proof(Measured { failed: 1, ..found }).adds_nothing());
        // What failed was not measured.
        assert!(proof(Measured { failed: 1, ..found }).hides().is_some());
    }

    #[test]
    fn who_measures_too_little_in_one_place_hides_whatever_else_is_too_much() {
        let found = measured(ms(60), false);
        let less = Measured { measured_p99: found.p99.mul_f64(0.9), ..found };
        for measured in [vec![less], vec![found, less]] {
            let proof = Proof { measured, tries: 1 };
            assert!(proof.hides().is_some_and(|why| why.contains("p99")) && proof.flaw() == proof.hides(), "{proof:?}");
        }
    }

    /// However busy the machine is, no latency is shorter than the stall makes it.
    #[test]
    fn every_driver_counts_from_the_planned_moment() {
        for Measured { driver, p90, measured_p90, p99, measured_p99, lag, failed, .. } in once().unwrap() {
            let found = format!("{driver:?}: {measured_p90:?} of {p90:?}, {measured_p99:?} of {p99:?}");
            // To three digits.
            assert!(measured_p90 >= p90.mul_f64(0.99) && measured_p99 >= p99.mul_f64(0.99), "{found}");
            assert!(p90 > ms(200) && failed == 0 && lag.delayed > 0, "{found}, {failed} failed, {lag:?}");
        }
    }
}
