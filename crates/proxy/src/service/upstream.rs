//! The request on its way upstream: its head, once per attempt, and its body.

use bytes::Bytes;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::time::Instant;

use portcullis_filter::{BodyCx, Phase, RequestCx};
use portcullis_snapshot::Action;
use portcullis_snapshot::request::action;
use portcullis_snapshot::request::forwarding::{self, ForwardedValues, Stamp};
use portcullis_types::{ProxyError, Reason};

use super::context::Ctx;
use super::{deadline, length, mirror};
use crate::core::new_span;
use crate::gate::conn::CONN;
use crate::gate::io::is_too_slow;
use crate::reasons::Progress;

/// Completes the head of an attempt. Pingora has taken the hop-by-hop fields out.
pub(super) async fn request_head(
    session: &mut Session,
    request: &mut RequestHeader,
    ctx: &mut Ctx,
) -> Result<(), ProxyError> {
    // A replayed body passes the body's phases again from its start.
    ctx.body.received = 0;
    ctx.body.started = None;
    ctx.body.held = None;
    ctx.body.stated = length::stated(session);
    let span = ctx.attempt().map(|attempt| attempt.span).filter(|span| *span != 0);
    let stamp = Stamp { id: ctx.id_value(), span: span.unwrap_or_else(new_span), trace: ctx.trace };
    let trace = CONN.try_with(|conn| forwarding::apply(request, &ctx.facts, stamp.clone(), &conn.forwarded));
    let alone = |_| forwarding::apply(request, &ctx.facts, stamp, &ForwardedValues::default());
    ctx.record.trace_id = Some(trace.unwrap_or_else(alone));
    let (route, host) = (ctx.route.clone(), ctx.host.clone());
    if let Some(Action::Forward(forward)) = route.as_deref().map(|route| &route.action) {
        action::rewrite(request, session.req_header(), forward, &ctx.params)?;
    }
    if let Some(host) = host.filter(|host| host.chain.has(Phase::UpstreamRequestFilter)) {
        let mut cx = RequestCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
        host.chain.upstream_request_filter(&mut cx, &mut ctx.host_state).await?;
    }
    if let Some(route) = route.filter(|route| route.chain.has(Phase::UpstreamRequestFilter)) {
        let mut cx = RequestCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
        route.chain.upstream_request_filter(&mut cx, &mut ctx.route_state).await?;
    }
    deadline::write(request, ctx);
    mirror::take_head(request, ctx);
    Ok(())
}

/// The minimum rate of an HTTP/2 body; of an HTTP/1 body the gate's wrapper sees to it. Once the answer has begun, the
/// two are a dialogue (a gRPC stream in both directions) with pauses of its own.
fn in_pace(session: &Session, end: bool, ctx: &mut Ctx) -> Result<(), ProxyError> {
    if end || !session.is_http2() || ctx.upstream.progress == Some(Progress::Answering) {
        return Ok(());
    }
    let started = *ctx.body.started.get_or_insert_with(Instant::now);
    let slow = CONN.try_with(|conn| {
        let limits = conn.limits();
        is_too_slow(ctx.body.received, started.elapsed(), limits.body_rate, limits.body_timeout)
    });
    match slow {
        Ok(true) => Err(ProxyError::with_detail(Reason::BodyTooSlow, "below the minimum rate")),
        Ok(false) | Err(_) => Ok(()),
    }
}

/// A chunk of the request body: bounded, filtered, copied for a mirror.
pub(super) async fn request_body(
    session: &mut Session,
    chunk: &mut Option<Bytes>,
    end: bool,
    ctx: &mut Ctx,
) -> Result<(), ProxyError> {
    let bytes = chunk.as_ref().map_or(0, Bytes::len);
    ctx.body.received += bytes as u64;
    if ctx.is_stream() {
        ctx.places.pass(bytes);
        return Ok(());
    }
    ctx.may_go_on()?;
    // The total timeout ends with the answer's head; what the client still sends has clocks of its own.
    if ctx.upstream.progress != Some(Progress::Answering) {
        ctx.in_time()?;
    }
    in_pace(session, end, ctx)?;
    if let Some(limit) = ctx.body.limit.filter(|limit| ctx.body.received > *limit) {
        return Err(ProxyError::with_detail(Reason::BodyTooLarge, format!("over {limit} bytes")));
    }
    let (route, host) = (ctx.route.clone(), ctx.host.clone());
    if let Some(host) = host.filter(|host| host.chain.has(Phase::RequestBodyFilter)) {
        let mut cx = BodyCx { request: session.req_header(), facts: &ctx.facts, notes: &mut ctx.notes };
        host.chain.request_body_filter(&mut cx, chunk, end, &mut ctx.host_state).await?;
    }
    if let Some(route) = route.filter(|route| route.chain.has(Phase::RequestBodyFilter)) {
        let mut cx = BodyCx { request: session.req_header(), facts: &ctx.facts, notes: &mut ctx.notes };
        route.chain.request_body_filter(&mut cx, chunk, end, &mut ctx.route_state).await?;
    }
    if end && chunk.as_ref().is_some_and(Bytes::is_empty) {
        // HTTP/2 may end a body with a frame without data. Written as a chunk it would be a last chunk before the last,
        // and the upstream's next request would begin with it.
        *chunk = None;
    }
    length::hold(chunk, end, ctx);
    mirror::take_body(chunk.as_ref(), end, ctx);
    Ok(())
}
