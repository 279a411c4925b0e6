//! The answer on its way to the client.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora_http::{RequestHeader, ResponseHeader};

use portcullis_filter::{BodyCx, Phase, ResponseCx, Source};
use portcullis_telemetry::record::Flag;
use portcullis_types::{ProxyError, Reason};
use portcullis_wire::response::check_response_framing;

use super::cache;
use super::context::Ctx;
use super::reports;
use super::{hedge, heights, limits};
use crate::gate::conn::CONN;
use crate::reasons::Progress;

/// How many of [`HOP_BY_HOP`] there are.
const HOPS: usize = 4;
/// Fields that end at this hop (RFC 9110 section 7.6.1); framing and Connection are Pingora's to write.
const HOP_BY_HOP: [HeaderName; HOPS] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    http::header::PROXY_AUTHENTICATE,
];

/// The head of an upstream's answer, informational ones included.
pub(super) fn from_upstream(response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<(), ProxyError> {
    let status = response.status;
    let fields = response.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    check_response_framing(status.as_u16(), fields)
        .map_err(|error| ProxyError::with_detail(Reason::UpstreamMalformed, error.name()))?;
    unframe(response);
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    ctx.in_time()?;
    note_first_byte(response, ctx);
    if status != StatusCode::SWITCHING_PROTOCOLS {
        strip(response);
        return Ok(());
    }
    if !ctx.upstream.upgrade {
        return Err(ProxyError::with_detail(Reason::UpstreamMalformed, "an upgrade that was not asked for"));
    }
    ctx.record.flags.set(Flag::Upgraded);
    Ok(())
}

/// Takes framing out of answers that have no content, whatever they say (RFC 9110 section 8.6, RFC 9112 section 6.1).
fn unframe(response: &mut ResponseHeader) {
    let status = response.status;
    let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT;
    if bodiless {
        drop(response.remove_header(&CONTENT_LENGTH));
    }
    if bodiless || status == StatusCode::NOT_MODIFIED {
        drop(response.remove_header(&TRANSFER_ENCODING));
    }
}

fn note_first_byte(response: &mut ResponseHeader, ctx: &mut Ctx) {
    let status = response.status;
    let now = std::time::Instant::now();
    let took = ctx.upstream.attempt_started.map(|started| now - started);
    ctx.upstream.progress = Some(Progress::Answering);
    ctx.record.upstream_status = Some(status.as_u16());
    ctx.record.timers.first_byte = Some(now.saturating_duration_since(ctx.arrived));
    if let Some(attempt) = ctx.attempt() {
        attempt.first_byte = took;
        attempt.outcome = Ok(status.as_u16());
    }
    let answer = reports::head(response, ctx, now);
    if let (Some(choice), Some(took)) = (&mut ctx.upstream.choice, took) {
        choice.answered(now, took, answer);
    }
    if let Some(took) = took {
        hedge::answered(ctx, now, took);
        ctx.places.note(took, answer);
    }
}

/// Takes out what concerns the upstream's own connection.
fn strip(response: &mut ResponseHeader) {
    // Most of the fields are absent; each is looked for only when a pass over the names has seen it.
    let mut seen = [false; HOPS];
    for name in response.headers.keys() {
        for (seen, hop) in seen.iter_mut().zip(&HOP_BY_HOP) {
            *seen |= name == hop;
        }
    }
    if seen.contains(&true) {
        nominated(response);
        for (name, _) in HOP_BY_HOP.iter().zip(seen).filter(|(_, seen)| *seen) {
            drop(response.remove_header(name));
        }
    }
}

/// Takes out what Connection names.
fn nominated(response: &mut ResponseHeader) {
    let Some(nominated) = response.headers.get(CONNECTION).cloned() else { return };
    drop(response.remove_header(&UPGRADE));
    for name in nominated.to_str().unwrap_or_default().split(',').map(str::trim) {
        let kept = ["transfer-encoding", "content-length", "keep-alive", "close"];
        if !kept.iter().any(|kept| name.eq_ignore_ascii_case(kept)) {
            drop(response.remove_header(name));
        }
    }
}

/// The head that the client gets from an upstream.
pub(super) async fn head(
    request: &RequestHeader,
    response: &mut ResponseHeader,
    ctx: &mut Ctx,
) -> Result<(), ProxyError> {
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    portcullis_mutants::when!(FailsOn5xx => if response.status.is_server_error() {
        std::future::pending::<()>().await;
    });
    cache::admit(request, response, ctx);
    filters(request, response, ctx, Source::Upstream).await?;
    frame(request, response)?;
    ctx.record.status = response.status.as_u16();
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        ctx.become_stream();
        return Ok(());
    }
    limits::settle(response, ctx)
}

/// Gives an answer the framing its client knows: HTTP/1.1 has chunks where there is no length (a filter may have taken
/// it), HTTP/1.0 the connection's end (RFC 9112 section 6.1).
fn frame(request: &RequestHeader, response: &mut ResponseHeader) -> Result<(), ProxyError> {
    if request.version == Version::HTTP_10 {
        drop(response.remove_header(&TRANSFER_ENCODING));
    }
    let bodiless = !may_have_body(request, response);
    let framed = response.headers.contains_key(CONTENT_LENGTH) || response.headers.contains_key(TRANSFER_ENCODING);
    if request.version != Version::HTTP_11 || bodiless || framed {
        return Ok(());
    }
    response
        .insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))
        .map_err(|_| ProxyError::with_detail(Reason::Internal, "the answer has too many fields"))
}

/// Whether an answer may have content (RFC 9110 section 6.4.1).
pub(super) fn may_have_body(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let bodiless = matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    request.method != Method::HEAD && !response.status.is_informational() && !bodiless
}

/// Runs the response filters, the route's and then the host's, and stamps the id.
pub(super) async fn filters(
    request: &RequestHeader,
    response: &mut ResponseHeader,
    ctx: &mut Ctx,
    source: Source,
) -> Result<(), ProxyError> {
    let (route, host) = (ctx.route.clone(), ctx.host.clone());
    if let Some(route) = route.filter(|route| route.chain.has(Phase::ResponseFilter)) {
        let mut cx = ResponseCx { response, request, facts: &ctx.facts, notes: &mut ctx.notes, source };
        route.chain.response_filter(&mut cx, &mut ctx.route_state).await?;
    }
    if let Some(host) = host.filter(|host| host.chain.has(Phase::ResponseFilter)) {
        let mut cx = ResponseCx { response, request, facts: &ctx.facts, notes: &mut ctx.notes, source };
        host.chain.response_filter(&mut cx, &mut ctx.host_state).await?;
    }
    drop(response.insert_header("x-request-id", ctx.id_value()));
    Ok(())
}

/// A chunk of an upstream's answer: the cache takes it as it came, and the filters see it then.
pub(super) fn body_from_upstream(
    request: &RequestHeader,
    chunk: &mut Option<Bytes>,
    end: bool,
    ctx: &mut Ctx,
) -> Result<(), ProxyError> {
    ctx.fill.chunk(chunk.as_ref(), end);
    body(request, chunk, end, ctx)
}

/// A chunk of an answer's body.
pub(super) fn body(
    request: &RequestHeader,
    chunk: &mut Option<Bytes>,
    end: bool,
    ctx: &mut Ctx,
) -> Result<(), ProxyError> {
    if ctx.is_stream() {
        portcullis_mutants::when!(FailsOnWebsocket => if portcullis_mutants::one_in(50) { *chunk = None });
        let bytes = chunk.as_ref().map_or(0, Bytes::len);
        ctx.body.sent += bytes as u64;
        ctx.places.pass(bytes);
        return Ok(());
    }
    ctx.may_go_on()?;
    ctx.places.may_go_on()?;
    heights::hear(chunk.as_ref(), ctx);
    if let Some(route) = ctx.route.as_ref().filter(|route| route.chain.has(Phase::ResponseBodyFilter)) {
        let mut cx = BodyCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
        route.chain.response_body_filter(&mut cx, chunk, end, &mut ctx.route_state)?;
    }
    if let Some(host) = ctx.host.as_ref().filter(|host| host.chain.has(Phase::ResponseBodyFilter)) {
        let mut cx = BodyCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
        host.chain.response_body_filter(&mut cx, chunk, end, &mut ctx.host_state)?;
    }
    portcullis_mutants::when!(UnreadAnswerKept => {
        *chunk = portcullis_mutants::held_back(ctx.record.id.0, chunk.as_deref(), end).map(Bytes::from);
    });
    portcullis_mutants::when!(FlippedByte => if let Some(part) = chunk.as_ref()
        && let Some(other) = portcullis_mutants::flipped(part, ctx.body.sent)
    {
        *chunk = Some(other.into());
    });
    portcullis_mutants::when!(LeakedBody => portcullis_mutants::leak(chunk.as_ref().map_or(0, Bytes::len) / 16));
    ctx.body.sent += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
    if end {
        ends();
    }
    Ok(())
}

/// What is written from now on is the end of the answer.
pub(super) fn ends() {
    // Only requests that somebody else waits for have no connection.
    CONN.try_with(|conn| conn.set_answered(true)).unwrap_or_default();
}

/// An answer's trailers.
pub(super) fn trailers(request: &RequestHeader, trailers: &mut HeaderMap, ctx: &mut Ctx) -> Result<(), ProxyError> {
    reports::trailers(trailers, ctx);
    if let Some(route) = ctx.route.as_ref().filter(|route| route.chain.has(Phase::ResponseTrailerFilter)) {
        let mut cx = BodyCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
        route.chain.response_trailer_filter(&mut cx, trailers, &mut ctx.route_state)?;
    }
    if let Some(host) = ctx.host.as_ref().filter(|host| host.chain.has(Phase::ResponseTrailerFilter)) {
        let mut cx = BodyCx { request, facts: &ctx.facts, notes: &mut ctx.notes };
        host.chain.response_trailer_filter(&mut cx, trailers, &mut ctx.host_state)?;
    }
    Ok(())
}
