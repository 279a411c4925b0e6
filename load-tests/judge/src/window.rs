//! What one window of load brought, on one side.
//!
//! Invariant: every request that was sent has been answered, refused or has failed; a window that does not add up cannot be
//! made, nor read back.

mod histogram;
mod machine;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

pub use histogram::Histogram;
pub use machine::{Invalid, Limits, Machine, Schedule};

/// Which of the two is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What is known.
    Baseline,
    /// What is judged.
    Canary,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Baseline, Self::Canary];

    /// The word of results and reports; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Canary => "canary",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a request failed, as the client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection was made.
    Connect,
    /// The connection ended before the answer was whole.
    Cut,
    /// No answer in time.
    Timeout,
    /// An answer of status 500 to 599.
    ServerError,
    /// An answer of another status than the plan expects, that is no refusal.
    UnexpectedStatus,
    /// What is no answer of the protocol.
    Protocol,
    /// An answer whose content is not what was asked for.
    WrongContent,
    /// A message of a stream that was lost, doubled or out of order.
    Order,
}

impl Failure {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Cut,
        Self::Timeout,
        Self::ServerError,
        Self::UnexpectedStatus,
        Self::Protocol,
        Self::WrongContent,
        Self::Order,
    ];

    /// The word of results and reports; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Cut => "cut",
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
            Self::UnexpectedStatus => "unexpected_status",
            Self::Protocol => "protocol",
            Self::WrongContent => "wrong_content",
            Self::Order => "order",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was read in a window; it becomes a [`Window`] when it adds up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// Requests that were sent.
    pub requests: u64,
    /// Answered as the plan expects.
    pub succeeded: u64,
    /// Refused by the fault of the client, where the plan does not expect it: 400 to 499.
    pub refused: u64,
    /// Failed by the fault of the gateway or of an upstream, by kind.
    #[serde(default)]
    pub failed: BTreeMap<Failure, u64>,
    /// Requests that took longer than the objective, from the moment they were planned for, or failed.
    pub beyond_slo: u64,
    /// CPU time of the process under test in nanoseconds; `None` where it is not known.
    #[serde(default)]
    pub cpu_ns: Option<u64>,
    /// Memory that the process under test held at the window's end, in bytes; `None` where it is not known.
    #[serde(default)]
    pub rss_bytes: Option<u64>,
    /// The same before the connections were opened that are only held; `None` where none are, or where some did not stay open.
    #[serde(default)]
    pub rss_before_bytes: Option<u64>,
    /// Connections that are held open, or else the most that the load had.
    pub connections: u64,
    /// Latency of the answered requests, from the moment they were planned for, in nanoseconds.
    #[serde(default)]
    pub latency: Histogram,
    /// The window's length.
    pub seconds: f64,
    /// When it began, in seconds from the run's start.
    #[serde(default)]
    pub began: f64,
    /// How well the schedule was kept; `None` for a closed loop, and where somebody else made the load.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// What the machine did meanwhile.
    #[serde(default)]
    pub machine: Machine,
}

/// Why readings are no window.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unbalanced {
    /// Some request has no end, or two.
    #[error(
        "{requests} requests were sent, but {succeeded} succeeded, {refused} were refused and {failed} failed: \
         {} in all", succeeded.saturating_add(*refused).saturating_add(*failed)
    )]
    Requests {
        /// Sent.
        requests: u64,
        /// Of these, answered as expected.
        succeeded: u64,
        /// Refused.
        refused: u64,
        /// Failed, of all kinds.
        failed: u64,
    },
    /// More requests beyond the objective than there were, or fewer than failed.
    #[error("{beyond} requests beyond the objective, of {requests} of which {failed} failed")]
    Beyond {
        /// Beyond the objective.
        beyond: u64,
        /// Sent.
        requests: u64,
        /// Failed, of all kinds.
        failed: u64,
    },
    /// No length of time.
    #[error("a window of {0} seconds")]
    Length(f64),
}

/// One window on one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Readings", into = "Readings")]
pub struct Window(Readings);

impl Window {
    /// A window of these readings.
    ///
    /// # Errors
    ///
    /// When they do not add up: `requests = succeeded + refused + failed`, and `failed <= beyond_slo <= requests`.
    pub fn new(readings: Readings) -> Result<Self, Unbalanced> {
        let Readings { requests, succeeded, refused, beyond_slo: beyond, .. } = readings;
        let failed = readings.failed.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        if succeeded.checked_add(refused).and_then(|sum| sum.checked_add(failed)) != Some(requests) {
            return Err(Unbalanced::Requests { requests, succeeded, refused, failed });
        }
        if beyond > requests || beyond < failed {
            return Err(Unbalanced::Beyond { beyond, requests, failed });
        }
        if !(readings.seconds > 0.0 && readings.seconds.is_finite()) {
            return Err(Unbalanced::Length(readings.seconds));
        }
        Ok(Self(readings))
    }

    /// Failed requests of all kinds.
    #[must_use]
    pub fn failed_requests(&self) -> u64 {
        // It cannot overflow: with the others it adds up to `requests`.
        self.failed.values().sum()
    }

    /// CPU time per request in nanoseconds; `None` where it is not known or nothing was sent.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
    pub fn cpu_per_request(&self) -> Option<f64> {
        let cpu = self.cpu_ns.filter(|cpu| *cpu > 0)?;
        (self.requests > 0).then(|| cpu as f64 / self.requests as f64)
    }

    /// Memory of the whole process in bytes; `None` where it is not known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bytes of a process are far below 2^52")]
    pub fn rss(&self) -> Option<f64> {
        self.rss_bytes.filter(|rss| *rss > 0).map(|rss| rss as f64)
    }

    /// What a held connection adds to the process's memory, in bytes; `None` where it is not known, none was held, or it is nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bytes of a process are far below 2^52")]
    pub fn rss_per_connection(&self) -> Option<f64> {
        let added = self.rss_bytes?.checked_sub(self.rss_before_bytes?).filter(|added| *added > 0)?;
        (self.connections > 0).then(|| added as f64 / self.connections as f64)
    }

    /// Why it says nothing about the side that was measured, if it does not.
    #[must_use]
    pub fn flaw(&self, limits: &Limits) -> Option<Invalid> {
        if self.requests == 0 {
            return Some(Invalid::NoRequests);
        }
        let schedule = self.schedule.as_ref().and_then(|schedule| schedule.flaw(self.requests, limits));
        schedule.or_else(|| self.machine.flaw(self.seconds, limits))
    }
}

impl Deref for Window {
    type Target = Readings;

    fn deref(&self) -> &Readings {
        &self.0
    }
}

impl TryFrom<Readings> for Window {
    type Error = Unbalanced;

    fn try_from(readings: Readings) -> Result<Self, Unbalanced> {
        Self::new(readings)
    }
}

impl From<Window> for Readings {
    fn from(window: Window) -> Self {
        window.0
    }
}

#[cfg(test)]
mod tests;
