//! Whether a failed attempt is made again, and after which pause. The reason for not doing it is in the record.
//!
//! Invariants:
//! - A request that may have been acted on is sent again only when its method is idempotent, or its route says that it
//!   may be, and its body is at hand.
//! - Each repetition is granted by the cluster's budget, but for two: after a connection that was kept open and was closed
//!   by the upstream before it answered, since each idle connection can fail so once; and after one that was refused,
//!   while another endpoint is left, since that gave nobody any work.
//! - The budget is asked last: what is granted is spent.

use http::HeaderMap;
use http::header::RETRY_AFTER;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use rand::RngExt as _;
use std::time::{Duration, Instant, SystemTime};

use portcullis_balance::{Ask, backoff, can_finish};
use portcullis_snapshot::cluster::{Cluster, Retries, RetryCause, UpstreamProtocol};
use portcullis_telemetry::record::NotRetried;
use portcullis_types::{BodyView, ProxyError, Reason, Retry};

use super::context::Ctx;
use super::reports::grpc_status;
use super::{failover, presence};

/// The gRPC status UNAVAILABLE.
const UNAVAILABLE: u32 = 14;

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// It gave no answer.
    Unanswered { reason: Reason, stale: bool, unsent: bool },
    /// Its answer is one to try again after.
    Status { after: Option<Duration> },
}

/// The connection of an attempt that gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// There was none, or it was new.
    New,
    /// It was kept open from an exchange before.
    Kept,
    /// The same, and it was closed before anything of the request was sent on it.
    KeptUnsent,
}

/// Whether an attempt without an answer is made again.
pub(super) fn unanswered(session: &mut Session, ctx: &mut Ctx, reason: Reason, connection: Connection) -> bool {
    let Some((_, cluster)) = ctx.upstream.cluster.clone() else { return false };
    // A connection that the upstream closed while it was idle: no attempt was made in truth.
    let stale = connection != Connection::New && reason == Reason::UpstreamReset && ctx.upstream.free == 0;
    let unsent = connection == Connection::KeptUnsent || reason.retry() == Retry::Unsent;
    if !stale && !cause(reason).is_some_and(|cause| cluster.retry.policy.on.takes(cause)) {
        return false;
    }
    let decided = judge(session, ctx, &cluster.retry, Failure::Unanswered { reason, stale, unsent });
    if stale && decided.is_ok() {
        ctx.upstream.free += 1;
    }
    note(ctx, decided)
}

/// Whether an answer is dropped and the request tried again.
pub(super) fn status(session: &mut Session, ctx: &mut Ctx, response: &ResponseHeader) -> bool {
    let Some((_, cluster)) = ctx.upstream.cluster.as_ref() else { return false };
    let on = &cluster.retry.policy.on;
    let unavailable = || on.takes_grpc_unavailable() && is_unavailable(cluster, response);
    if !on.takes_status(response.status.as_u16()) && !unavailable() {
        return false;
    }
    let (cluster, after) = (cluster.clone(), retry_after(&response.headers, SystemTime::now()));
    let decided = judge(session, ctx, &cluster.retry, Failure::Status { after });
    note(ctx, decided)
}

/// Whether an answer is no more than the gRPC status UNAVAILABLE. Where messages came before it, it stands in the trailers,
/// and the answer is on its way to the client by then.
fn is_unavailable(cluster: &Cluster, response: &ResponseHeader) -> bool {
    cluster.protocol == UpstreamProtocol::Http2 && grpc_status(&response.headers) == Some(UNAVAILABLE)
}

fn note(ctx: &mut Ctx, decided: Result<Duration, NotRetried>) -> bool {
    ctx.record.not_retried = decided.err();
    ctx.upstream.pause = decided.ok().filter(|pause| !pause.is_zero());
    decided.is_ok()
}

/// The failures of `on`, by their reasons.
pub(crate) fn cause(reason: Reason) -> Option<RetryCause> {
    let unsent = matches!(
        reason,
        Reason::UpstreamConnectTimeout
            | Reason::UpstreamConnectRefused
            | Reason::UpstreamConnectFailed
            | Reason::UpstreamTlsFailed
            | Reason::DescriptorsExhausted
    );
    let late = matches!(
        reason,
        Reason::UpstreamFirstByteTimeout | Reason::UpstreamPerTryTimeout | Reason::UpstreamWriteTimeout
    );
    if unsent {
        return Some(RetryCause::ConnectFailure);
    }
    if late {
        return Some(RetryCause::Timeout);
    }
    if reason == Reason::UpstreamRefusedStream {
        return Some(RetryCause::RefusedStream);
    }
    (reason == Reason::UpstreamReset).then_some(RetryCause::Reset)
}

/// Whether a request may reach an upstream twice: by what its body asks for, where that is known; else by its method (RFC
/// 9110 section 9.2.2), or since its route says so. A body that must not be sent twice has the last word.
pub(super) fn may_repeat(session: &Session, ctx: &Ctx) -> bool {
    if let Some(said) = ctx.facts.body.as_deref().and_then(BodyView::is_idempotent) {
        return said;
    }
    session.req_header().method.is_idempotent() || ctx.route.as_ref().is_some_and(|route| route.idempotent)
}

/// The pause before the next attempt, or why there is none.
fn judge(session: &mut Session, ctx: &Ctx, retries: &Retries, failure: Failure) -> Result<Duration, NotRetried> {
    let unsent = matches!(failure, Failure::Unanswered { unsent: true, .. });
    if !unsent && !may_repeat(session, ctx) {
        return Err(NotRetried::Unsafe);
    }
    if session.as_ref().retry_buffer_truncated() {
        return Err(NotRetried::Body);
    }
    let elsewhere = others_left(ctx) || failover::upcoming(ctx).is_some();
    let stale = matches!(failure, Failure::Unanswered { stale: true, .. });
    // Nobody has any work from an attempt that was refused, so that trying elsewhere is no load.
    let refused = matches!(failure, Failure::Unanswered { reason: Reason::UpstreamConnectRefused, .. });
    if !stale && ctx.upstream.attempts.saturating_sub(ctx.upstream.free) >= retries.policy.attempts {
        return Err(NotRetried::Attempts);
    }
    let at_once = stale || (unsent && elsewhere);
    let pause = if at_once { Duration::ZERO } else { pause(ctx, retries, failure, elsewhere)? };
    if !ends_in_time(ctx, pause, stale) {
        return Err(NotRetried::Deadline);
    }
    let free = stale || (refused && elsewhere);
    if free || retries.grant(Instant::now()) { Ok(pause) } else { Err(NotRetried::Budget) }
}

/// Whether the next attempt can be expected to end within the total timeout. One in the place of an attempt that was none
/// may begin as late as any first one.
fn ends_in_time(ctx: &Ctx, pause: Duration, stale: bool) -> bool {
    let Some(total) = ctx.upstream.timeouts.total else { return true };
    let usual = if stale { None } else { usual(ctx) };
    can_finish(total.saturating_sub(ctx.elapsed()), pause, usual)
}

/// How long an attempt usually takes where the next one goes.
fn usual(ctx: &Ctx) -> Option<Duration> {
    let ask = Ask::new(Instant::now(), rand::rng().random());
    if !others_left(ctx)
        && let Some(next) = failover::upcoming(ctx)
    {
        return next.fleet.members().endpoints.usual(&ask);
    }
    let members = ctx.upstream.members.as_ref()?;
    members.set(ctx.upstream.subset).usual(&Ask { skip: &ctx.upstream.tried, ..ask })
}

/// A Retry-After is the word of one endpoint: it is waited for only where no other is left.
fn pause(ctx: &Ctx, retries: &Retries, failure: Failure, elsewhere: bool) -> Result<Duration, NotRetried> {
    let policy = &retries.policy;
    let repetition = ctx.upstream.attempts.saturating_sub(1 + ctx.upstream.free);
    let drawn = backoff(policy.base, policy.most, repetition, rand::rng().random());
    match failure {
        Failure::Status { after: Some(after) } if !elsewhere => {
            if after > policy.most {
                Err(NotRetried::RetryAfter)
            } else {
                Ok(after.max(drawn))
            }
        }
        Failure::Status { .. } | Failure::Unanswered { .. } => Ok(drawn),
    }
}

/// Whether an endpoint that may be chosen was not tried yet.
pub(super) fn others_left(ctx: &Ctx) -> bool {
    let Some(members) = &ctx.upstream.members else { return true };
    let mut tried: Vec<usize> = ctx.upstream.tried.iter().map(|index| index.get()).collect();
    tried.sort_unstable();
    tried.dedup();
    // Those that were tried and are out by now do not count as available any more: that errs towards trying here.
    members.set(ctx.upstream.subset).available() > tried.len()
}

/// A Retry-After (RFC 9110 section 10.2.3): seconds, or a date, which is no wait when it is over.
pub(super) fn retry_after(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Waits before an attempt, until the client leaves. On the heap: the future of every request would be larger by it.
pub(super) async fn wait(session: &mut Session, pause: Duration) -> Result<(), ProxyError> {
    Box::pin(presence::while_there(session, tokio::time::sleep(pause))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after_in_seconds_and_as_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let fields = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&fields, now), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn knows_a_cause_for_what_may_be_sent_again_and_for_nothing_else() {
        for &reason in Reason::ALL {
            let again = matches!(reason.retry(), Retry::Unsent | Retry::Idempotent);
            assert_eq!(cause(reason).is_some(), again, "{reason}");
        }
    }
}
