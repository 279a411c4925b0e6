//! What an operator says of single endpoints, for a while: it wins over the config and over every source.
//!
//! Overrides belong to a cluster's name, so that they outlive reloads. Each has an end, and a reason for whoever finds it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_balance::EndpointSpec;
use portcullis_types::EndpointName;
use portcullis_types::quantity::{format_about, format_duration};

/// The shortest and the longest that an override may last.
pub const LASTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// How many overrides a gateway holds at most.
pub const MOST: usize = 1000;

/// What is done to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is there although no source names it.
    Add {
        /// Its share beside the others of its priority.
        weight: u32,
        /// Lower numbers are used first.
        priority: u8,
        /// Where it stands.
        zone: Option<Arc<str>>,
        /// What routes may select subsets by.
        labels: BTreeMap<String, String>,
    },
    /// It takes no new requests; those in flight end.
    Drain,
    /// It has another weight.
    Weigh(u32),
    /// It is not there.
    Remove,
}

impl Action {
    /// The word in the admin API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Drain => "drain",
            Self::Weigh(_) => "weigh",
            Self::Remove => "remove",
        }
    }
}

/// One override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The endpoint: its name, which may stand for several addresses, or its address.
    pub endpoint: Arc<str>,
    /// What is done to it.
    pub action: Action,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it was made.
    pub since: SystemTime,
    /// When it ends.
    pub until: Instant,
}

impl Override {
    /// The sentence for operators.
    #[must_use]
    pub fn says(&self, now: Instant) -> String {
        let left = format_about(self.until.saturating_duration_since(now));
        let done = match &self.action {
            Action::Add { .. } => "added".to_owned(),
            Action::Drain => "drained".to_owned(),
            Action::Weigh(weight) => format!("weighed {weight}"),
            Action::Remove => "removed".to_owned(),
        };
        format!("{} is {done} by the admin API for {left} more: {}", self.endpoint, self.reason)
    }

    /// Whether it means this endpoint.
    pub(super) fn means(&self, spec: &EndpointSpec) -> bool {
        is_called(spec, &self.endpoint)
    }

    /// Does what it says to the endpoints of a cluster.
    pub(super) fn apply(&self, specs: &mut Vec<EndpointSpec>) {
        match &self.action {
            Action::Add { weight, priority, zone, labels } => {
                // A source may have come to name it meanwhile; then that one says what it is.
                if specs.iter().any(|spec| self.means(spec)) {
                    return;
                }
                if let Ok(address) = self.endpoint.parse() {
                    specs.push(EndpointSpec {
                        name: EndpointName::from(&*self.endpoint),
                        address,
                        weight: *weight,
                        priority: *priority,
                        zone: zone.clone(),
                        labels: labels.clone(),
                    });
                }
            }
            Action::Drain => self.weigh(specs, 0),
            Action::Weigh(weight) => self.weigh(specs, *weight),
            Action::Remove => specs.retain(|spec| !self.means(spec)),
        }
    }

    fn weigh(&self, specs: &mut [EndpointSpec], weight: u32) {
        for spec in specs.iter_mut().filter(|spec| self.means(spec)) {
            spec.weight = weight;
        }
    }
}

/// Whether an endpoint goes by this name or address.
pub(super) fn is_called(spec: &EndpointSpec, called: &str) -> bool {
    spec.name.as_str() == called || called.parse::<SocketAddr>().is_ok_and(|address| address == spec.address)
}

/// Why an override is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverrideError {
    /// The cluster has no such endpoint.
    Unknown {
        /// The endpoint.
        endpoint: String,
        /// Some that it has.
        known: Vec<String>,
    },
    /// What is to be added is there.
    Known {
        /// The endpoint.
        endpoint: String,
    },
    /// It is there by an override only, which can be ended or made anew.
    Added {
        /// The endpoint.
        endpoint: String,
    },
    /// What is to be added is no address with a port.
    NoAddress {
        /// The endpoint.
        endpoint: String,
    },
    /// It would last too short or too long.
    Lasts,
    /// There are as many as there may be.
    TooMany,
}

impl fmt::Display for OverrideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { endpoint, known } if known.is_empty() => {
                write!(f, "the cluster has no endpoint `{endpoint}`, nor any other")
            }
            Self::Unknown { endpoint, known } => {
                write!(f, "the cluster has no endpoint `{endpoint}`; it has {}", known.join(", "))
            }
            Self::Known { endpoint } => write!(f, "the cluster has the endpoint `{endpoint}` already"),
            Self::Added { endpoint } => write!(
                f,
                "`{endpoint}` was added by an override: restore it, or add it again with another weight, 0 to drain it"
            ),
            Self::NoAddress { endpoint } => {
                write!(f, "`{endpoint}` is not an IP address with a port, such as 10.0.0.11:8899")
            }
            Self::Lasts => {
                let (least, most) = (format_duration(*LASTS.start()), format_duration(*LASTS.end()));
                write!(f, "an override lasts between {least} and {most}")
            }
            Self::TooMany => write!(f, "there are {MOST} overrides, as many as there may be"),
        }
    }
}

impl std::error::Error for OverrideError {}
