//! What a virtual host and a route carry beside their matchers.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use portcullis_balance::{Hedge, Priority};
use portcullis_filter::seam::Cache;
use portcullis_filter::{Chain, Response, Secrets};
use portcullis_policy::{PathMatcher, PathRewrite, Redirect, WeightedSplit};
use portcullis_telemetry::RouteTracing;
use portcullis_telemetry::metrics::RouteMetrics;
use portcullis_telemetry::record::TraceTerms;
use portcullis_types::{Dialect, Percent, RouteName};
use portcullis_wire::target::PathPolicy;

use crate::affinity::Affinity;
use crate::cluster::ClusterIdx;
use crate::limits::Limits;

/// A place in the config, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as given.
    pub file: Arc<str>,
    /// The first line, from 1.
    pub line: u32,
    /// The lines themselves, as an operator wrote them: the policy's source.
    pub excerpt: Arc<str>,
}

impl Place {
    /// `file:line`.
    #[must_use]
    pub fn at(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// What a virtual host carries.
pub struct HostData {
    /// Its first name.
    pub name: Arc<str>,
    /// Its filters: they run before a route is chosen, and see every answer.
    pub chain: Chain,
    /// Where the secrets stand that its filters and those of its routes read out of a request's target.
    pub secrets: Box<[Arc<dyn Secrets>]>,
    /// How paths are normalised.
    pub path_policy: PathPolicy,
    /// How errors are written where no route is chosen.
    pub dialect: Dialect,
    /// Where it stands in the config.
    pub place: Place,
}

/// What a route carries.
pub struct RouteData {
    /// Its full name for logs and metrics, `host/route`.
    pub label: Arc<str>,
    /// Its name.
    pub name: RouteName,
    /// What it does.
    pub action: Action,
    /// Its filters.
    pub chain: Chain,
    /// The largest request body; `None` for no limit.
    pub body_limit: Option<u64>,
    /// How errors are written.
    pub dialect: Dialect,
    /// The cache in front of it.
    pub cache: Option<Arc<dyn Cache>>,
    /// Whether a request may be upgraded (WebSocket).
    pub upgrade: bool,
    /// Whether its requests may be sent twice, whatever their method is.
    pub idempotent: bool,
    /// What it takes at once.
    pub limits: Option<Limits>,
    /// How important its requests are.
    pub priority: Priority,
    /// What it says of traces.
    pub tracing: RouteTracing,
    /// What holds for traced requests.
    pub trace: Arc<TraceTerms>,
    /// Where it stands in the config.
    pub place: Place,
    /// Requests of this generation in flight on it: who holds an old generation.
    pub in_flight: AtomicU32,
    /// Its counters, kept across generations.
    pub metrics: Arc<RouteMetrics>,
}

/// What a route does.
pub enum Action {
    /// Forward to a cluster.
    Forward(Forward),
    /// Redirect.
    Redirect(Redirect),
    /// Answer.
    Respond(Response),
}

impl RouteData {
    /// What is done with its requests when no endpoint could be reached.
    #[must_use]
    pub const fn fallback(&self) -> Option<&Fallback> {
        match &self.action {
            Action::Forward(forward) => forward.fallback.as_ref(),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }
}

impl Action {
    /// The word of the config, for the record.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Forward(_) => "forward",
            Self::Redirect(_) => "redirect",
            Self::Respond(_) => "respond",
        }
    }
}

/// Forwarding.
pub struct Forward {
    /// To which cluster.
    pub target: Target,
    /// The path that is sent in place of the request's.
    pub rewrite: Option<PathRewrite>,
    /// The Host that is sent in place of the request's.
    pub host: Option<http::HeaderValue>,
    /// A second cluster that gets a copy.
    pub mirror: Option<Mirror>,
    /// This route's timeouts where they differ from the cluster's.
    pub timeouts: RouteTimeouts,
    /// What is done when no cluster can take a request.
    pub fallback: Option<Fallback>,
    /// Of the clusters that may be decided on, those whose requests may have a second attempt beside the first.
    pub hedges: Box<[(ClusterIdx, Arc<Hedge>)]>,
}

impl Forward {
    /// The hedging of this route's requests to a cluster.
    #[must_use]
    pub fn hedge(&self, cluster: ClusterIdx) -> Option<&Arc<Hedge>> {
        self.hedges.iter().find(|(of, _)| *of == cluster).map(|(_, hedge)| hedge)
    }
}

/// What is done when no endpoint could be reached.
pub struct Fallback {
    /// Whether the route's cache is asked first for a copy that may be stale.
    pub stale: bool,
    /// What is done then; without it the failure is answered as any other.
    pub then: Option<Then>,
}

/// What is done when no endpoint could be reached, and no stale copy was held.
pub enum Then {
    /// Answer with this.
    Respond(Box<Response>),
    /// Ask one more cluster, after those of the failover chain.
    Cluster(ClusterIdx),
    /// Go on as another route of the same host. That one's fallback is never a route again.
    Route(Box<Another>),
}

/// A route that requests of others go on as.
pub struct Another {
    /// The route.
    pub route: Arc<RouteData>,
    /// The path that it matches: requests that come by a fallback need not, and then nothing is captured of theirs.
    pub path: PathMatcher,
}

impl Fallback {
    /// The cluster that is asked last.
    #[must_use]
    pub const fn cluster(&self) -> Option<ClusterIdx> {
        match &self.then {
            Some(Then::Cluster(index)) => Some(*index),
            Some(Then::Respond(_) | Then::Route(_)) | None => None,
        }
    }

    /// The route that requests go on as.
    #[must_use]
    pub fn another(&self) -> Option<&Another> {
        match &self.then {
            Some(Then::Route(another)) => Some(another),
            Some(Then::Respond(_) | Then::Cluster(_)) | None => None,
        }
    }
}

/// A route's own timeouts; what is `None` is the cluster's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteTimeouts {
    /// As [`Timeouts::connect`].
    pub connect: Option<Duration>,
    /// As [`Timeouts::per_try`]; `Some(None)` turns it off.
    pub per_try: Option<Option<Duration>>,
    /// As [`Timeouts::first_byte`].
    pub first_byte: Option<Duration>,
    /// As [`Timeouts::idle`].
    pub idle: Option<Duration>,
    /// As [`Timeouts::total`]; `Some(None)` turns it off.
    pub total: Option<Option<Duration>>,
}

/// Which cluster.
pub enum Target {
    /// This one.
    Cluster(ClusterIdx),
    /// The endpoints of this cluster that carry some labels.
    Subset {
        /// The cluster.
        cluster: ClusterIdx,
        /// The place of the labels in the cluster's [`crate::FleetPlan::subsets`].
        subset: usize,
    },
    /// One of several by weight; the same key keeps its choice.
    Split {
        /// Clusters and weights.
        split: WeightedSplit<ClusterIdx>,
        /// What sticks; without it, each request is drawn.
        sticky: Option<Affinity>,
    },
}

impl Target {
    /// What the target selects of a cluster's endpoints: a place in its [`crate::FleetPlan::subsets`]; `None` for all,
    /// and of any other cluster.
    #[must_use]
    pub fn subset_of(&self, index: ClusterIdx) -> Option<usize> {
        match self {
            Self::Subset { cluster, subset } if *cluster == index => Some(*subset),
            Self::Cluster(_) | Self::Subset { .. } | Self::Split { .. } => None,
        }
    }
}

/// A copy of the request to a second cluster, its answer thrown away.
pub struct Mirror {
    /// The second cluster.
    pub cluster: ClusterIdx,
    /// The share of requests that are copied.
    pub share: Percent,
}

/// Timeouts towards an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For TCP, and TLS on top.
    pub connect: Duration,
    /// For one attempt, from its start to the end of the answer's head; `None` for no limit.
    pub per_try: Option<Duration>,
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two reads of an answer.
    pub idle: Duration,
    /// For the whole exchange up to the end of the answer's head; `None` for no limit.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            per_try: None,
            first_byte: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            total: None,
        }
    }
}

impl Timeouts {
    /// These timeouts, with a route's own in their place.
    #[must_use]
    pub fn narrowed(self, route: &RouteTimeouts) -> Self {
        Self {
            connect: route.connect.unwrap_or(self.connect),
            per_try: route.per_try.unwrap_or(self.per_try),
            first_byte: route.first_byte.unwrap_or(self.first_byte),
            idle: route.idle.unwrap_or(self.idle),
            total: route.total.unwrap_or(self.total),
        }
    }
}

/// The largest body a mirrored request may have: it is held whole, so that the copy can be sent.
pub const MIRROR_BODY_LIMIT: usize = 64 * 1024;
