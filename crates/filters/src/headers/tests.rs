//! Edits of requests and answers, and that no value splits a message.

use http::{HeaderValue, StatusCode};
use portcullis_filter::Response;
use portcullis_filter::testkit::Exchange;

use crate::testing::{chain, check_refused, field, run, upstream_field};

fn request(edits: &str, exchange: Exchange, name: &str) -> String {
    upstream_field(&run(&chain(&[("headers", &format!("request: {edits}"))]), exchange), name)
}

fn get() -> Exchange {
    Exchange::get("http://example.com/p?a=1").field("x-in", "1").field("x-in", "2")
}

#[test]
fn edits_the_request_that_goes_upstream() {
    let check = |edits: &str, name: &str, expected: &str| assert_eq!(request(edits, get(), name), expected, "{edits}");
    check("{ set: { x-in: '3' } }", "x-in", "3");
    check("{ add: { x-in: '3' } }", "x-in", "1, 2, 3");
    check("{ set: { x-in: [a, b] } }", "x-in", "a, b");
    check("{ remove: [x-in] }", "x-in", "");
    check("{ set: { x-id: '{request.id}' } }", "x-id", "00000000000000000000000000000001");
    check("{ set: { x-id: 'literal {{request.id}}' } }", "x-id", "literal {request.id}");
    check("{ set: { x-new: '{header.x-in}' }, remove: [x-in] }", "x-new", "1");
    check("{ set: { x-new: '{header.x-in}' }, remove: [x-in] }", "x-in", "");
    check("{ set: { x-number: 5 } }", "x-number", "5");
}

#[test]
fn what_comes_out_empty_is_not_sent() {
    let check = |edits: &str, name: &str, expected: &str| {
        assert_eq!(request(edits, get().field("x-consumer", "forged"), name), expected, "{edits}");
    };
    check("{ set: { x-consumer: '{consumer}' } }", "x-consumer", "");
    check("{ add: { x-consumer: '{consumer}' } }", "x-consumer", "forged");
    check("{ set: { x-consumer: ['{consumer}', known] } }", "x-consumer", "known");
    let known = request("{ set: { x-consumer: '{consumer}' } }", get().consumer("acme"), "x-consumer");
    assert_eq!(known, "acme");
}

#[test]
fn routing_sees_the_request_as_it_came() {
    let seen =
        run(&chain(&[("headers", "request: { set: { x-a: '{path}' } }"), ("respond", "body: '{header.x-a}.'")]), get());
    assert_eq!(&seen.body[..], b".");
}

#[test]
fn edits_answers_of_the_upstream_and_of_the_gateway() {
    let upstream = Response::new(StatusCode::OK).with_field(http::header::SERVER, HeaderValue::from_static("x"));
    let edits = "response: { set: { x-route: '{route}' }, add: { vary: accept }, remove: [server] }";
    let seen = run(&chain(&[("headers", edits)]), get().answer(upstream));
    assert_eq!([field(&seen, "x-route"), field(&seen, "vary"), field(&seen, "server")], ["test", "accept", ""]);
    let seen = run(&chain(&[("headers", edits), ("access", "rules: [{ deny: all }]")]), get());
    assert_eq!((seen.status, field(&seen, "x-route").as_str()), (403, "test"));
}

#[test]
fn values_cannot_split_a_message() {
    let exchange = get().param("x", "1\r\nx-evil: 1\r\n\r\nGET / HTTP/1.1");
    let seen = run(&chain(&[("headers", "request: { set: { x-p: '{param.x}' } }")]), exchange);
    assert_eq!(upstream_field(&seen, "x-p"), "1%0D%0Ax-evil: 1%0D%0A%0D%0AGET / HTTP/1.1");
    assert_eq!(upstream_field(&seen, "x-evil"), "");
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("headers", yaml, expected);
    check(
        "request: { set: { content-length: '5' } }",
        "test.yaml:1:19: error[invalid_value]: `content-length` is not a field that filters may edit: it frames the message",
    );
    check("request: { set: { host: x } }", "rewrite: { host");
    check("request: { remove: [connection] }", "it belongs to one connection");
    check("response: { set: { x-a: '{reqest.id}' } }", "did you mean `{request.id}`?");
    check("response: { set: { x-a: \"a\\r\\nb: c\" } }", "one line without control characters");
    check("request: { sett: {} }", "did you mean `set`?");
    check("request: { set: { x-a: '1' }, remove: [X-A] }", "`x-a` is removed after it was set or added");
    check("request: { set: { x-a: '1', X-A: '2' } }", "`X-A` stands here twice");
    check("request: { set: { x-a: [] } }", "expected a field value, found an empty list");
    check("{}", "at least one key is needed");
}
