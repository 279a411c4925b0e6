//! Names and values that a config may give, and the shared edits of heads.

use super::*;

#[test]
fn refuses_names_the_gateway_keeps() {
    let check = |name: &str, expected: Option<&str>| match (FieldName::parse(name), expected) {
        (Ok(_), None) => {}
        (Err(why), Some(expected)) if why.contains(expected) => {}
        (found, _) => panic!("{name}: {found:?}"),
    };
    check("x-request-id", None);
    check("X-Mixed-Case", None);
    check("Host", Some("rewrite: { host"));
    check("Content-Length", Some("frames the message"));
    check("transfer-encoding", Some("frames the message"));
    for name in ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings"] {
        check(name, Some("one connection"));
    }
    check("expect", Some("expectations"));
    check("x-a:", Some("did you mean `x-a`?"));
    check(":path", Some("letters, digits"));
    check("x a", Some("letters, digits"));
    check("", Some("letters, digits"));
}

#[test]
fn refuses_values_that_are_no_field_values() {
    for text in ["a\r\nb: c", "a\0", "a\nb", "\u{7f}"] {
        assert!(FieldTemplate::parse(text, Scope::Request).is_err(), "{text:?}");
    }
    let fixed = FieldTemplate::parse("no-store", Scope::Request);
    assert_eq!(fixed, Ok(FieldTemplate::Fixed(HeaderValue::from_static("no-store"))));
}

#[test]
fn vary_names_each_field_once() {
    let check = |before: &[&'static str], expected: &[&str]| {
        let mut response = ResponseHeader::build(200, None).expect("a head");
        before.iter().for_each(|value| response.append(&header::VARY, HeaderValue::from_static(value)));
        add_vary(&mut response, "origin");
        let found: Vec<_> = response.headers.get_all(header::VARY).iter().collect();
        assert_eq!(found, expected, "{before:?}");
    };
    check(&[], &["origin"]);
    check(&["Origin"], &["Origin"]);
    check(&["accept , ORIGIN"], &["accept , ORIGIN"]);
    check(&["*"], &["*"]);
    check(&["accept-encoding", "x-original"], &["accept-encoding", "x-original", "origin"]);
}

#[test]
fn reads_members_over_all_lines() {
    let mut headers = HeaderMap::new();
    for value in ["a, b", " ,c ,", ""] {
        headers.append(header::VARY, HeaderValue::from_static(value));
    }
    assert_eq!(members(&headers, &header::VARY).collect::<Vec<_>>(), ["a", "b", "c"]);
}
