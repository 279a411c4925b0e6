//! Strict HTTP/1 heads, by raw bytes: every rule, on the first and on later requests of a connection.

use portcullis_integration_tests::{Client, Gateway, Origin, Response, Setup};

/// A head that is refused: what is wrong, its bytes, and status, reason and detail of the refusal.
type Case = (&'static str, &'static [u8], u16, &'static str, &'static str);

const GOOD: &[u8] = b"GET /good HTTP/1.1\r\nHost: app.test\r\n\r\n";

const REFUSED: &[Case] = &[
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400, "host_invalid", "host_missing"),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", 400, "host_invalid", "host_repeated"),
    ("the same host twice", b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400, "host_invalid", "host_repeated"),
    ("an empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host_invalid", "host_invalid"),
    ("a list of hosts", b"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", 400, "host_invalid", "host_invalid"),
    ("a path in the host", b"GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400, "host_invalid", "host_invalid"),
    ("userinfo in the host", b"GET / HTTP/1.1\r\nHost: me@a.test\r\n\r\n", 400, "host_invalid", "host_userinfo"),
    ("a bad port", b"GET / HTTP/1.1\r\nHost: a.test:99999\r\n\r\n", 400, "host_invalid", "host_invalid"),
    ("absolute form against host", b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "host_invalid", "host_disagrees"),
    ("absolute form, another port", b"GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "host_invalid", "host_disagrees"),
    ("absolute form without host", b"GET http://a.test/ HTTP/1.1\r\n\r\n", 400, "host_invalid", "host_missing"),
    ("absolute form against host on HTTP/1.0", b"GET http://b.test/ HTTP/1.0\r\nHost: a.test\r\n\r\n", 400, "host_invalid", "host_disagrees"),
    ("absolute form with userinfo", b"GET http://me@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_userinfo"),
    ("another scheme", b"GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "scheme_unsupported"),
    ("length and chunked", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "content_length_with_transfer_encoding"),
    ("chunked and length", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "content_length_with_transfer_encoding"),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "malformed_framing", "content_length_differs"),
    ("one length twice", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, "malformed_framing", "content_length_repeated"),
    ("a list of lengths", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5, 5\r\n\r\nhello", 400, "malformed_framing", "content_length_repeated"),
    ("a signed length", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +5\r\n\r\nhello", 400, "malformed_framing", "content_length_invalid"),
    ("a negative length", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -5\r\n\r\nhello", 400, "malformed_framing", "content_length_invalid"),
    ("a hexadecimal length", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x5\r\n\r\nhello", 400, "malformed_framing", "content_length_invalid"),
    ("an empty length", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length:\r\n\r\n", 400, "malformed_framing", "content_length_invalid"),
    ("a length past 2^63", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9223372036854775808\r\n\r\n", 400, "malformed_framing", "content_length_invalid"),
    ("gzip, chunked", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_not_chunked"),
    ("chunked, identity", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_not_chunked"),
    ("identity", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n", 400, "malformed_framing", "transfer_encoding_not_chunked"),
    ("a coding like chunked", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_not_chunked"),
    ("chunked in quotes", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_not_chunked"),
    ("chunked twice", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_repeated"),
    ("chunked in two fields", b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_repeated"),
    ("chunked on HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_framing", "transfer_encoding_on_http10"),
    ("an underscore in a framing field", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent_Length: 5\r\n\r\n", 400, "malformed_framing", "framing_lookalike"),
    ("a fold", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: one\r\n two\r\n\r\n", 400, "malformed_request", "obs_fold"),
    ("a fold by tab", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: one\r\n\ttwo\r\n\r\n", 400, "malformed_request", "obs_fold"),
    ("a bare LF after the request line", b"GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400, "malformed_request", "bare_lf"),
    ("a bare LF after a field", b"GET / HTTP/1.1\r\nHost: a.test\nX-A: b\r\n\r\n", 400, "malformed_request", "bare_lf"),
    ("a bare LF at the end", b"GET / HTTP/1.1\r\nHost: a.test\r\n\n", 400, "malformed_request", "bare_lf"),
    ("a bare CR in a value", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: b\rc\r\n\r\n", 400, "malformed_request", "bare_cr"),
    ("space before the colon", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A : b\r\n\r\n", 400, "malformed_request", "space_before_colon"),
    ("space before the colon of a framing field", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length : 5\r\n\r\nhello", 400, "malformed_request", "space_before_colon"),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: b\0c\r\n\r\n", 400, "malformed_request", "control_byte"),
    ("ESC in a value", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: \x1b[31m\r\n\r\n", 400, "malformed_request", "control_byte"),
    ("DEL in a value", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: b\x7f\r\n\r\n", 400, "malformed_request", "control_byte"),
    ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "control_byte"),
    ("a field without a colon", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A\r\n\r\n", 400, "malformed_request", "field_without_colon"),
    ("a field without a name", b"GET / HTTP/1.1\r\nHost: a.test\r\n: b\r\n\r\n", 400, "malformed_request", "field_name_empty"),
    ("a field name that is no token", b"GET / HTTP/1.1\r\nHost: a.test\r\nX(A): b\r\n\r\n", 400, "malformed_request", "field_name_invalid"),
    ("Connection names Host", b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: host\r\n\r\n", 400, "malformed_request", "connection_nominates_framing"),
    ("Connection names framing", b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, content-length\r\n\r\n", 400, "malformed_request", "connection_nominates_framing"),
    ("Connection names a forwarding field", b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: X-Forwarded-For\r\n\r\n", 400, "malformed_request", "connection_nominates_end_to_end"),
    ("Connection names who asks", b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, authorization\r\n\r\n", 400, "malformed_request", "connection_nominates_end_to_end"),
    ("Connection names many", b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: a, b, c, d, e, f, g, h, i\r\n\r\n", 400, "malformed_request", "too_many_connection_options"),
    ("Connection is no list", b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: \"close\"\r\n\r\n", 400, "malformed_request", "connection_invalid"),
    ("HTTP/0.9", b"GET /\r\n", 505, "version_unsupported", "http_09"),
    ("HTTP/2.0 in a request line", b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505, "version_unsupported", "version_unsupported"),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", 505, "version_unsupported", "version_unsupported"),
    ("a version in small letters", b"GET / http/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "version_invalid"),
    ("a version with two digits", b"GET / HTTP/1.10\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "version_invalid"),
    ("two spaces before the target", b"GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "request_line_spacing"),
    ("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "request_line_spacing"),
    ("a tab in the request line", b"GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "method_invalid"),
    ("space before the method", b" GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "leading_whitespace"),
    ("two empty lines before the request", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "repeated_empty_lines"),
    ("a method that is no token", b"G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "method_invalid"),
    ("a long method", b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "method_too_long"),
    ("a quote in the target", b"GET /\" HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_invalid"),
    ("a byte past ASCII in the target", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_invalid"),
    ("a fragment", b"GET /#x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_fragment"),
    ("a relative target", b"GET a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_form"),
    ("an asterisk for GET", b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_form"),
    ("CONNECT with a path", b"CONNECT / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "malformed_request", "target_form"),
    ("TRACE with content", b"TRACE / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", 400, "malformed_framing", "content_not_allowed"),
    ("an expectation", b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: cookies\r\nContent-Length: 5\r\n\r\nhello", 417, "expectation_failed", "expectation_unsupported"),
    ("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request", "tls_on_plain_port"),
    ("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_unsupported", "http2_preface"),
];

/// TLS and the preface of HTTP/2 belong to the beginning of a connection.
fn later(case: &&Case) -> bool {
    !matches!(case.0, "TLS on the plain port" | "the HTTP/2 preface")
}

fn strict() -> (Origin, Gateway) {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener("protocols: [http1]").start();
    (origin, gateway)
}

fn check_refusal(name: &str, answer: &Response, case: &Case) {
    let (_, _, status, reason, detail) = *case;
    let said = (answer.status, answer.reason(), answer.detail());
    assert_eq!(said, (status, reason.to_owned(), detail.to_owned()), "{name}: {}", answer.head);
    assert!(answer.closes(), "{name}: the connection must end: {}", answer.head);
    assert!(answer.field("proxy-status").is_some_and(|value| value.contains(reason)), "{name}: {}", answer.head);
}

fn check_record(gateway: &Gateway, name: &str, answer: &Response, case: &Case) {
    let (_, _, status, reason, detail) = *case;
    let record = gateway.record_of(answer);
    assert_eq!(record["kind"], "request", "{name}: {record}");
    assert_eq!(
        (&record["status"], &record["reason"], &record["detail"]),
        (&status.into(), &reason.into(), &detail.into()),
        "{name}"
    );
    assert_eq!(record["listener"], "edge", "{name}");
}

#[test]
fn refuses_each_malformed_head_with_a_reason_and_a_record() {
    let (origin, gateway) = strict();
    for case in REFUSED {
        let mut client = gateway.client();
        let answer = client.ask(case.1);
        check_refusal(case.0, &answer, case);
        client.finish().expect_end();
        check_record(&gateway, case.0, &answer, case);
    }
    assert_eq!(origin.connections(), 0, "the upstream was contacted for a malformed request");
}

#[test]
fn refuses_malformed_heads_behind_good_requests_too() {
    let (origin, gateway) = strict();
    let mut good = 0;
    for before in 1..=2 {
        for case in REFUSED.iter().filter(later) {
            let mut client = gateway.client();
            for _ in 0..before {
                assert_eq!(client.ask(GOOD).status, 200, "{}", case.0);
                good += 1;
            }
            let answer = client.ask(case.1);
            check_refusal(case.0, &answer, case);
            client.finish().expect_end();
            check_record(&gateway, case.0, &answer, case);
        }
    }
    let received = origin.received();
    assert_eq!(received.len(), good);
    assert!(received.iter().all(|request| request.path() == "/good"));
}

#[test]
fn refuses_a_malformed_head_pipelined_behind_a_good_one() {
    let (origin, gateway) = strict();
    for case in REFUSED.iter().filter(later) {
        let mut client = gateway.client();
        let first = client.ask([GOOD, case.1].concat());
        assert_eq!((first.status, first.text().as_str()), (200, "fine"), "{}", case.0);
        if first.closes() {
            client.expect_end();
            continue;
        }
        let answer = client.response();
        check_refusal(case.0, &answer, case);
    }
    assert!(origin.received().iter().all(|request| request.path() == "/good"));
}

#[test]
fn refuses_a_head_that_trickles_in_as_it_refuses_one_in_one_piece() {
    let (origin, gateway) = strict();
    for case in REFUSED.iter().filter(|case| case.1.len() < 64) {
        let mut client = gateway.client();
        for byte in case.1 {
            // The refusal may come before the last byte is out.
            if client.try_send([*byte]).is_err() {
                break;
            }
        }
        check_refusal(case.0, &client.response(), case);
    }
    assert_eq!(origin.connections(), 0);
}

/// Sends a head and checks status and reason of the refusal.
fn check(gateway: &Gateway, head: &str, expected: (u16, &str, &str)) {
    let mut client = gateway.client();
    let answer = client.ask(head);
    assert_eq!((answer.status, answer.reason().as_str(), answer.detail().as_str()), expected);
    let record = gateway.record_of(&answer);
    assert_eq!((&record["status"], &record["reason"]), (&expected.0.into(), &expected.1.into()));
    client.finish().expect_end();
}

#[test]
fn bounds_the_head_its_target_and_its_fields() {
    let origin = Origin::says("fine");
    let limits = "limits: { header_bytes: 4KiB, header_fields: 10, target_bytes: 1KiB }";
    let gateway = Setup::to(&origin).listener(limits).start();
    let long = "a".repeat(5000);
    check(
        &gateway,
        &format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-A: {long}\r\n\r\n"),
        (431, "head_too_large", "head_too_large"),
    );
    check(
        &gateway,
        &format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-A: {long}"),
        (431, "head_too_large", "head_too_large"),
    );
    let fields: String = (0..10).map(|n| format!("X-{n}: {n}\r\n")).collect();
    check(
        &gateway,
        &format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"),
        (431, "head_too_large", "too_many_fields"),
    );
    let target = "a".repeat(1024);
    check(
        &gateway,
        &format!("GET /{target} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        (414, "target_too_long", "target_too_long"),
    );
    assert_eq!(origin.connections(), 0);
    let fields: String = (0..9).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let fits = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n", "a".repeat(1023));
    assert_eq!(gateway.client().ask(fits).status, 200);
}

#[test]
fn takes_what_only_looks_unusual() {
    let (origin, gateway) = strict();
    let unusual: &[(&[u8], &str)] = &[
        (b"\r\nGET /good HTTP/1.1\r\nHost: app.test\r\n\r\n", "/good"),
        (b"GET http://app.test/good HTTP/1.1\r\nHost: app.test\r\n\r\n", "/good"),
        (b"GET http://app.test:80/good HTTP/1.1\r\nHost: app.test\r\n\r\n", "/good"),
        (b"GET http://app.test/good HTTP/1.0\r\nHost: app.test\r\n\r\n", "/good"),
        (b"GET http://app.test:80/good HTTP/1.0\r\nHost: app.test\r\n\r\n", "/good"),
        (b"GET http://app.test/good HTTP/1.0\r\n\r\n", "/good"),
        (b"GET /good HTTP/1.1\r\nHost: APP.test\r\nX-A:\r\n\r\n", "/good"),
        (b"GET /good HTTP/1.1\r\nhost:app.test\r\nX-A: \t b\tc \r\n\r\n", "/good"),
        (b"BREW /good HTTP/1.1\r\nHost: app.test\r\n\r\n", "/good"),
        (b"GET /good?a=%00&b=/../c HTTP/1.1\r\nHost: app.test\r\n\r\n", "/good"),
        (b"POST /good HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "/good"),
        (b"POST /good HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n", "/good"),
    ];
    for (bytes, path) in unusual {
        let mut client: Client = gateway.client();
        let answer = client.ask(bytes);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(bytes));
        let last = origin.last();
        assert_eq!(last.path(), *path, "{}", String::from_utf8_lossy(bytes));
        assert_eq!(last.fields("host"), ["app.test"]);
    }
}

#[test]
fn forwards_names_with_an_underscore_only_from_trusted_networks() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).top("trusted_networks: [\"127.0.0.9/32\"]").start();
    let fields = "X_Forwarded_For: 203.0.113.9\r\nX_Real_IP: 203.0.113.9\r\nplain_name: 1\r\nX-Kept: b_c";
    for (from, expected) in [("127.0.0.2", None), ("127.0.0.9", Some("203.0.113.9"))] {
        let mut client = Client::connect_from(from, gateway.address("edge"));
        assert_eq!(client.ask(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n\r\n")).status, 200);
        let seen = origin.last();
        assert_eq!((seen.field("x_forwarded_for"), seen.field("x_real_ip")), (expected, expected), "from {from}");
        assert_eq!((seen.field("plain_name"), seen.field("x-kept")), (expected.map(|_| "1"), Some("b_c")));
    }
}

#[test]
fn escapes_a_hostile_request_line_in_the_log() {
    let (_origin, gateway) = strict();
    let answer = gateway.client().ask(b"GET /\x1b]0;x\"\\{} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(answer.status, 400);
    // The record is one line of JSON, and reading it back gives the bytes as they were sent.
    assert_eq!(gateway.record_of(&answer)["path"], "/\u{1b}]0;x\"\\{}");
}
