//! The fields that tell an upstream who asked, and those that end at this hop.

use portcullis_integration_tests::{Client, Gateway, Origin, Received, Setup};

const CLAIMS: &str = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n\
                      X-Forwarded-Port: 1\r\nForwarded: for=203.0.113.9;proto=https\r\nX-Real-IP: 203.0.113.9\r\n\
                      X-Request-Id: 0123456789abcdef0123456789abcdef\r\n\
                      traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n";

/// Sends the claims from an address; what the upstream saw.
fn claim(gateway: &Gateway, origin: &Origin, from: &str) -> Received {
    let mut client = Client::connect_from(from, gateway.address("edge"));
    let answer = client.ask(format!("GET /a HTTP/1.1\r\nHost: app.test:8080\r\n{CLAIMS}\r\n"));
    assert_eq!(answer.status, 200);
    let seen = origin.last();
    assert_eq!(seen.field("x-request-id"), Some(answer.id().as_str()), "client and upstream see one id");
    assert_eq!(gateway.record_of(&answer)["trace_id"], seen.field("traceparent").unwrap()[3..35]);
    seen
}

#[test]
fn replaces_what_an_untrusted_client_claims() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).top("trusted_networks: [\"127.0.0.9/32\"]").start();
    let seen = claim(&gateway, &origin, "127.0.0.2");
    let value = |name: &str| seen.fields(name).join("|");
    assert_eq!(value("x-forwarded-for"), "127.0.0.2");
    assert_eq!(value("x-forwarded-proto"), "http");
    assert_eq!(value("x-forwarded-host"), "app.test");
    assert_eq!(value("x-forwarded-port"), "8080");
    assert_eq!(value("forwarded"), "for=127.0.0.2;host=app.test;proto=http");
    assert_eq!((value("x-real-ip").as_str(), value("tracestate").as_str()), ("", ""));
    assert_ne!(value("x-request-id"), "0123456789abcdef0123456789abcdef");
    assert!(!value("traceparent").contains("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(gateway.record("it", |record| record["path"] == "/a")["client"], "127.0.0.2");
}

#[test]
fn continues_what_a_trusted_hop_says() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).top("trusted_networks: [\"127.0.0.9/32\"]").start();
    let seen = claim(&gateway, &origin, "127.0.0.9");
    let value = |name: &str| seen.fields(name).join("|");
    assert_eq!(value("x-forwarded-for"), "203.0.113.9, 127.0.0.9");
    assert_eq!((value("x-forwarded-proto").as_str(), value("x-forwarded-host").as_str()), ("https", "evil.test"));
    assert_eq!(value("x-forwarded-port"), "1");
    assert_eq!(value("forwarded"), "for=203.0.113.9;proto=https, for=127.0.0.9;host=app.test;proto=http");
    assert_eq!(value("x-request-id"), "0123456789abcdef0123456789abcdef");
    assert!(value("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(!value("traceparent").contains("b7ad6b7169203331"), "the gateway is a span of its own");
    assert_eq!(value("tracestate"), "a=b");
    assert_eq!(gateway.record("it", |record| record["path"] == "/a")["client"], "203.0.113.9");
}

#[test]
fn strips_fields_of_the_hop_from_requests() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let fields = "Connection: keep-alive, X-Hop\r\nX-Hop: a\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
                  TE: trailers\r\nTrailer: X-T\r\nProxy-Authorization: Basic eA==\r\nUpgrade: h2c\r\nX-Kept: b\r\n";
    let answer = gateway.client().ask(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n"));
    assert_eq!(answer.status, 200);
    let seen = origin.last();
    for name in ["x-hop", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authorization"] {
        assert_eq!(seen.field(name), None, "{name} went on");
    }
    assert_eq!(seen.field("x-kept"), Some("b"));
}

#[test]
fn strips_fields_of_the_hop_from_answers() {
    let origin = Origin::answers(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: a\r\nKeep-Alive: timeout=5\r\n\
          Proxy-Authenticate: Basic\r\nX-Kept: b\r\n\r\nok",
    );
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.text().as_str(), answer.field("x-kept")), ("ok", Some("b")));
        for name in ["x-hop", "keep-alive", "proxy-authenticate"] {
            assert_eq!(answer.field(name), None, "{name} went on");
        }
    }
    assert_eq!(origin.connections(), 1, "the upstream connection is kept");
}

#[test]
fn keeps_the_order_and_the_repetition_of_end_to_end_fields() {
    let origin = Origin::answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n");
    let gateway = Setup::to(&origin).start();
    let answer = gateway.client().ask("GET / HTTP/1.1\r\nHost: app.test\r\nX-A: 1\r\nX-A: 2\r\nCookie: c=3\r\n\r\n");
    assert_eq!(answer.fields("set-cookie"), ["a=1", "b=2"]);
    assert_eq!((origin.last().fields("x-a"), origin.last().fields("cookie")), (vec!["1", "2"], vec!["c=3"]));
}
