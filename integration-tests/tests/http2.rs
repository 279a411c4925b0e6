//! HTTP/2 from clients and to upstreams, in every pairing, and what ends an HTTP/2 connection.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis_integration_tests::h2::{
    GOAWAY, H2Client, RST_STREAM, SETTINGS, block, frame, get_block, next_of, preface, read_frame,
};
use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::{Client, Gateway, Origin, Setup, until};
use std::sync::Arc;

fn h2c_origin() -> HyperOrigin {
    HyperOrigin::plain(|seen| Response::new(full(format!("{} {}", seen.parts.method, seen.parts.uri))))
}

fn post(url: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(url).header("x-a", "b").body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn speaks_http2_to_an_http1_upstream() {
    let origin = Origin::http1(|received, wire| wire.ok(&String::from_utf8_lossy(&received.body)));
    let gateway = Setup::to(&origin).start();
    let client = H2Client::plain(gateway.address("edge")).await;
    let answer = client.send(post("http://app.test/up?x=1", "hello")).await;
    assert_eq!((answer.status(), &answer.body[..]), (200, b"hello".as_slice()));
    let seen = origin.last();
    assert_eq!((seen.line(), seen.fields("host")), ("POST /up?x=1 HTTP/1.1", vec!["app.test"]));
    assert_eq!((seen.field("x-a"), seen.body.as_slice()), (Some("b"), b"hello".as_slice()));
    let record = gateway.record("the request", |record| record["path"] == "/up");
    assert_eq!(
        (&record["protocol"], &record["status"], &record["bytes_in"]),
        (&"HTTP/2".into(), &200.into(), &5.into())
    );
}

#[test]
fn speaks_http1_to_an_http2_upstream() {
    let origin = h2c_origin();
    let gateway = Setup::to_address(origin.address()).cluster("protocol: http2").start();
    let mut client = gateway.client();
    for n in 0..3 {
        assert_eq!(client.get(&format!("/{n}?q")).text(), format!("GET http://app.test/{n}?q"));
    }
    let seen = origin.last();
    assert_eq!(seen.parts.version, http::Version::HTTP_2);
    assert!(seen.field("connection").is_none() && seen.field("host").is_none(), "{:?}", seen.parts.headers);
}

#[tokio::test]
async fn speaks_http2_to_an_http2_upstream() {
    let origin = h2c_origin();
    let gateway = Setup::to_address(origin.address()).cluster("protocol: http2").start();
    let client = H2Client::plain(gateway.address("edge")).await;
    let answer = client.send(post("http://app.test/both", "hello")).await;
    assert_eq!(&answer.body[..], b"POST http://app.test/both");
    assert_eq!(&origin.last().body[..], b"hello");
}

#[tokio::test]
async fn carries_many_streams_at_once() {
    let origin = Origin::http1(|received, wire| wire.ok(received.path()));
    let gateway = Setup::to(&origin).start();
    let client = Arc::new(H2Client::plain(gateway.address("edge")).await);
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..50 {
        let client = client.clone();
        asked.spawn(async move { (n, client.get(&format!("http://app.test/{n}")).await.body) });
    }
    let answers = asked.join_all().await;
    assert_eq!(answers.len(), 50);
    assert!(answers.iter().all(|(n, body)| *body == format!("/{n}")), "{answers:?}");
}

#[tokio::test]
async fn answers_its_own_errors_on_http2() {
    let gateway = Setup::to(&Origin::says("fine"))
        .and_route("{ name: no, match: { path: /no }, respond: { status: 410 } }")
        .start();
    let client = H2Client::plain(gateway.address("edge")).await;
    assert_eq!(client.get("http://app.test/no").await.status(), 410);
    let slash = client.get("http://app.test/a%2fb").await;
    assert_eq!((slash.status(), &slash.json()["reason"]), (400, &"path_invalid".into()));
    let connect = Request::connect("db.test:5432").body(Full::default()).unwrap();
    let refused = client.send(connect).await;
    assert_eq!((refused.status(), &refused.json()["reason"]), (405, &"connect_refused".into()));
    assert_eq!(gateway.record_with("connect_refused")["protocol"], "HTTP/2");
    assert_eq!(client.get("http://app.test/").await.status(), 200, "the connection lives on");
}

/// A connection that is past the preface.
fn raw(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(preface()).send(frame(SETTINGS, 1, 0, b""));
    client
}

/// Sends until the gateway ends the connection, and expects the record of an abuse.
fn check_flood(limits: &str, opening: &[u8], piece: impl Fn(u32) -> Vec<u8>, detail: &str) {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener(limits).start();
    let mut client = raw(&gateway);
    client.send(opening);
    let ended = (0..5000).any(|n| client.try_send(piece(n)).is_err());
    client.rest();
    let record = gateway.record_with("http2_abuse");
    assert_eq!((&record["kind"], &record["detail"]), (&"connection".into(), &detail.into()), "ended early: {ended}");
    assert_eq!(gateway.get("/").status, 200, "other connections are served");
}

#[test]
fn cuts_a_continuation_flood() {
    let opening = frame(1, 0, 1, &get_block());
    let piece = |_| frame(9, 0, 1, b"\x00\x01a\x01b");
    check_flood("limits: { continuations: 3 }", &opening, piece, "h2_continuation_flood");
}

#[test]
fn takes_as_many_continuations_as_the_limit_says() {
    let origin = Origin::says("fine");
    // The largest number there is for a head of 256 KiB: 20 by the default of the HTTP/2 layer.
    for (limits, count) in [("{}", 5), ("{ continuations: 2 }", 2), ("{ header_bytes: 256KiB }", 20)] {
        let gateway = Setup::to(&origin).listener(&format!("limits: {limits}")).start();
        for (count, taken) in [(count, true), (count + 1, false)] {
            let mut client = raw(&gateway);
            client.send(frame(1, 1, 1, &get_block()));
            for n in 1..=count {
                // The refusal may come before the last one is out.
                drop(client.try_send(frame(9, if n == count { 4 } else { 0 }, 1, b"\x00\x01a\x01b")));
            }
            assert_eq!(next_of(&mut client, 1).is_some(), taken, "{limits}: {count}");
        }
        assert_eq!(gateway.record_with("http2_abuse")["detail"], "h2_continuation_flood");
    }
}

#[test]
fn speaks_only_http2_where_the_listener_says_so() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener("protocols: [h2c]").start();
    let answer = gateway.client().ask("GET /one HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!((answer.status, answer.reason().as_str()), (505, "version_unsupported"));
    assert!(answer.closes());
    assert_eq!(gateway.record_of(&answer)["detail"], "http1");
    assert_eq!(origin.connections(), 0);
    let mut client = raw(&gateway);
    client.send(frame(1, 5, 1, &get_block()));
    assert_eq!(next_of(&mut client, 0).unwrap().payload, b"fine");
}

/// Prior knowledge is told from HTTP/1 by the first bytes, wherever the packets cut them.
#[test]
fn takes_the_preface_and_a_body_however_they_are_cut() {
    let origin = Origin::http1(|received, wire| wire.ok(&String::from_utf8_lossy(&received.body)));
    let gateway = Setup::to(&origin).start();
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/cut"), (":authority", "app.test")];
    let whole = [
        preface(),
        frame(1, 4, 1, &block(&fields)),
        frame(0, 0, 1, b"in "),
        frame(0, 0, 1, b"odd "),
        frame(0, 1, 1, b"packets"),
    ]
    .concat();
    for size in [1, 2, 3, 7, 16, 23, 24, 25, 31, whole.len()] {
        let mut client = gateway.client();
        for piece in whole.chunks(size) {
            client.send(piece);
        }
        let answer = next_of(&mut client, 0).unwrap_or_else(|| panic!("no answer to pieces of {size}"));
        assert_eq!(answer.payload, b"in odd packets", "pieces of {size}");
        assert_eq!(origin.last().line(), "POST /cut HTTP/1.1");
    }
}

#[test]
fn cuts_a_rapid_reset() {
    let piece = |n: u32| [frame(1, 5, 2 * n + 1, &get_block()), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    check_flood("limits: { resets: 20 }", b"", piece, "h2_rapid_reset");
}

#[test]
fn cuts_a_ping_flood() {
    check_flood("limits: { control_frames: 50 }", b"", |_| frame(6, 0, 0, &[0; 8]), "h2_ping_flood");
}

#[test]
fn cuts_a_settings_flood() {
    check_flood("limits: { control_frames: 50 }", b"", |_| frame(4, 0, 0, b""), "h2_settings_flood");
}

#[test]
fn refuses_streams_past_the_limit() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        wire.wait_for_end()
    });
    let gateway = Setup::to(&origin).listener("limits: { streams: 2 }").start();
    let mut client = raw(&gateway);
    for stream in [1, 3, 5] {
        client.send(frame(1, 5, stream, &get_block()));
    }
    let reset = next_of(&mut client, RST_STREAM).unwrap();
    assert_eq!((reset.stream, reset.code()), (5, 7), "REFUSED_STREAM for the one too many");
    assert_eq!(origin.wait_for(2).len(), 2);
}

#[test]
fn counts_what_the_http2_layer_rejects_by_itself() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let mut client = raw(&gateway);
    // A field of the connection makes the request malformed (RFC 9113 section 8.2.2).
    let mut block = get_block();
    block.extend(b"\x00\x0aconnection\x05close");
    client.send(frame(1, 5, 1, &block));
    let reset = next_of(&mut client, RST_STREAM).unwrap();
    assert_eq!((reset.stream, reset.code()), (1, 1), "PROTOCOL_ERROR");
    client.send(frame(1, 5, 3, &get_block()));
    assert!(next_of(&mut client, 1).is_some_and(|head| head.stream == 3), "the connection lives on");
    let counted = || gateway.admin().metric("portcullis_failures_total", "http2_protocol_error");
    until("the count", || (counted() >= 1.0).then_some(()));
}

#[test]
fn ends_a_connection_that_breaks_the_protocol() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let mut client = raw(&gateway);
    // DATA on a stream that was never opened.
    client.send(frame(0, 0, 1, b"hello"));
    let bye = next_of(&mut client, GOAWAY).unwrap();
    assert_eq!(bye.code(), 1, "PROTOCOL_ERROR");
    assert!(std::iter::from_fn(|| read_frame(&mut client)).count() < 10);
    let record = gateway.record_with("http2_protocol_error");
    assert_eq!((&record["kind"], &record["client"]), (&"connection".into(), &"127.0.0.1".into()));
}

#[test]
fn forwards_nothing_when_a_client_resets_its_stream_early() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        wire.wait_for_end()
    });
    let gateway = Setup::to(&origin).start();
    let mut client = raw(&gateway);
    client.send(frame(1, 5, 1, &get_block()));
    let _ = origin.wait_for(1);
    client.send(frame(3, 0, 1, &[0, 0, 0, 8]));
    let record = gateway.record_with("client_closed");
    assert_eq!((&record["protocol"], &record["path"]), (&"HTTP/2".into(), &"/".into()));
}
