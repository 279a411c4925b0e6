//! What is a variable and what is text, where values come from, and that none leaves its place.

use std::net::Ipv6Addr;

use portcullis_filter::Notes;
use portcullis_filter::testkit::Exchange;
use portcullis_types::{ClientCertificate, Reason};
use proptest::prelude::*;

use super::*;
use crate::testing::{chain, field, run};

/// What a template makes of a request, in a field of the answer.
fn rendered(template: &str, exchange: Exchange) -> String {
    let chain = chain(&[("headers", &format!("response: {{ set: {{ x-out: '{template}' }} }}"))]);
    field(&run(&chain, exchange), "x-out")
}

fn with_vars<T>(uri: &str, failure: Option<Failure<'_>>, check: impl FnOnce(&Vars<'_>) -> T) -> T {
    let request = pingora_http::RequestHeader::build("GET", uri.as_bytes(), None).expect("a head");
    let facts = crate::testing::facts();
    check(&Vars { request: &request, facts: &facts, notes: &Notes::default(), failure })
}

fn text(template: &str, escape: Escape, uri: &str, failure: Option<Failure<'_>>) -> String {
    let template = Template::parse(template, Scope::Failure).expect("a template");
    with_vars(uri, failure, |vars| {
        let mut out = Vec::new();
        template.render(vars, escape, &mut out);
        String::from_utf8(out).expect("UTF-8")
    })
}

#[test]
fn takes_only_enclosed_names_for_variables() {
    let check = |template: &str, expected: &str| {
        assert_eq!(text(template, Escape::Plain, "/p", None), expected, "{template}");
    };
    check("", "");
    check("plain", "plain");
    check("{path}", "/p");
    check("a{path}b{method}c", "a/pbGETc");
    check("{{path}}", "{path}");
    check("{{path}} is {path}", "{path} is /p");
    check("{\"a\":{\"b\":\"{path}\"}}", "{\"a\":{\"b\":\"/p\"}}");
    check("body{color:red}", "body{color:red}");
    check("{", "{");
    check("}", "}");
    check("{{", "{{");
    check("{path", "{path");
    check("{{path}", "{/p");
    check("{ path }", "{ path }");
    check("{}", "{}");
    check("{PATH}", "{PATH}");
}

#[test]
fn refuses_unknown_variables_with_the_nearest_name() {
    let check = |template: &str, scope: Scope, expected: &str| {
        let error = Template::parse(template, scope).expect_err(template);
        assert!(error.contains(expected), "{error}");
    };
    check("{reqest.id}", Scope::Request, "did you mean `{request.id}`?");
    check("{whoever}", Scope::Request, "the variables are `{request.id}`");
    check("{client.adress}", Scope::Request, "did you mean `{client.address}`?");
    check("{reason}", Scope::Request, "`{reason}` is no variable");
    check("{header.}", Scope::Request, "is no variable");
    check("{cookie.x}", Scope::Request, "`{header.NAME}`");
    assert!(Template::parse("{reason}{title}{detail}{status}", Scope::Failure).is_ok());
}

#[test]
fn every_listed_variable_is_one() {
    for scope in [Scope::Request, Scope::Failure] {
        for name in Variable::names(scope) {
            assert!(Template::parse(&format!("{{{name}}}"), scope).is_ok(), "{name}");
        }
    }
}

#[test]
fn takes_values_from_the_request() {
    let certificate = ClientCertificate { subject: "CN=a".to_owned(), names: Vec::new(), fingerprint: String::new() };
    let site = portcullis_filter::Site {
        like: "example.com".to_owned(),
        variables: [("tier".to_owned(), "gold".to_owned())].into(),
    };
    let exchange = || {
        Exchange::get("http://Example.com:8080/a/b?x=1&y=%20z&x=2")
            .field("x-in", "in")
            .client(Ipv6Addr::from_bits(0xffff_c000_0207).into())
            .certificate(certificate.clone())
            .param("id", "7")
            .site(site.clone())
            .consumer("acme")
    };
    let check = |template: &str, expected: &str| assert_eq!(rendered(template, exchange()), expected, "{template}");
    check("{request.id}", "00000000000000000000000000000001");
    check("{client.address}", "192.0.2.7");
    check("{method} {scheme} {host}", "GET https example.com");
    check("{path} {query} {uri}", "/a/b x=1&y=%20z&x=2 /a/b?x=1&y=%20z&x=2");
    check("{route} {consumer}", "test acme");
    check("{tls.sni} {tls.subject}", "example.com CN=a");
    check("{param.id} {header.x-in} {header.X-In}", "7 in in");
    check("{query.x} {query.y} {query.z}.", "1 %20z .");
    check("{site.tier}{site.none}", "gold");
}

#[test]
fn no_value_leaves_its_field() {
    let check = |value: &str, expected: &str| {
        let exchange = Exchange::get("http://example.com/").param("id", value);
        assert_eq!(rendered("[{param.id}]", exchange), format!("[{expected}]"), "{value:?}");
    };
    check("a\r\nset-cookie: x=1", "a%0D%0Aset-cookie: x=1");
    check("a\0b\u{7f}", "a%00b%7F");
    check("é", "%C3%A9");
    check("\t", "%09");
}

#[test]
fn escapes_by_the_place_of_a_value() {
    let detail = "\"<b>'&\\\n\u{2028}é";
    let failure = Failure { reason: Some(Reason::Denied), detail: Some(detail), status: 403 };
    let check = |escape: Escape, expected: &str| {
        assert_eq!(text("<{detail}>", escape, "/", Some(failure)), format!("<{expected}>"));
    };
    check(Escape::Plain, detail);
    check(Escape::Json, "\\\"\\u003cb\\u003e\\u0027\\u0026\\\\\\u000a\\u2028é");
    check(Escape::Html, "&quot;&lt;b&gt;&#39;&amp;\\\n\u{2028}é");
    check(Escape::Url, "%22%3Cb%3E%27%26%5C%0A%E2%80%A8%C3%A9");
    assert_eq!(
        text("{status} {reason}: {title}", Escape::Plain, "/", Some(failure)),
        format!("403 denied: {}", Reason::Denied.title())
    );
    assert_eq!(text("{status}{reason}{title}{detail}", Escape::Plain, "/", None), "");
}

#[test]
fn json_bodies_stay_json_whatever_the_value() {
    for value in ["", "\"", "\\", "\u{0}\u{1f}", "</script>", "日本\u{2029}"] {
        let failure = Failure { detail: Some(value), ..Failure::default() };
        let body = text("{\"detail\":\"{detail}\"}", Escape::Json, "/", Some(failure));
        let read: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(read.get("detail").and_then(serde_json::Value::as_str), Some(value));
    }
}

#[test]
fn media_types_choose_the_escape() {
    let check = |media_type: &str, expected| assert_eq!(Escape::of_media_type(media_type), expected, "{media_type}");
    check("application/json", Escape::Json);
    check("Application/Problem+JSON; charset=utf-8", Escape::Json);
    check("text/html; charset=utf-8", Escape::Html);
    check("application/xhtml+xml", Escape::Html);
    check("text/plain", Escape::Plain);
    check("", Escape::Plain);
    check("text/notjson", Escape::Plain);
}

proptest! {
    #[test]
    fn no_text_panics_and_fixed_text_stays(text in "[{}a-z.\\PC]{0,40}") {
        if let Ok(template) = Template::parse(&text, Scope::Request)
            && !text.contains("{{")
            && let Some(fixed) = template.fixed()
        {
            prop_assert_eq!(fixed, text);
        }
    }
}
