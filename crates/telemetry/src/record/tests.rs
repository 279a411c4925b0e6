//! What a record keeps, and that nothing makes it grow without end.

use super::*;
use crate::fixture;
use crate::redact::Redaction;
use proptest::prelude::*;

fn options(query: bool) -> RecordOptions {
    RecordOptions { query, path_bytes: 16, user_agent_bytes: 8, ..RecordOptions::default() }
}

fn line<'a>(path: &'a [u8], query: &'a [u8]) -> RequestLine<'a> {
    RequestLine { method: b"GET", host: b"a.example", path, query: Some(query), user_agent: Some(b"curl/8.0") }
}

#[test]
fn head_gives_back_each_part() {
    let head = Head::new(&line(b"/v1/items", b"page=2"), &options(true));
    let got = [head.method(), head.host(), head.path(), head.query(), head.user_agent()];
    assert_eq!(got, ["GET", "a.example", "/v1/items", "page=2", "curl/8.0"]);
    assert!(!head.is_cut());
}

#[test]
fn query_is_left_out_unless_asked_for_and_redacted_when_kept() {
    assert_eq!(Head::new(&line(b"/", b"token=s3cr3t"), &options(false)).query(), "");
    assert_eq!(Head::new(&line(b"/", b"token=s3cr3t"), &options(true)).query(), "token=***");
    let own = RecordOptions { redaction: Arc::new(Redaction::with_names(["page"])), ..options(true) };
    assert_eq!(Head::new(&line(b"/", b"page=2"), &own).query(), "page=***");
}

#[test]
fn a_cut_query_still_hides_its_secrets() {
    let head = Head::new(&line(b"/", b"a=1&b=2&c=3&token=s3cr3t"), &options(true));
    assert_eq!(head.query(), "a=1&b=2&c=3&toke");
    assert!(head.is_cut());
}

#[test]
fn parts_are_cut_at_a_character_and_invalid_utf8_is_replaced() {
    let head = Head::new(&line("/ééééééééé".as_bytes(), b""), &options(true));
    assert_eq!(head.path(), "/ééééééé");
    assert!(head.is_cut());
    assert_eq!(Head::new(&line(b"/\xff\xfe", b""), &options(true)).path(), "/\u{fffd}\u{fffd}");
}

#[test]
fn a_path_with_a_secret_can_be_replaced() {
    let mut head = Head::new(&line(b"/v2/s3cr3t", b"page=2"), &options(true));
    for path in ["/v2/***", "", "/a/longer/path/than/before"] {
        head.set_path(path);
        let got = [head.method(), head.host(), head.path(), head.query(), head.user_agent()];
        assert_eq!(got, ["GET", "a.example", path, "page=2", "curl/8.0"]);
    }
}

#[test]
fn lists_keep_the_first_eight_and_count_the_rest() {
    let mut record = fixture::bare(1);
    for n in 0..20 {
        record.attempts.push(fixture::attempt(&format!("10.0.0.{n}:80")));
    }
    record.considered.count_more(990);
    assert_eq!((record.attempts.iter().count(), record.attempts.more(), record.attempts.total()), (8, 12, 20));
    assert_eq!((record.considered.iter().count(), record.considered.total()), (0, 990));
    assert!(!record.considered.is_empty() && !record.attempts.has_room());
    assert_eq!(record.endpoint().map(EndpointName::as_str), Some("10.0.0.7:80"));
}

#[test]
fn the_first_failure_stays() {
    let mut record = fixture::bare(1);
    record.fail(&ProxyError::with_detail(Reason::UpstreamReset, "after 3 bytes"));
    record.fail(&ProxyError::new(Reason::ClientClosed));
    assert_eq!((record.reason, record.detail.as_deref()), (Some(Reason::UpstreamReset), Some("after 3 bytes")));
    assert!(record.failed());
}

#[test]
fn notes_are_replaced_by_key_and_bounded() {
    const KEYS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut record = fixture::bare(1);
    for key in KEYS {
        record.note(key, "1");
    }
    record.note("a", String::from("2"));
    assert_eq!(record.notes().len(), NOTES);
    assert_eq!(record.notes()[0], ("a", Cow::Borrowed("2")));
    assert!(record.flags.has(Flag::Truncated));
}

#[test]
fn flags_are_a_set_with_stable_order() {
    let mut flags = Flags::default();
    assert!(flags.is_empty());
    flags.set(Flag::Truncated);
    flags.set(Flag::Retried);
    flags.set(Flag::Retried);
    assert_eq!(flags.iter().map(Flag::name).collect::<Vec<_>>(), ["retried", "truncated"]);
    assert!(!flags.has(Flag::Cached));
}

#[test]
fn a_record_stays_small() {
    assert!(size_of::<Record>() <= 768, "{}", size_of::<Record>());
}

proptest! {
    #[test]
    fn any_bytes_make_a_head(method: Vec<u8>, host: Vec<u8>, path: Vec<u8>, query: Vec<u8>, cut in 0..64usize) {
        let options = RecordOptions { path_bytes: cut, ..options(true) };
        let line = RequestLine { method: &method, host: &host, path: &path, query: Some(&query), user_agent: None };
        let head = Head::new(&line, &options);
        prop_assert!(head.path().len() <= cut && head.query().len() <= cut);
        prop_assert!(String::from_utf8_lossy(&path).starts_with(head.path()));
        prop_assert_eq!(head.user_agent(), "");
    }
}

#[test]
fn header_fields_are_bounded_and_secret_ones_are_hidden() {
    let redaction = Redaction::default();
    let mut record = fixture::bare(1);
    record.keep_header(&"x-session-token".into(), "s3cret", &redaction);
    record.keep_header(&"x-long".into(), &"é".repeat(HEADER_BYTES), &redaction);
    assert!(record.flags.has(Flag::Truncated));
    (2..HEADERS + 5).for_each(|n| record.keep_header(&format!("x-{n}").into(), "v", &redaction));
    let kept: Vec<(&str, usize)> = record.headers().iter().map(|(name, value)| (&**name, value.len())).collect();
    assert_eq!((kept[0], kept[1], kept.len()), (("x-session-token", 3), ("x-long", HEADER_BYTES), HEADERS));
}
