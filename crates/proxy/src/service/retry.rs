//! Whether a failed attempt is made again, and after which pause. The reason for not doing it is in the record.
//!
//! Invariants:
//! - A request that may have been acted on is sent again only when its method is idempotent and its body is at hand.
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

use portcullis_balance::backoff;
use portcullis_snapshot::cluster::{Retries, RetryCause};
use portcullis_telemetry::record::NotRetried;
use portcullis_types::{Reason, Retry};

use super::context::Ctx;
use super::failover;

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// It gave no answer.
    Unanswered { reason: Reason, stale: bool },
    /// Its answer is one to try again after.
    Status { after: Option<Duration> },
}

/// Whether an attempt without an answer is made again.
pub(super) fn unanswered(session: &mut Session, ctx: &mut Ctx, reason: Reason, reused: bool) -> bool {
    let Some((_, cluster)) = ctx.upstream.cluster.clone() else { return false };
    // A connection that the upstream closed while it was idle: no attempt was made in truth.
    let stale = reused && reason == Reason::UpstreamReset && ctx.upstream.free == 0;
    if !stale && !cause(reason).is_some_and(|cause| cluster.retry.policy.on.takes(cause)) {
        return false;
    }
    let decided = judge(session, ctx, &cluster.retry, Failure::Unanswered { reason, stale });
    if stale && decided.is_ok() {
        ctx.upstream.free += 1;
    }
    note(ctx, decided)
}

/// Whether an answer is dropped and the request tried again.
pub(super) fn status(session: &mut Session, ctx: &mut Ctx, response: &ResponseHeader) -> bool {
    let status = response.status.as_u16();
    if status < 400 {
        return false;
    }
    let Some((_, cluster)) = ctx.upstream.cluster.as_ref() else { return false };
    if !cluster.retry.policy.on.takes_status(status) {
        return false;
    }
    let (cluster, after) = (cluster.clone(), retry_after(&response.headers, SystemTime::now()));
    let decided = judge(session, ctx, &cluster.retry, Failure::Status { after });
    note(ctx, decided)
}

fn note(ctx: &mut Ctx, decided: Result<Duration, NotRetried>) -> bool {
    ctx.record.not_retried = decided.err();
    ctx.upstream.pause = decided.ok().filter(|pause| !pause.is_zero());
    decided.is_ok()
}

/// The failures of `on`, by their reasons.
fn cause(reason: Reason) -> Option<RetryCause> {
    let unsent = matches!(
        reason,
        Reason::UpstreamConnectTimeout
            | Reason::UpstreamConnectRefused
            | Reason::UpstreamConnectFailed
            | Reason::UpstreamTlsFailed
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

/// The pause before the next attempt, or why there is none.
fn judge(session: &mut Session, ctx: &Ctx, retries: &Retries, failure: Failure) -> Result<Duration, NotRetried> {
    let unsent = matches!(failure, Failure::Unanswered { reason, .. } if reason.retry() == Retry::Unsent);
    if !unsent && !session.req_header().method.is_idempotent() {
        return Err(NotRetried::Unsafe);
    }
    if session.as_ref().retry_buffer_truncated() {
        return Err(NotRetried::Body);
    }
    let elsewhere = others_left(ctx) || failover::has_next(ctx);
    let stale = matches!(failure, Failure::Unanswered { stale: true, .. });
    // Nobody has any work from an attempt that was refused, so that trying elsewhere is no load.
    let refused = matches!(failure, Failure::Unanswered { reason: Reason::UpstreamConnectRefused, .. });
    if !stale && ctx.upstream.attempts.saturating_sub(ctx.upstream.free) >= retries.policy.attempts {
        return Err(NotRetried::Attempts);
    }
    let at_once = stale || (unsent && elsewhere);
    let pause = if at_once { Duration::ZERO } else { pause(ctx, retries, failure, elsewhere)? };
    let late = |total: Duration| ctx.elapsed() + pause >= total;
    if ctx.upstream.timeouts.total.is_some_and(late) {
        return Err(NotRetried::Deadline);
    }
    let free = stale || (refused && elsewhere);
    if free || retries.grant(Instant::now()) { Ok(pause) } else { Err(NotRetried::Budget) }
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

/// Waits before an attempt. On the heap: the future of every request would be larger by it.
pub(super) async fn wait(pause: Duration) {
    Box::pin(tokio::time::sleep(pause)).await;
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
