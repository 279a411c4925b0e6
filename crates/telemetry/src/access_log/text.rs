//! A record as one line of text, for people:
//! `time client listener "METHOD url" status total-ms key=value…`.
//!
//! The first six fields are always there (`"-"` and `0` where there was no request); then come `key=value` fields,
//! absent ones left out. A value with anything but plain characters is quoted as a JSON string.

use std::time::Duration;

use super::escape::{address, inside, millis, number, value};
use super::view::View;
use crate::record::{FailoverWhy, Hedged, NotRetried, Record};
use crate::timestamp::write_timestamp;

/// Appends a record as a line of text, without a newline.
pub fn write_text(record: &Record, view: &View, out: &mut Vec<u8>) {
    write_timestamp(out, record.at);
    out.push(b' ');
    address(out, view.client(record));
    out.push(b' ');
    value(out, record.downstream.listener.as_str());
    out.push(b' ');
    target(out, record, view);
    out.push(b' ');
    number(out, record.status);
    out.push(b' ');
    millis(out, record.timers.total);
    out.extend_from_slice(b"ms");
    let mut fields = Fields { out };
    outcome(&mut fields, record);
    facts(&mut fields, record);
    extras(&mut fields, record, view);
}

/// The request as one quoted field. The parts are escaped one by one, the quotes are shared.
fn target(out: &mut Vec<u8>, record: &Record, view: &View) {
    let head = &record.head;
    if head.method().is_empty() && head.path().is_empty() {
        out.extend_from_slice(b"\"-\"");
        return;
    }
    out.push(b'"');
    inside(out, head.method());
    out.push(b' ');
    out.extend_from_slice(record.downstream.scheme().as_str().as_bytes());
    out.extend_from_slice(b"://");
    inside(out, head.host());
    inside(out, head.path());
    let query = view.query(record);
    if !query.is_empty() {
        out.push(b'?');
        inside(out, &query);
    }
    out.push(b'"');
}

fn outcome(fields: &mut Fields<'_>, record: &Record) {
    fields.some_text("reason", record.reason.map(|reason| reason.name()));
    fields.some_text("detail", record.detail.as_deref());
    fields.some_text("answered_by", record.answered_by.as_deref());
    for flag in record.flags.iter() {
        fields.text("flag", flag.name());
    }
    fields.some_text("virtual_host", record.virtual_host.as_deref());
    fields.some_text("route", record.route.as_ref().map(|route| route.as_str()));
    fields.some_text("fallback_route", record.fallback_route.as_ref().map(|route| route.as_str()));
    fields.some_text("consumer", record.consumer.as_deref());
    fields.text("action", record.decision.action());
    fields.some_text("cluster", record.decision.cluster().map(|cluster| cluster.as_str()));
    fields.some_text("endpoint", record.endpoint().map(|endpoint| endpoint.as_str()));
    if record.attempts.total() > 1 {
        fields.number("attempts", record.attempts.total());
    }
    fields.some_text("not_retried", record.not_retried.map(NotRetried::as_str));
    fields.some_text("hedged", record.hedged.map(Hedged::as_str));
    fields.some_text("failover", record.failover.map(FailoverWhy::as_str));
    if let Some(status) = record.upstream_status {
        fields.number("upstream_status", status);
    }
}

fn facts(fields: &mut Fields<'_>, record: &Record) {
    fields.some_millis("queue", record.timers.queue);
    fields.some_millis("connect", record.timers.connect);
    fields.some_millis("first_byte", record.timers.first_byte);
    fields.number("in", record.bytes_in);
    fields.number("out", record.bytes_out);
    fields.some_text("protocol", record.protocol.map(|protocol| protocol.as_str()));
    if let Some(tls) = &record.downstream.tls {
        fields.text("tls", tls.version);
        fields.some_text("sni", tls.sni.as_deref());
    }
    fields.some_text("agent", Some(record.head.user_agent()).filter(|agent| !agent.is_empty()));
}

fn extras(fields: &mut Fields<'_>, record: &Record, view: &View) {
    for (key, text) in record.notes() {
        fields.out.push(b' ');
        value(fields.out, key);
        fields.out.push(b'=');
        value(fields.out, text);
    }
    for (name, text) in view.headers(record) {
        fields.out.extend_from_slice(b" header.");
        fields.out.extend_from_slice(name.as_bytes());
        fields.out.push(b'=');
        value(fields.out, text);
    }
    fields.number("generation", record.generation.0);
    fields.key("id");
    fields.out.extend_from_slice(&record.id.to_hex());
}

/// Writes ` key=value`. Keys are literals that need no quotes.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn key(&mut self, key: &'static str) {
        self.out.push(b' ');
        self.out.extend_from_slice(key.as_bytes());
        self.out.push(b'=');
    }

    fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        value(self.out, text);
    }

    fn some_text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &'static str, n: impl itoa::Integer) {
        self.key(key);
        number(self.out, n);
    }

    fn some_millis(&mut self, key: &'static str, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.key(key);
            millis(self.out, duration);
            self.out.extend_from_slice(b"ms");
        }
    }
}
