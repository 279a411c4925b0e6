//! What a route does when no endpoint could be reached: a stale copy, another route, an answer of its own.
//!
//! A cluster as a fallback is one more of those that a request may go through, and is seen to where they are
//! ([`failover`](super::failover)). Another route is taken where the next attempt would begin, so that it can forward;
//! what is answered is written where failures are.
//! Invariants: a request goes on as another route once; it does so only while nothing was sent, or what was sent could be
//! tried again, and its body is at hand; the record keeps the route that was chosen.

use http::header::UPGRADE;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::sync::Arc;

use portcullis_filter::{ChainState, Phase, Response, Source, Withheld};
use portcullis_snapshot::request::action;
use portcullis_snapshot::route::Another;
use portcullis_snapshot::{Fallback, RouteData, Then};
use portcullis_telemetry::record::Flag;
use portcullis_types::{ProxyError, Reason, Retry};

use super::context::{Ctx, Upstream};
use super::{cache, failover, limits, route};

/// What a request keeps for its route's fallback.
#[derive(Default)]
pub(crate) struct FallingBack {
    /// The head as it was before the route's filters, where the fallback is another route.
    head: Option<Box<RequestHeader>>,
    /// The route that was left.
    pub(super) left: Option<Box<Left>>,
    /// The answer, once there is one, and whose it is.
    answer: Option<Box<(Response, Source)>>,
    /// Whether the cache was asked for a stale copy.
    asked: bool,
    /// Why the last attempt was never sent, when the request goes on as another route.
    unsent: Option<Reason>,
}

/// The route that was chosen, once a request goes on as another.
pub(super) struct Left {
    pub(super) route: Arc<RouteData>,
    /// Of its filters.
    pub(super) state: ChainState,
}

/// Whether a failure says that no endpoint took the request.
fn is_unreached(error: &ProxyError) -> bool {
    error.reason == Reason::NoHealthyUpstream || error.reason.retry() == Retry::Unsent
}

fn of(ctx: &Ctx) -> Option<&Fallback> {
    ctx.route.as_deref()?.fallback()
}

/// Another route that the request may go on as.
fn another<'a>(session: &Session, ctx: &'a Ctx) -> Option<&'a Another> {
    let another = of(ctx)?.another().filter(|_| ctx.falling_back.left.is_none())?;
    (!session.as_ref().retry_buffer_truncated()).then_some(another)
}

/// The route is known: its filters may change a head that the other route is to get as it is now.
pub(super) fn keep_head(session: &Session, ctx: &mut Ctx) {
    let Some(route) = ctx.route.as_ref().filter(|route| route.fallback().and_then(Fallback::another).is_some()) else {
        return;
    };
    let head = session.req_header();
    if route.chain.has(Phase::RequestFilter) || head.headers.contains_key(UPGRADE) {
        ctx.falling_back.head = Some(Box::new(head.clone()));
        // Of this route's filters alone: the host's have seen that head.
        ctx.notes.extensions_mut().insert(Withheld::default());
    }
}

/// Whether the request goes on as another route after an attempt that is not made again. [`follow`] does it.
pub(super) fn follows(session: &Session, ctx: &mut Ctx, reason: Reason) -> bool {
    let follows = reason.retry() == Retry::Unsent && another(session, ctx).is_some();
    ctx.falling_back.unsent = follows.then_some(reason);
    follows
}

/// Takes note of [`follows`], where the next attempt would begin.
pub(super) fn due(ctx: &mut Ctx) -> Option<ProxyError> {
    ctx.falling_back.unsent.take().map(ProxyError::new)
}

/// Goes on as another route, if the failure and the route's fallback say so. The context's cluster is that route's then.
///
/// # Errors
/// The failure itself when there is nothing to go on as, or when what comes instead is an answer; the other route's own.
pub(super) async fn follow(session: &mut Session, ctx: &mut Ctx, error: ProxyError) -> Result<(), ProxyError> {
    if !is_unreached(&error) || another(session, ctx).is_none() {
        return Err(error);
    }
    if let Some(copy) = stale(session.req_header(), ctx).await {
        ctx.falling_back.answer = Some(Box::new((copy, Source::Upstream)));
        return Err(error);
    }
    enter(session, ctx);
    // What was decided stays what the chosen route decided.
    let decided = ctx.record.decision.clone();
    let next = route::instead(session, ctx).await;
    ctx.record.decision = decided;
    match next? {
        route::Next::Forward => Ok(()),
        route::Next::Answer(answer) => {
            ctx.falling_back.answer = Some(Box::new((*answer, Source::Gateway)));
            Err(error)
        }
        // A fallback has no upgrades by filters, and its route's cache is not asked.
        route::Next::Upgrade(..) | route::Next::Stored(_) => Err(error),
    }
}

/// Makes another route the context's.
fn enter(session: &mut Session, ctx: &mut Ctx) {
    let Some(Another { route, path: matched }) = another(session, ctx) else { return };
    let (route, matched) = (route.clone(), matched.clone());
    note(ctx);
    if let Some(mut head) = ctx.falling_back.head.take() {
        if let Some(withheld) = ctx.notes.extensions_mut().remove::<Withheld>() {
            withheld.apply(&mut head);
        }
        *session.req_header_mut() = *head;
    }
    limits::leave(ctx);
    ctx.record.not_retried = None;
    // What one route's filters chose is not the other's.
    ctx.notes.cluster = None;
    ctx.fill = cache::Fill::None;
    ctx.body.copy = None;
    let path = session.req_header().uri.path();
    ctx.params = matched.params(path);
    ctx.facts.params = action::named(&matched, &ctx.params, path);
    let state = std::mem::take(&mut ctx.route_state);
    // The cluster stays the one that counts, unless the other route names one.
    ctx.upstream = Upstream { cluster: ctx.upstream.cluster.take(), ..Upstream::default() };
    if let Some(left) = ctx.change_route(route) {
        ctx.falling_back = FallingBack { left: Some(Box::new(Left { route: left, state })), ..FallingBack::default() };
    }
}

fn note(ctx: &mut Ctx) {
    ctx.record.flags.set(Flag::Fallback);
    if let Some((_, cluster)) = ctx.upstream.cluster.as_ref().filter(|_| ctx.core.observes()) {
        cluster.metrics.fell_back();
    }
}

/// Whether a stale copy answers the failure before the cluster that the fallback names would be asked next.
pub(super) async fn answers_first(session: &Session, ctx: &mut Ctx, error: &ProxyError) -> bool {
    let wanted = of(ctx).is_some_and(|fallback| fallback.stale) && is_unreached(error);
    if !wanted || !failover::is_last_upcoming(ctx) {
        return false;
    }
    let copy = Box::pin(stale(session.req_header(), ctx)).await;
    ctx.falling_back.answer = copy.map(|copy| Box::new((copy, Source::Upstream)));
    ctx.falling_back.answer.is_some()
}

/// The copy that the route's cache allows to be used now. It is asked once.
async fn stale(request: &RequestHeader, ctx: &mut Ctx) -> Option<Response> {
    let wanted = of(ctx).is_some_and(|fallback| fallback.stale) && !ctx.falling_back.asked;
    if !wanted {
        return None;
    }
    ctx.falling_back.asked = true;
    let copy = cache::stale(request, ctx).await?;
    note(ctx);
    Some(copy)
}

/// The answer in place of a failure, and whose it is. Proxy-Status still says why.
pub(super) async fn answer(request: &RequestHeader, ctx: &mut Ctx, failure: &ProxyError) -> Option<(Response, Source)> {
    let (mut response, source) = match ctx.falling_back.answer.take() {
        Some(answer) => *answer,
        None if !is_unreached(failure) => return None,
        None => match stale(request, ctx).await {
            Some(copy) => (copy, Source::Upstream),
            None => (own(ctx)?, Source::Gateway),
        },
    };
    action::label_failure(&mut response, &ProxyError::new(failure.reason), &ctx.core.server_name());
    Some((response, source))
}

/// The route's own answer.
fn own(ctx: &mut Ctx) -> Option<Response> {
    let route = ctx.route.clone()?;
    let Some(Then::Respond(response)) = &route.fallback()?.then else { return None };
    note(ctx);
    Some(Response::clone(response))
}
