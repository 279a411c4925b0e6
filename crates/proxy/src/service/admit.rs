//! A request is brought into the one form that is routed on (by [`portcullis_snapshot::request`], which `explain`
//! retraces), and into the record.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT};
use http::{HeaderValue, Method, Version};
use pingora_http::RequestHeader;

use portcullis_snapshot::request::trace::Trace;
use portcullis_snapshot::request::{admit, reasons, secrets};
use portcullis_telemetry::TraceSettings;
use portcullis_telemetry::record::{RecordOptions, RequestLine, Traced};
use portcullis_types::{Protocol, ProxyError, Reason};
use portcullis_wire::head::HeadError;

use super::context::Ctx;
use crate::core::new_span;
use crate::gate::conn::CONN;

/// Takes what the head says about who asks and which host is asked for.
pub(super) fn head(request: &mut RequestHeader, ctx: &mut Ctx) -> Result<(), ProxyError> {
    ctx.record.protocol = Some(match request.version {
        Version::HTTP_2 => Protocol::Http2,
        Version::HTTP_10 => Protocol::Http10,
        _ => Protocol::Http11,
    });
    bounds(request)?;
    join_cookies(request)?;
    ctx.choose_side(request);
    let snapshot = ctx.snapshot()?;
    let admitted = admit::head(request, &mut ctx.facts, &snapshot);
    if let Some(tracing) = &snapshot.settings.tracing {
        begin_trace(request, ctx, tracing);
    }
    ctx.record.client = ctx.facts.client;
    ctx.record.id = ctx.facts.id;
    admitted
}

/// Begins or goes on with the trace that the request is a part of.
fn begin_trace(request: &RequestHeader, ctx: &mut Ctx, tracing: &TraceSettings) {
    // The record still has the id that was drawn here.
    let trace = Trace::begin(&request.headers, &ctx.facts, (ctx.record.id, new_span()), &tracing.rules);
    ctx.record.trace_id = Some(trace.id());
    let (parent, sampled) = (trace.parent(), trace.is_sampled());
    let terms = Arc::clone(&tracing.unrouted);
    ctx.record.traced = Some(Traced { span: trace.span(), parent, sampled, terms });
    ctx.trace = Some(trace);
}

/// Takes what the route says of traces.
pub(super) fn trace_route(ctx: &mut Ctx) {
    let (Some(trace), Some(route)) = (&mut ctx.trace, &ctx.route) else { return };
    if route.tracing.off {
        (ctx.trace, ctx.record.traced, ctx.record.trace_id) = (None, None, None);
        return;
    }
    if let Some(share) = route.tracing.sample {
        trace.resample(share);
    }
    if let Some(traced) = &mut ctx.record.traced {
        traced.sampled = trace.is_sampled();
        traced.terms = Arc::clone(&route.trace);
    }
}

/// The listener's bounds on a head that the gate did not read itself: HTTP/2's.
fn bounds(request: &RequestHeader) -> Result<(), ProxyError> {
    if request.version != Version::HTTP_2 {
        return Ok(());
    }
    let Ok((fields, target)) = CONN.try_with(|conn| (conn.limits().header_fields, conn.limits().target_bytes)) else {
        return Ok(());
    };
    if request.headers.len() > fields {
        return Err(ProxyError::with_detail(Reason::HeadTooLarge, HeadError::TooManyFields.name()));
    }
    if request.raw_path().len() > target {
        return Err(ProxyError::with_detail(Reason::TargetTooLong, HeadError::TargetTooLong.name()));
    }
    framing(request)
}

/// The rules of an HTTP/1 head that HTTP/2's own do not have and that an HTTP/1 upstream may hang on.
fn framing(request: &RequestHeader) -> Result<(), ProxyError> {
    let fields = &request.headers;
    let broken = if fields.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        HeadError::ContentLengthRepeated
    } else if fields.contains_key("content_length") || fields.contains_key("transfer_encoding") {
        HeadError::FramingLookalike
    } else if fields.get(EXPECT).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        HeadError::ExpectationUnsupported
    } else if request.method == Method::TRACE && fields.contains_key(CONTENT_LENGTH) {
        HeadError::ContentNotAllowed
    } else {
        return Ok(());
    };
    Err(ProxyError::with_detail(reasons::of_head(broken), broken.name()))
}

/// Makes one Cookie field of the crumbs that HTTP/2 allows and HTTP/1 does not (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<(), ProxyError> {
    if request.version != Version::HTTP_2 || request.headers.get_all(COOKIE).iter().nth(1).is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let invalid = || ProxyError::with_detail(Reason::MalformedRequest, "cookie");
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| invalid())?;
    request.insert_header(COOKIE, joined).map_err(|_| invalid())
}

/// Writes the request's line into the record, as it is routed on.
pub(super) fn note(request: &RequestHeader, ctx: &mut Ctx) {
    if !ctx.core.observes() {
        return;
    }
    let user_agent = request.headers.get(http::header::USER_AGENT);
    let (path, query) = shown(request, ctx);
    let line = RequestLine {
        method: request.method.as_str().as_bytes(),
        host: ctx.facts.host.as_bytes(),
        path: path.as_bytes(),
        query: query.as_deref().map(str::as_bytes),
        user_agent: user_agent.map(HeaderValue::as_bytes),
    };
    let options = ctx.core.record_options();
    ctx.record.set_head(&line, &options);
    if !options.headers.is_empty() {
        note_headers(request, ctx, &options);
    }
}

/// Writes the fields that sinks list into the record.
#[cold]
fn note_headers(request: &RequestHeader, ctx: &mut Ctx, options: &RecordOptions) {
    let Ok(snapshot) = ctx.snapshot() else { return };
    let target = (request.uri.path(), request.uri.query());
    for name in options.headers.iter() {
        if let Some(value) = request.headers.get(&**name) {
            let shown = secrets::hidden_field(&snapshot, ctx.host.as_deref(), target, (&request.headers, value));
            ctx.record.keep_header(name, &shown, &options.redaction);
        }
    }
}

/// The path and the query as the record may have them.
fn shown<'a>(request: &'a RequestHeader, ctx: &Ctx) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
    let target = (request.uri.path(), request.uri.query());
    let nothing = ctx.host.as_ref().is_some_and(|host| host.secrets.is_empty());
    match ctx.snapshot() {
        Ok(snapshot) if !nothing => secrets::hidden(&snapshot, ctx.host.as_deref(), target, &request.headers),
        Ok(_) | Err(_) => (target.0.into(), target.1.map(Cow::Borrowed)),
    }
}
