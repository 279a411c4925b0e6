//! Answers with and without variables, and bodies from files.

use portcullis_filter::testkit::Exchange;
use portcullis_yaml::MemoryLoader;

use crate::testing::{chain, check_refused, field, read, run};

/// The status, Content-Type and body.
fn check(settings: &str, status: u16, content_type: &str, body: &str) {
    let seen = run(&chain(&[("respond", settings)]), Exchange::get("http://example.com/a\"b"));
    assert_eq!(seen.status, status, "{settings}");
    assert_eq!(field(&seen, "content-type"), content_type, "{settings}");
    assert_eq!(String::from_utf8_lossy(&seen.body), body, "{settings}");
    assert!(seen.upstream.is_none() && seen.reason.is_none());
}

#[test]
fn answers_without_an_upstream() {
    let text = "text/plain; charset=utf-8";
    check("{}", 200, "", "");
    check("status: 204", 204, "", "");
    check("body: hello", 200, text, "hello");
    check("{ status: 503, body: 'down: {path}' }", 503, text, "down: /a\"b");
    check(
        "{ content_type: application/json, body: '{\"host\":\"{host}\",\"path\":\"{path}\",\"n\":{\"a\":1}}' }",
        200,
        "application/json",
        "{\"host\":\"example.com\",\"path\":\"/a\\\"b\",\"n\":{\"a\":1}}",
    );
    check("{ content_type: text/html, body: '<p>{path}' }", 200, "text/html", "<p>/a&quot;b");
    check("{ headers: { content-type: text/css }, body: x }", 200, "text/css", "x");
}

#[test]
fn sets_fields_with_variables() {
    let seen =
        run(&chain(&[("respond", "headers: { x-method: '{method}', x-two: [a, b] }")]), Exchange::get("http://a/"));
    assert_eq!([field(&seen, "x-method"), field(&seen, "x-two")], ["GET", "a, b"]);
}

#[test]
fn sends_a_file_as_it_is() {
    let check = |file: &str, content_type: &str| {
        let loader = MemoryLoader::new().file(file, "{path} <b>");
        let spec = read("respond", &format!("body_file: {file}"), loader).unwrap_or_else(|report| panic!("{report}"));
        let state = portcullis_filter::StateStore::default();
        let cx = portcullis_filter::BuildCx {
            place: "test",
            state: &state,
            clusters: &[],
            services: &portcullis_filter::Services::default(),
        };
        let chain = portcullis_filter::Chain::new(vec![spec.build(&cx).expect("a filter")]).expect("a chain");
        let seen = run(&chain, Exchange::get("http://a/"));
        assert_eq!((&seen.body[..], field(&seen, "content-type").as_str()), (&b"{path} <b>"[..], content_type));
    };
    check("pages/down.HTML", "text/html; charset=utf-8");
    check("robots.txt", "text/plain; charset=utf-8");
    check("a.json", "application/json");
    check("noending", "text/plain; charset=utf-8");
}

#[test]
fn refuses_a_body_past_its_bound() {
    let report = |length: usize| {
        let loader = MemoryLoader::new().file("big.txt", "a".repeat(length));
        read("respond", "body_file: big.txt", loader).err()
    };
    assert_eq!(report(crate::answer::MAX_BODY), None);
    assert!(report(crate::answer::MAX_BODY + 1).is_some_and(|report| report.contains("a config may give 1048576")));
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("respond", yaml, expected);
    check("{ body: x, body_file: y }", "exclude one another");
    check("body_file: missing.txt", "cannot read `missing.txt`");
    check("{ status: 204, body: x }", "an answer of status 204 has no body");
    check("{ status: 304, body: x }", "has no body");
    check("status: 101", "is not a status from 200 to 599");
    check("status: 600", "is not a status code");
    check("body: '{reqest.id}'", "did you mean `{request.id}`?");
    check("body: '{reason}'", "`{reason}` is no variable");
    check("headers: { content-length: 5 }", "frames the message");
}
