//! Failures: which may be tried again, and how the last one is answered.

use http::StatusCode;
use http::header::EXPECT;
use pingora_core::{Error, ErrorSource};
use pingora_proxy::{FailToProxy, Session};
use std::time::Instant;

use portcullis_filter::{ErrorCx, Phase, Response};
use portcullis_snapshot::request::action;
use portcullis_telemetry::record::Flag;
use portcullis_types::{ProxyError, Reason, Retry};

use super::context::Ctx;
use super::respond;
use crate::reasons::{Progress, of_pingora};

/// An attempt that never connected.
pub(super) fn of_connecting(_session: &Session, ctx: &mut Ctx, mut error: Box<Error>) -> Box<Error> {
    let reason = of_pingora(&error, Progress::Connecting);
    attempt_failed(ctx, reason);
    error.set_retry(may_retry(ctx, reason, true));
    error
}

/// An attempt that failed after it connected.
pub(super) fn of_exchange(session: &mut Session, ctx: &mut Ctx, mut error: Box<Error>, reused: bool) -> Box<Error> {
    if Ctx::is_ours(&error) || *error.esource() != ErrorSource::Upstream {
        error.set_retry(false);
        return error;
    }
    let progress = ctx.upstream.progress.unwrap_or(Progress::Waiting);
    let reason = of_pingora(&error, progress);
    if reason == Reason::UpstreamFirstByteTimeout && owes_body(session) && ctx.in_time().is_ok() {
        // The upstream has nothing to say before the request is whole: it is the client that stopped.
        attempt_ended(ctx, Reason::BodyTimeout);
        return ctx.fail(Reason::BodyTimeout.into());
    }
    attempt_failed(ctx, reason);
    let replayable = !session.as_ref().retry_buffer_truncated();
    let idempotent = session.req_header().method.is_idempotent();
    let again = progress == Progress::Waiting && replayable && may_retry(ctx, reason, idempotent);
    // A connection that the upstream had closed while it was idle is no failure of the endpoint.
    if again && reused {
        ctx.upstream.tried.pop();
    }
    error.set_retry(again);
    error
}

/// Whether a part of the request's body is still to come, and the client is not waiting to be told to send it.
fn owes_body(session: &mut Session) -> bool {
    !session.as_mut().is_body_done() && !session.req_header().headers.contains_key(EXPECT)
}

/// An attempt that failed by the upstream's fault.
fn attempt_failed(ctx: &mut Ctx, reason: Reason) {
    if let Some(mut choice) = ctx.upstream.choice.take() {
        choice.failure(Instant::now(), reason);
    }
    attempt_ended(ctx, reason);
}

/// An attempt that ended without an answer.
fn attempt_ended(ctx: &mut Ctx, reason: Reason) {
    if let Some(attempt) = ctx.attempt() {
        attempt.outcome = Err(reason);
    }
    ctx.upstream.choice = None;
    ctx.end_attempt();
}

fn may_retry(ctx: &Ctx, reason: Reason, idempotent: bool) -> bool {
    let allowed = ctx.upstream.cluster.as_ref().is_some_and(|(_, cluster)| ctx.upstream.attempts < cluster.attempts);
    let safe = match reason.retry() {
        Retry::Unsent => true,
        Retry::Idempotent => idempotent,
        Retry::Never | Retry::Later => false,
    };
    allowed && safe
}

/// Answers the failure that ends a request: one reason, in the route's dialect or a filter's words.
pub(super) async fn answer(session: &mut Session, ctx: &mut Ctx, error: &Error) -> FailToProxy {
    let failure = identify(ctx, error);
    ctx.record.fail(&failure);
    if session.response_written().is_some_and(|written| ends_interim(written.status)) {
        ctx.record.flags.set(Flag::Aborted);
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    if failure.reason == Reason::ClientClosed {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    let response = written(session, ctx, &failure);
    let status = response.header.status.as_u16();
    let whole = session.as_mut().is_body_done();
    if !whole {
        session.set_keepalive(None);
    }
    let sent = respond::send(session, ctx, response).await.is_ok();
    if !sent {
        // What was written before it failed is counted in the end.
        ctx.record.status = 0;
    }
    FailToProxy { error_code: if sent { status } else { 0 }, can_reuse_downstream: sent && whole }
}

/// Whether no other head can follow: of a final answer, and of 101, behind which the bytes are not HTTP's.
fn ends_interim(status: StatusCode) -> bool {
    !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
}

/// The failure behind an error: ours, what our wrapper saw on the wire, or what Pingora says.
fn identify(ctx: &mut Ctx, error: &Error) -> ProxyError {
    let ours = ctx.failure.take();
    if Ctx::is_ours(error)
        && let Some(failure) = ours
    {
        return failure;
    }
    let fault = crate::gate::conn::CONN.try_with(|conn| conn.take_fault()).ok().flatten();
    if let Some(fault) = fault.filter(|_| *error.esource() != ErrorSource::Upstream) {
        return fault;
    }
    let progress = ctx.upstream.progress.unwrap_or(Progress::Connecting);
    let reason = of_pingora(error, progress);
    let total = ctx.upstream.timeouts.total;
    if reason == Reason::UpstreamFirstByteTimeout && total.is_some_and(|total| ctx.elapsed() >= total) {
        return Reason::UpstreamTotalTimeout.into();
    }
    ProxyError::new(reason)
}

/// A failure as an answer.
fn written(session: &Session, ctx: &mut Ctx, failure: &ProxyError) -> Response {
    let mapped = by_filter(session, ctx, failure);
    let mut response = mapped.unwrap_or_else(|| {
        let headers = &session.req_header().headers;
        let dialect = action::dialect(headers, &ctx.notes, ctx.route.as_deref(), ctx.host.as_deref());
        action::error_response(failure, dialect, &ctx.facts)
    });
    action::label_failure(&mut response, failure, &ctx.core.server_name());
    response
}

fn by_filter(session: &Session, ctx: &mut Ctx, error: &ProxyError) -> Option<Response> {
    let request = session.req_header();
    if let Some(route) = ctx.route.as_ref().filter(|route| route.chain.has(Phase::FailToProxy)) {
        let mut cx = ErrorCx { error, request, facts: &ctx.facts, notes: &mut ctx.notes };
        if let Some(response) = route.chain.fail_to_proxy(&mut cx, &mut ctx.route_state) {
            return Some(response);
        }
    }
    let host = ctx.host.as_ref().filter(|host| host.chain.has(Phase::FailToProxy))?;
    let mut cx = ErrorCx { error, request, facts: &ctx.facts, notes: &mut ctx.notes };
    host.chain.fail_to_proxy(&mut cx, &mut ctx.host_state)
}
