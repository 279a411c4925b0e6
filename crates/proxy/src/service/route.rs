//! From a head to what is done with it: host, host filters, body peek, route, route filters, admission, cache, action.
//! A batch of calls for several routes takes its own way ([`batch`]).
//!
//! A request is admitted once: behind all request filters, its host's and its route's, and before anything is done. One
//! that goes on as another route afterwards ([`instead`]) has been admitted.

use http::header::{ALLOW, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::sync::Arc;

use portcullis_filter::chain::{Instead, Stopped};
use portcullis_filter::seam::Upgrade;
use portcullis_filter::{Phase, RequestCx, Response};
use portcullis_snapshot::request::{action, admit as normal};
use portcullis_snapshot::{Action, HostData, RouteData, Snapshot, UpstreamProtocol};
use portcullis_telemetry::record::Decision;
use portcullis_types::{ClusterName, ProxyError, Reason};
use portcullis_wire::target::PathPolicy;

use super::context::Ctx;
use super::{admit, batch, cache, fallback, length, limits, mirror, peek, target, upgrade};
use crate::gate::conn::CONN;

pub(super) type VirtualHost = portcullis_policy::VirtualHost<Arc<HostData>, Arc<RouteData>>;

/// What comes next.
pub(super) enum Next {
    /// Go on to an upstream.
    Forward,
    /// Answer with this, which is the gateway's own.
    Answer(Box<Response>),
    /// Answer with this, which a cache kept of an upstream.
    Stored(Box<Response>),
    /// A filter speaks on the connection from here on. The cluster is the one that the route decided on.
    Upgrade(Box<Upgrade>, Option<ClusterName>),
}

/// An answer that a filter gave, or an upgrade that it granted.
type Outcome = Option<Instead>;

/// Decides what is done with a request.
pub(super) async fn request(session: &mut Session, ctx: &mut Ctx) -> Result<Next, ProxyError> {
    let admitted = admit::head(session.req_header_mut(), ctx);
    if let Err(error) = admitted {
        admit::note(session.req_header(), ctx);
        return Err(error);
    }
    // Only now is it settled which generation serves the one who asks.
    let snapshot = ctx.snapshot()?;
    ctx.facts.asks_upgrade = !session.is_http2() && CONN.try_with(|conn| conn.asks_upgrade()).unwrap_or(false);
    let ended = length::end_of_nothing(session).await;
    let host = virtual_host(&snapshot, ctx).await;
    let data = host.as_ref().ok().map(|host| host.data().clone());
    let path = normal::path(
        session.req_header_mut(),
        &data.as_deref().map_or_else(PathPolicy::default, |host| host.path_policy),
    );
    ctx.host = data;
    admit::note(session.req_header(), ctx);
    ctx.record.virtual_host = ctx.host.as_ref().map(|host| host.name.clone());
    let host = host?;
    path?;
    ended?;
    let mut granted = match host_filters(session, ctx).await? {
        Some(Instead::Respond(answer)) => return Ok(Next::Answer(answer)),
        Some(Instead::Upgrade(upgrade)) => Some(upgrade),
        None => None,
    };
    if asks_server(session.req_header()) {
        ctx.record.decision = Decision::Respond;
        return Ok(Next::Answer(Box::new(server_options())));
    }
    if let Some(answer) = look_into_body(session, ctx, host, &snapshot).await? {
        return Ok(Next::Answer(answer));
    }
    if let Some(groups) = batch::groups(session.req_header(), ctx, host)? {
        return Box::pin(batch::serve(session, ctx, &snapshot, groups)).await;
    }
    choose(session, ctx, host)?;
    limits::enter_route(ctx)?;
    fallback::keep_head(session, ctx);
    match route_filters(session, ctx).await? {
        Some(Instead::Respond(answer)) => return Ok(Next::Answer(answer)),
        Some(Instead::Upgrade(upgrade)) => granted = Some(upgrade),
        None => {}
    }
    ctx.facts.is_terminated = granted.is_some();
    admission(session, ctx).await?;
    if let Some(upgrade) = granted {
        let cluster = upgrade::prepare(session.req_header(), ctx, &snapshot)?;
        return Ok(Next::Upgrade(upgrade, cluster));
    }
    if let Some(answer) = cache::lookup(session.req_header(), ctx).await {
        return Ok(Next::Stored(Box::new(answer)));
    }
    act(session, ctx, &snapshot)
}

/// Decides what is done with a request that goes on as the context's route, from the route's own filters on. The route's
/// cache has no part in it: what comes of a fallback is not to be kept for its URL.
pub(super) async fn instead(session: &mut Session, ctx: &mut Ctx) -> Result<Next, ProxyError> {
    let snapshot = ctx.snapshot()?;
    limits::enter_route(ctx)?;
    match route_filters(session, ctx).await? {
        Some(Instead::Respond(answer)) => Ok(Next::Answer(answer)),
        Some(Instead::Upgrade(_)) => {
            Err(ProxyError::with_detail(Reason::FilterFailed, "an upgrade by a filter of a fallback"))
        }
        None => act(session, ctx, &snapshot),
    }
}

/// Whether a request asks about the server as a whole and not about a resource: `OPTIONS *` (RFC 9110 section 9.3.7).
/// There is no path to route it by, and behind one host there may be many servers.
fn asks_server(request: &RequestHeader) -> bool {
    request.method == Method::OPTIONS && request.uri.path() == "*"
}

/// The answer to [`asks_server`]: the methods that any route may take.
fn server_options() -> Response {
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    Response::new(StatusCode::NO_CONTENT).with_field(ALLOW, methods)
}

/// The virtual host by the name that was asked for; names the config does not have may be a host source's.
async fn virtual_host<'a>(snapshot: &'a Snapshot, ctx: &mut Ctx) -> Result<&'a VirtualHost, ProxyError> {
    let no_host = || ProxyError::new(Reason::NoHost);
    let router = &snapshot.router;
    let Some(source) = &snapshot.seams.hosts else {
        return router.host(&ctx.facts.host).ok_or_else(no_host);
    };
    if let Some(named) = router.named_host(&ctx.facts.host) {
        return Ok(named);
    }
    let Some(site) = source.host(&ctx.facts.host).await? else {
        return router.host(&ctx.facts.host).ok_or_else(no_host);
    };
    let like = router.host(&site.like);
    ctx.facts.site = Some(site);
    like.ok_or_else(|| ProxyError::with_detail(Reason::NoHost, "the site is like a host that the config lacks"))
}

async fn host_filters(session: &mut Session, ctx: &mut Ctx) -> Result<Outcome, ProxyError> {
    let Some(host) = ctx.host.clone().filter(|host| host.chain.has(Phase::RequestFilter)) else { return Ok(None) };
    let mut cx = RequestCx { request: session.req_header_mut(), facts: &ctx.facts, notes: &mut ctx.notes };
    let ran = host.chain.request_filter(&mut cx, &mut ctx.host_state, &mut |_| {}).await;
    stopped(ran, ctx)
}

async fn route_filters(session: &mut Session, ctx: &mut Ctx) -> Result<Outcome, ProxyError> {
    let Some(route) = ctx.route.clone().filter(|route| route.chain.has(Phase::RequestFilter)) else {
        return Ok(None);
    };
    let mut cx = RequestCx { request: session.req_header_mut(), facts: &ctx.facts, notes: &mut ctx.notes };
    let ran = route.chain.request_filter(&mut cx, &mut ctx.route_state, &mut |_| {}).await;
    stopped(ran, ctx)
}

/// What the request spends is spent: the host's filters are asked, then the route's.
pub(super) async fn admission(session: &mut Session, ctx: &mut Ctx) -> Result<(), ProxyError> {
    if let Some(host) = ctx.host.clone().filter(|host| host.chain.has(Phase::AdmissionFilter)) {
        let mut cx = RequestCx { request: session.req_header_mut(), facts: &ctx.facts, notes: &mut ctx.notes };
        let ran = host.chain.admission_filter(&mut cx, &mut ctx.host_state, &mut |_| {}).await;
        stopped(ran, ctx)?;
    }
    if let Some(route) = ctx.route.clone().filter(|route| route.chain.has(Phase::AdmissionFilter)) {
        let mut cx = RequestCx { request: session.req_header_mut(), facts: &ctx.facts, notes: &mut ctx.notes };
        let ran = route.chain.admission_filter(&mut cx, &mut ctx.route_state, &mut |_| {}).await;
        stopped(ran, ctx)?;
    }
    Ok(())
}

/// What became of a chain. An upgrade that nobody asked for is a fault of its filter.
pub(super) fn stopped(ran: Result<(), Stopped>, ctx: &mut Ctx) -> Result<Outcome, ProxyError> {
    let Err(Stopped { filter, outcome }) = ran else { return Ok(None) };
    ctx.record.answered_by = Some(filter);
    ctx.record.decision = Decision::Filter;
    match outcome? {
        Instead::Upgrade(_) if !ctx.facts.asks_upgrade => {
            Err(ProxyError::with_detail(Reason::FilterFailed, "an upgrade that was not asked for"))
        }
        outcome @ (Instead::Respond(_) | Instead::Upgrade(_)) => Ok(Some(outcome)),
    }
}

/// Reads the body where a filter of the host or a candidate route looks into it, and lets the host's filters see what it
/// says. Nothing is read of a request without content, nor of one that asks for an upgrade.
async fn look_into_body(
    session: &mut Session,
    ctx: &mut Ctx,
    host: &VirtualHost,
    snapshot: &Snapshot,
) -> Result<Option<Box<Response>>, ProxyError> {
    if ctx.facts.asks_upgrade {
        return Ok(None);
    }
    let chain = &host.data().chain;
    let filters = chain.has(Phase::RequestPeekFilter);
    let reader = snapshot.seams.body.as_deref();
    if !filters && (reader.is_none() || !host.needs_body(&ctx.facts.view(session.req_header()))) {
        return Ok(None);
    }
    if session.as_mut().is_body_empty() || is_call_of_grpc(session, ctx, host, snapshot) {
        return Ok(None);
    }
    // On the heap: most requests do without, and their future would be larger by it.
    let body = Box::pin(peek::read(session, peek::limit(chain))).await?;
    ctx.facts.body = reader.and_then(|reader| reader.peek(&session.req_header().headers, &body));
    if !filters {
        return Ok(None);
    }
    let mut cx = RequestCx { request: session.req_header_mut(), facts: &ctx.facts, notes: &mut ctx.notes };
    let ran = Box::pin(chain.request_peek_filter(&mut cx, &mut ctx.host_state, &mut |_| {})).await;
    match stopped(ran, ctx)? {
        Some(Instead::Respond(answer)) => Ok(Some(answer)),
        Some(Instead::Upgrade(_)) | None => Ok(None),
    }
}

/// Whether a request is a gRPC call on its way to who speaks it: its messages may be a dialogue, which nobody can wait for
/// the end of. By its type alone, any other body could pass without being looked into.
fn is_call_of_grpc(session: &Session, ctx: &Ctx, host: &VirtualHost, snapshot: &Snapshot) -> bool {
    let request = session.req_header();
    let kind = request.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !session.is_http2() || !kind.starts_with(b"application/grpc") {
        return false;
    }
    let view = ctx.facts.view(request);
    let Some(found) = host.find(&view) else { return false };
    let Action::Forward(to) = &found.route.data().action else { return false };
    let cluster = snapshot.cluster(action::cluster(&to.target, &view, &ctx.notes, ctx.facts.id));
    cluster.is_some_and(|cluster| cluster.protocol == UpstreamProtocol::Http2)
}

/// Finds the route.
fn choose(session: &Session, ctx: &mut Ctx, host: &VirtualHost) -> Result<(), ProxyError> {
    let view = ctx.facts.view(session.req_header());
    let found = host.find(&view).ok_or(Reason::NoRoute)?;
    let params = action::captured(&found, view.path);
    let route = found.route.data().clone();
    ctx.facts.params = params;
    ctx.params = found.params;
    ctx.set_route(route);
    admit::trace_route(ctx);
    Ok(())
}

/// Does what the route says.
fn act(session: &mut Session, ctx: &mut Ctx, snapshot: &Snapshot) -> Result<Next, ProxyError> {
    let Some(route) = ctx.route.clone() else { return Err(Reason::NoRoute.into()) };
    if let Some(cluster) = ctx.notes.cluster.clone() {
        let index = snapshot.cluster_names.get(&cluster).copied();
        let index = index.ok_or_else(|| {
            ProxyError::with_detail(Reason::Internal, format!("a filter chose the unknown cluster {cluster}"))
        })?;
        return forward(session, ctx, snapshot, index);
    }
    match &route.action {
        Action::Respond(response) => {
            ctx.record.decision = Decision::Respond;
            Ok(Next::Answer(Box::new(response.clone())))
        }
        Action::Redirect(redirect) => {
            ctx.record.decision = Decision::Redirect;
            let view = ctx.facts.view(session.req_header());
            action::redirect(redirect, &ctx.params, &route, &view).map(|answer| Next::Answer(Box::new(answer)))
        }
        Action::Forward(to) => {
            let view = ctx.facts.view(session.req_header());
            let index = action::cluster(&to.target, &view, &ctx.notes, ctx.facts.id);
            forward(session, ctx, snapshot, index)
        }
    }
}

fn forward(
    session: &mut Session,
    ctx: &mut Ctx,
    snapshot: &Snapshot,
    index: portcullis_snapshot::ClusterIdx,
) -> Result<Next, ProxyError> {
    let allowed = ctx.facts.asks_upgrade && ctx.route.as_ref().is_some_and(|route| route.upgrade);
    if !allowed {
        // A server may ignore the wish to upgrade (RFC 9110 section 7.8): the rest of the request goes on.
        drop(session.req_header_mut().remove_header(&UPGRADE));
    }
    ctx.upstream.upgrade = allowed;
    target::set(session.req_header(), ctx, snapshot, index)?;
    mirror::prepare(session.req_header(), ctx, snapshot);
    Ok(Next::Forward)
}
