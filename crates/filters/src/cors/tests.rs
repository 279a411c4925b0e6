//! Origins, preflights, Vary, and answers of upstream and gateway alike.

use http::{HeaderValue, Method, StatusCode};
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, Response};

use super::Origin;
use crate::testing::{chain, check_refused, field, run};

const APP: &str = "https://app.example.com";

fn cors(settings: &str) -> Chain {
    chain(&[("cors", settings)])
}

fn preflight(chain: &Chain, origin: &str, fields: &[(&str, &str)]) -> Seen {
    let exchange = Exchange::new(Method::OPTIONS, "http://api.example.com/x")
        .field("origin", origin)
        .field("access-control-request-method", "PUT");
    run(chain, fields.iter().fold(exchange, |exchange, (name, value)| exchange.field(name, value)))
}

#[test]
fn allows_origins_byte_by_byte() {
    let check = |pattern: &str, origin: &str, expected: bool| {
        let origins = super::Origins::new(vec![Origin::parse(pattern).expect(pattern)]);
        assert_eq!(origins.allow(origin), expected, "{pattern} {origin}");
    };
    check("*", "https://anything.example", true);
    check("*", "null", true);
    check(APP, APP, true);
    check(APP, "https://app.example.com:8443", false);
    check(APP, "http://app.example.com", false);
    check(APP, "https://APP.example.com", false);
    check(APP, "https://app.example.com.evil.example", false);
    check("https://*.example.com", "https://a.example.com", true);
    check("https://*.example.com", "https://a.b.example.com", true);
    check("https://*.example.com", "https://example.com", false);
    check("https://*.example.com", "https://.example.com", false);
    check("https://*.example.com", "https://a..example.com", false);
    check("https://*.example.com", "https://evilexample.com", false);
    check("https://*.example.com", "https://evil.example/.example.com", false);
    check("https://*.example.com", "https://evil.example#.example.com", false);
    check("https://*.example.com", "https://a@b.example.com", false);
    check("https://*.example.com", "https://a.example.com:8443", false);
    check("https://*.example.com:8443", "https://a.example.com:8443", true);
    check("https://*.example.com", "http://a.example.com", false);
    check("http://[::1]:3000", "http://[::1]:3000", true);
}

#[test]
fn answers_a_preflight_without_the_upstream() {
    let chain = cors("{ origins: ['https://app.example.com'], methods: [GET, PUT], headers: [X-Key], max_age: 1h }");
    let seen = preflight(&chain, APP, &[]);
    assert_eq!((seen.status, seen.upstream.is_none(), seen.body.len()), (204, true, 0));
    assert_eq!(field(&seen, "access-control-allow-origin"), APP);
    assert_eq!(field(&seen, "access-control-allow-methods"), "GET, PUT");
    assert_eq!(field(&seen, "access-control-allow-headers"), "x-key");
    assert_eq!(field(&seen, "access-control-max-age"), "3600");
    assert_eq!(field(&seen, "access-control-allow-credentials"), "");
    assert_eq!(field(&seen, "vary"), "origin, access-control-request-method, access-control-request-headers");
}

#[test]
fn a_refused_preflight_grants_nothing() {
    let chain = cors("{ origins: ['https://app.example.com'], credentials: true, headers: [x-key], expose: [x-out] }");
    let seen = preflight(&chain, "https://evil.example", &[]);
    assert_eq!((seen.status, seen.upstream.is_none()), (204, true));
    let granted: Vec<_> = seen.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
    assert!(granted.is_empty(), "{granted:?}");
    assert!(field(&seen, "vary").starts_with("origin"));
    assert_eq!(seen.notes.annotations(), [("cors", "origin_not_allowed".to_owned())]);
}

#[test]
fn only_a_preflight_is_answered_here() {
    let chain = cors("{ origins: ['https://app.example.com'] }");
    let check = |exchange: Exchange| assert!(run(&chain, exchange).upstream.is_some());
    check(Exchange::new(Method::OPTIONS, "http://api.example.com/"));
    check(Exchange::new(Method::OPTIONS, "http://api.example.com/").field("origin", APP));
    check(Exchange::new(Method::OPTIONS, "http://api.example.com/").field("access-control-request-method", "PUT"));
    check(Exchange::get("http://api.example.com/").field("origin", APP).field("access-control-request-method", "PUT"));
}

#[test]
fn private_network_access_needs_the_switch() {
    let asks = [("access-control-request-private-network", "true")];
    let check = |settings: &str, fields: &[(&str, &str)], expected: &str| {
        let seen = preflight(&cors(settings), APP, fields);
        assert_eq!(field(&seen, "access-control-allow-private-network"), expected, "{settings}");
    };
    check("{ origins: ['*'], private_network: true }", &asks, "true");
    check("{ origins: ['*'], private_network: true }", &[], "");
    check("{ origins: ['*'] }", &asks, "");
}

#[test]
fn vary_is_said_wherever_the_answer_depends_on_the_origin() {
    let check = |settings: &str, origin: Option<&str>, allowed: &str, vary: &str| {
        let exchange = Exchange::get("http://api.example.com/");
        let exchange = origin.into_iter().fold(exchange, |exchange, origin| exchange.field("origin", origin));
        let seen = run(&cors(settings), exchange);
        assert_eq!(
            [field(&seen, "access-control-allow-origin"), field(&seen, "vary")],
            [allowed, vary],
            "{settings} {origin:?}"
        );
    };
    let one = "{ origins: ['https://app.example.com'] }";
    check(one, Some(APP), APP, "origin");
    check(one, Some("https://evil.example"), "", "origin");
    check(one, None, "", "origin");
    check("{ origins: ['*'] }", Some(APP), "*", "");
    check("{ origins: ['*'] }", None, "", "");
}

#[test]
fn replaces_what_the_upstream_says() {
    let answer = Response::new(StatusCode::OK)
        .with_field(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))
        .with_field(http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"))
        .with_field(http::header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("99"))
        .with_field(http::header::VARY, HeaderValue::from_static("accept"));
    let chain = cors("{ origins: ['https://*.example.com'], expose: [x-out, x-more] }");
    let check = |origin: &str, expected: [&str; 3]| {
        let seen = run(&chain, Exchange::get("http://a/").field("origin", origin).answer(answer.clone()));
        let names = ["access-control-allow-origin", "access-control-expose-headers", "vary"];
        assert_eq!(names.map(|name| field(&seen, name)), expected, "{origin}");
        assert_eq!(field(&seen, "access-control-allow-credentials"), "");
        assert_eq!(field(&seen, "access-control-max-age"), "");
    };
    check(APP, [APP, "x-out, x-more", "accept, origin"]);
    check("https://evil.example", ["", "", "accept, origin"]);
}

#[test]
fn covers_the_gateways_own_errors() {
    let chain = chain(&[
        ("cors", "{ origins: ['https://app.example.com'], credentials: true }"),
        ("access", "rules: [{ deny: all }]"),
    ]);
    let seen = run(&chain, Exchange::get("http://api.example.com/").field("origin", APP));
    assert_eq!((seen.status, field(&seen, "access-control-allow-origin").as_str()), (403, APP));
    assert_eq!(field(&seen, "access-control-allow-credentials"), "true");
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("cors", yaml, expected);
    let any = "`*` cannot stand beside `credentials: true`";
    check("{ origins: ['*'], credentials: true }", any);
    check("{ origins: ['https://a.example'], methods: ['*'], credentials: true }", any);
    check("{ origins: ['https://a.example'], headers: ['*'], credentials: true }", any);
    check("{ origins: ['https://a.example'], expose: ['*'], credentials: true }", any);
    check("{ origins: ['https://a.example/'] }", "write `https://a.example`");
    check("{ origins: ['https://A.example:443'] }", "write `https://a.example`");
    check("{ origins: ['a.example'] }", "did you mean `https://a.example`?");
    check("{ origins: ['https://a.*.example'] }", "is not an origin");
    check("{ origins: ['https://user@a.example'] }", "is not an origin");
    check("{ origins: ['null'] }", "sandboxed");
    check("{ origins: [] }", "names no origin");
    check("{ methods: [GET] }", "`origins` is missing");
    check("{ origins: ['*'], methods: [get] }", "did you mean `GET`?");
    check("{ origins: ['*'], max_age: 1500ms }", "whole seconds");
    check("{ origins: ['*'], max_age: 2d }", "at most `1d`");
    check("{ origins: ['*'], origin: x }", "did you mean `origins`?");
}
