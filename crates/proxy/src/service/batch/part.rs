//! One part of a batch: its route with the state of that one's filters, what is sent, and the sending.

use bytes::Bytes;
use http::StatusCode;
use pingora_http::{RequestHeader, ResponseHeader};
use rand::RngExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_filter::seam::UpstreamRequest;
use portcullis_filter::{ChainState, Facts, Phase, RequestCx};
use portcullis_policy::Params;
use portcullis_snapshot::limits::Place;
use portcullis_snapshot::request::action;
use portcullis_snapshot::request::forwarding::{self, ForwardedValues, Stamp};
use portcullis_snapshot::request::trace::Trace;
use portcullis_snapshot::{Action, ClusterIdx, RouteData, Snapshot};
use portcullis_telemetry::record::Attempt;
use portcullis_types::{Batch, BodyView, ClusterName, ProxyError, Reason};

use super::super::context::Ctx;
use super::super::deadline;
use super::super::retry::retry_after;
use super::{body_filters, head};
use crate::calls::{Aim, Tries, call};
use crate::core::Core;
use crate::gate::conn::CONN;

/// The largest answer to a part: it is held whole, so that it can be put together with the others.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// For a part as a whole, where neither its route nor its cluster says.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The parts of the batch that a request is; none of a request that is sent as it is.
#[derive(Default)]
pub(crate) struct Parts(pub(super) Vec<Part>);

impl Parts {
    /// Whether the request is sent as it is.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One of them.
pub(super) struct Part {
    pub(super) route: Arc<RouteData>,
    /// The state of its filters; the first part's is the request's own between its turns.
    pub(super) state: ChainState,
    _place: Option<Place>,
    pub(super) params: Params,
    named: Named,
    pub(super) calls: Arc<[usize]>,
    /// The head as the route's filters left it, then as it is sent.
    pub(super) head: Option<Box<RequestHeader>>,
    /// The cluster that a filter chose.
    pub(super) cluster: Option<ClusterName>,
    to: Option<To>,
}

/// What a route's path template captured, by name.
pub(super) type Named = Vec<(Arc<str>, Box<str>)>;

/// What came of a part: the body of the answer, or why there is none, and the attempts.
pub(super) type Sent = (Result<Bytes, ProxyError>, Vec<Attempt>);

/// Where it goes.
struct To {
    cluster: ClusterIdx,
    key: Option<u64>,
    /// The least height that its answers may speak of.
    least_height: Option<u64>,
    /// When a trusted caller wants the answer.
    callers: Option<Instant>,
    body: Bytes,
    idempotent: bool,
}

impl Part {
    pub(super) fn new(
        route: Arc<RouteData>,
        place: Option<Place>,
        (params, named): (Params, Named),
        calls: Arc<[usize]>,
    ) -> Self {
        let state = ChainState::default();
        Self { route, state, _place: place, params, named, calls, head: None, cluster: None, to: None }
    }

    /// Takes a part out of the context, to work on both.
    pub(super) fn take(ctx: &mut Ctx, at: usize) -> Option<Self> {
        let part = ctx.parts.0.get_mut(at)?;
        let stand_in = Self::new(part.route.clone(), None, (Params::default(), Vec::new()), Arc::default());
        let mut part = std::mem::replace(part, stand_in);
        if at == 0 {
            std::mem::swap(&mut part.state, &mut ctx.route_state);
        }
        Some(part)
    }

    /// Puts it back.
    pub(super) fn put_back(mut self, ctx: &mut Ctx, at: usize) {
        if at == 0 {
            std::mem::swap(&mut self.state, &mut ctx.route_state);
        }
        if let Some(place) = ctx.parts.0.get_mut(at) {
            *place = self;
        }
    }

    /// Makes the facts those of this part.
    pub(super) fn name(&self, facts: &mut Facts) {
        facts.route = Some(self.route.name.clone());
        facts.params.clone_from(&self.named);
        facts.calls = Some(self.calls.clone());
    }

    /// Decides where the part goes, and completes what is sent: the head as the route rewrites it, with the fields of a
    /// forwarded request, and through the filters that see those.
    pub(super) async fn aim(
        &mut self,
        before: &RequestHeader,
        ctx: &mut Ctx,
        (batch, whole): (&dyn Batch, &dyn BodyView),
        snapshot: &Snapshot,
    ) -> Result<(), ProxyError> {
        let mut request = self.head.take().ok_or(Reason::Internal)?;
        let original = RequestHeader::clone(&request);
        let cluster = self.decide(&original, ctx, snapshot)?;
        let key = snapshot.cluster(cluster).and_then(|cluster| cluster.hash_key.as_ref());
        let theirs = snapshot.cluster(cluster).filter(|_| ctx.facts.trusted);
        let theirs = theirs.and_then(|cluster| deadline::of_caller(&original, cluster));
        let key = key.and_then(|key| key.hash(&ctx.facts.view(&original), &ctx.notes));
        head::ready(&mut request, &ctx.facts)?;
        let stamp = Stamp { id: ctx.id_value(), span: rand::rng().random(), trace: ctx.trace };
        let trace = CONN.try_with(|conn| forwarding::apply(&mut request, &ctx.facts, stamp.clone(), &conn.forwarded));
        let alone = |_| forwarding::apply(&mut request, &ctx.facts, stamp, &ForwardedValues::default());
        ctx.record.trace_id = Some(trace.unwrap_or_else(alone));
        if let Action::Forward(forward) = &self.route.action {
            action::rewrite(&mut request, &original, forward, &self.params)?;
        }
        self.head_filters(&mut request, ctx).await?;
        let body = self.body(before, ctx, batch.part(&self.calls)).await?;
        let idempotent = self.may_repeat(before, (batch, whole));
        let least_height = self.calls.iter().filter_map(|at| batch.call(*at)?.least_height()).max();
        let callers = theirs.map(|theirs| ctx.arrived + theirs);
        self.to = Some(To { cluster, key, least_height, callers, body, idempotent });
        self.head = Some(request);
        Ok(())
    }

    fn decide(&self, request: &RequestHeader, ctx: &Ctx, snapshot: &Snapshot) -> Result<ClusterIdx, ProxyError> {
        if let Some(name) = &self.cluster {
            let unknown =
                || ProxyError::with_detail(Reason::Internal, format!("a filter chose the unknown cluster {name}"));
            return snapshot.cluster_names.get(name).copied().ok_or_else(unknown);
        }
        match &self.route.action {
            Action::Forward(to) => Ok(action::cluster(&to.target, &ctx.facts.view(request), &ctx.notes, ctx.facts.id)),
            Action::Redirect(_) | Action::Respond(_) => Err(Reason::Internal.into()),
        }
    }

    async fn head_filters(&mut self, request: &mut RequestHeader, ctx: &mut Ctx) -> Result<(), ProxyError> {
        if let Some(host) = ctx.host.clone().filter(|host| host.chain.has(Phase::UpstreamRequestFilter)) {
            let mut cx = RequestCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
            host.chain.upstream_request_filter(&mut cx, &mut ctx.host_state).await?;
        }
        if self.route.chain.has(Phase::UpstreamRequestFilter) {
            let mut cx = RequestCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
            self.route.chain.upstream_request_filter(&mut cx, &mut self.state).await?;
        }
        Ok(())
    }

    async fn body(&mut self, before: &RequestHeader, ctx: &mut Ctx, mut body: Bytes) -> Result<Bytes, ProxyError> {
        if let Some(limit) = self.route.body_limit.filter(|limit| body.len() as u64 > *limit) {
            return Err(ProxyError::with_detail(Reason::BodyTooLarge, format!("over {limit} bytes")));
        }
        if let Some(host) = ctx.host.clone().filter(|host| host.chain.has(Phase::RequestBodyFilter)) {
            let with = (&mut ctx.notes, &mut ctx.host_state);
            body = body_filters(&host.chain, before, with, &ctx.facts, body).await?;
        }
        if self.route.chain.has(Phase::RequestBodyFilter) {
            let with = (&mut ctx.notes, &mut self.state);
            body = body_filters(&self.route.chain, before, with, &ctx.facts, body).await?;
        }
        Ok(body)
    }

    /// Whether the part may be sent twice: by what its calls are, else by the method and the route.
    fn may_repeat(&self, request: &RequestHeader, (batch, whole): (&dyn Batch, &dyn BodyView)) -> bool {
        let said = |at: &usize| batch.call(*at).map_or_else(|| whole.is_idempotent(), |call| call.is_idempotent());
        let said: Vec<Option<bool>> = self.calls.iter().map(said).collect();
        let by_route = request.method.is_idempotent() || self.route.idempotent;
        said.iter().all(|said| said.unwrap_or(by_route))
    }

    /// Sends the part.
    pub(super) async fn send(
        &self,
        core: &Core,
        snapshot: &Snapshot,
        (arrived, trace): (Instant, Option<Trace>),
    ) -> Sent {
        let callers = self.to.as_ref().and_then(|to| to.callers);
        let mut tries = Tries::new(arrived, TIMEOUT).until(callers).traced(trace);
        let answer = self.ask(core, snapshot, &mut tries).await;
        (answer, tries.made)
    }

    async fn ask(&self, core: &Core, snapshot: &Snapshot, tries: &mut Tries) -> Result<Bytes, ProxyError> {
        let (Some(head), Some(to)) = (self.head.as_deref(), &self.to) else { return Err(Reason::Internal.into()) };
        let (timeouts, fallback, subset) = match &self.route.action {
            Action::Forward(forward) => {
                let fallback = forward.fallback.as_ref().and_then(|fallback| fallback.cluster());
                (Some(&forward.timeouts), fallback, forward.target.subset_of(to.cluster))
            }
            Action::Redirect(_) | Action::Respond(_) => (None, None, None),
        };
        let priority = self.route.priority;
        let To { key, least_height, .. } = *to;
        let aim = Aim { subset, timeouts, fallback, key, least_height, priority, ..Aim::at(snapshot, to.cluster) };
        let request = UpstreamRequest {
            header: head.clone(),
            body: to.body.clone(),
            idempotent: to.idempotent,
            timeout: TIMEOUT,
            most: MAX_ANSWER,
        };
        let answer = call(core, aim, &request, tries).await?;
        let status = answer.header.status;
        if status.is_success() {
            return Ok(answer.body);
        }
        Err(no_success(&answer.header))
    }
}

/// What becomes of a part whose answer has another status than 2xx: its calls get the reason, and when to come back.
fn no_success(answer: &ResponseHeader) -> ProxyError {
    let status = answer.status;
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let reason = if busy { Reason::UpstreamBusy } else { Reason::UpstreamError };
    let detail = format!("a part of the batch was answered {}", status.as_u16());
    let said = retry_after(&answer.headers, SystemTime::now());
    let retry_after = said.or(busy.then_some(action::RETRY_AFTER));
    ProxyError { retry_after, ..ProxyError::with_detail(reason, detail) }
}
