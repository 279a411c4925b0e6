//! HTTP/2 requests that would mean something else to an HTTP/1 upstream, and clients that take their time.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis_integration_tests::h2::{H2Client, RST_STREAM, SETTINGS, block, frame, next_of, preface, read_frame};
use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::{After, Client, Gateway, Origin, Setup};

/// A connection that is past the preface.
fn raw(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(preface()).send(frame(SETTINGS, 1, 0, b""));
    client
}

/// A GET with some fields in place of the usual, or beside them.
fn fields<'a>(other: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "app.test")];
    let (pseudo, plain): (Vec<_>, Vec<_>) = other.iter().copied().partition(|(name, _)| name.starts_with(':'));
    let replaced = |name: &str| pseudo.iter().any(|(each, _)| *each == name);
    let kept = usual.into_iter().filter(|(name, _)| !replaced(name));
    kept.chain(pseudo.clone()).chain(plain).collect()
}

/// Sends a GET; the status, or `None` when the stream or the connection was cut.
fn status(client: &mut Client, stream: u32, fields: &[(&str, &str)]) -> Option<u16> {
    client.send(frame(1, 5, stream, &block(fields)));
    loop {
        let frame = read_frame(client)?;
        if frame.kind == RST_STREAM && frame.stream == stream {
            return None;
        }
        if frame.kind == 1 && frame.stream == stream {
            return Some(hpack_status(&frame.payload));
        }
    }
}

/// The status that a header block begins with, in the forms an encoder gives it: indexed, or a literal of the indexed
/// name, plain or by Huffman.
fn hpack_status(payload: &[u8]) -> u16 {
    match payload {
        [0x88, ..] => 200,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        _ => 0,
    }
}

#[test]
fn refuses_what_would_be_another_request_in_http1() {
    let malformed: &[&[(&str, &str)]] = &[
        &[("x-a", "b\r\nx-smuggled: 1")],
        &[("x-a", "b\0c")],
        &[("x-a\r\nx-b", "c")],
        &[("x a", "b")],
        &[("X-A", "b")],
        &[(":path", "/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /x")],
        &[(":path", "/a b")],
        &[(":path", "")],
        &[(":path", "a")],
        &[(":method", "GET / HTTP/1.1\r\nX: y")],
        &[(":method", "")],
        &[(":authority", "app.test\r\nx: y")],
        &[(":authority", "me@app.test")],
        &[(":authority", "app.test:99999")],
        &[(":authority", "a.test"), (":authority", "b.test")],
        &[(":status", "200")],
        &[(":unknown", "x")],
        &[("transfer-encoding", "chunked")],
        &[("connection", "x-a"), ("x-a", "b")],
        &[("upgrade", "websocket")],
        &[("te", "gzip")],
        &[("content-length", "5")],
        &[("content-length", "5"), ("content-length", "6")],
        &[("content-length", "+0")],
        &[("host", "other.test")],
        &[("host", "app.test"), ("host", "other.test")],
    ];
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    for other in malformed {
        let got = status(&mut raw(&gateway), 1, &fields(other));
        assert_ne!(got, Some(200), "{other:?} was served");
    }
    let received = origin.received();
    assert!(received.is_empty(), "{received:?}");
    assert_eq!(status(&mut raw(&gateway), 1, &fields(&[("host", "app.test"), ("te", "trailers")])), Some(200));
    assert_eq!(origin.last().fields("host"), ["app.test"]);
}

#[tokio::test]
async fn joins_the_crumbs_of_a_cookie_for_http1() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let client = H2Client::plain(gateway.address("edge")).await;
    let request = Request::get("http://app.test/").header("cookie", "a=1").header("cookie", "b=2");
    assert_eq!(client.send(request.body(Full::default()).unwrap()).await.status(), 200);
    assert_eq!(origin.last().fields("cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn keeps_streams_apart_when_one_upstream_fails() {
    let origin = Origin::http1(|received, wire| match received.path() {
        "/bad" => wire.reset(),
        path => wire.ok(path),
    });
    let gateway = Setup::to(&origin).start();
    let client = H2Client::plain(gateway.address("edge")).await;
    let (bad, good) = tokio::join!(client.get("http://app.test/bad"), client.get("http://app.test/good"));
    assert_eq!((bad.status(), &bad.json()["reason"]), (502, &"upstream_reset".into()));
    assert_eq!((good.status(), &good.body[..]), (200, b"/good".as_slice()));
}

/// The opening of a POST whose content is still to come.
fn post(path: &str) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "app.test")];
    frame(1, 4, 1, &block(&fields))
}

#[test]
fn ends_an_http2_body_that_stops() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        wire.read_body(received);
        After::Close
    });
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 300ms }").start();
    let mut client = raw(&gateway);
    client.send(post("/slow")).send(frame(0, 0, 1, b"the beginning"));
    let record = gateway.record("the request", |record| record["path"] == "/slow");
    assert_eq!((&record["reason"], &record["protocol"]), (&"body_timeout".into(), &"HTTP/2".into()));
    assert_eq!(record["fault"], "client", "the upstream had nothing to answer yet");
}

/// A body may end with a frame without data; an HTTP/1 upstream must see one last chunk, and then the next request.
#[test]
fn ends_a_chunked_body_once() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    for data in [&b""[..], b"data"] {
        let mut client = raw(&gateway);
        client.send(post("/one")).send(frame(0, 0, 1, data)).send(frame(0, 1, 1, b""));
        assert_eq!(next_of(&mut client, 0).unwrap().payload, b"fine");
        assert_eq!(gateway.get("/two").text(), "fine");
        let [.., one, two] = &origin.received()[..] else { panic!("two requests") };
        assert_eq!((one.line(), one.body.as_slice()), ("POST /one HTTP/1.1", data));
        assert_eq!(two.line(), "GET /two HTTP/1.1", "bytes were left on the upstream's connection");
    }
    assert_eq!(origin.received().len(), 4, "what was left on a connection is no request");
}

#[test]
fn lets_a_dialogue_have_its_pauses_once_the_answer_has_begun() {
    let origin = Origin::at_head(|received, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        wire.read_body(received);
        wire.send(b"3\r\nend\r\n0\r\n\r\n")
    });
    let limits = "limits: { body_timeout: 100ms, body_rate: 10KiB }";
    let gateway = Setup::to(&origin).listener(limits).cluster("timeouts: { first_byte: 5s }").start();
    let mut client = raw(&gateway);
    client.send(post("/talk"));
    assert!(next_of(&mut client, 1).is_some(), "the answer has begun");
    for _ in 0..10 {
        client.send(frame(0, 0, 1, b"word"));
        std::thread::sleep(std::time::Duration::from_millis(60));
    }
    client.send(frame(0, 1, 1, b""));
    assert_eq!(next_of(&mut client, 0).unwrap().payload, b"end");
    let record = gateway.record("the dialogue", |record| record["path"] == "/talk");
    assert_eq!((&record["status"], &record["bytes_in"]), (&200.into(), &40.into()), "{record}");
    assert_eq!(origin.last().body.len(), 40, "{:?}", origin.received());
}

#[test]
fn ends_an_http2_head_that_stops() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { idle_timeout: 300ms }").start();
    let mut client = raw(&gateway);
    client.send(frame(1, 1, 1, &block(&[(":method", "GET")])));
    client.rest();
}

#[test]
fn ends_an_http2_answer_that_the_client_does_not_take() {
    let origin = HyperOrigin::plain(|_| Response::new(full(Bytes::from(vec![b'a'; 1 << 20]))));
    let gateway = Setup::to_address(origin.address()).listener("limits: { write_timeout: 300ms }").start();
    let mut client = raw(&gateway);
    // The client's window is the default of 65,535 bytes, and it never gives more.
    client.send(frame(1, 5, 1, &block(&fields(&[(":path", "/big")]))));
    let record = gateway.record("the request", |record| record["path"] == "/big");
    assert_eq!((&record["reason"], &record["flags"]), (&"client_too_slow".into(), &serde_json::json!(["aborted"])));
}
