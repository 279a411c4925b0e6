//! A caller's deadline: taken from those who are trusted, and carried upstream.
//!
//! An untrusted caller's is no bound here: with deadlines of a millisecond it could make good endpoints look bad.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;
use std::time::{Duration, Instant};

use portcullis_snapshot::Cluster;

use super::context::Ctx;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The shorter of the caller's deadline and ours becomes the total timeout.
pub(super) fn take(request: &RequestHeader, ctx: &mut Ctx) {
    let cluster = ctx.upstream.cluster.as_ref().filter(|_| ctx.facts.trusted);
    let Some(theirs) = cluster.and_then(|(_, cluster)| of_caller(request, cluster)) else { return };
    if ctx.upstream.timeouts.total.is_none_or(|ours| theirs < ours) {
        ctx.upstream.timeouts.total = Some(theirs);
        ctx.upstream.callers = true;
    }
}

/// How long a caller, who must be trusted, gives a request to this cluster.
pub(super) fn of_caller(request: &RequestHeader, cluster: &Cluster) -> Option<Duration> {
    let text = |name: &HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    let named = cluster.deadline_header.as_ref().and_then(text);
    // What is longer than a day is no bound, and a time that there is.
    let most = Duration::from_secs(86_400);
    let named = named.and_then(|text| text.trim().parse().ok()).map(|millis| Duration::from_millis(millis).min(most));
    let grpc = text(&GRPC_TIMEOUT).filter(|_| is_grpc(request)).and_then(grpc_timeout);
    named.into_iter().chain(grpc).min()
}

/// Writes what is left of the total timeout into the head of an attempt.
pub(super) fn write(request: &mut RequestHeader, ctx: &Ctx) {
    let Some((_, cluster)) = &ctx.upstream.cluster else { return };
    let left = ctx.upstream.timeouts.total.map(|total| total.saturating_sub(ctx.elapsed()));
    tell(request, cluster, left);
    if let Some(left) = left.filter(|_| is_grpc(request))
        && let Ok(value) = HeaderValue::from_str(&grpc_text(millis(left)))
    {
        drop(request.insert_header(GRPC_TIMEOUT, value));
    }
}

/// Writes what is left of the time for an exchange into the field that the cluster names for it, in place of what the
/// caller wrote there.
pub(crate) fn tell(request: &mut RequestHeader, cluster: &Cluster, left: Option<Duration>) {
    let Some(name) = &cluster.deadline_header else { return };
    drop(request.remove_header(name));
    if let Some(left) = left {
        drop(request.insert_header(name.clone(), HeaderValue::from(millis(left))));
    }
}

/// At least one, since none would be no bound.
fn millis(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// When the head of this attempt's answer must be there.
pub(super) fn of_attempt(ctx: &Ctx, started: Instant) -> Option<Instant> {
    let timeouts = &ctx.upstream.timeouts;
    let total = timeouts.total.map(|total| ctx.arrived + total);
    let per_try = timeouts.per_try.map(|per_try| started + per_try);
    total.into_iter().chain(per_try).min()
}

fn is_grpc(request: &RequestHeader) -> bool {
    request.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A `grpc-timeout`: 1 to 8 digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// Milliseconds as a `grpc-timeout`, in seconds when there are too many for 8 digits.
fn grpc_text(millis: u64) -> String {
    if millis < 100_000_000 { format!("{millis}m") } else { format!("{}S", (millis / 1000).min(99_999_999)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_timeouts_of_grpc() {
        for (text, expected) in [
            ("1H", Some(3_600_000_000)),
            ("2M", Some(120_000_000)),
            ("3S", Some(3_000_000)),
            ("250m", Some(250_000)),
            ("99999999u", Some(99_999_999)),
            ("5000n", Some(5)),
            ("", None),
            ("m", None),
            ("123456789m", None),
            ("-1m", None),
            ("1.5S", None),
            ("10", None),
            ("10é", None),
        ] {
            assert_eq!(grpc_timeout(text), expected.map(Duration::from_micros), "{text}");
        }
        for (millis, expected) in [(1, "1m"), (99_999_999, "99999999m"), (100_000_000, "100000S")] {
            assert_eq!(grpc_text(millis), expected);
            assert_eq!(grpc_timeout(expected).map(|it| it.as_secs()), Some(millis / 1000));
        }
    }
}
