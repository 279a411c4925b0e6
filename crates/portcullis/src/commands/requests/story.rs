//! One record as a story.

use serde_json::Value;
use std::fmt::Write as _;

use super::{plain, some, text};

/// What came, what was decided, what was tried, how it ended.
pub(super) fn story(record: &Value) -> String {
    let mut out = String::new();
    let mut say = |name: &str, says: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", format!("{name:11} {}", plain(&says)).trim_end());
    };
    say("request", format!("{} at {}", text(record, "id"), text(record, "time")));
    say("came", came(record));
    say("by", by(record));
    say("decided", decided(record));
    list(record, "endpoints").iter().for_each(|one| {
        say("", format!("{}: {}", text(one, "endpoint"), text(one, "verdict").replace('_', " ")));
    });
    more(record, "endpoints_more").into_iter().for_each(|more| say("", more));
    for (at, attempt) in list(record, "attempts").iter().enumerate() {
        say(if at == 0 { "tried" } else { "" }, tried(at + 1, attempt));
    }
    more(record, "attempts_more").into_iter().for_each(|more| say("", more));
    some(record, "not_retried").into_iter().for_each(|why| say("gave up", gave_up(&why)));
    for (key, says) in [("failover", "moved"), ("hedged", "hedged")] {
        some(record, key).into_iter().for_each(|why| say(says, why.replace('_', " ")));
    }
    say("ended", ended(record));
    say("took", took(record));
    let flags = list(record, "flags").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    if !flags.is_empty() {
        say("also", flags.replace('_', " "));
    }
    let notes = record.get("notes").and_then(Value::as_object).into_iter().flatten();
    notes.for_each(|(key, value)| say("noted", format!("{key}: {}", value.as_str().unwrap_or_default())));
    some(record, "trace_id").into_iter().for_each(|trace| say("trace", trace));
    out
}

fn came(record: &Value) -> String {
    let what = match some(record, "method") {
        Some(method) => {
            let query = some(record, "query").map(|query| format!("?{query}")).unwrap_or_default();
            let (scheme, host, path) = (text(record, "scheme"), text(record, "host"), text(record, "path"));
            format!("{method} {scheme}://{host}{path}{query}")
        }
        None => "a connection without a request".to_owned(),
    };
    let protocol = some(record, "protocol").map(|protocol| format!(" over {protocol}")).unwrap_or_default();
    let tls = some(record, "tls").map(|tls| format!(", {tls}")).unwrap_or_default();
    format!("{what}{protocol}{tls} on listener {}", text(record, "listener"))
}

/// Why there was no further attempt; the words of `not_retried`.
fn gave_up(why: &str) -> String {
    let says = match why {
        "budget" => "the cluster's budget of retries is spent",
        "unsafe" => "it may have been acted on, and neither its method nor its route is idempotent",
        "attempts" => "all attempts were made",
        "deadline" => "another attempt could not have ended in time",
        "body" => "its body was too large to be kept",
        "retry_after" => "the only endpoint left wants to be left alone for longer than the gateway waits",
        other => other,
    };
    says.to_owned()
}

fn by(record: &Value) -> String {
    let consumer = some(record, "consumer").map(|consumer| format!(", the consumer {consumer}")).unwrap_or_default();
    let agent = some(record, "user_agent").map(|agent| format!(", {agent}")).unwrap_or_default();
    format!("{}{consumer}{agent}", text(record, "client"))
}

fn decided(record: &Value) -> String {
    let generation = record.get("generation").and_then(Value::as_u64).unwrap_or_default();
    let host = some(record, "virtual_host").map_or_else(|| "no host".to_owned(), |host| format!("host {host}"));
    let route = some(record, "route").map_or_else(|| "no route".to_owned(), |route| format!("route {route}"));
    let action = match (text(record, "action").as_str(), some(record, "cluster")) {
        ("cluster", Some(cluster)) => format!("to the cluster {cluster}"),
        ("none", _) => "it ended before a decision".to_owned(),
        (action, _) => action.to_owned(),
    };
    let filter = some(record, "answered_by").map(|name| format!(", answered by the filter {name}")).unwrap_or_default();
    let fallback = some(record, "fallback_route").map(|name| format!(", went on as route {name}")).unwrap_or_default();
    format!("by generation {generation}: {host}, {route}, {action}{filter}{fallback}")
}

fn tried(number: usize, attempt: &Value) -> String {
    let cluster = some(attempt, "cluster").map(|cluster| format!(" of the cluster {cluster}")).unwrap_or_default();
    let outcome = match (attempt.get("status").and_then(Value::as_u64), some(attempt, "reason")) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(reason)) => format!("failed: {reason}"),
        (None, None) => "given up: another attempt was faster".to_owned(),
    };
    let mut parts = vec![outcome];
    parts.extend(millis(attempt, "started_ms").map(|at| format!("began at {at}")));
    match millis(attempt, "connect_ms") {
        Some(connect) => parts.push(format!("connected in {connect}")),
        None if attempt.get("reused").and_then(Value::as_bool) == Some(true) => {
            parts.push("over an open connection".to_owned());
        }
        None => {}
    }
    parts.extend(millis(attempt, "first_byte_ms").map(|first| format!("first byte after {first}")));
    format!("{number}. {}{cluster}: {}", text(attempt, "endpoint"), parts.join(", "))
}

fn ended(record: &Value) -> String {
    let status = match record.get("status").and_then(Value::as_u64) {
        Some(0) | None => "without an answer".to_owned(),
        Some(status) => format!("with {status}"),
    };
    let upstream = record.get("upstream_status").and_then(Value::as_u64);
    let upstream = upstream.map(|status| format!(" (upstream {status})")).unwrap_or_default();
    let reason = some(record, "reason").map(|reason| format!(": {reason}")).unwrap_or_default();
    let fault = some(record, "fault").map(|fault| format!(", by the {fault}")).unwrap_or_default();
    let detail = some(record, "detail").map(|detail| format!("; {detail}")).unwrap_or_default();
    format!("{status}{upstream}{reason}{fault}{detail}")
}

fn took(record: &Value) -> String {
    let parts = [("queue_ms", "waited"), ("connect_ms", "connect"), ("first_byte_ms", "first byte after")];
    let mut told: Vec<String> = millis(record, "total_ms").into_iter().collect();
    told.extend(parts.iter().filter_map(|(key, says)| Some(format!("{says} {}", millis(record, key)?))));
    let bytes = |key: &str| record.get(key).and_then(Value::as_u64).unwrap_or_default();
    told.push(format!("{} bytes in, {} bytes out", bytes("bytes_in"), bytes("bytes_out")));
    told.join("; ")
}

/// Milliseconds as people write them.
pub(super) fn millis(value: &Value, key: &str) -> Option<String> {
    let millis = value.get(key)?.as_f64()?;
    Some(if millis >= 10_000.0 { format!("{:.1}s", millis / 1000.0) } else { format!("{millis:.1}ms") })
}

/// The endpoint that was tried last.
pub(super) fn last_endpoint(record: &Value) -> Option<String> {
    some(record.get("attempts")?.as_array()?.last()?, "endpoint")
}

fn list<'a>(record: &'a Value, key: &str) -> &'a [Value] {
    record.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn more(record: &Value, key: &str) -> Option<String> {
    record.get(key).and_then(Value::as_u64).map(|more| format!("and {more} more"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_is_told_from_its_arrival_to_its_end() {
        let record = json!({
            "time": "2026-03-01T00:00:00.000Z", "kind": "request", "id": "0af7651916cd43dd8448eb211c80319c", "generation": 7,
            "listener": "edge", "client": "203.0.113.9", "protocol": "HTTP/1.1", "method": "POST", "scheme": "http",
            "host": "api.example.com", "path": "/pay", "virtual_host": "api.example.com", "route": "pay", "consumer": "acme",
            "action": "cluster", "cluster": "api", "status": 502, "reason": "upstream_reset", "fault": "upstream",
            "detail": "while waiting for the head", "flags": ["retried"], "queue_ms": 2.0, "total_ms": 31.5,
            "bytes_in": 12, "bytes_out": 90,
            "endpoints": [{ "endpoint": "10.0.0.1:80", "verdict": "at_limit" }, { "endpoint": "10.0.0.2:80", "verdict": "chosen" }],
            "attempts": [
                { "endpoint": "10.0.0.2:80", "started_ms": 0.1, "connect_ms": 1.2, "reason": "upstream_connect_refused", "reused": false },
                { "endpoint": "10.0.0.3:80", "started_ms": 4.0, "first_byte_ms": 20.0, "status": 502, "reused": true },
            ],
            "not_retried": "retry_after", "notes": { "credits": "3" },
        });
        let expected = "\
request     0af7651916cd43dd8448eb211c80319c at 2026-03-01T00:00:00.000Z
came        POST http://api.example.com/pay over HTTP/1.1 on listener edge
by          203.0.113.9, the consumer acme
decided     by generation 7: host api.example.com, route pay, to the cluster api
            10.0.0.1:80: at limit
            10.0.0.2:80: chosen
tried       1. 10.0.0.2:80: failed: upstream_connect_refused, began at 0.1ms, connected in 1.2ms
            2. 10.0.0.3:80: answered 502, began at 4.0ms, over an open connection, first byte after 20.0ms
gave up     the only endpoint left wants to be left alone for longer than the gateway waits
ended       with 502: upstream_reset, by the upstream; while waiting for the head
took        31.5ms; waited 2.0ms; 12 bytes in, 90 bytes out
also        retried
noted       credits: 3
";
        assert_eq!(story(&record), expected);
    }

    #[test]
    fn a_connection_without_a_request_is_told_too() {
        let record = json!({ "time": "T", "kind": "connection", "id": "00", "generation": 1, "listener": "edge",
            "client": "::1", "action": "none", "status": 0, "reason": "head_timeout", "fault": "client", "total_ms": 10000.0 });
        let told = story(&record);
        assert!(told.contains("came        a connection without a request on listener edge\n"), "{told}");
        assert!(told.contains("ended       without an answer: head_timeout, by the client\n"), "{told}");
        assert!(told.contains("took        10.0s; 0 bytes in, 0 bytes out\n"), "{told}");
    }
}
