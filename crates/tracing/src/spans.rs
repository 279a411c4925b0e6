//! A record as spans: one of the server for the request, one of a client for each attempt.
//!
//! Attributes are those of OpenTelemetry's semantic conventions for HTTP where there is one (`http.*`, `url.*`, `server.*`,
//! `client.*`, `network.*`, `error.type`), and `portcullis.*` else. Invariants: nothing is shown that the record does not
//! have, so paths are redacted as there; queries and header fields, which only a log may show, are not; the consumer and the
//! client's address only where the config says so.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use portcullis_telemetry::record::{Attempt, Kept};
use portcullis_telemetry::{Exporter, Record, Traced};
use portcullis_types::{Fault, Protocol};

/// The methods that are told as they are; others are `_OTHER`, so that a client cannot make names of spans.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

/// What spans show.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    consumer: bool,
    client_address: bool,
    scope: InstrumentationScope,
}

impl Shown {
    pub(crate) fn new(settings: &Exporter) -> Self {
        let scope = InstrumentationScope::builder("portcullis").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { consumer: settings.consumer, client_address: settings.client_address, scope }
    }
}

/// Attributes in the making.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    fn some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    /// A text, left out where it is empty.
    fn text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.add(key, text.to_owned());
        }
    }

    fn number(&mut self, key: &'static str, n: u64) {
        self.add(key, i64::try_from(n).unwrap_or(i64::MAX));
    }

    fn millis(&mut self, key: &'static str, time: Option<Duration>) {
        self.some(key, time.map(|time| time.as_secs_f64() * 1e3));
    }
}

/// The spans of a record, the request's first. None where it is not traced.
pub(crate) fn spans_of(record: &Record, why: Kept, shown: &Shown) -> Vec<SpanData> {
    let (Some(traced), Some(trace)) = (&record.traced, record.trace_id) else { return Vec::new() };
    let attempts = record.attempts.iter().enumerate();
    let own = Span { record, traced, trace, shown };
    std::iter::once(own.server(why)).chain(attempts.map(|(at, attempt)| own.client(at, attempt))).collect()
}

struct Span<'a> {
    record: &'a Record,
    traced: &'a Traced,
    trace: u128,
    shown: &'a Shown,
}

/// What is different from span to span.
struct Facts {
    id: u64,
    parent: Option<u64>,
    remote: bool,
    kind: SpanKind,
    name: Cow<'static, str>,
    /// From the request's arrival.
    from: Duration,
    to: Duration,
    status: Status,
}

impl Span<'_> {
    fn server(&self, why: Kept) -> SpanData {
        let (record, traced) = (self.record, self.traced);
        let method = method(record);
        let pattern = traced.terms.pattern.as_deref();
        let name = pattern.map_or(Cow::Borrowed(method), |pattern| format!("{method} {pattern}").into());
        let failed = record.went_wrong();
        let description = record.detail.clone().unwrap_or_default();
        let facts = Facts {
            id: traced.span,
            parent: traced.parent.map(NonZeroU64::get),
            remote: traced.parent.is_some(),
            kind: SpanKind::Server,
            name,
            from: Duration::ZERO,
            to: record.timers.total,
            status: if failed { Status::Error { description } } else { Status::Unset },
        };
        let mut attributes = self.http();
        attributes.some("http.route", pattern.map(str::to_owned));
        if failed {
            let reason = record.reason.map(|reason| reason.name().to_owned());
            attributes.add("error.type", reason.unwrap_or_else(|| record.status.to_string()));
        }
        self.own(&mut attributes, why);
        self.timers(&mut attributes);
        self.data(facts, attributes)
    }

    /// What the conventions say of a request.
    fn http(&self) -> Attributes {
        let (record, head) = (self.record, &self.record.head);
        let mut attributes = Attributes::default();
        attributes.add("http.request.method", method(record));
        if method(record) == "_OTHER" {
            attributes.text("http.request.method_original", head.method());
        }
        attributes.add("url.scheme", record.downstream.scheme().as_str());
        attributes.text("url.path", head.path());
        attributes.text("server.address", head.host());
        if self.shown.client_address {
            attributes.add("client.address", record.client.to_string());
        }
        attributes.text("user_agent.original", head.user_agent());
        attributes.some("network.protocol.version", record.protocol.map(version));
        if record.status > 0 {
            attributes.add("http.response.status_code", i64::from(record.status));
        }
        attributes.number("http.request.body.size", record.bytes_in);
        attributes.number("http.response.body.size", record.bytes_out);
        attributes
    }

    /// What the gateway decided.
    fn own(&self, attributes: &mut Attributes, why: Kept) {
        let record = self.record;
        attributes.add("portcullis.kept", why.as_str());
        attributes.add("portcullis.request_id", record.id.to_string());
        attributes.number("portcullis.generation", record.generation.0);
        attributes.text("portcullis.listener", record.downstream.listener.as_str());
        attributes.text("portcullis.virtual_host", record.virtual_host.as_deref().unwrap_or_default());
        attributes.some("portcullis.route", record.route.as_ref().map(ToString::to_string));
        attributes.some("portcullis.fallback_route", record.fallback_route.as_ref().map(ToString::to_string));
        attributes.add("portcullis.action", record.decision.action());
        attributes.some("portcullis.cluster", record.decision.cluster().map(ToString::to_string));
        attributes.some("portcullis.endpoint", record.endpoint().map(ToString::to_string));
        if self.shown.consumer {
            attributes.text("portcullis.consumer", record.consumer.as_deref().unwrap_or_default());
        }
        attributes.text("portcullis.answered_by", record.answered_by.as_deref().unwrap_or_default());
        attributes.some("portcullis.reason", record.reason.map(portcullis_types::Reason::name));
        attributes.some("portcullis.fault", record.reason.map(|reason| reason.fault().as_str()));
        attributes.text("portcullis.detail", record.detail.as_deref().unwrap_or_default());
        attributes.some("portcullis.hedged", record.hedged.map(|word| word.as_str()));
        attributes.some("portcullis.failover", record.failover.map(|word| word.as_str()));
        attributes.some("portcullis.not_retried", record.not_retried.map(|word| word.as_str()));
        let flags: Vec<&str> = record.flags.iter().map(|flag| flag.name()).collect();
        attributes.text("portcullis.flags", &flags.join(","));
        if record.attempts.more() > 0 {
            attributes.number("portcullis.attempts_more", record.attempts.more().into());
        }
    }

    fn timers(&self, attributes: &mut Attributes) {
        let timers = &self.record.timers;
        attributes.millis("portcullis.queue_ms", timers.queue);
        attributes.millis("portcullis.connect_ms", timers.connect);
        attributes.millis("portcullis.first_byte_ms", timers.first_byte);
    }

    fn client(&self, at: usize, attempt: &Attempt) -> SpanData {
        let total = self.record.timers.total;
        // Whether it was outrun, or its client went away: neither is the endpoint's failure.
        let error = match attempt.outcome {
            _ if attempt.outrun => None,
            Ok(status) => (status >= 400).then(|| status.to_string()),
            Err(reason) if reason.fault() == Fault::Client => None,
            Err(reason) => Some(reason.name().to_owned()),
        };
        let method = method(self.record);
        let facts = Facts {
            id: attempt.span,
            parent: Some(self.traced.span),
            remote: false,
            kind: SpanKind::Client,
            name: method.into(),
            from: attempt.started,
            to: attempt.ended.unwrap_or(total).max(attempt.started),
            status: if error.is_some() { Status::error("") } else { Status::Unset },
        };
        let mut attributes = Attributes::default();
        attributes.add("http.request.method", method);
        let (address, port) = address(attempt.endpoint.as_str());
        attributes.text("server.address", address);
        attributes.some("server.port", port.map(i64::from));
        if let (Ok(status), false) = (attempt.outcome, attempt.outrun) {
            attributes.add("http.response.status_code", i64::from(status));
        }
        attributes.some("error.type", error);
        if at > 0 {
            attributes.number("http.request.resend_count", at as u64);
        }
        let cluster = attempt.cluster.as_ref().or_else(|| self.record.decision.cluster());
        attributes.some("portcullis.cluster", cluster.map(ToString::to_string));
        attributes.add("portcullis.endpoint", attempt.endpoint.to_string());
        if let (Err(reason), false) = (attempt.outcome, attempt.outrun) {
            attributes.add("portcullis.reason", reason.name());
        }
        attributes.add("portcullis.reused", attempt.reused);
        if attempt.outrun {
            attributes.add("portcullis.outrun", true);
        }
        attributes.millis("portcullis.connect_ms", attempt.connect);
        attributes.millis("portcullis.first_byte_ms", attempt.first_byte);
        self.data(facts, attributes)
    }

    fn data(&self, facts: Facts, Attributes(attributes): Attributes) -> SpanData {
        let at = |offset: Duration| self.record.at.checked_add(offset).unwrap_or(SystemTime::UNIX_EPOCH);
        let flags = TraceFlags::default().with_sampled(self.traced.sampled);
        let trace = TraceId::from_bytes(self.trace.to_be_bytes());
        let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
        SpanData {
            span_context: SpanContext::new(trace, id(facts.id), flags, false, TraceState::default()),
            parent_span_id: facts.parent.map_or(SpanId::INVALID, id),
            parent_span_is_remote: facts.remote,
            span_kind: facts.kind,
            name: facts.name,
            start_time: at(facts.from),
            end_time: at(facts.to),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: facts.status,
            instrumentation_scope: self.shown.scope.clone(),
        }
    }
}

/// The method, or `_OTHER`.
fn method(record: &Record) -> &'static str {
    METHODS.iter().copied().find(|known| *known == record.head.method()).unwrap_or("_OTHER")
}

const fn version(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http10 => "1.0",
        Protocol::Http11 => "1.1",
        Protocol::Http2 => "2",
    }
}

/// What an endpoint's name says of where it is: an address with a port, or a name.
fn address(name: &str) -> (&str, Option<u16>) {
    let split = name.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = split else { return (name, None) };
    (host.trim_start_matches('[').trim_end_matches(']'), Some(port))
}
