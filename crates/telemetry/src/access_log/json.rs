//! A record as one JSON object: the access log's line and the API's view alike.
//!
//! Fields come in a fixed order, absent ones are left out, times are in milliseconds. Keys are our own literals;
//! every value that came from a request, a config or an upstream is escaped.

use std::time::Duration;

use portcullis_types::RequestId;

use super::escape::{address, millis, number, string};
use crate::record::{Attempt, Considered, Record};
use crate::timestamp::write_timestamp;

/// The key of a field that is not its object's first.
macro_rules! key {
    ($name:literal) => {
        Key(concat!(",\"", $name, "\":"))
    };
}

/// A record as JSON text, for the API.
#[must_use]
pub fn json(record: &Record) -> String {
    let mut out = Vec::with_capacity(1024);
    write_json(record, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a record as a JSON object, without a newline.
pub fn write_json(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    write_timestamp(out, record.at);
    out.extend_from_slice(b"\",\"kind\":\"");
    out.extend_from_slice(record.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"id\":\"");
    out.extend_from_slice(&record.id.to_hex());
    out.push(b'"');
    let mut fields = Fields { out };
    connection(&mut fields, record);
    request(&mut fields, record);
    outcome(&mut fields, record);
    timers(&mut fields, record);
    upstream(&mut fields, record);
    extras(&mut fields, record);
    out.push(b'}');
}

fn connection(fields: &mut Fields<'_>, record: &Record) {
    fields.number(key!("generation"), record.generation.0);
    fields.text(key!("listener"), record.downstream.listener.as_str());
    fields.key(key!("client"));
    fields.out.push(b'"');
    address(fields.out, record.client);
    fields.out.push(b'"');
    if let Some(tls) = &record.downstream.tls {
        fields.text(key!("tls"), tls.version);
        fields.some_text(key!("sni"), tls.sni.as_deref());
    }
}

fn request(fields: &mut Fields<'_>, record: &Record) {
    let head = &record.head;
    if let Some(protocol) = record.protocol {
        fields.word(key!("protocol"), protocol.as_str());
    }
    fields.non_empty(key!("method"), head.method());
    if !head.path().is_empty() || !head.host().is_empty() {
        fields.word(key!("scheme"), record.downstream.scheme().as_str());
    }
    fields.non_empty(key!("host"), head.host());
    fields.non_empty(key!("path"), head.path());
    fields.non_empty(key!("query"), head.query());
    fields.non_empty(key!("user_agent"), head.user_agent());
    fields.some_text(key!("virtual_host"), record.virtual_host.as_deref());
    fields.some_text(key!("route"), record.route.as_ref().map(|route| route.as_str()));
    fields.some_text(key!("fallback_route"), record.fallback_route.as_ref().map(|route| route.as_str()));
    fields.some_text(key!("consumer"), record.consumer.as_deref());
}

fn outcome(fields: &mut Fields<'_>, record: &Record) {
    fields.word(key!("action"), record.decision.action());
    fields.some_text(key!("cluster"), record.decision.cluster().map(|cluster| cluster.as_str()));
    fields.number(key!("status"), record.status);
    if let Some(status) = record.upstream_status {
        fields.number(key!("upstream_status"), status);
    }
    if let Some(reason) = record.reason {
        fields.word(key!("reason"), reason.name());
        fields.word(key!("fault"), reason.fault().as_str());
    }
    fields.some_text(key!("detail"), record.detail.as_deref());
    fields.some_text(key!("answered_by"), record.answered_by.as_deref());
    if !record.flags.is_empty() {
        fields.array(key!("flags"), record.flags.iter(), |out, flag| string(out, flag.name()));
    }
}

fn timers(fields: &mut Fields<'_>, record: &Record) {
    fields.some_millis(key!("queue_ms"), record.timers.queue);
    fields.some_millis(key!("connect_ms"), record.timers.connect);
    fields.some_millis(key!("first_byte_ms"), record.timers.first_byte);
    fields.some_millis(key!("total_ms"), Some(record.timers.total));
    fields.number(key!("bytes_in"), record.bytes_in);
    fields.number(key!("bytes_out"), record.bytes_out);
}

fn upstream(fields: &mut Fields<'_>, record: &Record) {
    if !record.considered.is_empty() {
        fields.array(key!("endpoints"), record.considered.iter(), considered);
    }
    if record.considered.more() > 0 {
        fields.number(key!("endpoints_more"), record.considered.more());
    }
    if !record.attempts.is_empty() {
        fields.array(key!("attempts"), record.attempts.iter(), attempt);
    }
    if record.attempts.more() > 0 {
        fields.number(key!("attempts_more"), record.attempts.more());
    }
    if let Some(why) = record.not_retried {
        fields.word(key!("not_retried"), why.as_str());
    }
    if let Some(why) = record.failover {
        fields.word(key!("failover"), why.as_str());
    }
    if let Some(hedged) = record.hedged {
        fields.word(key!("hedged"), hedged.as_str());
    }
}

fn considered(out: &mut Vec<u8>, considered: &Considered) {
    out.extend_from_slice(b"{\"endpoint\":");
    string(out, considered.endpoint.as_str());
    Fields { out }.word(key!("verdict"), considered.verdict.as_str());
    out.push(b'}');
}

fn attempt(out: &mut Vec<u8>, attempt: &Attempt) {
    out.extend_from_slice(b"{\"endpoint\":");
    string(out, attempt.endpoint.as_str());
    let mut fields = Fields { out };
    fields.some_text(key!("cluster"), attempt.cluster.as_ref().map(|cluster| cluster.as_str()));
    fields.some_millis(key!("started_ms"), Some(attempt.started));
    fields.some_millis(key!("connect_ms"), attempt.connect);
    fields.some_millis(key!("first_byte_ms"), attempt.first_byte);
    match attempt.outcome {
        Err(_) if attempt.outrun => {
            fields.key(key!("outrun"));
            fields.out.extend_from_slice(b"true");
        }
        Ok(status) => fields.number(key!("status"), status),
        Err(reason) => fields.word(key!("reason"), reason.name()),
    }
    fields.key(key!("reused"));
    fields.out.extend_from_slice(if attempt.reused { b"true" } else { b"false" });
    out.push(b'}');
}

fn extras(fields: &mut Fields<'_>, record: &Record) {
    if let Some(trace) = record.trace_id {
        fields.key(key!("trace_id"));
        fields.out.push(b'"');
        // A trace id is written as a request id is: 32 hex digits.
        fields.out.extend_from_slice(&RequestId(trace).to_hex());
        fields.out.push(b'"');
    }
    if record.notes().is_empty() {
        return;
    }
    fields.key(key!("notes"));
    for (place, (key, text)) in record.notes().iter().enumerate() {
        fields.out.push(if place == 0 { b'{' } else { b',' });
        string(fields.out, key);
        fields.out.push(b':');
        string(fields.out, text);
    }
    fields.out.push(b'}');
}

/// A key with all that stands around it, of a literal that needs no escaping.
#[derive(Clone, Copy)]
struct Key(&'static str);

/// Writes fields behind the first one of an object.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn key(&mut self, key: Key) {
        self.out.extend_from_slice(key.0.as_bytes());
    }

    /// A text of our own that needs no escaping.
    fn word(&mut self, key: Key, word: &'static str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    fn text(&mut self, key: Key, text: &str) {
        self.key(key);
        string(self.out, text);
    }

    fn some_text(&mut self, key: Key, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn non_empty(&mut self, key: Key, text: &str) {
        self.some_text(key, Some(text).filter(|text| !text.is_empty()));
    }

    fn number(&mut self, key: Key, n: impl itoa::Integer) {
        self.key(key);
        number(self.out, n);
    }

    fn some_millis(&mut self, key: Key, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.key(key);
            millis(self.out, duration);
        }
    }

    fn array<T>(&mut self, key: Key, items: impl Iterator<Item = T>, write: fn(&mut Vec<u8>, T)) {
        self.key(key);
        self.out.push(b'[');
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            write(self.out, item);
        }
        self.out.push(b']');
    }
}
