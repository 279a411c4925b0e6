//! What spans say of a record, what waits and what does not, and what a traced request costs before it is over.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;
use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use pingora_http::RequestHeader;
use portcullis_filter::Facts;
use portcullis_snapshot::request::forwarding::{self, ForwardedValues, Stamp};
use portcullis_snapshot::request::trace::Trace;
use portcullis_telemetry::metrics::{SpanDrop, TraceMetrics};
use portcullis_telemetry::record::{Decision, Kept, RecordOptions, RequestLine, TraceTerms};
use portcullis_telemetry::{Attempt, Exporter, Record, RecordSink as _, TraceRules, Traced, Traces};
use portcullis_types::{Downstream, GenerationId, Percent, Protocol, Reason, RequestId};

use crate::inbox::Inbox;
use crate::spans::{Shown, spans_of};

fn exporter() -> Exporter {
    Exporter {
        url: "http://127.0.0.1:4318/v1/traces".to_owned(),
        headers: Vec::new(),
        authorities: None,
        gzip: false,
        timeout: Duration::from_secs(1),
        service: "edge".to_owned(),
        resource: Vec::new(),
        queue: 8,
        batch: 4,
        wait: Duration::from_secs(1),
        consumer: false,
        client_address: false,
    }
}

fn downstream() -> Arc<Downstream> {
    let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let local = SocketAddr::from(([127, 0, 0, 1], 8080));
    Arc::new(Downstream { listener: "edge".into(), peer, socket_peer: peer, local, tls: None })
}

fn attempt(endpoint: &str, outcome: Result<u16, Reason>, millis: [u64; 2]) -> Attempt {
    let [from, to] = millis.map(Duration::from_millis);
    Attempt {
        endpoint: endpoint.into(),
        cluster: None,
        started: from,
        connect: None,
        first_byte: None,
        outcome,
        reused: true,
        outrun: false,
        span: u64::try_from(from.as_millis()).unwrap() + 1,
        ended: Some(to),
    }
}

/// A request that was tried twice, of a consumer, with a secret in its query.
fn record(status: u16) -> Record {
    let mut record =
        Record::request(RequestId(7), GenerationId(3), UNIX_EPOCH + Duration::from_secs(1_000), downstream());
    let line = RequestLine {
        method: b"GET",
        host: b"app.test",
        path: b"/items/7",
        query: Some(b"email=someone@example.com"),
        user_agent: None,
    };
    record.set_head(&line, &RecordOptions { query: true, ..RecordOptions::default() });
    record.protocol = Some(Protocol::Http2);
    record.consumer = Some("acme".into());
    record.decision = Decision::Cluster("app".into());
    record.trace_id = Some(0xabc);
    let terms = Arc::new(TraceTerms { slow: None, pattern: Some(Arc::from("/items/{id}")) });
    record.traced = Some(Traced { span: 99, parent: NonZeroU64::new(98), sampled: false, terms });
    record.attempts.push(attempt("10.0.0.1:80", Err(Reason::UpstreamReset), [1, 4]));
    record.attempts.push(attempt("[2001:db8::1]:8080", Ok(status), [5, 9]));
    record.timers.total = Duration::from_millis(10);
    record.status = status;
    record
}

fn get(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key)?;
    let text = if let Value::String(text) = &found.value { text.as_str().to_owned() } else { found.value.to_string() };
    Some(text)
}

#[test]
fn spans_have_the_times_the_parents_and_the_words_of_the_record() {
    let spans = spans_of(&record(200), Kept::Slow, &Shown::new(&exporter()));
    let [server, first, second] = spans.as_slice() else { panic!("{spans:#?}") };
    let millis = |span: &SpanData| {
        [span.start_time, span.end_time].map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_millis() - 1_000_000)
    };
    assert_eq!([millis(server), millis(first), millis(second)], [[0, 10], [1, 4], [5, 9]]);
    assert_eq!((server.name.as_ref(), &server.span_kind), ("GET /items/{id}", &SpanKind::Server));
    assert_eq!(server.parent_span_id, SpanId::from_bytes(98_u64.to_be_bytes()));
    assert!(server.parent_span_is_remote && !first.parent_span_is_remote);
    for (client, id) in [(first, 2_u64), (second, 6)] {
        assert_eq!(client.parent_span_id, server.span_context.span_id());
        assert_eq!(client.span_context.trace_id(), server.span_context.trace_id());
        assert_eq!(
            (client.span_context.span_id(), &client.span_kind),
            (SpanId::from_bytes(id.to_be_bytes()), &SpanKind::Client)
        );
    }
    assert_eq!(
        (get(first, "error.type").as_deref(), get(first, "http.response.status_code")),
        (Some("upstream_reset"), None)
    );
    assert_eq!(
        (get(first, "server.address").as_deref(), get(first, "server.port").as_deref()),
        (Some("10.0.0.1"), Some("80"))
    );
    assert_eq!(get(second, "server.address").as_deref(), Some("2001:db8::1"));
    assert!(matches!(first.status, Status::Error { .. }) && second.status == Status::Unset);
    assert_eq!((get(server, "portcullis.kept").as_deref(), get(server, "error.type")), (Some("slow"), None));
    assert!(!format!("{spans:?}").contains("someone"), "a query is never shown");
    assert!(!format!("{spans:?}").contains("acme") && !format!("{spans:?}").contains("192.0.2.7"));
}

#[test]
fn an_error_is_the_reason_or_the_status_and_a_clients_fault_is_none() {
    let server = |change: fn(&mut Record)| {
        let mut record = record(200);
        change(&mut record);
        let span = spans_of(&record, Kept::Failed, &Shown::new(&exporter())).swap_remove(0);
        (matches!(span.status, Status::Error { .. }), get(&span, "error.type"), get(&span, "portcullis.reason"))
    };
    assert_eq!(server(|record| record.status = 502), (true, Some("502".to_owned()), None));
    let timed_out = server(|record| (record.status, record.reason) = (504, Some(Reason::UpstreamTotalTimeout)));
    let name = Some(Reason::UpstreamTotalTimeout.name().to_owned());
    assert_eq!(timed_out, (true, name.clone(), name));
    let refused = server(|record| (record.status, record.reason) = (401, Some(Reason::KeyUnknown)));
    assert_eq!(refused, (false, None, Some("key_unknown".to_owned())));
    let odd = server(|record| {
        let line = RequestLine { method: b"BREW", ..RequestLine::default() };
        record.set_head(&line, &RecordOptions::default());
    });
    assert_eq!(odd, (false, None, None));
}

#[test]
fn what_waits_is_bounded_in_spans_and_each_drop_has_its_cause() {
    let metrics = Arc::new(TraceMetrics::default());
    let inbox = Inbox::new(8, 4, &metrics);
    let failed = Arc::new(record(503));
    (0..4).for_each(|_| inbox.record(&failed));
    assert_eq!((metrics.queue().used(), metrics.drops(SpanDrop::QueueFull)), (6, 6), "two of three spans each fit");
    let batch = inbox.take().unwrap();
    assert_eq!((batch.spans, batch.records.len(), inbox.waiting()), (3, 1, 3), "two would be six spans");
    inbox.record(&failed);
    assert_eq!(metrics.drops(SpanDrop::QueueFull), 9, "those on their way count");
    inbox.let_go();
    inbox.record(&failed);
    assert_eq!(inbox.waiting(), 6);
    inbox.close(Duration::ZERO);
    inbox.record(&failed);
    inbox.lose();
    assert_eq!(metrics.queue().used(), 0);
    assert_eq!((metrics.drops(SpanDrop::Closed), inbox.lost()), (9, 6));
}

/// What a request costs that turns out not to be kept: nothing is allocated for it. The head that goes upstream costs no more
/// than it does where nothing is traced, and there not even the field is looked at before.
#[test]
fn a_trace_that_is_not_kept_allocates_nothing() {
    let rules = TraceRules { callers: Traces::Anyone, follow: true, sample: Percent::ALL };
    let mut facts = Facts::new(RequestId(7), downstream());
    facts.host = "app.test".into();
    let mut head = RequestHeader::build("GET", b"/items/7", None).unwrap();
    let given = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    head.insert_header("traceparent", given).unwrap();
    head.insert_header("tracestate", HeaderValue::from_static("a=1")).unwrap();
    let mut trace = None;
    let begun = allocation_counter::measure(|| {
        trace = Some(Trace::begin(&head.headers, &facts, (RequestId(8), 9), &rules));
    });
    assert_eq!(begun.count_total, 0);
    let values = ForwardedValues::default();
    let applied = |trace: Option<Trace>| {
        let mut request = head.clone();
        let id = forwarding::id_value(RequestId(7));
        let measured = allocation_counter::measure(|| {
            forwarding::apply(&mut request, &facts, Stamp { id, span: 5, trace }, &values);
        });
        measured.count_total
    };
    applied(None);
    assert_eq!(applied(trace), applied(None));
    let inbox = Inbox::new(8, 4, &Arc::default());
    let mut good = record(200);
    good.attempts = Default::default();
    let good = Arc::new(good);
    let judged = allocation_counter::measure(|| inbox.record(&good));
    assert_eq!((judged.count_total, inbox.waiting()), (0, 0));
}
