//! A collector of OTLP on a real socket: it reads the real messages, and answers as it is told.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use portcullis_integration_tests::place::own_ip;
use portcullis_integration_tests::{After, Origin, Received, until};
use prost::Message as _;

/// A span as the collector understands it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
    /// 2 of a server, 3 of a client.
    pub(super) kind: i32,
    pub(super) from: u64,
    pub(super) to: u64,
    /// 2 of an error, 0 of what says nothing.
    pub(super) status: i32,
    pub(super) flags: u32,
    pub(super) says: BTreeMap<String, String>,
    pub(super) resource: BTreeMap<String, String>,
}

impl Told {
    /// The value of an attribute; empty where there is none.
    pub(super) fn get(&self, key: &str) -> &str {
        self.says.get(key).map_or("", String::as_str)
    }

    pub(super) fn is_server(&self) -> bool {
        self.kind == 2
    }
}

/// Where OTLP is taken.
pub(super) struct Collector(pub(super) Origin);

impl Collector {
    /// One that takes everything.
    pub(super) fn start() -> Self {
        Self::at(SocketAddr::new(own_ip(), 0))
    }

    /// The same, at an address.
    pub(super) fn at(at: SocketAddr) -> Self {
        Self::answering(at, |_| taken(0))
    }

    /// One that answers the n-th batch, from 0, with these bytes; with none, it says nothing until it is left.
    pub(super) fn answering(at: SocketAddr, answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let count = std::sync::atomic::AtomicUsize::new(0);
        Self(Origin::bound(at, move |received, wire| {
            if !wire.read_body(received) {
                return After::Close;
            }
            let answer = answer(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            if answer.is_empty() { wire.wait_for_end() } else { wire.send(answer) }
        }))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Every span that came, in order.
    pub(super) fn spans(&self) -> Vec<Told> {
        self.0.received().iter().flat_map(read).collect()
    }

    /// The spans of the request of this path, once they are there: the server's first, then those of its attempts.
    pub(super) fn of(&self, path: &str) -> Vec<Told> {
        until(&format!("the spans of {path}"), || {
            let all = self.spans();
            let own = all.iter().find(|span| span.is_server() && span.get("url.path") == path)?.clone();
            let attempts = all.iter().filter(|span| span.parent == own.id && !span.is_server()).cloned();
            Some(std::iter::once(own.clone()).chain(attempts).collect())
        })
    }

    /// The paths of the requests whose spans came, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        self.spans().iter().filter(|span| span.is_server()).map(|span| span.get("url.path").to_owned()).collect()
    }
}

/// The answer to a batch of which so many spans are refused.
pub(super) fn taken(rejected: i64) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
    let error_message = "too old".to_owned();
    let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message };
    let message = ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) }.encode_to_vec();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n", message.len());
    [head.into_bytes(), message].concat()
}

/// Another answer.
pub(super) fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// The spans of a message, which is checked for what every message has.
fn read(received: &Received) -> Vec<Told> {
    assert_eq!(received.line(), "POST /v1/traces HTTP/1.1");
    assert_eq!(received.field("content-type"), Some("application/x-protobuf"));
    let mut body = received.body.clone();
    if received.field("content-encoding") == Some("gzip") {
        body.clear();
        flate2::read::GzDecoder::new(received.body.as_slice()).read_to_end(&mut body).unwrap();
    }
    let message = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let mut spans = Vec::new();
    for of_resource in message.resource_spans {
        let resource = pairs(&of_resource.resource.unwrap().attributes);
        for of_scope in of_resource.scope_spans {
            assert_eq!(of_scope.scope.unwrap().name, "portcullis");
            spans.extend(of_scope.spans.iter().map(|span| told(span, &resource)));
        }
    }
    spans
}

fn told(span: &Span, resource: &BTreeMap<String, String>) -> Told {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    assert!(span.trace_id.iter().any(|byte| *byte != 0) && span.span_id.iter().any(|byte| *byte != 0));
    Told {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind,
        from: span.start_time_unix_nano,
        to: span.end_time_unix_nano,
        status: span.status.as_ref().map_or(0, |status| status.code),
        flags: span.flags & 0xff,
        says: pairs(&span.attributes),
        resource: resource.clone(),
    }
}

fn pairs(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(n)) => n.to_string(),
        Some(Any::DoubleValue(n)) => n.to_string(),
        Some(Any::BoolValue(is)) => is.to_string(),
        other => panic!("an attribute of another kind: {other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}
