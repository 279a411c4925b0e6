//! Errors of gateway and upstream in the words of the config.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use portcullis_filter::Response;
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_types::{ProxyError, Reason};

use super::StatusRange;
use crate::testing::{chain, check_refused, field, run};

const MAP: &str = "
map:
  - reason: [over_rate, over_quota]
    to:
      status: 503
      headers: { x-why: '{reason}' }
      content_type: application/json
      body: '{\"error\":\"{reason}\",\"text\":\"{detail}\",\"status\":{status},\"id\":\"{request.id}\"}'
  - reason: denied
    to: { status: 404 }
  - upstream_status: [500, 502-504]
    to: { status: 502, content_type: text/html, body: '<p>{status}{reason}' }
  - upstream_status: 404
    to: { status: 410 }
  - upstream_status: 403
    to: { headers: { x-mapped: '{status}' } }
  - upstream_status: 401
    to: { status: 204 }
";

fn errors(exchange: Exchange) -> Seen {
    run(&chain(&[("errors", MAP)]), exchange)
}

fn get() -> Exchange {
    Exchange::get("http://a/")
}

fn upstream(status: u16) -> Exchange {
    let answer = Response::new(StatusCode::from_u16(status).expect("a status"))
        .with_body(HeaderValue::from_static("application/json"), "{\"secret\":1}")
        .with_field(header::CONTENT_LENGTH, HeaderValue::from_static("20"))
        .with_field(header::ETAG, HeaderValue::from_static("\"1\""))
        .with_field(header::CONTENT_ENCODING, HeaderValue::from_static("identity"))
        .with_field(HeaderName::from_static("content-digest"), HeaderValue::from_static("sha-256=:AA==:"));
    get().answer(answer).answer_chunk("more").answer_trailer("digest", "x")
}

#[test]
fn answers_the_gateways_errors_by_reason() {
    let error = ProxyError::with_detail(Reason::OverRate, "plan \"free\"").retry_after(Duration::from_millis(1_500));
    let seen = errors(get().fails(error));
    assert_eq!((seen.status, seen.reason), (503, Some(Reason::OverRate)));
    assert_eq!(field(&seen, "x-why"), "over_rate");
    assert_eq!(field(&seen, "retry-after"), "2");
    assert_eq!(field(&seen, "content-type"), "application/json");
    let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
    let expected = serde_json::json!({
        "error": "over_rate", "text": "plan \"free\"", "status": 503, "id": "00000000000000000000000000000001",
    });
    assert_eq!(body, expected);
}

#[test]
fn without_a_body_the_gateways_error_has_none() {
    let seen = errors(get().fails(Reason::Denied));
    assert_eq!((seen.status, seen.reason, seen.body.len()), (404, Some(Reason::Denied), 0));
    assert_eq!(field(&seen, "content-type"), "");
}

#[test]
fn leaves_alone_what_no_mapping_names() {
    let seen = errors(get().fails(Reason::NoRoute));
    assert_eq!((seen.status, field(&seen, "content-type").as_str()), (404, "application/problem+json"));
    let seen = errors(upstream(501));
    assert_eq!((seen.status, &seen.body[..]), (501, &b"{\"secret\":1}more"[..]));
    assert_eq!(seen.trailers.len(), 1);
    assert!(seen.notes.annotations().is_empty());
}

#[test]
fn replaces_the_upstreams_error() {
    for status in [500, 502, 503, 504] {
        let seen = errors(upstream(status));
        assert_eq!((seen.status, &seen.body[..], seen.complete), (502, &b"<p>502"[..], true), "{status}");
        assert_eq!(field(&seen, "content-type"), "text/html");
        for gone in ["content-length", "etag", "content-encoding", "content-digest"] {
            assert_eq!(field(&seen, gone), "", "{status} {gone}");
        }
        assert!(seen.trailers.is_empty());
        assert_eq!(seen.notes.annotations(), [("upstream_status", status.to_string())]);
    }
}

#[test]
fn without_a_body_the_upstream_keeps_its_own() {
    let seen = errors(upstream(404));
    assert_eq!((seen.status, &seen.body[..]), (410, &b"{\"secret\":1}more"[..]));
    assert_eq!([field(&seen, "content-length"), field(&seen, "etag")], ["20", "\"1\""]);
    let seen = errors(upstream(403));
    assert_eq!((seen.status, field(&seen, "x-mapped").as_str()), (403, "403"));
}

#[test]
fn the_upstreams_phrase_goes_with_its_status() {
    let check = |status: u16, phrase: Option<&str>| {
        let mut answer = Response::new(StatusCode::from_u16(status).expect("a status"));
        answer.header.set_reason_phrase(Some("Oops")).expect("a phrase");
        let seen = errors(get().answer(answer));
        assert_eq!(seen.phrase.as_deref(), phrase, "{status}");
    };
    check(503, Some("Bad Gateway"));
    check(502, Some("Oops"));
}

#[test]
fn a_status_without_content_drops_the_body() {
    let seen = errors(upstream(401));
    assert_eq!((seen.status, seen.body.len(), field(&seen, "content-length").as_str()), (204, 0, ""));
}

#[test]
fn a_body_is_sent_where_the_upstream_gave_none() {
    let answer = Response::new(StatusCode::BAD_GATEWAY);
    assert_eq!(&errors(get().answer(answer.clone())).body[..], b"<p>502");
    let head = Exchange::new(Method::HEAD, "http://a/").answer(answer);
    let seen = errors(head);
    assert_eq!((seen.status, seen.body.len()), (502, 0));
}

#[test]
fn the_gateways_own_statuses_are_no_upstreams() {
    let chain =
        chain(&[("errors", "map: [{ upstream_status: 503, to: { body: mapped } }]"), ("respond", "status: 503")]);
    let seen = run(&chain, get());
    assert_eq!((seen.status, seen.body.len()), (503, 0));
}

#[test]
fn is_compressed_by_a_filter_further_out() {
    let map = "map: [{ upstream_status: 500, to: { body: 'a longer text, a longer text' } }]";
    for filters in
        [[("compress", "algorithms: [gzip]"), ("errors", map)], [("errors", map), ("compress", "algorithms: [gzip]")]]
    {
        let outer = filters[0].0 == "compress";
        let seen = run(&chain(&filters), upstream(500).field("accept-encoding", "gzip"));
        assert_eq!(field(&seen, "content-encoding"), if outer { "gzip" } else { "" });
        let mut text = String::new();
        if outer {
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&seen.body[..]), &mut text).expect("gzip");
        } else {
            text = String::from_utf8_lossy(&seen.body).into_owned();
        }
        assert_eq!(text, "a longer text, a longer text");
    }
}

#[test]
fn reads_statuses_and_ranges() {
    let check = |text: &str, expected: Option<(u16, u16)>| {
        let range = StatusRange::parse(text).ok();
        let ends = range.map(|range| {
            let inside = |code: &u16| range.contains(StatusCode::from_u16(*code).expect("a status"));
            ((100..600).find(inside).expect("first"), (100..600).rfind(inside).expect("last"))
        });
        assert_eq!(ends, expected, "{text}");
    };
    check("500", Some((500, 500)));
    check("502-504", Some((502, 504)));
    check("400 - 599", Some((400, 599)));
    check("504-502", None);
    check("200", None);
    check("399-400", None);
    check("500-600", None);
    check("5xx", None);
    check("", None);
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("errors", yaml, expected);
    check("{}", "`map` is missing");
    check("map: []", "holds no mapping");
    check("map: [{ to: { status: 500 } }]", "names no error");
    check("map: [{ reason: over_rate }]", "`to` is missing");
    check("map: [{ reason: over_rate, to: {} }]", "at least one key is needed");
    check("map: [{ reason: over_rat, to: { status: 500 } }]", "did you mean `over_rate`?");
    check("map: [{ upstream_status: 504-502, to: { status: 500 } }]", "did you mean `502-504`?");
    check("map: [{ upstream_status: 302, to: { status: 500 } }]", "only errors are mapped");
    check("map: [{ reason: denied, to: { status: 204, body: x } }]", "has no body");
    check("map: [{ reason: denied, to: { body: '{resaon}' } }]", "did you mean `{reason}`?");
    check("map: [{ reason: denied, to: { headers: { te: x } } }]", "one connection");
    let twice = "map: [{ reason: denied, to: { status: 500 } }, { reason: denied, to: { status: 501 } }]";
    check(twice, "`denied` is mapped already");
    let covered =
        "map: [{ upstream_status: 500-504, to: { status: 500 } }, { upstream_status: 503, to: { status: 501 } }]";
    check(covered, "mapped already");
}
