//! Tests of `head`: tables of what is taken and refused, and properties over random input.

use super::HeadError as E;
use super::*;

/// A request with these field lines, each ended by CRLF here.
fn request(line: &str, fields: &[&str]) -> Vec<u8> {
    let mut head = format!("{line}\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

#[track_caller]
fn facts(line: &str, fields: &[&str]) -> HeadFacts {
    let head = request(line, fields);
    match check_head(&head, &HeadLimits::default()) {
        Ok(facts) => facts,
        Err(error) => panic!("{line} {fields:?}: {error}"),
    }
}

#[track_caller]
fn refuses(line: &str, fields: &[&str], expected: HeadError) {
    let head = request(line, fields);
    assert_eq!(check_head(&head, &HeadLimits::default()), Err(expected), "{line} {fields:?}");
}

#[track_caller]
fn refuses_bytes(head: &[u8], expected: HeadError) {
    assert_eq!(check_head(head, &HeadLimits::default()), Err(expected), "{}", head.escape_ascii());
}

#[track_caller]
fn scans(buf: &[u8], expected: Scan) {
    assert_eq!(HeadScanner::new(HeadLimits::default()).scan(buf), expected, "{}", buf.escape_ascii());
}

const GET: &str = "GET / HTTP/1.1";
const POST: &str = "POST / HTTP/1.1";
const HOST: &str = "Host: a.example";

#[test]
fn reads_a_plain_request() {
    let head = request("GET /v1/x?y=%2F HTTP/1.1", &["Host:  a.example:81 ", "x-y: \t\u{e9} z"]);
    let facts = check_head(&head, &HeadLimits::default()).unwrap();
    assert_eq!(facts.method.text(&head), "GET");
    assert_eq!(facts.target.text(&head), "/v1/x?y=%2F");
    assert_eq!(facts.path_and_query, facts.target);
    assert_eq!((facts.form, facts.version), (TargetForm::Origin, Version::Http11));
    let authority = facts.authority.unwrap();
    assert_eq!((authority.host.text(&head), authority.port), ("a.example", Some(81)));
    assert_eq!((facts.framing, facts.fields), (Framing::None, 2));
    assert_eq!(facts.flags, HeadFlags { host: true, ..HeadFlags::default() });
    assert!(facts.persists() && !facts.asks_upgrade());
}

#[test]
fn reads_every_form_of_target() {
    let head = request("GET HTTP://A.example:80/p?q HTTP/1.1", &[HOST]);
    let facts = check_head(&head, &HeadLimits::default()).unwrap();
    assert_eq!(facts.form, TargetForm::Absolute);
    assert_eq!(facts.path_and_query.text(&head), "/p?q");
    assert_eq!(facts.authority.unwrap().host.text(&head), "A.example");

    let head = request("CONNECT [::1]:443 HTTP/1.1", &["Host: [::1]:443"]);
    let facts = check_head(&head, &HeadLimits::default()).unwrap();
    assert_eq!(facts.form, TargetForm::Authority);
    let authority = facts.authority.unwrap();
    assert_eq!((authority.host.text(&head), authority.port), ("[::1]", Some(443)));
    assert_eq!(facts.path_and_query.text(&head), "");

    assert_eq!(super::tests::facts("OPTIONS * HTTP/1.1", &[HOST]).form, TargetForm::Asterisk);
    let head = request("GET http://a.example?q HTTP/1.1", &[HOST]);
    assert_eq!(check_head(&head, &HeadLimits::default()).unwrap().path_and_query.text(&head), "?q");
    let head = request("GET https://a.example HTTP/1.1", &["host: a.example:443"]);
    assert_eq!(check_head(&head, &HeadLimits::default()).unwrap().path_and_query.text(&head), "");
}

#[test]
fn reads_the_framing() {
    assert_eq!(facts(POST, &[HOST, "content-length: 0"]).framing, Framing::Length(0));
    assert_eq!(facts(POST, &[HOST, "Content-Length:5\t"]).framing, Framing::Length(5));
    let largest = format!("content-length: {}", i64::MAX);
    assert_eq!(facts(POST, &[HOST, &largest]).framing, Framing::Length(i64::MAX as u64));
    assert_eq!(facts(GET, &[HOST, "transfer-encoding: Chunked"]).framing, Framing::Chunked);
}

#[test]
fn reads_the_connection_fields() {
    let found = facts(GET, &[HOST, "Connection: Upgrade, , keep-alive", "upgrade: websocket"]);
    assert!(found.flags.connection_upgrade && found.flags.keep_alive && !found.flags.nominates);
    assert!(found.asks_upgrade() && found.persists());
    let found = facts(GET, &[HOST, "connection: close", "connection: x-secret"]);
    assert!(found.flags.close && found.flags.nominates && !found.persists());
    assert!(!facts("GET / HTTP/1.0", &[HOST, "connection: upgrade", "upgrade: a"]).asks_upgrade());
    assert!(!facts("GET / HTTP/1.0", &[]).persists());
    assert!(facts("GET / HTTP/1.0", &["connection: keep-alive"]).persists());
    refuses(GET, &[HOST, "connection: a b"], E::ConnectionInvalid);
}

#[test]
fn refuses_to_take_out_what_is_for_every_recipient() {
    let nominated = |field: &str| format!("connection: close, {field}");
    for field in ["Host", "content-length", "Transfer-Encoding"] {
        refuses(GET, &[HOST, &nominated(field)], E::ConnectionNominatesFraming);
    }
    for field in [
        "X-Forwarded-For",
        "x-forwarded-proto",
        "x-forwarded-anything",
        "forwarded",
        "Via",
        "x-real-ip",
        "x-original-forwarded-for",
        "X-Request-Id",
        "traceparent",
        "tracestate",
        "Authorization",
        "cookie",
        "content-type",
        "Content-Encoding",
        "Cache-Control",
        "expect",
    ] {
        refuses(GET, &[HOST, &nominated(field)], E::ConnectionNominatesEndToEnd);
    }
    for field in ["te", "trailer", "http2-settings", "proxy-connection", "proxy-authorization", "x-hop", "x-forwarded"]
    {
        assert!(facts(GET, &[HOST, &nominated(field)]).flags.nominates, "{field}");
    }
    assert!(facts(GET, &[HOST, "connection: a, b, c, d, , e", "connection: f, g, h"]).flags.nominates);
    refuses(GET, &[HOST, "connection: a, b, c, d, e", "connection: f, g, h, i"], E::TooManyConnectionOptions);
}

#[test]
fn knows_one_expectation() {
    assert!(facts(POST, &[HOST, "content-length: 1", "expect: 100-Continue"]).flags.expect_continue);
    assert!(!facts("POST / HTTP/1.0", &["content-length: 1", "expect: 100-continue"]).flags.expect_continue);
    assert!(!facts("POST / HTTP/1.0", &["expect: miracles"]).flags.expect_continue);
    for value in ["miracles", "", "100-continue, 100-continue", "100-continue; a=b"] {
        refuses(POST, &[HOST, &format!("expect: {value}")], E::ExpectationUnsupported);
    }
    refuses(POST, &[HOST, "expect: 200-ok", "expect: 100-continue"], E::ExpectationUnsupported);
}

#[test]
fn refuses_request_lines_by_rule() {
    let cases = [
        ("GET /", E::Http09),
        ("GET", E::Http09),
        ("GET  / HTTP/1.1", E::RequestLineSpacing),
        ("GET /  HTTP/1.1", E::RequestLineSpacing),
        ("GET / HTTP/1.1 ", E::RequestLineSpacing),
        ("GET / x HTTP/1.1", E::RequestLineSpacing),
        ("GET /\tHTTP/1.1", E::RequestLineSpacing),
        ("GET\t/ HTTP/1.1", E::MethodInvalid),
        (" GET / HTTP/1.1", E::LeadingWhitespace),
        ("G@T / HTTP/1.1", E::MethodInvalid),
        ("G\u{e9}T / HTTP/1.1", E::MethodInvalid),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", E::MethodTooLong),
        ("GET / HTTP/1.2", E::VersionUnsupported),
        ("GET / HTTP/2.0", E::VersionUnsupported),
        ("GET / HTTP/0.9", E::VersionUnsupported),
        ("GET / http/1.1", E::VersionInvalid),
        ("GET / HTTP/1.10", E::VersionInvalid),
        ("GET / HTTP/1", E::VersionInvalid),
        ("GET / HTTPS/1.1", E::VersionInvalid),
        ("GET /a#b HTTP/1.1", E::TargetFragment),
        ("GET /\u{e9} HTTP/1.1", E::TargetInvalid),
        ("GET /<a> HTTP/1.1", E::TargetInvalid),
        ("GET /\"a\" HTTP/1.1", E::TargetInvalid),
        ("GET * HTTP/1.1", E::TargetForm),
        ("GET a.example HTTP/1.1", E::TargetForm),
        ("GET a/b HTTP/1.1", E::TargetForm),
        ("GET ?q HTTP/1.1", E::TargetForm),
        ("GET a.example:80 HTTP/1.1", E::TargetForm),
        ("CONNECT / HTTP/1.1", E::TargetForm),
        ("CONNECT * HTTP/1.1", E::TargetForm),
        ("CONNECT http://a.example/ HTTP/1.1", E::TargetForm),
        ("CONNECT a.example HTTP/1.1", E::TargetAuthority),
        ("CONNECT a.example:0 HTTP/1.1", E::TargetAuthority),
        ("CONNECT u@a.example:80 HTTP/1.1", E::TargetUserinfo),
        ("GET http:///p HTTP/1.1", E::TargetAuthority),
        ("GET http://a..b/ HTTP/1.1", E::TargetAuthority),
        ("GET http://u:p@a.example/ HTTP/1.1", E::TargetUserinfo),
        ("GET ftp://a.example/ HTTP/1.1", E::SchemeUnsupported),
        ("GET http://b.example/ HTTP/1.1", E::HostDisagrees),
        ("GET http://a.example:8080/ HTTP/1.1", E::HostDisagrees),
        ("GET https://a.example:80/ HTTP/1.1", E::HostDisagrees),
        ("CONNECT b.example:80 HTTP/1.1", E::HostDisagrees),
    ];
    for (line, expected) in cases {
        refuses(line, &[HOST], expected);
    }
    refuses("CONNECT a.example:80 HTTP/1.1", &["host: a.example:81"], E::HostDisagrees);
    assert!(facts("CONNECT a.example:80 HTTP/1.1", &[HOST]).authority.is_some());
}

#[test]
fn refuses_hosts_by_rule() {
    refuses(GET, &[], E::HostMissing);
    refuses(GET, &["x-host: a"], E::HostMissing);
    refuses(GET, &[HOST, HOST], E::HostRepeated);
    refuses("GET / HTTP/1.0", &[HOST, "host: b.example"], E::HostRepeated);
    refuses(GET, &["host: u@a.example"], E::HostUserinfo);
    for value in ["", "a b", "a,b", "a/b", "a:x", "a:", "a:0", "[::1", "::1", "\u{e9}.example", "a..b", "127.1", "a%41"]
    {
        refuses(GET, &[&format!("host: {value}")], E::HostInvalid);
    }
    assert_eq!(facts("GET / HTTP/1.0", &[]).authority, None);
    let absolute = facts("GET http://b.example/ HTTP/1.0", &[]);
    assert!(absolute.authority.is_some() && !absolute.flags.host);
    assert!(facts("GET http://b.example/ HTTP/1.0", &["host: b.example"]).flags.host);
    refuses("GET http://b.example/ HTTP/1.0", &[HOST], E::HostDisagrees);
    assert!(facts(GET, &["host: [2001:db8::1]:8443"]).authority.is_some());
}

#[test]
fn refuses_framing_by_rule() {
    for value in ["", "+5", "-5", "5 5", "0x5", "5;", "a", "9223372036854775808", "99999999999999999999", ",", "5,"] {
        refuses(POST, &[HOST, &format!("content-length: {value}")], E::ContentLengthInvalid);
    }
    refuses(POST, &[HOST, "content-length: 5", "content-length: 6"], E::ContentLengthDiffers);
    refuses(POST, &[HOST, "content-length: 5, 6"], E::ContentLengthDiffers);
    refuses(POST, &[HOST, "content-length: 5", "content-length: 5"], E::ContentLengthRepeated);
    refuses(POST, &[HOST, "content-length: 5, 5"], E::ContentLengthRepeated);
    let chunked = "transfer-encoding: chunked";
    refuses(POST, &[HOST, "content-length: 5", chunked], E::ContentLengthWithTransferEncoding);
    refuses(POST, &[HOST, chunked, "content-length: 5"], E::ContentLengthWithTransferEncoding);
    refuses(POST, &[HOST, chunked, chunked], E::TransferEncodingRepeated);
    for value in [
        "",
        "gzip",
        "identity",
        "xchunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked,",
        "\"chunked\"",
        "chunked;q=1",
        "chunked\u{b}",
        ", chunked",
        "chunk ed",
    ] {
        let expected = if value.contains('\u{b}') { E::ControlByte } else { E::TransferEncodingNotChunked };
        refuses(POST, &[HOST, &format!("transfer-encoding: {value}")], expected);
    }
    refuses("POST / HTTP/1.0", &[HOST, chunked], E::TransferEncodingOnHttp10);
    refuses(POST, &[HOST, "content_length: 5"], E::FramingLookalike);
    refuses(POST, &[HOST, "Transfer_Encoding: chunked"], E::FramingLookalike);
    refuses("CONNECT a.example:80 HTTP/1.1", &[HOST, "content-length: 5"], E::ContentNotAllowed);
    refuses("TRACE / HTTP/1.1", &[HOST, chunked], E::ContentNotAllowed);
    assert_eq!(facts("TRACE / HTTP/1.1", &[HOST, "content-length: 0"]).framing, Framing::Length(0));
}

#[test]
fn refuses_field_lines_by_rule() {
    let cases = [
        ("x : y", E::SpaceBeforeColon),
        ("x\t: y", E::SpaceBeforeColon),
        (" x: y", E::ObsFold),
        ("\tx: y", E::ObsFold),
        (": y", E::FieldNameEmpty),
        ("x", E::FieldWithoutColon),
        ("x y: z", E::FieldNameInvalid),
        ("x(: z", E::FieldNameInvalid),
        ("\u{e9}: z", E::FieldNameInvalid),
        ("x\0: z", E::ControlByte),
        ("x: a\0b", E::ControlByte),
        ("x: a\u{7f}b", E::ControlByte),
        ("x: a\u{1b}b", E::ControlByte),
        ("x: a\rb", E::BareCr),
        ("x\rb: a", E::BareCr),
        ("x: a\nb: c", E::BareLf),
        ("x\nb: c", E::BareLf),
        ("x: a\r\r", E::BareCr),
    ];
    for (field, expected) in cases {
        refuses(GET, &[HOST, field], expected);
    }
    assert_eq!(facts(GET, &[HOST, "x:", "y:\t", "z: \u{80}\t~"]).fields, 4);
}

#[test]
fn refuses_heads_that_are_not_whole_or_hold_more() {
    refuses_bytes(b"", E::Incomplete);
    refuses_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n", E::Incomplete);
    refuses_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r", E::Incomplete);
    refuses_bytes(b"GET / HTTP/1.1\r\nHo", E::Incomplete);
    refuses_bytes(b"GET / HTTP/1.1\r\nHost: a", E::Incomplete);
    refuses_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nx", E::BytesAfterHead);
    refuses_bytes(b"GET / HTTP/1.1\nHost: a\r\n\r\n", E::BareLf);
    refuses_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\n", E::BareLf);
    refuses_bytes(b"\x01GET / HTTP/1.1\r\n\r\n", E::ControlByte);
    refuses_bytes(b"\r\nGET / HTTP/1.1\r\n\r\n", E::MethodInvalid);
}

#[test]
fn bounds_the_head() {
    let limits = HeadLimits { bytes: 64, fields: 2, target: 8 };
    let check = |head: &[u8], expected: Result<usize, HeadError>| {
        assert_eq!(check_head(head, &limits).map(|facts| facts.fields), expected, "{}", head.escape_ascii());
    };
    check(&request("GET /2345678 HTTP/1.1", &["host: a"]), Ok(1));
    check(&request("GET /23456789 HTTP/1.1", &["host: a"]), Err(E::TargetTooLong));
    check(&request(GET, &["host: a", "b: c"]), Ok(2));
    check(&request(GET, &["host: a", "b: c", "d: e"]), Err(E::TooManyFields));
    let fits = request(GET, &["host: a", &format!("b: {}", "x".repeat(64 - 18 - 9 - 5))]);
    assert_eq!(fits.len(), 64);
    check(&fits, Ok(2));
    let exceeds = request(GET, &["host: a", &format!("b: {}", "x".repeat(64 - 18 - 9 - 4))]);
    check(&exceeds, Err(E::HeadTooLarge));
    let scan = |buf: &[u8]| HeadScanner::new(limits).scan(buf);
    assert_eq!(scan(&fits), Scan::Complete { skip: 0, len: 64 });
    assert_eq!(scan(&[b"\r\n".as_slice(), &fits].concat()), Scan::Complete { skip: 2, len: 64 });
    assert_eq!(scan(&exceeds), Scan::Refused(E::HeadTooLarge));
    assert_eq!(scan(&exceeds[..63]), Scan::NeedMore);
    assert_eq!(scan(&exceeds[..64]), Scan::Refused(E::HeadTooLarge));
    assert_eq!(scan(&request(GET, &["a: b", "c: d", "e: f"])), Scan::Refused(E::TooManyFields));
    assert_eq!(scan(&[b'a'; 50]), Scan::NeedMore);
    assert_eq!(scan(&[b'a'; 51]), Scan::Refused(E::TargetTooLong));
}

#[test]
fn finds_the_end_of_a_head() {
    let head = request(GET, &[HOST]);
    scans(&head, Scan::Complete { skip: 0, len: head.len() });
    scans(&[head.as_slice(), b"body"].concat(), Scan::Complete { skip: 0, len: head.len() });
    scans(&[b"\r\n", head.as_slice()].concat(), Scan::Complete { skip: 2, len: head.len() });
    scans(b"GET / HTTP/1.1\r\n\r\n", Scan::Complete { skip: 0, len: 18 });
    for length in 0..head.len() {
        scans(&head[..length], Scan::NeedMore);
    }
}

#[test]
fn refuses_early_what_cannot_become_a_head() {
    scans(b"\r\n\r\n", Scan::Refused(E::RepeatedEmptyLines));
    scans(b"\n", Scan::Refused(E::BareLf));
    scans(b"\r\n\n", Scan::Refused(E::BareLf));
    scans(b"\rG", Scan::Refused(E::BareCr));
    scans(b" GET", Scan::Refused(E::LeadingWhitespace));
    scans(b"\r\n\tGET", Scan::Refused(E::LeadingWhitespace));
    scans(b"GET /\r\n", Scan::Refused(E::Http09));
    scans(b"GET / FTP/1.1\r\n", Scan::Refused(E::VersionInvalid));
    scans(b"GET / HTTP/1.1\n", Scan::Refused(E::BareLf));
    scans(b"GET / HTTP/1.1\rX", Scan::Refused(E::BareCr));
    scans(b"GET /\0", Scan::Refused(E::ControlByte));
    scans(b"GET / HTTP/1.1\r\nx: y\r\n z\r\n", Scan::Refused(E::ObsFold));
    scans(b"GET / HTTP/1.1\r\n x: y\r\n", Scan::Refused(E::ObsFold));
    scans(b"GET / HTTP/1.1\r\nx: \x7f", Scan::Refused(E::ControlByte));
    scans(b"\x00", Scan::Refused(E::ControlByte));
}

#[test]
fn tells_http2_and_tls_from_http1() {
    let preface = crate::h2::PREFACE;
    scans(preface, Scan::Http2Preface);
    scans(&[preface, b"\0\0\0\x04"].concat(), Scan::Http2Preface);
    for length in 0..preface.len() {
        scans(&preface[..length], Scan::NeedMore);
    }
    scans(b"PRI * HTTP/2.0\r\n\r\nXX", Scan::Refused(E::BadPreface));
    scans(b"PRI * HTTP/2.1\r\n\r\n", Scan::Complete { skip: 0, len: 18 });
    scans(b"PUT / HTTP/1.1\r\n\r\n", Scan::Complete { skip: 0, len: 18 });
    scans(b"\x16", Scan::NeedMore);
    scans(b"\x16\x03", Scan::Refused(E::TlsOnPlainPort));
    scans(b"\x16\x04", Scan::Refused(E::ControlByte));
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(HeadError::ALL.iter().map(|error| error.name()));
}
