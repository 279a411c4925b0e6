//! The forwarding fields of the head that goes upstream: set from what the gateway knows; what the client claims
//! survives only from a trusted network.

use http::header::InvalidHeaderValue;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use pingora_http::{RequestHeader, header_value_from_slice};

use portcullis_filter::Facts;
use portcullis_types::RequestId;
use portcullis_wire::forwarded::{Hop, TraceParent, TraceState, push_forwarded, push_x_forwarded_for};

use super::trace::Trace;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = http::header::FORWARDED;
/// The request's id, to the upstream and to the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The trace and the span, as W3C Trace Context writes them.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Room for the fields that the gateway adds, and for a few of the filters'.
const ADDED: usize = 12;
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Claims that a client could make and that nobody behind the gateway should believe.
const CLAIMS: [HeaderName; 4] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-original-forwarded-for"),
    TRACESTATE,
];

/// The values that stay the same from request to request of a connection: made once for a host, then shared.
#[derive(Debug, Default)]
pub struct ForwardedValues(Mutex<Option<MadeFor>>);

/// What was made, and the authority it was made for.
#[derive(Debug)]
struct MadeFor {
    host: Box<str>,
    port: Option<u16>,
    made: Made,
}

#[derive(Debug, Clone)]
struct Made {
    x_for: HeaderValue,
    x_host: HeaderValue,
    x_port: HeaderValue,
    forwarded: HeaderValue,
}

impl ForwardedValues {
    /// The values for a request's host. The connection's peer and scheme never change.
    fn of(&self, facts: &Facts) -> Result<Made, InvalidHeaderValue> {
        let mut last = self.0.lock();
        if let Some(last) = last.as_ref().filter(|last| last.host == facts.host && last.port == facts.port) {
            return Ok(last.made.clone());
        }
        let made = Made::new(facts, String::new(), String::new())?;
        *last = Some(MadeFor { host: facts.host.clone(), port: facts.port, made: made.clone() });
        Ok(made)
    }
}

impl Made {
    /// Behind what a trusted peer said of the hops before it.
    fn new(facts: &Facts, mut x_for: String, mut forwarded: String) -> Result<Self, InvalidHeaderValue> {
        let peer = facts.downstream.peer.ip().to_canonical();
        let scheme = facts.downstream.scheme();
        push_x_forwarded_for(&mut x_for, peer);
        let host = (!facts.host.is_empty()).then_some(&*facts.host);
        push_forwarded(&mut forwarded, &Hop { client: Some(peer), by: None, host, proto: Some(scheme.as_str()) });
        Ok(Self {
            x_for: HeaderValue::from_str(&x_for)?,
            x_host: HeaderValue::from_str(&facts.host)?,
            x_port: HeaderValue::from(facts.port.unwrap_or_else(|| scheme.default_port())),
            forwarded: HeaderValue::from_str(&forwarded)?,
        })
    }
}

/// What is new with each request, or with each attempt.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The request's id, as [`id_value`] writes it.
    pub id: HeaderValue,
    /// 64 random bits, new for each attempt.
    pub span: u64,
    /// The trace, where requests are traced; else `traceparent` is gone on with as the other fields are.
    pub trace: Option<Trace>,
}

/// Sets the fields, and gives the trace the request belongs to.
pub fn apply(request: &mut RequestHeader, facts: &Facts, stamp: Stamp, values: &ForwardedValues) -> u128 {
    // On the parts a field is set by its static name; through the head's own methods each would be parsed again.
    let mut parts = into_parts(request);
    let fields = &mut parts.headers;
    fields.reserve(ADDED);
    let claimed = fields.keys().any(may_be_claim);
    let believed = claimed && facts.trusted;
    // Whose trace is gone on with may be said apart from who is believed.
    let state = stamp.trace.filter(|trace| claimed && trace.parent().is_some()).and_then(|_| state(fields));
    if claimed && !facts.trusted {
        withdraw(fields);
    }
    let made = if believed {
        Made::new(facts, kept(fields, &X_FORWARDED_FOR), kept(fields, &FORWARDED))
    } else {
        values.of(facts)
    };
    // A value that is none (no input can make one) leaves the fields away rather than letting a claim through.
    let Ok(made) = made else {
        withdraw(fields);
        *request = RequestHeader::from(parts);
        return stamp.trace.map_or(facts.id.0, |trace| set_trace(request, trace, stamp.span));
    };
    let scheme = HeaderValue::from_static(facts.downstream.scheme().as_str());
    fields.insert(X_FORWARDED_FOR, made.x_for);
    fields.insert(FORWARDED, made.forwarded);
    for (name, value) in [(X_FORWARDED_PROTO, scheme), (X_FORWARDED_HOST, made.x_host), (X_FORWARDED_PORT, made.x_port)]
    {
        if !(believed && fields.contains_key(&name)) {
            fields.insert(name, value);
        }
    }
    fields.insert(X_REQUEST_ID, stamp.id);
    let trace = match stamp.trace {
        Some(trace) => {
            match state {
                Some(state) => drop(fields.insert(TRACESTATE, state)),
                None => drop(fields.remove(TRACESTATE)),
            }
            insert_trace(fields, trace, stamp.span)
        }
        None => trace(fields, facts, stamp.span, believed),
    };
    *request = RequestHeader::from(parts);
    trace
}

/// Takes a head apart, leaving an empty one.
fn into_parts(request: &mut RequestHeader) -> Parts {
    let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
    std::mem::replace(request, empty).into()
}

/// Whether a field may be one of those that say something about the way or the trace, by its first letter: most heads
/// have none, and are not searched for each.
fn may_be_claim(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes().first(), Some(b'x' | b'f' | b't'))
}

/// Takes out all that a client claims about the way and the trace.
fn withdraw(fields: &mut HeaderMap) {
    let set =
        [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, FORWARDED, X_REQUEST_ID, TRACEPARENT];
    for name in set.iter().chain(&CLAIMS) {
        fields.remove(name);
    }
}

/// Lets go of names with `_`, unless the peer is trusted: many applications read such a name as the one with `-`, and
/// would take it for one that the gateway sets.
pub fn settle(request: &mut RequestHeader, facts: &Facts) {
    let ambiguous = |name: &&HeaderName| name.as_str().as_bytes().contains(&b'_');
    if facts.trusted {
        return;
    }
    while let Some(name) = request.headers.keys().find(ambiguous).cloned() {
        request.remove_header(&name);
    }
}

/// What a trusted peer said in all fields of a name.
fn kept(fields: &HeaderMap, name: &HeaderName) -> String {
    let mut all = String::with_capacity(64);
    for value in fields.get_all(name).iter().filter_map(|value| value.to_str().ok()) {
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(value);
    }
    all
}

/// An id as a field's value. Ids are hex digits, and traces have dashes besides, so neither is looked through for what a value may not have.
#[must_use]
pub fn id_value(id: RequestId) -> HeaderValue {
    header_value_from_slice(&id.to_hex())
}

/// Continues a trusted trace, or begins one at the request's id.
fn trace(fields: &mut HeaderMap, facts: &Facts, span: u64, believed: bool) -> u128 {
    let inbound = if believed { fields.get(TRACEPARENT) } else { None };
    let inbound = inbound.and_then(|value| TraceParent::parse(value.as_bytes()).ok());
    let span = span.to_be_bytes();
    let next = match inbound {
        Some(trace) => trace.child(span),
        None => {
            if believed {
                fields.remove(&TRACESTATE);
            }
            TraceParent::root(facts.id.0.to_be_bytes(), span, false)
        }
    };
    fields.insert(TRACEPARENT, header_value_from_slice(&next.write()));
    u128::from_be_bytes(next.trace_id())
}

/// Makes a span the parent of who gets the head. Gives the trace.
pub fn set_trace(request: &mut RequestHeader, trace: Trace, span: u64) -> u128 {
    drop(request.insert_header(TRACEPARENT, header_value_from_slice(&trace.told(span).write())));
    trace.id()
}

fn insert_trace(fields: &mut HeaderMap, trace: Trace, span: u64) -> u128 {
    fields.insert(TRACEPARENT, header_value_from_slice(&trace.told(span).write()));
    trace.id()
}

/// What `tracestate` is to say upstream.
fn state(fields: &HeaderMap) -> Option<HeaderValue> {
    let mut all = fields.get_all(TRACESTATE).iter();
    match TraceState::of(|| fields.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes)) {
        TraceState::None => None,
        TraceState::AsItIs => all.next().cloned(),
        TraceState::Written(list) => HeaderValue::from_bytes(&list).ok(),
    }
}
