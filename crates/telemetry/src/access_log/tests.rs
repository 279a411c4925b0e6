//! That lines tell what the record tells, and that no text breaks a line.

use super::*;
use crate::fixture;
use crate::record::{
    Attempt, Considered, Decision, FailoverWhy, Flag, Hedged, NotRetried, RecordOptions, RequestLine, Verdict,
};
use crate::redact::Redaction;
use portcullis_types::{ProxyError, Reason, RequestId};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;

fn line(record: &Record, format: Format) -> String {
    let mut out = Vec::new();
    render(record, format, &View::FULL, &mut out);
    String::from_utf8(out).unwrap()
}

fn parsed(record: &Record) -> Value {
    serde_json::from_str(&line(record, Format::Json)).unwrap()
}

#[test]
fn json_tells_a_proxied_request() {
    let got = parsed(&fixture::typical(7));
    let expected = serde_json::json!({
        "time": "2026-08-04T12:34:56.789Z", "kind": "request", "id": format!("{:032x}", 7), "generation": 3,
        "listener": "edge", "client": "192.0.2.7", "tls": "TLSv1.3", "sni": "rpc.example.com",
        "protocol": "HTTP/2", "method": "POST", "scheme": "https", "host": "rpc.example.com",
        "path": "/v1/accounts/7", "user_agent": "curl/8.9.1", "virtual_host": "rpc.example.com",
        "route": "archive", "consumer": "acme", "action": "cluster", "cluster": "rpc-east", "status": 200,
        "upstream_status": 200, "queue_ms": 0.0, "connect_ms": 0.85, "first_byte_ms": 9.52, "total_ms": 12.345,
        "bytes_in": 512, "bytes_out": 2048,
        "endpoints": [
            { "endpoint": "10.0.0.11:8899", "verdict": "ejected" },
            { "endpoint": "10.0.1.11:8899", "verdict": "chosen" },
        ],
        "attempts": [{
            "endpoint": "10.0.1.11:8899", "started_ms": 0.12, "connect_ms": 0.85, "first_byte_ms": 9.4,
            "status": 200, "reused": false,
        }],
    });
    assert_eq!(got, expected);
}

#[test]
fn json_tells_a_refused_request() {
    let mut record = fixture::typical(7);
    record.fail(&ProxyError::with_detail(Reason::OverRate, "plan free: 10/s"));
    (record.answered_by, record.decision) = (Some("caps".into()), Decision::Filter);
    record.flags.set(Flag::Draining);
    record.trace_id = Some(0xabc);
    record.note("credits", "10");
    record.considered.count_more(12);
    let got = parsed(&record);
    assert_eq!(got["reason"], "over_rate");
    assert_eq!(got["fault"], "client");
    assert_eq!(got["detail"], "plan free: 10/s");
    assert_eq!(got["answered_by"], "caps");
    assert_eq!(got["action"], "filter");
    assert_eq!(got["flags"], serde_json::json!(["draining"]));
    assert_eq!(got["trace_id"], format!("{:032x}", 0xabc));
    assert_eq!(got["notes"], serde_json::json!({ "credits": "10" }));
    assert_eq!(got["endpoints_more"], 12);
    assert!(got.get("cluster").is_none());
}

#[test]
fn both_formats_tell_of_a_second_attempt_and_of_the_one_that_lost() {
    let mut record = fixture::typical(7);
    assert!(parsed(&record).get("hedged").is_none());
    for hedged in Hedged::ALL {
        record.hedged = Some(hedged);
        assert_eq!(parsed(&record)["hedged"], hedged.as_str());
        let text = line(&record, Format::Text);
        assert!(text.contains(&format!(" hedged={} ", hedged.as_str())), "{text}");
    }
    let lost = Attempt { outcome: Err(Reason::ClientClosed), outrun: true, ..fixture::attempt("10.0.0.9:80") };
    record.attempts.push(lost);
    let got = parsed(&record);
    let lost = got["attempts"].as_array().unwrap().last().unwrap();
    assert_eq!((lost.get("outrun"), lost.get("reason"), lost.get("status")), (Some(&true.into()), None, None));
}

#[test]
fn both_formats_tell_why_it_was_not_tried_again_and_why_it_went_elsewhere() {
    let mut record = fixture::typical(7);
    assert!(parsed(&record).get("not_retried").is_none() && parsed(&record).get("failover").is_none());
    for (not_retried, failover) in NotRetried::ALL.into_iter().zip(FailoverWhy::ALL.into_iter().cycle()) {
        (record.not_retried, record.failover) = (Some(not_retried), Some(failover));
        let got = parsed(&record);
        assert_eq!((&got["not_retried"], &got["failover"]), (&not_retried.as_str().into(), &failover.as_str().into()));
        let text = line(&record, Format::Text);
        let expected = format!(" not_retried={} failover={} ", not_retried.as_str(), failover.as_str());
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn both_formats_tell_which_route_it_went_on_as() {
    let mut record = fixture::typical(7);
    assert!(parsed(&record).get("fallback_route").is_none());
    record.fallback_route = Some("later".into());
    let got = parsed(&record);
    assert_eq!((&got["route"], &got["fallback_route"]), (&"archive".into(), &"later".into()));
    let text = line(&record, Format::Text);
    assert!(text.contains(" route=archive fallback_route=later "), "{text}");
}

#[test]
fn json_tells_a_connection_without_request_fields() {
    let from = fixture::bare(1);
    let mut record = Record::connection(RequestId(1), from.generation, from.at, from.downstream);
    record.fail(&ProxyError::new(Reason::TlsHandshakeFailed));
    let got = parsed(&record);
    assert_eq!((got["kind"].as_str(), got["reason"].as_str()), (Some("connection"), Some("tls_handshake_failed")));
    for absent in ["method", "host", "path", "scheme", "protocol", "attempts", "route"] {
        assert!(got.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn the_api_shows_what_the_log_shows() {
    let record = fixture::typical(7);
    assert_eq!(json(&record), line(&record, Format::Json).trim_end());
}

#[test]
fn text_tells_a_proxied_request() {
    let expected = "2026-08-04T12:34:56.789Z 192.0.2.7 edge \"POST https://rpc.example.com/v1/accounts/7\" 200 \
         12.345ms virtual_host=rpc.example.com route=archive consumer=acme action=cluster cluster=rpc-east \
         endpoint=10.0.1.11:8899 upstream_status=200 queue=0.000ms connect=0.850ms first_byte=9.520ms in=512 \
         out=2048 protocol=HTTP/2 tls=TLSv1.3 sni=rpc.example.com agent=curl/8.9.1 generation=3 \
         id=00000000000000000000000000000007\n";
    assert_eq!(line(&fixture::typical(7), Format::Text), expected);
}

#[test]
fn text_of_a_connection_keeps_the_first_six_fields() {
    let from = fixture::bare(1);
    let mut record = Record::connection(RequestId(1), from.generation, from.at, from.downstream);
    record.client = "2001:db8::7".parse().unwrap();
    record.fail(&ProxyError::with_detail(Reason::ProxyProtocolInvalid, "v1 \"TCP9\"\n"));
    let got = line(&record, Format::Text);
    assert!(
        got.starts_with(
            "2026-08-04T12:34:56.789Z 2001:db8::7 edge \"-\" 0 0.000ms reason=proxy_protocol_invalid \
             detail=\"v1 \\\"TCP9\\\"\\n\" action=none"
        ),
        "{got}"
    );
}

#[test]
fn terminals_get_no_control_characters() {
    let mut record = fixture::typical(7);
    record.detail = Some("\u{1b}[2J \u{9b}31m \u{7f} £ é ’ \u{202e}\u{2028}".into());
    for format in [Format::Json, Format::Text] {
        let got = line(&record, format);
        assert!(got.contains("\\u001b[2J \\u009b31m \\u007f £ é ’ \\u202e\\u2028"), "{got}");
    }
}

fn seen(record: &Record, view: &View) -> Value {
    let mut out = Vec::new();
    write_shown(record, view, &mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_view_chooses_members_and_none_is_an_object_too() {
    let record = fixture::typical(7);
    let shown = |fields: FieldSet| seen(&record, &View { fields, ..View::FULL });
    assert_eq!(shown(FieldSet::only([])), serde_json::json!({}));
    let few = serde_json::json!({ "path": "/v1/accounts/7", "status": 200 });
    assert_eq!(shown(FieldSet::only([Field::Status, Field::Path])), few);
    let mut all = parsed(&record);
    all.as_object_mut().unwrap().retain(|key, _| key != "time" && key != "attempts");
    assert_eq!(shown(FieldSet::all_but([Field::Time, Field::Attempts])), all);
    for &field in Field::ALL {
        let one = shown(FieldSet::only([field]));
        assert!(one.as_object().unwrap().keys().all(|key| key == field.name()), "{field:?}: {one}");
    }
}

#[test]
fn every_member_that_a_record_can_have_is_one_that_a_view_can_leave_out() {
    let mut record = fixture::typical(7);
    record.fail(&ProxyError::with_detail(Reason::OverRate, "x"));
    record.trace_id = Some(1);
    record.note("a", "b");
    record.keep_header(&"x-a".into(), "b", &Redaction::default());
    record.considered.count_more(1);
    (0..9).for_each(|_| record.attempts.push(fixture::attempt("e")));
    record.flags.set(Flag::Retried);
    let none = FieldSet::all_but(Field::ALL.iter().copied());
    assert_eq!(seen(&record, &View { fields: none, headers: vec!["x-a".into()], ..View::FULL }), serde_json::json!({}));
}

#[test]
fn no_view_shows_what_only_another_may_show() {
    let mut record = fixture::typical(7);
    let query = Some(&b"page=2&tenant=acme&apikey=s3cret"[..]);
    let line = RequestLine { method: b"GET", host: b"h", path: b"/", query, user_agent: None };
    record.set_head(&line, &RecordOptions { query: true, ..RecordOptions::default() });
    let names: [Arc<str>; 3] = ["x-tenant".into(), "x-rpc-key".into(), "x-plan".into()];
    for name in &names {
        record.keep_header(name, "in clear", &Redaction::default());
    }
    record.client = "192.0.2.7".parse().unwrap();
    let open = View { headers: vec!["x-tenant".into(), "x-rpc-key".into()], ..View::FULL };
    let shut = View { query: false, headers: vec!["x-plan".into()], mask: Some(Mask { v4: 24, v6: 48 }), ..View::FULL };
    let half = View { hidden: Some(Redaction::with_names(["Tenant"])), ..View::FULL };
    let got = seen(&record, &open);
    assert_eq!(got["headers"], serde_json::json!({ "x-tenant": "in clear", "x-rpc-key": "***" }));
    assert_eq!((&got["query"], &got["client"]), (&"page=2&tenant=acme&apikey=***".into(), &"192.0.2.7".into()));
    let got = seen(&record, &shut);
    assert_eq!((&got["headers"], &got["client"]), (&serde_json::json!({ "x-plan": "in clear" }), &"192.0.2.0".into()));
    assert!(got.get("query").is_none());
    let got = seen(&record, &half);
    assert_eq!((&got["query"], got.get("headers")), (&"page=2&tenant=***&apikey=***".into(), None));
    let text = |view: &View| {
        let mut out = Vec::new();
        write_text(&record, view, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert!(text(&open).contains(" header.x-tenant=\"in clear\" header.x-rpc-key=*** "), "{}", text(&open));
    let shut = text(&shut);
    assert!(shut.contains(" 192.0.2.0 ") && !shut.contains("tenant") && !shut.contains("192.0.2.7"), "{shut}");
    assert!(text(&half).contains("?page=2&tenant=***&apikey=***\""), "{}", text(&half));
    assert!(!json(&record).contains("headers"), "the API lists none");
}

/// A record with hostile text wherever a request, an upstream or a config can put some.
fn hostile(texts: &[Vec<u8>; 6]) -> Record {
    let mut record = fixture::typical(9);
    let [method, host, path, query, agent, other] = texts;
    let request = RequestLine { method, host, path, query: Some(query), user_agent: Some(agent) };
    record.set_head(&request, &RecordOptions { query: true, ..RecordOptions::default() });
    let other = String::from_utf8_lossy(other).into_owned();
    record.route = Some(other.as_str().into());
    record.virtual_host = Some(other.as_str().into());
    record.consumer = Some(other.as_str().into());
    record.answered_by = Some(other.as_str().into());
    record.decision = Decision::Cluster(other.as_str().into());
    record.considered.push(Considered { endpoint: other.as_str().into(), verdict: Verdict::PassedOver("tried") });
    record.attempts.push(fixture::attempt(&other));
    record.note("note", other.clone());
    record.detail = Some(other.into());
    record
}

/// Splits a text line at spaces outside quotes; `None` when a quote is left open.
fn split_text(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in line.chars() {
        match c {
            ' ' if !quoted => fields.push(String::new()),
            _ => fields.last_mut()?.push(c),
        }
        (quoted, escaped) = (quoted ^ (c == '"' && !escaped), c == '\\' && !escaped);
    }
    (!quoted).then_some(fields)
}

fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[\"\\\\\n\r\t =a-c\u{0}\u{1b}\u{85}\u{9b}\u{2028}é]{0,20}".prop_map(String::into_bytes),
    ]
}

fn no_controls_but_the_last(line: &str) -> bool {
    line.strip_suffix('\n').is_some_and(|rest| !rest.chars().any(char::is_control))
}

proptest! {
    #[test]
    fn no_text_breaks_a_json_line(texts in proptest::array::uniform6(hostile_bytes())) {
        let record = hostile(&texts);
        let got = line(&record, Format::Json);
        prop_assert!(no_controls_but_the_last(&got));
        let value: Value = serde_json::from_str(&got).unwrap();
        prop_assert_eq!(value["detail"].as_str(), record.detail.as_deref());
        prop_assert_eq!(value["path"].as_str().unwrap_or_default(), record.head.path());
        prop_assert_eq!(value["notes"]["note"].as_str(), record.detail.as_deref());
        prop_assert_eq!(value["endpoints"][2]["endpoint"].as_str(), record.detail.as_deref());
        prop_assert_eq!(value["status"].as_u64(), Some(200));
    }

    #[test]
    fn no_text_breaks_a_text_line(texts in proptest::array::uniform6(hostile_bytes())) {
        let record = hostile(&texts);
        let got = line(&record, Format::Text);
        prop_assert!(no_controls_but_the_last(&got));
        let fields = split_text(got.trim_end_matches('\n')).unwrap();
        let keys: Vec<_> = fields[6..].iter().map(|field| field.split_once('=').unwrap().0).collect();
        let with_agent = !record.head.user_agent().is_empty();
        let mut expected = vec!["detail", "answered_by"];
        expected.extend(record.flags.has(Flag::Truncated).then_some("flag"));
        expected.extend(["virtual_host", "route", "consumer", "action", "cluster", "endpoint", "attempts", "upstream_status", "queue", "connect", "first_byte", "in", "out"]);
        expected.extend(["protocol", "tls", "sni"]);
        expected.extend(with_agent.then_some("agent"));
        expected.extend(["note", "generation", "id"]);
        prop_assert_eq!(keys, expected);
        let detail = fields[6].strip_prefix("detail=").unwrap();
        let detail = serde_json::from_str::<String>(detail).unwrap_or_else(|_| detail.to_owned());
        prop_assert_eq!(Some(detail.as_str()), record.detail.as_deref());
    }
}
