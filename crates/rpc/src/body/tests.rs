//! What a view says of a body, and what reading one costs.

use http::{HeaderMap, HeaderValue};

use super::*;

fn read(text: &str) -> Body {
    Body::read(text.to_owned().into(), &Limits::CEILING)
}

fn call(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

fn batch(calls: &[String]) -> Body {
    read(&format!("[{}]", calls.join(",")))
}

#[test]
fn a_view_says_how_many_calls_there_are_and_of_which_methods() {
    let one = read(&call("getSlot", "[]"));
    assert_eq!((BodyView::calls(&one), one.method(0), one.method(1)), (Some(1), Some("getSlot"), None));
    let two = batch(&[call("a", "[]"), call("b", "[]")]);
    assert_eq!((BodyView::calls(&two), two.method(0), two.method(1)), (Some(2), Some("a"), Some("b")));
    assert!(one.batch().is_none() && two.batch().is_some());
}

#[test]
fn a_body_that_is_no_json_rpc_makes_no_calls_and_says_why() {
    let body = read(r#"{"jsonrpc":"2.0","id":"x","method":5}"#);
    assert_eq!((BodyView::calls(&body), body.method(0), body.is_idempotent()), (None, None, None));
    assert_eq!(body.id(), Some("\"x\""), "so that the error can be told under it");
    assert!(body.scan().is_err());
}

#[test]
fn the_id_of_the_whole_is_that_of_a_single_call() {
    for (id, expected) in [("1", Some("1")), ("\"1\"", Some("\"1\"")), ("null", None)] {
        assert_eq!(read(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#)).id(), expected);
    }
    assert_eq!(read(r#"{"jsonrpc":"2.0","method":"a"}"#).id(), None);
    assert_eq!(batch(&[call("a", "[]")]).id(), None);
}

#[test]
fn reads_may_be_sent_twice_what_is_sent_must_not_and_of_others_the_route_decides() {
    for (methods, expected) in [
        (&["getSlot"][..], Some(true)),
        (&["simulateTransaction"], Some(true)),
        (&["sendTransaction"], Some(false)),
        (&["requestAirdrop"], Some(false)),
        (&["eth_call"], None),
        (&["getSlot", "getBlock"], Some(true)),
        (&["getSlot", "eth_call"], None),
        (&["eth_call", "sendTransaction"], Some(false)),
    ] {
        let calls: Vec<_> = methods.iter().map(|method| call(method, "[]")).collect();
        assert_eq!(batch(&calls).is_idempotent(), expected, "{methods:?}");
    }
    assert_eq!(read(&call("sendTransaction", "[]")).is_idempotent(), Some(false));
}

#[test]
fn the_least_slot_is_the_greatest_that_a_call_asks_for() {
    let at = |slot: u64| call("getBalance", &format!(r#"["a",{{"minContextSlot":{slot}}}]"#));
    assert_eq!(read(&at(7)).least_height(), Some(7));
    assert_eq!(batch(&[at(7), call("getSlot", "[]"), at(9)]).least_height(), Some(9));
    assert_eq!(read(&call("getSlot", "[]")).least_height(), None);
    assert_eq!(read(&call("getSlot", r#"{"minContextSlot":7}"#)).least_height(), None);
    assert_eq!(read(&call("getBalance", r#"[{"a":{"minContextSlot":7}}]"#)).least_height(), None);
}

#[test]
fn the_reader_looks_at_what_says_that_it_is_json_or_looks_like_it() {
    let peek = |fields: &[(&'static str, &'static str)], body: &'static str| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Reader.peek(&headers, &Bytes::from_static(body.as_bytes()))
    };
    assert!(peek(&[], " \n[").is_some());
    assert!(peek(&[], "hello").is_none());
    assert!(peek(&[], "").is_none());
    for scalar in ["null", "true", "false", "\"a\"", "-1", " 7"] {
        assert!(peek(&[], scalar).is_some(), "{scalar}");
    }
    assert!(peek(&[("content-type", "application/json; charset=utf-8")], "hello").is_some());
    assert!(peek(&[("content-type", "APPLICATION/vnd.x+JSON")], "hello").is_some());
    assert!(peek(&[("content-type", "text/plain")], "hello").is_none());
    assert!(peek(&[("content-encoding", "identity")], "{}").is_some());
    assert!(peek(&[("content-encoding", "gzip")], "{}").is_none());
    let view = peek(&[], r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#).expect("a view");
    assert!(Body::of(&*view).is_some());
}

#[test]
fn a_single_call_is_read_without_an_allocation_beyond_its_view() {
    let text = Bytes::from(call("getBalance", r#"["a",{"commitment":"confirmed","minContextSlot":7}]"#));
    let headers = HeaderMap::new();
    let mut view = None;
    let counted = allocation_counter::measure(|| view = Reader.peek(&headers, &text));
    assert_eq!(counted.count_total, 1, "the view itself");
    let view = view.expect("a view");
    let counted = allocation_counter::measure(|| {
        assert_eq!((view.method(0), view.least_height()), (Some("getBalance"), Some(7)));
        assert_eq!((view.id(), view.is_idempotent()), (Some("1"), Some(true)));
    });
    assert_eq!(counted.count_total, 0);
}
