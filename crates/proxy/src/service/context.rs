//! The state of one request.

use bytes::Bytes;
use http::HeaderValue;
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_balance::{Choice, EndpointIdx};
use portcullis_filter::seam::{EndStream, Ending, StreamEnd};
use portcullis_filter::{ChainState, Facts, Notes};
use portcullis_policy::Params;
use portcullis_snapshot::request::forwarding;
use portcullis_snapshot::request::trace::Trace;
use portcullis_snapshot::{Cluster, ClusterIdx, HostData, Members, RouteData, Snapshot, Timeouts};
use portcullis_telemetry::metrics::{EndpointMetrics, InFlight};
use portcullis_telemetry::record::{Attempt, Flag, Record};
use portcullis_types::{Downstream, ProxyError, Reason};

use super::batch::Parts;
use super::cache::Fill;
use super::fallback::FallingBack;
use super::hedge::Beside;
use super::limits::Places;
use super::mirror::Copy;
use crate::core::Core;
use crate::gate::conn::{CONN, Conn};
use crate::reasons::Progress;

/// The error that stands for one of ours while it goes through Pingora: the real one is in the context.
const OURS: ErrorType = ErrorType::Custom("portcullis");
/// The error that ends an attempt whose answer is dropped, to make another.
const AGAIN: ErrorType = ErrorType::Custom("portcullis-again");

/// One request.
pub(crate) struct Ctx {
    pub(crate) core: Arc<Core>,
    /// The generation it runs on; let go of when it turns into a long-lived stream.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) host: Option<Arc<HostData>>,
    pub(crate) route: Option<Arc<RouteData>>,
    pub(crate) facts: Facts,
    /// What the route's path template captured, as ranges into the path.
    pub(crate) params: Params,
    pub(crate) notes: Notes,
    pub(crate) host_state: ChainState,
    pub(crate) route_state: ChainState,
    pub(crate) record: Record,
    /// Its trace, where requests are traced and its route's are.
    pub(crate) trace: Option<Trace>,
    /// The id as a field's value, once it was written.
    id_value: Option<HeaderValue>,
    pub(crate) arrived: Instant,
    /// Where it goes.
    pub(crate) upstream: Upstream,
    pub(crate) body: Body,
    pub(crate) fill: Fill,
    pub(crate) falling_back: FallingBack,
    /// The parts that it is sent in, when it is a batch of calls for several routes.
    pub(crate) parts: Parts,
    /// What it holds of limits.
    pub(crate) places: Places,
    pub(crate) failure: Option<ProxyError>,
    /// Whether the request counts on its route.
    in_flight: bool,
    completed: bool,
}

/// The upstream side of a request.
#[derive(Default)]
pub(crate) struct Upstream {
    pub(crate) cluster: Option<(ClusterIdx, Arc<Cluster>)>,
    /// The cluster's endpoints, taken at the first attempt and kept for all: `tried` are places among them.
    pub(crate) members: Option<Arc<Members>>,
    /// The cluster that the route decided on, once the request went to another, and how far it went.
    pub(crate) decided: Option<(ClusterIdx, Arc<Cluster>)>,
    pub(crate) place: usize,
    /// What the route selects of the cluster's endpoints.
    pub(crate) subset: Option<usize>,
    pub(crate) timeouts: Timeouts,
    /// The endpoint of the current attempt; counts as in flight until it is dropped.
    pub(crate) choice: Option<Choice>,
    /// The endpoint's counters, and its place among the requests in flight.
    pub(crate) counted: Option<(Arc<EndpointMetrics>, InFlight)>,
    pub(crate) tried: Vec<EndpointIdx>,
    pub(crate) attempts: u32,
    /// The place of the attempt's record.
    pub(crate) at: usize,
    pub(crate) beside: Beside,
    /// Attempts that do not count: over connections that had been closed while they were idle.
    pub(crate) free: u32,
    /// The pause before the next attempt.
    pub(crate) pause: Option<Duration>,
    /// When the head of the attempt's answer must be there.
    pub(crate) deadline: Option<Instant>,
    /// Whether the total timeout is the caller's and not ours.
    pub(crate) callers: bool,
    /// Why the last attempt ended without an answer.
    pub(crate) ended: Option<Reason>,
    pub(crate) attempt_started: Option<Instant>,
    pub(crate) connected: bool,
    pub(crate) progress: Option<Progress>,
    pub(crate) key: Option<u64>,
    /// Whether the request that goes upstream asks for an upgrade.
    pub(crate) upgrade: bool,
}

/// The request's body on its way.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) received: u64,
    /// When its first part came.
    pub(crate) started: Option<Instant>,
    pub(crate) limit: Option<u64>,
    /// The length that the head of an HTTP/2 request states.
    pub(crate) stated: Option<u64>,
    /// The part that makes up the stated length, until the stream ends.
    pub(crate) held: Option<Bytes>,
    pub(crate) copy: Option<Copy>,
    pub(crate) sent: u64,
}

impl Ctx {
    /// A request that has just arrived, on the current generation.
    pub(crate) fn new(core: &Arc<Core>, conn: Option<Arc<Conn>>) -> Self {
        let snapshot = core.generations.current();
        let (arrived, at) = match &conn {
            Some(conn) => {
                conn.count_request();
                conn.take_arrival()
            }
            None => (Instant::now(), std::time::SystemTime::now()),
        };
        let downstream = conn.as_ref().map_or_else(nowhere, |conn| conn.downstream.clone());
        let record = Record::request(core.new_id(), snapshot.id, at, downstream.clone());
        Self {
            core: core.clone(),
            host: None,
            route: None,
            facts: Facts::new(record.id, downstream),
            params: Params::default(),
            notes: Notes::default(),
            host_state: ChainState::default(),
            route_state: ChainState::default(),
            record,
            trace: None,
            id_value: None,
            arrived,
            upstream: Upstream::default(),
            body: Body::default(),
            fill: Fill::default(),
            falling_back: FallingBack::default(),
            parts: Parts::default(),
            places: Places::default(),
            failure: None,
            in_flight: false,
            completed: false,
            snapshot: Some(snapshot),
        }
    }

    /// Keeps one of our failures and gives the error that stands for it.
    pub(crate) fn fail(&mut self, error: ProxyError) -> Box<Error> {
        self.failure.get_or_insert(error);
        Error::new(OURS)
    }

    /// Ends an attempt whose answer is dropped.
    pub(crate) fn again() -> Box<Error> {
        Error::new(AGAIN)
    }

    /// Whether an error only ends an attempt, to make another.
    pub(crate) fn is_again(error: &Error) -> bool {
        *error.etype() == AGAIN
    }

    /// Whether an error out of Pingora is one of ours.
    pub(crate) fn is_ours(error: &Error) -> bool {
        *error.etype() == OURS
    }

    /// Goes to the side of the one who sent the request, while some are told apart from the others.
    pub(crate) fn choose_side(&mut self, request: &RequestHeader) {
        let Some(canary) = self.core.generations.canary() else { return };
        if canary.takes(&request.headers, request.uri.query(), &self.facts.downstream) {
            self.record.flags.set(Flag::OnTrial);
            if let Some(snapshot) = canary.snapshot() {
                self.record.generation = snapshot.id;
                self.snapshot = Some(Arc::clone(snapshot));
            }
        }
    }

    /// The generation; it is only gone once the request is a stream.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, ProxyError> {
        self.snapshot.clone().ok_or_else(|| ProxyError::with_detail(Reason::Internal, "no generation"))
    }

    /// The request's id as a field's value. The id is settled by then.
    pub(crate) fn id_value(&mut self) -> HeaderValue {
        self.id_value.get_or_insert_with(|| forwarding::id_value(self.facts.id)).clone()
    }

    /// Takes a route: the request counts on it until it is over.
    pub(crate) fn set_route(&mut self, route: Arc<RouteData>) {
        route.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_flight = true;
        self.record.route = Some(route.name.clone());
        self.facts.route = Some(route.name.clone());
        self.body.limit = route.body_limit;
        self.route = Some(route);
    }

    /// Takes another route in place of the one that was chosen, and gives that back: the record stays that one's.
    pub(crate) fn change_route(&mut self, route: Arc<RouteData>) -> Option<Arc<RouteData>> {
        self.leave_route();
        let (chosen, left) = (self.record.route.take(), self.route.take());
        self.set_route(route);
        self.record.fallback_route = std::mem::replace(&mut self.record.route, chosen);
        left
    }

    /// Notes that the current attempt has a connection.
    pub(crate) fn connected(&mut self, reused: bool) {
        let took = self.upstream.attempt_started.filter(|_| !reused).map(|started| started.elapsed());
        self.upstream.connected = true;
        self.upstream.progress = Some(Progress::Waiting);
        if let Some(attempt) = self.attempt() {
            attempt.reused = reused;
            attempt.connect = took;
        }
        if let Some(took) = took {
            self.record.timers.connect.get_or_insert(took);
        }
    }

    /// The attempt's record, to complete it.
    pub(crate) fn attempt(&mut self) -> Option<&mut Attempt> {
        self.record.attempts.get_mut(self.upstream.at)
    }

    /// Whether the request may go on: its generation may have been drained.
    pub(crate) fn may_go_on(&self) -> Result<(), ProxyError> {
        if self.core.allows(self.record.generation) {
            return Ok(());
        }
        let detail = format!("generation {} is drained", self.record.generation);
        Err(ProxyError::with_detail(Reason::Draining, detail))
    }

    /// Whether the request is still inside its total timeout.
    pub(crate) fn in_time(&self) -> Result<(), ProxyError> {
        let late = self.upstream.timeouts.total.is_some_and(|total| self.elapsed() >= total);
        if late { Err(Reason::UpstreamTotalTimeout.into()) } else { Ok(()) }
    }

    /// The current attempt is over, well or not.
    pub(crate) fn end_attempt(&mut self) {
        self.upstream.choice = None;
        self.note_end(self.upstream.at);
        if let (Some((metrics, _in_flight)), Some(attempt)) =
            (self.upstream.counted.take(), self.record.attempts.get_mut(self.upstream.at))
        {
            metrics.observe(attempt);
        }
    }

    /// Notes when a traced attempt ended; the first call does.
    pub(crate) fn note_end(&mut self, at: usize) {
        let arrived = self.arrived;
        if let Some(attempt) = self.record.attempts.get_mut(at).filter(|attempt| attempt.span != 0) {
            attempt.ended.get_or_insert_with(|| arrived.elapsed());
        }
    }

    /// Time since the request arrived.
    pub(crate) fn elapsed(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// Whether the request has become a stream: its bytes are not a body any more.
    pub(crate) const fn is_stream(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Lets go of all that only a request needs: what goes on is a stream, and must not hold its generation.
    pub(crate) fn become_stream(&mut self) {
        let end = CONN.try_with(|conn| conn.take_tunnel()).ok().flatten().unwrap_or_default();
        super::limits::begin_stream(self, end);
        self.leave_route();
        self.snapshot = None;
    }

    /// Becomes a stream that the gateway itself ends: with what tells it, and what is due when it is to end.
    pub(crate) fn become_own_stream(&mut self) -> (EndStream, Ending) {
        let end = super::limits::begin_own_stream(self);
        self.leave_route();
        self.snapshot = None;
        end
    }

    /// Completes the record of a stream that the gateway ended.
    pub(crate) fn end_stream(mut self: Box<Self>, end: StreamEnd) {
        // What a guard says is more than what the handler makes of it.
        let judged = self.places.told().filter(|why| why.reason != Reason::Draining);
        if let Some(error) = judged.as_ref().or(end.error.as_ref()) {
            self.record.fail(error);
        }
        (self.record.bytes_in, self.record.bytes_out) = (end.bytes_in, end.bytes_out);
        self.complete_with(end.annotations);
    }

    /// Takes Pingora's counts of body bytes.
    pub(crate) fn note_bytes(&mut self, session: &Session) {
        self.record.bytes_in = session.body_bytes_read() as u64;
        self.record.bytes_out = session.body_bytes_sent() as u64;
        if self.record.status == 0 {
            self.record.status = session.response_written().map_or(0, |written| written.status.as_u16());
        }
    }

    fn leave_route(&mut self) {
        if let (true, Some(route)) = (std::mem::take(&mut self.in_flight), &self.route) {
            route.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// One that stands for a request whose context is elsewhere: it has no record to complete.
    pub(crate) fn spent(core: &Arc<Core>) -> Self {
        let mut spent = Self::new(core, None);
        spent.completed = true;
        spent
    }

    /// Completes the record, with more for it.
    fn complete_with(&mut self, annotations: Vec<(&'static str, String)>) {
        for (name, value) in annotations {
            self.record.note(name, value);
        }
        self.complete();
    }

    /// Completes the record and hands it on; only the first call does.
    pub(crate) fn complete(&mut self) {
        if std::mem::replace(&mut self.completed, true) {
            return;
        }
        self.end_attempt();
        super::hedge::abandoned(self);
        self.places.end_request();
        self.places.end_stream();
        super::record::complete(self);
        self.leave_route();
    }
}

impl Drop for Ctx {
    /// The future was dropped in the middle (a reset stream, a cut-off connection): the record is completed all the
    /// same.
    fn drop(&mut self) {
        if !self.completed {
            let why = self.places.told().unwrap_or_else(|| Reason::ClientClosed.into());
            self.record.fail(&why);
            self.complete();
        }
    }
}

/// A request without a connection: one of Pingora's subrequests.
fn nowhere() -> Arc<Downstream> {
    let unspecified = (IpAddr::from([0, 0, 0, 0]), 0).into();
    Arc::new(Downstream {
        listener: "internal".into(),
        peer: unspecified,
        socket_peer: unspecified,
        local: unspecified,
        tls: None,
    })
}
