//! Passive health: endpoints are judged by the requests they get, and taken out for a while when they stand out.
//!
//! Three things take an endpoint out: failures in a row, at once; a share of failures far above that of the others,
//! and answers far slower than those of the others, both over a window. Each time out is longer than the one before;
//! good conduct shortens the next. On its return an endpoint goes through slow start, which is its probation. Active
//! checks that pass after they had failed bring it back at once. While most of the others fail as well, nobody is taken
//! out.
//!
//! Invariants, whatever happens: no more than [`OutlierPolicy::max_ejected`] of the endpoints are out at once (one may
//! always be, if another is left), the last usable endpoint is never taken out, and when active checks then fail all
//! others, those that were taken out are used after all.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use portcullis_types::{EndpointName, Percent};

use crate::health::seconds;
use crate::tuning::percent;

pub(crate) mod judge;
mod sweep;
pub(crate) mod watch;

/// When endpoints are taken out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierPolicy {
    /// Failures in a row that take an endpoint out.
    pub consecutive_failures: NonZeroU32,
    /// How long a window is over which endpoints are compared.
    pub interval: Duration,
    /// How long the first time out is; the nth in a row is n times as long.
    pub ejection: Duration,
    /// The longest time out.
    pub max_ejection: Duration,
    /// How much of the cluster may be out at once. One endpoint may be, however little this is, if another is left.
    pub max_ejected: Percent,
    /// How shares of failures are compared; `None` when they are not.
    pub failure_rate: Option<FailureRate>,
    /// How latencies are compared; `None` when they are not.
    pub latency: Option<LatencyOutlier>,
}

impl Default for OutlierPolicy {
    /// Five in a row, windows of 5 s, 30 s out and at most 300 s, half of the cluster at most.
    fn default() -> Self {
        Self {
            consecutive_failures: NonZeroU32::MIN.saturating_add(4),
            interval: Duration::from_secs(5),
            ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected: percent(500_000),
            failure_rate: Some(FailureRate::default()),
            latency: Some(LatencyOutlier::default()),
        }
    }
}

/// An endpoint stands out when its share of good answers is this many standard deviations below the mean of the
/// cluster's endpoints, as Envoy's success-rate detection does it. With fewer endpoints than the deviation means
/// anything for, it stands out when it fails more than the others by half of all requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRate {
    /// Endpoints with fewer requests in the window are not compared.
    pub min_requests: NonZeroU32,
    /// From so many comparable endpoints on the deviation is used.
    pub min_endpoints: NonZeroU32,
    /// How many standard deviations.
    pub stdev_factor: f64,
    /// A share of failures that is above the mean by less than this never stands out.
    pub min_gap: Percent,
}

impl Default for FailureRate {
    /// 50 requests, 5 endpoints, 1.9 deviations, 10 % apart.
    fn default() -> Self {
        Self {
            min_requests: NonZeroU32::MIN.saturating_add(49),
            min_endpoints: NonZeroU32::MIN.saturating_add(4),
            stdev_factor: 1.9,
            min_gap: percent(100_000),
        }
    }
}

/// An endpoint stands out when its mean latency is this many times the median of the others' means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyOutlier {
    /// Endpoints with fewer good answers in the window are not compared.
    pub min_requests: NonZeroU32,
    /// How many times the median.
    pub factor: f64,
    /// Less than this above the median never stands out.
    pub min_gap: Duration,
}

impl Default for LatencyOutlier {
    /// 50 answers, five times the median, 50 ms apart.
    fn default() -> Self {
        Self { min_requests: NonZeroU32::MIN.saturating_add(49), factor: 5.0, min_gap: Duration::from_millis(50) }
    }
}

/// Why an endpoint was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EjectionCause {
    /// So many requests failed in a row.
    Consecutive(u32),
    /// It failed more than the others.
    FailureRate {
        /// Its share of failures.
        own: Percent,
        /// The mean of the cluster's endpoints.
        mean: Percent,
    },
    /// It was slower than the others.
    Slow {
        /// Its mean latency.
        own: Duration,
        /// The median of the others.
        median: Duration,
    },
}

impl EjectionCause {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive(_) => "consecutive_failures",
            Self::FailureRate { .. } => "failure_rate",
            Self::Slow { .. } => "slow",
        }
    }
}

impl fmt::Display for EjectionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive(1) => f.write_str("a request failed"),
            Self::Consecutive(failures) => write!(f, "{failures} requests failed in a row"),
            Self::FailureRate { own, mean } => write!(f, "{own} of its requests failed, and {mean} in the cluster"),
            Self::Slow { own, median } => {
                write!(f, "its answers took {} ms, and those of others {} ms", own.as_millis(), median.as_millis())
            }
        }
    }
}

/// An endpoint that went out or came back, to be logged and counted. Its text is the log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierEvent {
    /// Whose.
    pub endpoint: EndpointName,
    /// Where it is.
    pub address: SocketAddr,
    /// When.
    pub at: Instant,
    /// What happened.
    pub change: OutlierChange,
}

/// See [`OutlierEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlierChange {
    /// It was taken out.
    Ejected {
        /// Why.
        cause: EjectionCause,
        /// For how long.
        lasts: Duration,
        /// The how manieth time in a row.
        times: u32,
    },
    /// It came back.
    Returned {
        /// How long it was out.
        after: Duration,
    },
}

impl fmt::Display for OutlierEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, address, .. } = self;
        match self.change {
            OutlierChange::Ejected { cause, lasts, times } => {
                write!(f, "endpoint {endpoint} ({address}) is taken out for {} since {cause}", seconds(lasts))?;
                if times > 1 {
                    write!(f, "; this is time {times}")?;
                }
                Ok(())
            }
            OutlierChange::Returned { after } => {
                write!(f, "endpoint {endpoint} ({address}) takes requests again after {} out", seconds(after))
            }
        }
    }
}

#[cfg(test)]
mod tests;
