//! Redirects: where they lead, and that no request can choose another host.

use proptest::prelude::*;

use super::*;
use crate::test_kit::Request;

fn plain() -> Redirect {
    let status = RedirectStatus::Found;
    Redirect { scheme: None, host: None, port: None, path: None, status, keep_query: true }
}

fn host(name: &str) -> Option<HostName> {
    Some(name.parse().unwrap())
}

#[test]
fn changes_only_what_it_names() {
    let prefix = || Some(PathRewrite::prefix("/a", "/b").unwrap());
    for (redirect, expected) in [
        (plain(), "http://a.example.com:8080/a/x?q=1"),
        (Redirect { scheme: Some(Scheme::Https), ..plain() }, "https://a.example.com/a/x?q=1"),
        (Redirect { host: host("b.org"), ..plain() }, "http://b.org:8080/a/x?q=1"),
        (Redirect { port: Some(80), ..plain() }, "http://a.example.com/a/x?q=1"),
        (Redirect { port: Some(81), ..plain() }, "http://a.example.com:81/a/x?q=1"),
        (Redirect { path: prefix(), ..plain() }, "http://a.example.com:8080/b/x?q=1"),
        (Redirect { keep_query: false, ..plain() }, "http://a.example.com:8080/a/x"),
    ] {
        let mut request = Request::new("GET /a/x?q=1");
        request.port = Some(8080);
        assert_eq!(redirect.location(&request.view(), &Params::default()), expected);
    }
}

#[test]
fn a_request_cannot_lead_elsewhere_or_add_fields() {
    for (name, path, query, expected) in [
        ("", "//evil.com", None, "/evil.com"),
        ("", "/\\evil.com", None, "/%5Cevil.com"),
        ("", "/a\r\nX: y", None, "/a%0D%0AX:%20y"),
        ("a.com", "//evil.com", None, "http://a.com/evil.com"),
        ("a.com@evil.com", "/", None, "/"),
        ("a.com/x", "/", None, "/"),
        ("a.com", "/", Some("a\r\nb#c\u{e9}"), "http://a.com/?a%0D%0Ab%23c%C3%A9"),
    ] {
        let mut request = Request::new("GET /");
        (request.host, request.path, request.query) = (name.into(), path.into(), query.map(str::to_owned));
        assert_eq!(plain().location(&request.view(), &Params::default()), expected, "{name} {path}");
    }
}

#[test]
fn statuses_are_the_five() {
    for code in [301, 302, 303, 307, 308] {
        assert_eq!(RedirectStatus::try_from(code).unwrap().code(), code);
    }
    for code in [200, 300, 304, 305, 306, 309] {
        assert_eq!(RedirectStatus::try_from(code), Err(RedirectStatusError));
    }
}

proptest! {
    #[test]
    fn a_location_is_one_line_of_ascii_on_the_same_host(path in "\\PC*|(/|\\\\|:|@|\r|\n|\t| ){0,9}", query in "\\PC*") {
        let mut request = Request::new("GET /");
        (request.path, request.query) = (path, Some(query));
        let location = plain().location(&request.view(), &Params::default());
        prop_assert!(location.bytes().all(|b| (0x21..0x7f).contains(&b)), "{location}");
        prop_assert!(location.starts_with("http://a.example.com/"), "{location}");
        request.host.clear();
        let location = plain().location(&request.view(), &Params::default());
        prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{location}");
    }
}
