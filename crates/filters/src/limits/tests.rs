//! Each limit at its edge, announced and streamed bodies.

use http::Method;
use portcullis_filter::testkit::Exchange;
use portcullis_types::Reason;

use crate::testing::{chain, check_refused, run};

fn check(limits: &str, exchange: Exchange, expected: Option<Reason>) {
    let seen = run(&chain(&[("limits", limits)]), exchange);
    assert_eq!((seen.reason, seen.status), (expected, expected.map_or(200, Reason::status)), "{limits}");
}

fn get(target: &str) -> Exchange {
    Exchange::get(&format!("http://a{target}"))
}

#[test]
fn bounds_the_target() {
    check("path: 4B", get("/abc"), None);
    check("path: 4B", get("/abcd"), Some(Reason::TargetTooLong));
    check("path: 4B", get("/abc?a-long-query"), None);
    check("query: 4B", get("/a-long-path?abcd"), None);
    check("query: 4B", get("/?abcde"), Some(Reason::TargetTooLong));
    check("query: 0", get("/"), None);
}

#[test]
fn bounds_the_fields() {
    // `host: a` is there already: one field of five bytes.
    check("fields: 2", get("/").field("x", "1"), None);
    check("fields: 2", get("/").field("x", "1").field("x", "2"), Some(Reason::HeadTooLarge));
    check("field_bytes: 8B", get("/").field("x", "12"), None);
    check("field_bytes: 8B", get("/").field("x", "123"), Some(Reason::HeadTooLarge));
}

#[test]
fn bounds_a_body_that_says_its_length_before_it_comes() {
    let post = |length: &str| Exchange::new(Method::POST, "http://a/").field("content-length", length);
    check("body: 10B", post("10"), None);
    check("body: 10B", post("11"), Some(Reason::BodyTooLarge));
    check("body: 10B", post("99999999999999999999999"), Some(Reason::BodyTooLarge));
    check("body: 0", post("0"), None);
    let seen = run(&chain(&[("limits", "body: 10B")]), post("11").chunk("hello world"));
    assert!(seen.upstream.is_none(), "the upstream was asked");
    assert_eq!(seen.stopped_by.as_deref(), Some("limits"));
}

#[test]
fn cuts_a_streamed_body_off_where_it_passes_the_limit() {
    let post = || Exchange::new(Method::POST, "http://a/").chunk("12345").chunk("67890");
    check("body: 10B", post(), None);
    check("body: 10B", post().chunk("!"), Some(Reason::BodyTooLarge));
    let seen = run(&chain(&[("limits", "body: 7B")]), post());
    assert_eq!((&seen.upstream_body[..], seen.reason), (&b"12345"[..], Some(Reason::BodyTooLarge)));
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("limits", yaml, expected);
    check("{}", "at least one key is needed");
    check("body: 10", "`10` is not a size");
    check("fields: 0", "from 1");
    check("bdy: 1KiB", "did you mean `body`?");
}
