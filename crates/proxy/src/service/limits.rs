//! A request's places: on its route, in its cluster, at its endpoint, and among the streams.
//!
//! The route's place is taken when the route is known, the cluster's before the first attempt: there a request may wait.
//! Both are held until the answer is over, or until the request has become a stream, which has a place of its own.
//! Invariants: without limits nothing here costs more than a branch; with them, a request that need not wait takes
//! atomics alone; every place is given back when the context ends, however that is.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_balance::{Answer, Choice, Priority};
use portcullis_filter::seam::{EndStream, Ending, StreamGuards};
use portcullis_snapshot::limits::{Admission, Place, Refused, Waiting};
use portcullis_snapshot::request::action;
use portcullis_snapshot::{Limits, Members, RouteData};
use portcullis_telemetry::{Bound, Held};
use portcullis_types::{ProxyError, Reason};

use super::context::Ctx;
use super::presence;
use crate::core::Core;
use crate::streams::Open;

/// What a request holds.
#[derive(Default)]
pub(crate) struct Places {
    route: Option<Place>,
    cluster: Option<Place>,
    streams: Vec<Held>,
    /// Where a stream is listed, so that it can be ended.
    open: Option<Open>,
    /// How long the last answer's first byte took, and what its status says: what an adaptive limit learns from.
    answered: Option<(Duration, Answer)>,
}

impl Places {
    /// Notes the head of an answer, or the failure of an attempt.
    pub(super) fn note(&mut self, took: Duration, answer: Answer) {
        if self.cluster.is_some() {
            self.answered = Some((took, answer));
        }
    }

    /// The answer is over, or has become a stream: requests get the places.
    pub(super) fn end_request(&mut self) {
        self.route = None;
        match (self.cluster.take(), self.answered.take()) {
            (Some(place), Some((took, answer))) => place.finish(Instant::now(), took, answer),
            (place, _) => drop(place),
        }
    }

    /// Whether the stream may go on.
    pub(super) fn may_go_on(&self) -> Result<(), ProxyError> {
        match &self.open {
            Some(open) => open.told().map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    /// So many bytes pass in the tunnel that the request has become.
    pub(super) fn pass(&self, bytes: usize) {
        if let Some(open) = self.open.as_ref().filter(|_| bytes > 0) {
            open.passes(bytes as u64);
        }
    }

    /// Why the stream was to end, if it was.
    pub(super) fn told(&self) -> Option<ProxyError> {
        self.open.as_ref().and_then(Open::told)
    }

    /// The answer is no stream.
    pub(super) fn end_stream(&mut self) {
        self.streams.clear();
        self.open = None;
    }
}

/// How important the request is.
fn priority(ctx: &Ctx) -> Priority {
    ctx.route.as_ref().map_or(Priority::Normal, |route| route.priority)
}

fn refusal(detail: &'static str) -> ProxyError {
    ProxyError::with_detail(Reason::Overloaded, detail).retry_after(action::RETRY_AFTER)
}

/// The route is known: the process's guards, and a place on the route.
pub(super) fn enter_route(ctx: &mut Ctx) -> Result<(), ProxyError> {
    let Some(route) = &ctx.route else { return Ok(()) };
    ctx.places.route = place_on(&ctx.core, route)?;
    Ok(())
}

/// A place on a route; `Ok(None)` where none is needed.
pub(super) fn place_on(core: &Core, route: &RouteData) -> Result<Option<Place>, ProxyError> {
    if let Err(reason) = core.guard.admits(route.priority) {
        return Err(ProxyError::new(reason).retry_after(action::RETRY_AFTER));
    }
    let Some(limits) = route.limits.as_ref().filter(|limits| limits.rules.requests.is_some()) else { return Ok(None) };
    match limits.gate.admit(Instant::now(), route.priority, u32::MAX) {
        Admission::Entered(place) => Ok(Some(place)),
        // A route has no queue.
        Admission::Waits(_) | Admission::Refused(_) => Err(refusal("route_requests")),
    }
}

/// The request goes on as another route: it gives back all that it holds.
pub(super) fn leave(ctx: &mut Ctx) {
    ctx.places.end_request();
    ctx.places.end_stream();
}

/// An attempt is about to be made: a place in the cluster, for which the request may wait. One that it holds already
/// stays; after a change of the cluster it goes.
pub(super) async fn enter_cluster(session: &mut Session, ctx: &mut Ctx) -> Result<(), ProxyError> {
    if ctx.upstream.upgrade && ctx.places.streams.is_empty() {
        take_stream(ctx)?;
    }
    portcullis_mutants::when!(UnboundedUpstream => return Ok(()));
    let Some((_, cluster)) = &ctx.upstream.cluster else { return Ok(()) };
    let Some(limits) = cluster.limits.as_ref().filter(|limits| limits.rules.bound_requests()) else {
        ctx.places.cluster = None;
        return Ok(());
    };
    if ctx.places.cluster.as_ref().is_some_and(|place| place.is_of(&limits.gate)) {
        return Ok(());
    }
    let now = Instant::now();
    let members = ctx.upstream.members.get_or_insert_with(|| cluster.fleet.members());
    let admission = limits.gate.admit(now, priority_of(&ctx.route), taken_together(limits, members));
    ctx.places.cluster = None;
    match admission {
        Admission::Entered(place) => ctx.places.cluster = Some(place),
        Admission::Refused(refused) => return Err(refusal(refused.as_str())),
        Admission::Waits(waiting) => {
            let entered = wait(session, ctx, waiting).await;
            ctx.record.timers.queue = Some(ctx.record.timers.queue.unwrap_or_default() + now.elapsed());
            ctx.places.cluster = Some(entered?);
        }
    }
    Ok(())
}

/// A place for a second attempt beside one that has its place; `Ok(None)` where none is needed.
pub(super) fn second_place(ctx: &Ctx) -> Result<Option<Place>, ()> {
    let limits = ctx.upstream.cluster.as_ref().and_then(|(_, cluster)| cluster.limits.as_ref());
    match limits.filter(|limits| limits.rules.bound_requests()) {
        None => Ok(None),
        Some(limits) => limits.gate.try_enter(priority(ctx)).map(Some).ok_or(()),
    }
}

fn priority_of(route: &Option<Arc<portcullis_snapshot::RouteData>>) -> Priority {
    route.as_ref().map_or(Priority::Normal, |route| route.priority)
}

/// What the endpoints take together, less the streams that they have. Without an endpoint nothing is kept waiting.
pub(crate) fn taken_together(limits: &Limits, members: &Members) -> u32 {
    let Some(each) = limits.rules.per_endpoint else { return u32::MAX };
    let endpoints = u64::try_from(members.endpoints.available()).unwrap_or(u64::MAX);
    if endpoints == 0 {
        return u32::MAX;
    }
    let streams = members.endpoints.cluster_in_flight().saturating_sub(u64::from(limits.gate.in_flight()));
    let most = endpoints.saturating_mul(u64::from(each)).saturating_sub(streams);
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Waits in the cluster's queue, until the client leaves.
async fn wait(session: &mut Session, ctx: &Ctx, mut waiting: Waiting) -> Result<Place, ProxyError> {
    let left = ctx.upstream.timeouts.total.map_or(Duration::MAX, |total| total.saturating_sub(ctx.elapsed()));
    presence::while_there(session, waiting.wait(left)).await?.map_err(|refused| {
        let late = refused == Refused::TimedOut && ctx.in_time().is_err();
        if late { Reason::UpstreamTotalTimeout.into() } else { refusal(refused.as_str()) }
    })
}

/// Whether an endpoint may take the attempt that was just counted in.
pub(super) fn fits(ctx: &Ctx, choice: &Choice) -> bool {
    portcullis_mutants::when!(UnboundedUpstream => return true);
    let limits = ctx.upstream.cluster.as_ref().and_then(|(_, cluster)| cluster.limits.as_ref());
    let each = limits.and_then(|limits| limits.rules.per_endpoint);
    each.is_none_or(|each| choice.endpoint().state().in_flight() <= each)
}

/// How often endpoints that are full are passed over before the request is refused: two attempts that race for the last
/// place of an endpoint may both find it taken.
const ROUNDS: usize = 3;

/// Chooses until an endpoint has room. `choose` is given the endpoints to pass over.
pub(super) fn with_room(
    ctx: &mut Ctx,
    members: &Members,
    mut choose: impl FnMut(&mut Ctx) -> Result<Choice, ProxyError>,
) -> Result<Choice, ProxyError> {
    let choice = choose(ctx)?;
    if fits(ctx, &choice) {
        return Ok(choice);
    }
    let tried = ctx.upstream.tried.clone();
    let mut full = choice.index();
    drop(choice);
    for _ in 0..members.endpoints.available().saturating_mul(ROUNDS) {
        ctx.upstream.tried.push(full);
        let choice = choose(ctx);
        match choice {
            Ok(choice) if fits(ctx, &choice) => {
                ctx.upstream.tried = tried;
                return Ok(choice);
            }
            Ok(choice) if choice.is_again() => {
                // All were passed over: the next round looks again.
                ctx.upstream.tried.clone_from(&tried);
                full = choice.index();
            }
            Ok(choice) => full = choice.index(),
            Err(error) => {
                ctx.upstream.tried = tried;
                return Err(error);
            }
        }
    }
    ctx.upstream.tried = tried;
    Err(refusal("endpoint_requests"))
}

/// A place among the streams of the route and of the cluster.
pub(super) fn take_stream(ctx: &mut Ctx) -> Result<(), ProxyError> {
    let of_route = ctx.route.as_ref().and_then(|route| route.limits.as_ref());
    let of_cluster = ctx.upstream.cluster.as_ref().and_then(|(_, cluster)| cluster.limits.as_ref());
    let bounds = [of_route, of_cluster].map(|limits| limits.filter(|limits| limits.rules.streams.is_some()));
    let bounds = bounds.map(|limits| limits.map(|limits| &limits.streams));
    let held: Option<Vec<Held>> = bounds.into_iter().flatten().map(|bound| Bound::try_hold(bound, 1)).collect();
    ctx.places.streams = held.ok_or_else(|| refusal("streams"))?;
    Ok(())
}

/// The final head of an answer that is no upgrade. An event stream counts among the streams from here on, not among the
/// requests.
pub(super) fn settle(response: &ResponseHeader, ctx: &mut Ctx) -> Result<(), ProxyError> {
    let kind = response.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let events = kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS));
    ctx.places.end_stream();
    if events {
        take_stream(ctx)?;
        begin_stream(ctx, EndStream::default());
    }
    Ok(())
}

/// The request has become a stream: it is listed, and gives its places among the requests back.
pub(super) fn begin_stream(ctx: &mut Ctx, end: EndStream) {
    if let (Some((_, cluster)), Some(choice)) = (&ctx.upstream.cluster, &ctx.upstream.choice) {
        let to = (cluster.name.clone(), choice.endpoint().clone());
        ctx.places.open = Some(ctx.core.streams.open(to, end, guards(ctx)));
    }
    ctx.places.end_request();
}

/// Who judges the stream that the request has become.
fn guards(ctx: &Ctx) -> Option<Arc<StreamGuards>> {
    ctx.notes.get::<StreamGuards>().cloned().map(Arc::new)
}

/// The request has become a stream that the gateway itself ends: what tells it, and what is due when it is to end.
pub(super) fn begin_own_stream(ctx: &mut Ctx) -> (EndStream, Ending) {
    let (end, ending) = EndStream::new();
    let open = ctx.core.streams.open_own(end.clone(), guards(ctx));
    // A drain that has begun may have told all others by now.
    if *ctx.core.drain.borrow() {
        open.drain();
    }
    ctx.places.open = Some(open);
    ctx.places.end_request();
    (end, ending)
}

/// The type of an event stream.
const EVENTS: &[u8] = b"text/event-stream";
