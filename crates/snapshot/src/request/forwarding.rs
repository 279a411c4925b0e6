//! The forwarding fields of the head that goes upstream: set from what the gateway knows; what the client claims
//! survives only from a trusted network.

use http::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;

use portcullis_filter::Facts;
use portcullis_types::RequestId;
use portcullis_wire::forwarded::{Hop, TraceParent, push_forwarded, push_x_forwarded_for};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = http::header::FORWARDED;
/// The request's id, to the upstream and to the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The trace and the span, as W3C Trace Context writes them.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Claims that a client could make and that nobody behind the gateway should believe.
const CLAIMS: [HeaderName; 3] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-original-forwarded-for"),
];

/// Sets the fields, and gives the trace the request belongs to. `span` is 64 random bits, new for each attempt.
pub fn apply(request: &mut RequestHeader, facts: &Facts, span: u64) -> u128 {
    let kept = |request: &RequestHeader, name: &HeaderName| {
        if !facts.trusted {
            return String::new();
        }
        let values = request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(", ")
    };
    let scheme = facts.downstream.scheme();
    let peer = facts.downstream.peer.ip().to_canonical();
    let mut forwarded_for = kept(request, &X_FORWARDED_FOR);
    push_x_forwarded_for(&mut forwarded_for, peer);
    let mut forwarded = kept(request, &FORWARDED);
    let host = (!facts.host.is_empty()).then_some(&*facts.host);
    push_forwarded(&mut forwarded, &Hop { client: Some(peer), by: None, host, proto: Some(scheme.as_str()) });
    set(request, X_FORWARDED_FOR, HeaderValue::try_from(forwarded_for));
    set(request, FORWARDED, HeaderValue::try_from(forwarded));
    let port = facts.port.unwrap_or_else(|| scheme.default_port());
    claim(request, facts, X_FORWARDED_PROTO, Ok::<_, ()>(HeaderValue::from_static(scheme.as_str())));
    claim(request, facts, X_FORWARDED_HOST, HeaderValue::from_str(&facts.host));
    claim(request, facts, X_FORWARDED_PORT, Ok::<_, ()>(HeaderValue::from(port)));
    if !facts.trusted {
        for claim in &CLAIMS {
            drop(request.remove_header(claim));
        }
    }
    set(request, X_REQUEST_ID, id_value(facts.id));
    trace(request, facts, span)
}

/// An id as a field's value.
///
/// # Errors
/// Never: hex digits are a field value. The type keeps the caller from having to assume so.
pub fn id_value(id: RequestId) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    HeaderValue::from_bytes(&id.to_hex())
}

/// Sets a field unless a trusted peer has said it.
fn claim<E>(request: &mut RequestHeader, facts: &Facts, name: HeaderName, value: Result<HeaderValue, E>) {
    if !(facts.trusted && request.headers.contains_key(&name)) {
        set(request, name, value);
    }
}

/// Continues a trusted trace, or begins one at the request's id.
fn trace(request: &mut RequestHeader, facts: &Facts, span: u64) -> u128 {
    let inbound = request.headers.get(TRACEPARENT).filter(|_| facts.trusted);
    let inbound = inbound.and_then(|value| TraceParent::parse(value.as_bytes()).ok());
    let span = span.to_be_bytes();
    let next = match inbound {
        Some(trace) => trace.child(span),
        None => {
            drop(request.remove_header(&TRACESTATE));
            TraceParent::root(facts.id.0.to_be_bytes(), span, false)
        }
    };
    set(request, TRACEPARENT, HeaderValue::from_bytes(&next.write()));
    u128::from_be_bytes(next.trace_id())
}

/// Sets a field; a value that is none (no input can make one) removes it rather than letting a claim through.
fn set<E>(request: &mut RequestHeader, name: HeaderName, value: Result<HeaderValue, E>) {
    match value {
        Ok(value) => drop(request.insert_header(name, value)),
        Err(_) => drop(request.remove_header(&name)),
    }
}
