//! Why a request goes where it goes: the proxy's steps retraced on a [`Snapshot`], each with what decided it.
//!
//! The policy, the filter chains and the rewriting of heads are the very code that the proxy runs; only the socket is
//! missing. Invariants: nothing goes over a network; no endpoint is claimed and no request is counted; values of
//! fields that carry credentials are shown as `***`; every list is bounded.
//!
//! A filter runs with its real state, and can tell by [`portcullis_filter::Explained`] that nothing will be sent.
//! Whoever asks bounds the time.

mod batch;
mod cluster;
mod draw;
mod filters;
mod finding;
mod json;
mod listener;
mod question;
mod text;
mod upstream;
mod walk;

use std::net::SocketAddr;
use std::time::Instant;

pub use finding::{
    Answer, ClusterFinding, Decision, EndpointFinding, FallbackFinding, FilterStep, HostFinding, ListenerTrial,
    NameTrial, PathFinding, RouteFinding, RouteTrial, Step, UpstreamFinding,
};
pub use question::{Question, QuestionError};

use crate::Snapshot;
use finding::Asked;

/// Whose state an explanation is made of.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Now, by the monotonic clock.
    pub now: Instant,
    /// Whether the snapshot serves: then the endpoints' health is real.
    pub live: bool,
    /// Where the listeners accept, by name: the real ports where the config says 0. Empty when nothing serves.
    pub bound: &'a [(String, Vec<SocketAddr>)],
}

/// Everything there is to say of one request. See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether live state was looked at.
    pub live: bool,
    /// The generation.
    pub generation: u64,
    /// The hash of what was read for it.
    pub hash: String,
    /// What must not be shown of it: the renderings put `***` in its place.
    hidden: Vec<String>,
    /// The request, as it was understood.
    pub asked: Asked,
    /// Every listener, and whether it would take the connection.
    pub listeners: Vec<ListenerTrial>,
    /// The virtual host, and how it was found.
    pub host: Option<HostFinding>,
    /// The path, before and after normalisation.
    pub path: Option<PathFinding>,
    /// The host's filters, in order.
    pub host_filters: Vec<FilterStep>,
    /// What the host's filters changed in the head.
    pub host_changes: Vec<String>,
    /// The filters of the host that look into the body, in order.
    pub peek_filters: Vec<FilterStep>,
    /// What they changed in the head.
    pub peek_changes: Vec<String>,
    /// The routes in ranking order: the [`NEAREST`] to the winner, or all when that was asked for.
    pub routes: Vec<RouteTrial>,
    /// How many candidates were left out of `routes`.
    pub routes_left_out: usize,
    /// The route that won.
    pub route: Option<RouteFinding>,
    /// The route's filters, in order.
    pub route_filters: Vec<FilterStep>,
    /// What the route's filters changed in the head.
    pub route_changes: Vec<String>,
    /// The filters that decide what the request spends, the host's and then the route's.
    pub admission: Vec<FilterStep>,
    /// The route that it goes on as, when no endpoint of the one that won can be reached.
    pub fallback: Option<FallbackFinding>,
    /// What is done.
    pub decision: Decision,
    /// Where it would go.
    pub cluster: Option<ClusterFinding>,
    /// What would be sent there.
    pub upstream: Option<UpstreamFinding>,
    /// What the filters noted, by name.
    pub notes: Vec<(String, String)>,
}

/// How many routes an explanation lists when it is not asked for all.
pub const NEAREST: usize = 20;

/// How many of those are ranked behind the winner.
const BEHIND: usize = 5;

/// How many routes an explanation lists when it is asked for all.
pub const ALL: usize = 100_000;

/// How many endpoints an explanation lists at most.
pub const MOST: usize = 200;

/// Explains a request.
pub async fn explain(snapshot: &Snapshot, question: &Question, moment: Moment<'_>) -> Explanation {
    walk::Walk::new(snapshot, question, moment).finish().await
}
