//! Where redirects lead, and that a request cannot turn one elsewhere.

use std::sync::Arc;

use portcullis_filter::testkit::Exchange;
use proptest::prelude::*;

use crate::testing::{chain, check_refused, field, run};

/// The status and Location; 200 for a request that went on.
fn check(settings: &str, url: &str, status: u16, location: &str) {
    let seen = run(&chain(&[("redirect", settings)]), Exchange::get(url));
    assert_eq!((seen.status, field(&seen, "location").as_str()), (status, location), "{settings} {url}");
}

#[test]
fn moves_plain_text_to_https() {
    let https = "https: true";
    check(https, "http://example.com/a?b=1", 308, "https://example.com/a?b=1");
    check(https, "http://example.com:8080/", 308, "https://example.com/");
    check(https, "http://[::1]:8080/", 308, "https://[::1]/");
    check(https, "https://example.com/a", 200, "");
    check("{ https: true, port: 8443, status: 301 }", "http://example.com/", 301, "https://example.com:8443/");
    check("{ https: true, port: 443 }", "http://example.com/", 308, "https://example.com/");
    check(https, "http://example.com//evil.example/", 308, "https://example.com//evil.example/");
}

#[test]
fn moves_to_a_host() {
    check("host: www.example.com", "http://example.com/a?b", 308, "http://www.example.com/a?b");
    check("host: WWW.example.com", "https://example.com/a", 308, "https://www.example.com/a");
    check("host: www.example.com", "http://www.example.com/a", 200, "");
    check("{ https: true, host: www.example.com }", "http://www.example.com/", 308, "https://www.example.com/");
    check("{ https: true, host: www.example.com }", "https://www.example.com/", 200, "");
}

#[test]
fn moves_by_template() {
    check("to: 'https://x.example{uri}'", "http://a/b?c=1", 308, "https://x.example/b?c=1");
    check("{ to: 'https://x.example{path}', status: 302 }", "http://a/b?c=1", 302, "https://x.example/b");
    check("to: '{scheme}://{host}/moved'", "https://a/b", 308, "https://a/moved");
    check("to: '{scheme}://www.{host}{uri}'", "https://a.example/b", 308, "https://www.a.example/b");
    check("to: '/new{path}?from={query.a}'", "http://a/b?a=1%202", 308, "/new/b?from=1%202");
    check("to: 'https://x.example/?q={header.host}'", "http://a/", 308, "https://x.example/?q=a");
}

#[test]
fn a_request_cannot_turn_a_redirect_elsewhere() {
    check("to: '{path}'", "http://a//evil.example/x", 308, "/evil.example/x");
    check("to: '/{path}'", "http://a//evil.example/x", 308, "/evil.example/x");
    check("to: '{uri}'", "http://a///evil.example?x", 308, "/evil.example?x");
    check("to: '/{query}'", "http://a/?/evil.example", 308, "/evil.example");
    check("to: '/{query.to}'", "http://a/?to=/evil.example", 308, "/%2Fevil.example");
    let seen = run(
        &chain(&[("redirect", "to: '/{param.x}'")]),
        Exchange::get("http://a/").param("x", "/\\evil.example\r\nset-cookie: a=b"),
    );
    assert_eq!(field(&seen, "location"), "/%2F%5Cevil.example%0D%0Aset-cookie%3A%20a%3Db");
    assert_eq!(field(&seen, "set-cookie"), "");
}

proptest! {
    #[test]
    fn stays_where_the_operator_says(path in "[/\\\\a-z.:@%?#]{0,12}", value in "\\PC{0,8}") {
        let chain = Arc::new(chain(&[("redirect", "to: '{path}{param.x}'")]));
        let url = format!("http://a/{path}");
        if url.parse::<http::Uri>().is_ok() {
            let seen = run(&chain, Exchange::get(&url).param("x", &value));
            let location = field(&seen, "location");
            prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{}", location);
            prop_assert!(!location.contains('\\'), "{}", location);
        }
    }
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("redirect", yaml, expected);
    check("{}", "leads nowhere");
    check("https: false", "leads nowhere");
    check("{ to: /x, https: true }", "excludes");
    check("{ to: /x, port: 1 }", "excludes");
    check("to: //evil.example", "is not a place to redirect to");
    check("to: example.com/x", "is not a place to redirect to");
    check("to: ftp://example.com/x", "is not a place to redirect to");
    check("to: 'https://user@example.com/'", "is not a place to redirect to");
    check("to: 'https:///x'", "is not a place to redirect to");
    check("to: 'https://{query.to}/'", "would let a client choose");
    check("to: 'https://x{param.a}.example/'", "would let a client choose");
    check("to: '{query.to}'", "is not a place to redirect to");
    check("to: 'https://x.example/a b'", "percent-encoded");
    check("to: 'https://x.example\\evil'", "percent-encoded");
    check("to: 'https://x.example{pth}'", "did you mean `{path}`?");
    check("{ to: /x, status: 200 }", "is not a status of a redirect");
    check("host: 'example.com:80'", "did you mean `example.com`?");
    check("host: 'a/b'", "is not a host");
}

#[test]
fn warns_of_a_target_that_is_where_the_request_was() {
    let check = |yaml: &str, expected: &str| {
        let said = crate::testing::warnings("redirect", yaml);
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{yaml}: {said}");
    };
    let (again, scheme) = ("is where the request was", "keeps host and path");
    check("to: '{uri}'", again);
    check("to: '{path}'", again);
    check("to: '/{path}?a={query.a}'", again);
    check("{ to: '{scheme}://{host}{uri}', status: 302 }", again);
    check("to: 'https://{host}{uri}'", scheme);
    check("to: 'http://{host}{path}#top'", scheme);
    check("{ to: '{uri}', status: 303 }", "");
    check("to: 'https://{host}/new{uri}'", "");
    check("to: 'https://www.{host}{uri}'", "");
    check("to: 'https://{host}:8443{uri}'", "");
    check("to: '{path}.html'", "");
    check("to: '{path}/'", "");
}
