//! A record as one JSON object: the access log's line and the API's view alike.
//!
//! Fields come in a fixed order, absent ones are left out, times are in milliseconds. Keys are our own literals;
//! every value that came from a request, a config or an upstream is escaped.

use std::time::Duration;

use portcullis_types::RequestId;

use super::escape::{address, millis, number, string};
use super::field::{Field, FieldSet, Key};
use super::view::View;
use crate::record::{Attempt, Considered, Record};
use crate::timestamp::write_timestamp;

/// The key of an inner object's member that is not its first.
macro_rules! key {
    ($name:literal) => {
        Key::inner(concat!(",\"", $name, "\":"))
    };
}

/// A record as JSON text, for the API.
#[must_use]
pub fn json(record: &Record) -> String {
    let mut out = Vec::with_capacity(1024);
    write_json(record, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a record as a JSON object, without a newline, for the API.
pub fn write_json(record: &Record, out: &mut Vec<u8>) {
    write_shown(record, &View::FULL, out);
}

/// Appends what a view shows of a record as a JSON object, without a newline.
pub(crate) fn write_shown(record: &Record, view: &View, out: &mut Vec<u8>) {
    let start = out.len();
    write_members(record, view, out);
    match out.get_mut(start) {
        // Every member brings the comma before it; the first one's becomes the brace.
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// Appends the members of the object, each with a comma before it.
pub(crate) fn write_members(record: &Record, view: &View, out: &mut Vec<u8>) {
    let mut fields = Fields { out, shown: view.fields };
    if fields.key(Field::Time.key()) {
        fields.out.push(b'"');
        write_timestamp(fields.out, record.at);
        fields.out.push(b'"');
    }
    fields.word(Field::Kind.key(), record.kind.as_str());
    fields.hex(Field::Id.key(), record.id);
    connection(&mut fields, record, view);
    request(&mut fields, record, view);
    outcome(&mut fields, record);
    timers(&mut fields, record);
    upstream(&mut fields, record);
    extras(&mut fields, record, view);
}

fn connection(fields: &mut Fields<'_>, record: &Record, view: &View) {
    fields.number(Field::Generation.key(), record.generation.0);
    fields.text(Field::Listener.key(), record.downstream.listener.as_str());
    if fields.key(Field::Client.key()) {
        fields.out.push(b'"');
        address(fields.out, view.client(record));
        fields.out.push(b'"');
    }
    if let Some(tls) = &record.downstream.tls {
        fields.text(Field::Tls.key(), tls.version);
        fields.some_text(Field::Sni.key(), tls.sni.as_deref());
    }
}

fn request(fields: &mut Fields<'_>, record: &Record, view: &View) {
    let head = &record.head;
    if let Some(protocol) = record.protocol {
        fields.word(Field::Protocol.key(), protocol.as_str());
    }
    fields.non_empty(Field::Method.key(), head.method());
    if !head.path().is_empty() || !head.host().is_empty() {
        fields.word(Field::Scheme.key(), record.downstream.scheme().as_str());
    }
    fields.non_empty(Field::Host.key(), head.host());
    fields.non_empty(Field::Path.key(), head.path());
    fields.non_empty(Field::Query.key(), &view.query(record));
    fields.non_empty(Field::UserAgent.key(), head.user_agent());
    fields.some_text(Field::VirtualHost.key(), record.virtual_host.as_deref());
    fields.some_text(Field::Route.key(), record.route.as_ref().map(|route| route.as_str()));
    fields.some_text(Field::FallbackRoute.key(), record.fallback_route.as_ref().map(|route| route.as_str()));
    fields.some_text(Field::Consumer.key(), record.consumer.as_deref());
}

fn outcome(fields: &mut Fields<'_>, record: &Record) {
    fields.word(Field::Action.key(), record.decision.action());
    fields.some_text(Field::Cluster.key(), record.decision.cluster().map(|cluster| cluster.as_str()));
    fields.number(Field::Status.key(), record.status);
    if let Some(status) = record.upstream_status {
        fields.number(Field::UpstreamStatus.key(), status);
    }
    if let Some(reason) = record.reason {
        fields.word(Field::Reason.key(), reason.name());
        fields.word(Field::Fault.key(), reason.fault().as_str());
    }
    fields.some_text(Field::Detail.key(), record.detail.as_deref());
    fields.some_text(Field::AnsweredBy.key(), record.answered_by.as_deref());
    if !record.flags.is_empty() {
        fields.array(Field::Flags.key(), record.flags.iter(), |out, flag| string(out, flag.name()));
    }
}

fn timers(fields: &mut Fields<'_>, record: &Record) {
    fields.some_millis(Field::QueueMs.key(), record.timers.queue);
    fields.some_millis(Field::ConnectMs.key(), record.timers.connect);
    fields.some_millis(Field::FirstByteMs.key(), record.timers.first_byte);
    fields.some_millis(Field::TotalMs.key(), Some(record.timers.total));
    fields.number(Field::BytesIn.key(), record.bytes_in);
    fields.number(Field::BytesOut.key(), record.bytes_out);
}

fn upstream(fields: &mut Fields<'_>, record: &Record) {
    if !record.considered.is_empty() {
        fields.array(Field::Endpoints.key(), record.considered.iter(), considered);
    }
    if record.considered.more() > 0 {
        fields.number(Field::EndpointsMore.key(), record.considered.more());
    }
    if !record.attempts.is_empty() {
        fields.array(Field::Attempts.key(), record.attempts.iter(), attempt);
    }
    if record.attempts.more() > 0 {
        fields.number(Field::AttemptsMore.key(), record.attempts.more());
    }
    if let Some(why) = record.not_retried {
        fields.word(Field::NotRetried.key(), why.as_str());
    }
    if let Some(why) = record.failover {
        fields.word(Field::Failover.key(), why.as_str());
    }
    if let Some(hedged) = record.hedged {
        fields.word(Field::Hedged.key(), hedged.as_str());
    }
}

fn considered(out: &mut Vec<u8>, considered: &Considered) {
    out.extend_from_slice(b"{\"endpoint\":");
    string(out, considered.endpoint.as_str());
    inner(out).word(key!("verdict"), considered.verdict.as_str());
    out.push(b'}');
}

fn attempt(out: &mut Vec<u8>, attempt: &Attempt) {
    out.extend_from_slice(b"{\"endpoint\":");
    string(out, attempt.endpoint.as_str());
    let mut fields = inner(out);
    fields.some_text(key!("cluster"), attempt.cluster.as_ref().map(|cluster| cluster.as_str()));
    fields.some_millis(key!("started_ms"), Some(attempt.started));
    fields.some_millis(key!("connect_ms"), attempt.connect);
    fields.some_millis(key!("first_byte_ms"), attempt.first_byte);
    match attempt.outcome {
        Err(_) if attempt.outrun => {
            fields.truth(key!("outrun"), true);
        }
        Ok(status) => fields.number(key!("status"), status),
        Err(reason) => fields.word(key!("reason"), reason.name()),
    }
    fields.truth(key!("reused"), attempt.reused);
    out.push(b'}');
}

fn extras(fields: &mut Fields<'_>, record: &Record, view: &View) {
    if let Some(trace) = record.trace_id {
        // A trace id is written as a request id is: 32 hex digits.
        fields.hex(Field::TraceId.key(), RequestId(trace));
    }
    fields.object(Field::Notes.key(), record.notes().iter().map(|(key, text)| (*key, &**text)));
    if !view.headers.is_empty() {
        fields.object(Field::Headers.key(), view.headers(record));
    }
}

/// An inner object, of which everything is shown.
const fn inner(out: &mut Vec<u8>) -> Fields<'_> {
    Fields { out, shown: FieldSet::ALL }
}

/// Writes the members of an object that are shown, each with a comma before it.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    shown: FieldSet,
}

impl Fields<'_> {
    /// Writes a key; `false` when its member is not shown, and then nothing may follow.
    fn key(&mut self, key: Key) -> bool {
        let shows = self.shown.shows(key);
        if shows {
            self.out.extend_from_slice(key.text.as_bytes());
        }
        shows
    }

    /// A text of our own that needs no escaping.
    fn word(&mut self, key: Key, word: &'static str) {
        if self.key(key) {
            self.out.push(b'"');
            self.out.extend_from_slice(word.as_bytes());
            self.out.push(b'"');
        }
    }

    fn truth(&mut self, key: Key, truth: bool) {
        if self.key(key) {
            self.out.extend_from_slice(if truth { b"true" } else { b"false" });
        }
    }

    fn hex(&mut self, key: Key, id: RequestId) {
        if self.key(key) {
            self.out.push(b'"');
            self.out.extend_from_slice(&id.to_hex());
            self.out.push(b'"');
        }
    }

    fn text(&mut self, key: Key, text: &str) {
        if self.key(key) {
            string(self.out, text);
        }
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
        if self.key(key) {
            number(self.out, n);
        }
    }

    fn some_millis(&mut self, key: Key, duration: Option<Duration>) {
        if let Some(duration) = duration
            && self.key(key)
        {
            millis(self.out, duration);
        }
    }

    fn array<T>(&mut self, key: Key, items: impl Iterator<Item = T>, write: fn(&mut Vec<u8>, T)) {
        if !self.key(key) {
            return;
        }
        self.out.push(b'[');
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            write(self.out, item);
        }
        self.out.push(b']');
    }

    /// An object of texts; nothing when it would be empty.
    fn object<'t>(&mut self, key: Key, pairs: impl Iterator<Item = (&'t str, &'t str)>) {
        let mut pairs = pairs.peekable();
        if pairs.peek().is_none() || !self.key(key) {
            return;
        }
        for (place, (name, text)) in pairs.enumerate() {
            self.out.push(if place == 0 { b'{' } else { b',' });
            string(self.out, name);
            self.out.push(b':');
            string(self.out, text);
        }
        self.out.push(b'}');
    }
}
