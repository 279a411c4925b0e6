//! What is known of a running gateway.

use std::time::{Duration, SystemTime};

use crate::finding::Finding;
use crate::memory::Risen;

/// All that a verdict is made of.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every cluster that serves.
    pub clusters: Vec<ClusterFacts>,
    /// What became of requests.
    pub traffic: Traffic,
    /// Alerts of error budgets that fire.
    pub burns: Vec<Burn>,
    /// The store, where there is one.
    pub store: Option<StoreFacts>,
    /// The link by which gateways share caps, where there is one.
    pub link: Option<LinkFacts>,
    /// Sinks that dropped records of late.
    pub sinks: Vec<SinkFacts>,
    /// Certificates of listeners.
    pub certificates: Vec<CertificateFacts>,
    /// What the process's guards refuse now, in words; `None` while they refuse nothing.
    pub refuses: Option<String>,
    /// Bounds and how full they are.
    pub rooms: Vec<RoomFacts>,
    /// What operators overrode.
    pub overrides: Overrides,
    /// Whether the gateway drains.
    pub draining: bool,
    /// What others found.
    pub found: Vec<Finding>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterFacts {
    /// Its name.
    pub name: String,
    /// Endpoints in all.
    pub endpoints: usize,
    /// Of these, how many may be chosen.
    pub available: usize,
    /// Of these, how many outlier detection keeps out.
    pub ejected: usize,
    /// Whether all are used since too few are good.
    pub panicking: bool,
    /// What keeps its endpoints from being made up anew.
    pub trouble: Option<String>,
    /// Its sources that fail.
    pub failing: Vec<SourceFacts>,
    /// A few of its endpoints that may not be chosen, in words.
    pub out: Vec<String>,
}

/// A source of endpoints that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// Which.
    pub name: String,
    /// Why.
    pub why: String,
    /// Endpoints of its last good answer, which go on.
    pub kept: usize,
    /// For how long.
    pub lasts: Duration,
}

/// What became of requests, now and before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Of the last minute.
    pub now: Window,
    /// Of the minutes before that one.
    pub before: Window,
    /// Of the last ten seconds.
    pub latest: Window,
}

/// What became of the requests of a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Requests.
    pub requests: u64,
    /// Of these, failed by the fault of the gateway or an upstream.
    pub failed: u64,
    /// Of these, refused by the fault of the client.
    pub refused: u64,
    /// By reason: its word, whether it is the client's fault, how many.
    pub reasons: Vec<(&'static str, bool, u64)>,
}

/// An alert of an error budget that fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Burn {
    /// The objective's name.
    pub slo: String,
    /// Its virtual host.
    pub host: String,
    /// Its route, when it is about one.
    pub route: Option<String>,
    /// Whether somebody has to look now.
    pub page: bool,
    /// How many times faster than allowed the budget is used up: the limit of the alert.
    pub factor: f64,
    /// The long window, and the burn rate in it.
    pub long: (Duration, f64),
    /// The short window, and the burn rate in it.
    pub short: (Duration, f64),
    /// The share of the budget that is left; below 0 when the objective is missed.
    pub left: f64,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFacts {
    /// Its state, by its word, when all is not well.
    pub trouble: Option<String>,
    /// What was wrong last.
    pub last_error: Option<String>,
    /// What waits in memory.
    pub pending: u64,
}

/// The link by which gateways share caps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its state, by its word, when it does not work.
    pub trouble: Option<String>,
    /// What was wrong last.
    pub last_error: Option<String>,
}

/// A sink that dropped records of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkFacts {
    /// Its name.
    pub name: String,
    /// Why, by a word.
    pub cause: String,
    /// How many, and when last.
    pub dropped: Risen,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The listener that shows it.
    pub listener: String,
    /// Its subject or its names.
    pub subject: String,
    /// When it is over.
    pub ends: SystemTime,
}

/// Something bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomFacts {
    /// What, for example `connections of the listener edge`.
    pub name: String,
    /// How much of it is used.
    pub used: u64,
    /// The bound; 0 for none.
    pub limit: u64,
}

/// How much operators overrode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// Endpoints, each in words.
    pub endpoints: Vec<String>,
    /// Caps, each in words.
    pub caps: Vec<String>,
    /// Bans that operators made, each in words.
    pub bans: Vec<String>,
}
