//! Requests that the gateway makes by itself: a part of a batch, a poll, the upstream side of a stream that it ends.
//!
//! They go by what their cluster says, as a client's request does: its balancing, health, limits, timeouts, retries and
//! failover. They have connections of their own beside those of the proxy. A call is bounded in time and in what it
//! reads, and what it holds (a place in the cluster, an endpoint's count) is given back when its future ends, however
//! that is.

mod attempt;
mod handle;
mod repeat;
mod upgrade;

use pingora_core::connectors::http::Connector;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use rand::RngExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_balance::{Answer, Ask, Choice, EndpointIdx, Priority};
use portcullis_filter::seam::{UpstreamRequest, UpstreamResponse};
use portcullis_snapshot::cluster::Way;
use portcullis_snapshot::limits::{Admission, Place};
use portcullis_snapshot::request::action;
use portcullis_snapshot::request::trace::Trace;
use portcullis_snapshot::route::RouteTimeouts;
use portcullis_snapshot::{Cluster, ClusterIdx, Members, Snapshot, Timeouts};
use portcullis_telemetry::record::Attempt;
use portcullis_types::{ProxyError, Reason, Retry};

use crate::core::Core;
use crate::service::taken_together;

pub use handle::OwnRequests;

/// Idle connections that are kept for the gateway's own requests, over all clusters.
const POOL: usize = 256;

/// How the gateway's own requests connect.
pub(crate) struct Lines {
    http: Connector,
    raw: TransportConnector,
}

impl Default for Lines {
    fn default() -> Self {
        let options = || Some(ConnectorOptions::new(POOL));
        Self { http: Connector::new(options()), raw: TransportConnector::new(options()) }
    }
}

/// Where a call goes, and what its route says of that.
#[derive(Clone, Copy)]
pub(crate) struct Aim<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) cluster: ClusterIdx,
    /// What the route selects of that cluster's endpoints.
    pub(crate) subset: Option<usize>,
    /// What the route says in place of the clusters.
    pub(crate) timeouts: Option<&'a RouteTimeouts>,
    /// The cluster of the route's fallback.
    pub(crate) fallback: Option<ClusterIdx>,
    /// What a hashing balancer goes by.
    pub(crate) key: Option<u64>,
    /// The least height that the answer may speak of.
    pub(crate) least_height: Option<u64>,
    pub(crate) priority: Priority,
}

impl<'a> Aim<'a> {
    /// A cluster, by no route's word.
    pub(crate) const fn at(snapshot: &'a Snapshot, cluster: ClusterIdx) -> Self {
        Self {
            snapshot,
            cluster,
            subset: None,
            timeouts: None,
            fallback: None,
            key: None,
            least_height: None,
            priority: Priority::Normal,
        }
    }
}

/// The attempts of one call.
pub(crate) struct Tries {
    began: Instant,
    deadline: Instant,
    /// The caller's own.
    callers: Option<Instant>,
    /// What became of each.
    pub(crate) made: Vec<Attempt>,
    /// The trace that each is a span of.
    pub(crate) trace: Option<Trace>,
}

impl Tries {
    /// Those of a call that begins now, `since` its request came.
    pub(crate) fn new(since: Instant, timeout: Duration) -> Self {
        let now = Instant::now();
        // A day is for ever here, and a time that there is.
        let deadline = now + timeout.min(Duration::from_secs(86_400));
        Self { began: since, deadline, callers: None, made: Vec::new(), trace: None }
    }

    /// The same for a caller who wants the answer by then.
    pub(crate) fn until(mut self, callers: Option<Instant>) -> Self {
        self.callers = callers;
        self.deadline = callers.map_or(self.deadline, |callers| self.deadline.min(callers));
        self
    }

    /// The same as a part of a trace.
    pub(crate) fn traced(mut self, trace: Option<Trace>) -> Self {
        self.trace = trace;
        self
    }

    /// Whether it is the caller's own deadline that holds.
    fn are_callers(&self) -> bool {
        self.callers == Some(self.deadline)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// One cluster of those that a call may go through.
struct Order<'a> {
    cluster: &'a Arc<Cluster>,
    timeouts: Timeouts,
    subset: Option<usize>,
    key: Option<u64>,
    least_height: Option<u64>,
    priority: Priority,
    /// Whether it is another than the one that was decided on.
    elsewhere: bool,
}

/// Sends a request, and reads the whole answer.
pub(crate) async fn call(
    core: &Core,
    aim: Aim<'_>,
    request: &UpstreamRequest,
    tries: &mut Tries,
) -> Result<UpstreamResponse, ProxyError> {
    let decided = aim.snapshot.cluster(aim.cluster).ok_or(Reason::Internal)?;
    let way = Way { index: aim.cluster, cluster: decided, fallback: aim.fallback, snapshot: aim.snapshot };
    let chain = decided.failover.as_ref();
    let mut place = chain.map_or(0, |chain| chain.place(decided, aim.snapshot, Instant::now()));
    loop {
        let index = way.at(place).ok_or(Reason::Internal)?;
        let error = match in_cluster(core, &order(&aim, index, place)?, request, tries).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let unreached = matches!(error.reason, Reason::NoHealthyUpstream | Reason::Overloaded)
            || error.reason.retry() == Retry::Unsent;
        match way.from(place + 1).filter(|_| unreached && !tries.left().is_zero()) {
            // Each turn goes on to a later cluster, so it ends.
            Some(next) => place = next,
            None => return Err(error),
        }
    }
}

fn order<'a>(aim: &Aim<'a>, index: ClusterIdx, place: usize) -> Result<Order<'a>, ProxyError> {
    let cluster = aim.snapshot.cluster(index).ok_or(Reason::Internal)?;
    let timeouts = aim.timeouts.map_or(cluster.timeouts, |route| cluster.timeouts.narrowed(route));
    let subset = aim.subset.filter(|_| index == aim.cluster);
    let Aim { key, least_height, priority, .. } = *aim;
    Ok(Order { cluster, timeouts, subset, key, least_height, priority, elsewhere: place > 0 })
}

async fn in_cluster(
    core: &Core,
    order: &Order<'_>,
    request: &UpstreamRequest,
    tries: &mut Tries,
) -> Result<UpstreamResponse, ProxyError> {
    if let Some(total) = order.timeouts.total {
        tries.deadline = tries.deadline.min(Instant::now() + total);
    }
    let members = order.cluster.fleet.members();
    let place = enter(order, &members, tries.left()).await?;
    let mut repeating = repeat::Repeating::new(order, request);
    let mut tried: Vec<EndpointIdx> = Vec::new();
    loop {
        let choice = choose(order, &members, &tried)?;
        tried.push(choice.index());
        let made = attempt::make(core, order, (&members, choice), request, tries).await;
        let left = members.set(order.subset).available() > tried.len();
        match repeating.again(&made, left) {
            Some(pause) if pause < tries.left() => tokio::time::sleep(pause).await,
            Some(_) | None => return end(place, made),
        }
    }
}

/// The last attempt is the call's outcome; an adaptive limit learns from it.
fn end(place: Option<Place>, made: Result<attempt::Answered, attempt::Failed>) -> Result<UpstreamResponse, ProxyError> {
    let now = Instant::now();
    match made {
        Ok(answered) => {
            if let Some(place) = place {
                place.finish(now, answered.first_byte, answered.judged);
            }
            Ok(answered.response)
        }
        Err(failed) => {
            if let Some(place) = place.filter(|_| failed.late) {
                place.finish(now, failed.took, Answer::Failed);
            }
            Err(failed.error)
        }
    }
}

/// A place in the cluster, for which the call may wait.
async fn enter(order: &Order<'_>, members: &Members, left: Duration) -> Result<Option<Place>, ProxyError> {
    let limits = order.cluster.limits.as_ref().filter(|limits| limits.rules.bound_requests());
    let Some(limits) = limits else { return Ok(None) };
    match limits.gate.admit(Instant::now(), order.priority, taken_together(limits, members)) {
        Admission::Entered(place) => Ok(Some(place)),
        Admission::Refused(refused) => Err(full(refused.as_str())),
        Admission::Waits(mut waiting) => waiting.wait(left).await.map(Some).map_err(|refused| full(refused.as_str())),
    }
}

fn full(detail: &'static str) -> ProxyError {
    ProxyError::with_detail(Reason::Overloaded, detail).retry_after(action::RETRY_AFTER)
}

/// How many endpoints that are full are passed over.
const ROUNDS: usize = 8;

/// An endpoint that has room.
fn choose(order: &Order<'_>, members: &Members, tried: &[EndpointIdx]) -> Result<Choice, ProxyError> {
    let each = order.cluster.limits.as_ref().and_then(|limits| limits.rules.per_endpoint);
    let mut skip = tried.to_vec();
    for _ in 0..ROUNDS {
        let now = Ask::new(Instant::now(), rand::rng().random());
        let ask = Ask { key: order.key, skip: &skip, least_height: order.least_height, ..now };
        let choice = members.set(order.subset).choose(&ask).map_err(|none| {
            ProxyError::with_detail(Reason::NoHealthyUpstream, none.to_string()).retry_after(action::RETRY_AFTER)
        })?;
        if each.is_none_or(|each| choice.endpoint().state().in_flight() <= each) {
            return Ok(choice);
        }
        skip.push(choice.index());
    }
    Err(full("endpoint_requests"))
}
