//! Failures: which may be tried again, and how the last one is answered.

use http::StatusCode;
use http::header::EXPECT;
use pingora_core::{Error, ErrorSource};
use pingora_proxy::{CLOSED_UNSENT, FailToProxy, Session};
use std::time::Instant;

use portcullis_balance::Answer;
use portcullis_filter::{ErrorCx, Phase, Response, Source};
use portcullis_snapshot::request::action;
use portcullis_telemetry::record::Flag;
use portcullis_types::{Dialect, ProxyError, Reason};

use super::context::Ctx;
use super::retry::Connection;
use super::{cache, fallback, peek, respond, retry};
use crate::reasons::{Progress, of_pingora};

/// An attempt that never connected.
pub(super) fn of_connecting(session: &mut Session, ctx: &mut Ctx, mut error: Box<Error>) -> Box<Error> {
    let reason = timed_out(ctx, ctx.upstream.attempt_started, of_pingora(&error, Progress::Connecting));
    attempt_failed(ctx, reason, !reason.is_own_lack());
    error
        .set_retry(retry::unanswered(session, ctx, reason, Connection::New) || fallback::follows(session, ctx, reason));
    error
}

/// An attempt that failed after it connected.
pub(super) fn of_exchange(session: &mut Session, ctx: &mut Ctx, mut error: Box<Error>, reused: bool) -> Box<Error> {
    if Ctx::is_again(&error) {
        ctx.end_attempt();
        (ctx.record.upstream_status, ctx.record.timers.first_byte) = (None, None);
        error.set_retry(true);
        return error;
    }
    if Ctx::is_ours(&error) || *error.esource() != ErrorSource::Upstream {
        error.set_retry(false);
        return error;
    }
    let progress = ctx.upstream.progress.unwrap_or(Progress::Waiting);
    let reason = timed_out(ctx, ctx.upstream.attempt_started, of_pingora(&error, progress));
    let owed = owes_body(session);
    if reason == Reason::UpstreamFirstByteTimeout && owed {
        // The upstream has nothing to say before the request is whole: it is the client that stopped.
        attempt_ended(ctx, Reason::BodyTimeout);
        return ctx.fail(Reason::BodyTimeout.into());
    }
    let late = matches!(reason, Reason::UpstreamTotalTimeout | Reason::UpstreamPerTryTimeout);
    attempt_failed(ctx, reason, !(late && owed));
    let connection = match reused {
        false => Connection::New,
        true if *error.etype() == CLOSED_UNSENT => Connection::KeptUnsent,
        true => Connection::Kept,
    };
    let mut again = || retry::unanswered(session, ctx, reason, connection) || fallback::follows(session, ctx, reason);
    error.set_retry(progress == Progress::Waiting && again());
    error
}

/// Which of the bounds of an attempt a timeout is.
pub(super) fn timed_out(ctx: &Ctx, started: Option<Instant>, reason: Reason) -> Reason {
    let waits = matches!(
        reason,
        Reason::UpstreamConnectTimeout | Reason::UpstreamFirstByteTimeout | Reason::UpstreamWriteTimeout
    );
    if !waits {
        return reason;
    }
    let per_try = ctx.upstream.timeouts.per_try.zip(started);
    if ctx.in_time().is_err() {
        Reason::UpstreamTotalTimeout
    } else if per_try.is_some_and(|(per_try, started)| started.elapsed() >= per_try) {
        Reason::UpstreamPerTryTimeout
    } else {
        reason
    }
}

/// Whether a part of the request's body is still to come, and the client is not waiting to be told to send it.
fn owes_body(session: &mut Session) -> bool {
    !session.as_mut().is_body_done() && !session.req_header().headers.contains_key(EXPECT)
}

/// Whether it is the caller's own deadline that ended an attempt.
pub(super) fn is_callers(ctx: &Ctx, reason: Reason) -> bool {
    ctx.upstream.callers && reason == Reason::UpstreamTotalTimeout
}

/// An attempt that failed by the upstream's fault, unless a deadline of the caller's or the client's own pause ended it.
fn attempt_failed(ctx: &mut Ctx, reason: Reason, to_blame: bool) {
    let to_blame = to_blame && !is_callers(ctx, reason);
    let late = matches!(
        reason,
        Reason::UpstreamConnectTimeout
            | Reason::UpstreamFirstByteTimeout
            | Reason::UpstreamPerTryTimeout
            | Reason::UpstreamTotalTimeout
    );
    if late
        && to_blame
        && let Some(started) = ctx.upstream.attempt_started
    {
        ctx.places.note(started.elapsed(), Answer::Failed);
    }
    if let Some(choice) = ctx.upstream.choice.as_mut().filter(|_| to_blame) {
        choice.failure(Instant::now(), reason);
    }
    ctx.upstream.ended = Some(reason);
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
    name_call(session, ctx, &failure).await;
    // No answer comes any more: whoever waits for it goes on.
    ctx.fill = cache::Fill::None;
    let (response, source) = written(session, ctx, &failure).await;
    let status = response.header.status.as_u16();
    let whole = session.as_mut().is_body_done();
    if !whole {
        session.set_keepalive(None);
    }
    let sent = respond::send(session, ctx, (response, source)).await.is_ok();
    if !sent {
        // What was written before it failed is counted in the end.
        ctx.record.status = 0;
    }
    FailToProxy { error_code: if sent { status } else { 0 }, can_reuse_downstream: sent && whole }
}

/// A call of JSON-RPC is answered under its id, also when it is refused before the body is looked into. Little is read for
/// that, and waited for: nobody is known to be behind the request.
async fn name_call(session: &mut Session, ctx: &mut Ctx, failure: &ProxyError) {
    let refused = matches!(failure.reason.status(), 401 | 403 | 429) && ctx.facts.body.is_none();
    let reader = ctx.snapshot.as_ref().and_then(|snapshot| snapshot.seams.body.clone()).filter(|_| refused);
    let Some(reader) = reader.filter(|_| dialect(session, ctx) == Dialect::JsonRpc) else { return };
    // On the heap: the future of every failure would be larger by it.
    if let Some(body) = Box::pin(peek::of_refused(session)).await {
        ctx.facts.body = reader.peek(&session.req_header().headers, &body);
    }
}

fn dialect(session: &Session, ctx: &Ctx) -> Dialect {
    action::dialect(&session.req_header().headers, &ctx.notes, ctx.route.as_deref(), ctx.host.as_deref())
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
    let reason = ctx.upstream.ended.take().unwrap_or_else(|| of_pingora(error, progress));
    ProxyError::new(reason)
}

/// A failure as an answer, and whose that is.
async fn written(session: &Session, ctx: &mut Ctx, failure: &ProxyError) -> (Response, Source) {
    if let Some(answer) = fallback::answer(session.req_header(), ctx, failure).await {
        return answer;
    }
    let mapped = by_filter(session, ctx, failure);
    let mut response = mapped.unwrap_or_else(|| action::error_response(failure, dialect(session, ctx), &ctx.facts));
    action::label_failure(&mut response, failure, &ctx.core.server_name());
    (response, Source::Gateway)
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
