//! The forwarding fields of the head that goes upstream: set from what the gateway knows; what the client claims
//! survives only from a trusted network.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
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
/// How many fields the gateway adds at most.
const ADDED: usize = 8;
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Claims that a client could make and that nobody behind the gateway should believe.
const CLAIMS: [HeaderName; 3] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-original-forwarded-for"),
];

/// Sets the fields, and gives the trace the request belongs to. `span` is 64 random bits, new for each attempt.
pub fn apply(request: &mut RequestHeader, facts: &Facts, span: u64) -> u128 {
    // On the parts a field is set by its static name; through the head's own methods each would be parsed again.
    let mut parts = into_parts(request);
    let fields = &mut parts.headers;
    forwarded(fields, facts);
    let scheme = facts.downstream.scheme();
    let port = facts.port.unwrap_or_else(|| scheme.default_port());
    claim(fields, facts, X_FORWARDED_PROTO, Ok::<_, ()>(HeaderValue::from_static(scheme.as_str())));
    claim(fields, facts, X_FORWARDED_HOST, HeaderValue::from_str(&facts.host));
    claim(fields, facts, X_FORWARDED_PORT, Ok::<_, ()>(HeaderValue::from(port)));
    if !facts.trusted {
        for claim in &CLAIMS {
            fields.remove(claim);
        }
    }
    set(fields, X_REQUEST_ID, id_value(facts.id));
    let trace = trace(fields, facts, span);
    *request = RequestHeader::from(parts);
    trace
}

/// Takes a head apart, leaving an empty one. The case of field names is let go: they go upstream in lower case.
fn into_parts(request: &mut RequestHeader) -> Parts {
    let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
    std::mem::replace(request, empty).into()
}

/// Lets go of what the head remembers of its names' case, and makes room for the fields that the gateway adds: every
/// copy and every edit from here on is cheaper. Names compare without case (RFC 9110 section 5.1).
///
/// A name with `_` goes only with a trusted peer: many applications read it as the name with `-`, and would take it for
/// one that the gateway sets.
pub fn settle(request: &mut RequestHeader, facts: &Facts) {
    let mut parts = into_parts(request);
    if !facts.trusted {
        let ambiguous = |name: &&HeaderName| name.as_str().contains('_');
        while let Some(name) = parts.headers.keys().find(ambiguous).cloned() {
            parts.headers.remove(name);
        }
    }
    parts.headers.reserve(ADDED);
    *request = RequestHeader::from(parts);
}

/// `X-Forwarded-For` and `Forwarded`: the peer, behind what a trusted peer said.
fn forwarded(fields: &mut HeaderMap, facts: &Facts) {
    let peer = facts.downstream.peer.ip().to_canonical();
    let kept = |fields: &HeaderMap, name: &HeaderName| {
        let mut all = String::with_capacity(64);
        for value in fields.get_all(name).iter().filter(|_| facts.trusted).filter_map(|value| value.to_str().ok()) {
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(value);
        }
        all
    };
    let mut list = kept(fields, &X_FORWARDED_FOR);
    push_x_forwarded_for(&mut list, peer);
    set(fields, X_FORWARDED_FOR, HeaderValue::from_str(&list));
    let mut list = kept(fields, &FORWARDED);
    let host = (!facts.host.is_empty()).then_some(&*facts.host);
    let hop = Hop { client: Some(peer), by: None, host, proto: Some(facts.downstream.scheme().as_str()) };
    push_forwarded(&mut list, &hop);
    set(fields, FORWARDED, HeaderValue::from_str(&list));
}

/// An id as a field's value.
///
/// # Errors
/// Never: hex digits are a field value. The type keeps the caller from having to assume so.
pub fn id_value(id: RequestId) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    HeaderValue::from_bytes(&id.to_hex())
}

/// Sets a field unless a trusted peer has said it.
fn claim<E>(fields: &mut HeaderMap, facts: &Facts, name: HeaderName, value: Result<HeaderValue, E>) {
    if !(facts.trusted && fields.contains_key(&name)) {
        set(fields, name, value);
    }
}

/// Continues a trusted trace, or begins one at the request's id.
fn trace(fields: &mut HeaderMap, facts: &Facts, span: u64) -> u128 {
    let inbound = fields.get(TRACEPARENT).filter(|_| facts.trusted);
    let inbound = inbound.and_then(|value| TraceParent::parse(value.as_bytes()).ok());
    let span = span.to_be_bytes();
    let next = match inbound {
        Some(trace) => trace.child(span),
        None => {
            fields.remove(&TRACESTATE);
            TraceParent::root(facts.id.0.to_be_bytes(), span, false)
        }
    };
    set(fields, TRACEPARENT, HeaderValue::from_bytes(&next.write()));
    u128::from_be_bytes(next.trace_id())
}

/// Sets a field; a value that is none (no input can make one) removes it rather than letting a claim through.
fn set<E>(fields: &mut HeaderMap, name: HeaderName, value: Result<HeaderValue, E>) {
    match value {
        Ok(value) => drop(fields.insert(name, value)),
        Err(_) => drop(fields.remove(&name)),
    }
}
