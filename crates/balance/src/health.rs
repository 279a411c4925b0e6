//! Active health: when to check an endpoint, and what a result changes.
//!
//! The machine does no I/O. A driver asks it when to check, makes the check, and hands the result in; the machine
//! writes the endpoint's state and answers with a [`Transition`] when health changed, once per change. The first
//! result of an endpoint decides at once; later ones must repeat. Streaks live in the shared state, so a machine may
//! be thrown away and made anew, with another policy, at any time.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_types::{EndpointName, Percent};

use crate::endpoint::identity_hash;
use crate::random::fraction;
use crate::state::{EndpointState, Health, HealthRecord};

/// How a cluster's endpoints are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// From the start of a check to the start of the next.
    pub interval: Duration,
    /// How long a check may take, connecting included.
    pub timeout: Duration,
    /// Failing checks in a row that make a healthy endpoint unhealthy.
    pub unhealthy_after: NonZeroU32,
    /// Passing checks in a row that make an unhealthy endpoint healthy.
    pub healthy_after: NonZeroU32,
    /// How far an interval may be off to either side, so that gateways and endpoints do not fall into step.
    pub jitter: Percent,
    /// What holds until the first check has ended.
    pub before_first_check: BeforeFirstCheck,
}

/// What an endpoint is before its first check has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BeforeFirstCheck {
    /// It takes requests, so that a start or a scale-up need not wait for checks.
    #[default]
    Available,
    /// It takes none.
    Unavailable,
}

/// How a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckFailure {
    /// No connection in time.
    ConnectTimeout,
    /// The connection was refused.
    ConnectRefused,
    /// There is no way to the address, or connecting failed otherwise.
    Unreachable,
    /// The connection was closed or reset before the answer was complete.
    Reset,
    /// Connected, but no complete answer in time.
    Timeout,
    /// The TLS handshake failed.
    TlsFailed,
    /// The certificate is not valid for the name.
    CertificateInvalid,
    /// The answer is not HTTP.
    Malformed,
    /// The status is not one that passes.
    Status(u16),
    /// The body does not hold what it must.
    BodyMismatch,
    /// The answer is an error with this code of JSON-RPC.
    Rpc(i32),
}

impl CheckFailure {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectRefused => "connect_refused",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::TlsFailed => "tls_failed",
            Self::CertificateInvalid => "certificate_invalid",
            Self::Malformed => "malformed",
            Self::Status(_) => "status",
            Self::BodyMismatch => "body_mismatch",
            Self::Rpc(_) => "rpc_error",
        }
    }
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectTimeout => "connecting took too long",
            Self::ConnectRefused => "the connection was refused",
            Self::Unreachable => "the address could not be reached",
            Self::Reset => "the connection was closed before the answer was complete",
            Self::Timeout => "the answer took too long",
            Self::TlsFailed => "the TLS handshake failed",
            Self::CertificateInvalid => "the certificate is not valid for the name",
            Self::Malformed => "the answer is not HTTP",
            Self::Status(status) => return write!(f, "the status was {status}"),
            Self::BodyMismatch => "the body does not hold what it must",
            Self::Rpc(code) => return write!(f, "the answer was the error {code}"),
        })
    }
}

/// An edge of health, to be logged and counted. Its text is the log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub endpoint: EndpointName,
    /// Where it is.
    pub address: SocketAddr,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// How the last check failed, when it did.
    pub failure: Option<CheckFailure>,
    /// How many checks in a row led here.
    pub checks: u32,
    /// How long the health before had lasted.
    pub lasted: Duration,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, address, from, to, checks, lasted, .. } = self;
        write!(
            f,
            "endpoint {endpoint} ({address}) is {to} after {checks} {}",
            passing(self.failure.is_none(), *checks)
        )?;
        if let Some(failure) = self.failure {
            write!(f, ": {failure}")?;
        }
        write!(f, "; it was {from} for {}", seconds(*lasted))
    }
}

fn passing(passes: bool, checks: u32) -> &'static str {
    match (passes, checks) {
        (true, 1) => "passing check",
        (true, _) => "passing checks in a row",
        (false, 1) => "failing check",
        (false, _) => "failing checks in a row",
    }
}

/// Seconds to one decimal: exact enough for people.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// At the start, endpoints are checked one per this much time, or faster where the interval asks for it.
const START_SPACING: Duration = Duration::from_millis(1);

/// The health of one endpoint. See the module's text.
#[derive(Debug, Clone)]
pub struct HealthMachine {
    policy: HealthPolicy,
    state: Arc<EndpointState>,
}

impl HealthMachine {
    /// A machine that goes on from what the state knows.
    #[must_use]
    pub const fn new(policy: HealthPolicy, state: Arc<EndpointState>) -> Self {
        Self { policy, state }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &HealthPolicy {
        &self.policy
    }

    /// The state it writes.
    #[must_use]
    pub const fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }

    /// When to check first, in a cluster of so many endpoints: spread by the hash of the endpoint's identity over as
    /// many milliseconds as there are endpoints, at most the interval.
    #[must_use]
    pub fn first_check(&self, now: Instant, endpoints: usize) -> Instant {
        let endpoints = u32::try_from(endpoints).unwrap_or(u32::MAX);
        let window = START_SPACING.saturating_mul(endpoints).min(self.policy.interval);
        now + fraction(window, identity_hash(self.state.name(), self.state.address()))
    }

    /// When to check next, after a check that began at `started`: an interval later, give or take the jitter.
    #[must_use]
    pub fn next_check(&self, started: Instant, random: u64) -> Instant {
        // The jitter as a share of 64 bits; all of them stand for 100 %.
        let jitter = u128::from(self.policy.jitter.millionths()) * u128::from(u64::MAX) / 1_000_000;
        let span = fraction(self.policy.interval, u64::try_from(jitter).unwrap_or(u64::MAX));
        let earliest = self.policy.interval.saturating_sub(span);
        started + fraction(earliest, u64::MAX) + fraction(span.saturating_mul(2), random)
    }

    /// Takes in the result of a check that ended at `now`.
    pub fn on_result(&mut self, now: Instant, result: Result<(), CheckFailure>) -> Option<Transition> {
        let edge = self.state.update(|record| step(record, &self.policy, now, result));
        let Edge { before, checks } = edge?;
        if before.health == Health::Unhealthy && result.is_ok() {
            self.state.begin_ramp(now);
            self.state.lineage().acquit(&self.state, now);
        }
        self.state.lineage().refresh(now);
        Some(Transition {
            endpoint: self.state.name().clone(),
            address: self.state.address(),
            from: before.health,
            to: if result.is_ok() { Health::Healthy } else { Health::Unhealthy },
            failure: result.err(),
            checks,
            lasted: now.saturating_duration_since(before.since),
        })
    }
}

/// The record before the edge, and the length of the streak that made it.
struct Edge {
    before: HealthRecord,
    checks: u32,
}

fn step(
    record: &mut HealthRecord,
    policy: &HealthPolicy,
    now: Instant,
    result: Result<(), CheckFailure>,
) -> Option<Edge> {
    let before = *record;
    let (to, checks, needed) = match result {
        Ok(()) => {
            (record.passes, record.fails) = (record.passes.saturating_add(1), 0);
            (Health::Healthy, record.passes, policy.healthy_after)
        }
        Err(failure) => {
            (record.passes, record.fails) = (0, record.fails.saturating_add(1));
            record.failure = Some(failure);
            (Health::Unhealthy, record.fails, policy.unhealthy_after)
        }
    };
    if to == Health::Healthy && record.health == to {
        record.failure = None;
    }
    if record.health == to || (record.health != Health::Unknown && checks < needed.get()) {
        return None;
    }
    if to == Health::Healthy {
        record.failure = None;
    }
    (record.health, record.since) = (to, now);
    Some(Edge { before, checks })
}

#[cfg(test)]
mod tests;
