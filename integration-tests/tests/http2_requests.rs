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
        &[("content-length", "0"), ("content-length", "0")],
        &[("content-length", "0, 0")],
        &[("content_length", "5")],
        &[("transfer_encoding", "chunked")],
        &[("expect", "cookies")],
        &[("expect", "100-continue, x")],
        &[(":method", "TRACE"), ("content-length", "0")],
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
    let gateway = Setup::to(&origin).listener("limits: { body_timeout: 300ms }").start();
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

/// A block may stop at its first frame, in the middle of a frame, or between two; other streams do not keep it alive.
#[test]
fn ends_an_http2_head_that_stops() {
    let origin = Origin::at_head(|_, wire| wire.wait_for_end());
    let head = block(&fields(&[]));
    let begun = frame(1, 1, 3, &head[..9]);
    let more = [frame(1, 1, 3, &head[..9]), frame(9, 0, 3, &head[9..12])].concat();
    let cut = frame(1, 5, 3, &head);
    for opening in [&begun[..], &more[..], &cut[..12]] {
        let gateway = Setup::to(&origin).listener("limits: { header_timeout: 300ms }").start();
        let mut client = raw(&gateway);
        client.send(frame(1, 5, 1, &head)).send(opening);
        client.rest();
        let record = gateway.record_with("head_timeout");
        let what = (&record["kind"], &record["detail"], &record["client"]);
        assert_eq!(what, (&"connection".into(), &"http2_header_block".into(), &"127.0.0.1".into()));
    }
}

#[test]
fn ends_an_http2_head_that_drips() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { header_timeout: 300ms }").start();
    let mut client = raw(&gateway);
    client.send(&frame(1, 5, 1, &[0; 200])[..9]);
    let mut writer = client.writer();
    let dripping = std::thread::spawn(move || {
        while writer.try_send([0]).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    client.rest();
    drop(client);
    dripping.join().unwrap();
    assert_eq!(gateway.record_with("head_timeout")["detail"], "http2_header_block");
}

#[test]
fn keeps_a_connection_whose_heads_come_whole() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { header_timeout: 300ms }").start();
    let mut client = raw(&gateway);
    let head = block(&fields(&[]));
    for stream in (1..=11).step_by(2) {
        client.send(frame(1, 1, stream, &head[..9]));
        std::thread::sleep(std::time::Duration::from_millis(100));
        client.send(frame(9, 4, stream, &head[9..]));
        assert_eq!(next_of(&mut client, 0).unwrap().payload, b"fine");
    }
}

/// The content a request comes with, by frames of DATA of which the last ends the stream; and how it ends.
const LENGTHS: &[(&str, &[&[u8]], bool)] = &[
    ("0", &[b"x"], false),
    ("0", &[b"", b"x"], false),
    ("0", &[b""], true),
    ("3", &[b"abcd"], false),
    ("3", &[b"abc", b"d"], false),
    ("3", &[b"ab"], false),
    ("3", &[b""], false),
    ("3", &[b"abc"], true),
    ("3", &[b"a", b"bc", b""], true),
];

/// RFC 9113 section 8.1.1: content that does not agree with its length makes a request malformed.
#[test]
fn refuses_content_that_disagrees_with_its_length() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    for (n, (length, pieces, good)) in LENGTHS.iter().enumerate() {
        let path = format!("/{n}");
        let fields = fields(&[(":method", "POST"), (":path", &path), ("content-length", length)]);
        let last = pieces.len() - 1;
        let data = pieces.iter().enumerate().map(|(n, piece)| frame(0, u8::from(n == last), 1, piece));
        let mut client = raw(&gateway);
        client.send([frame(1, 4, 1, &block(&fields))].into_iter().chain(data).collect::<Vec<_>>().concat());
        let end = std::iter::from_fn(|| read_frame(&mut client)).find(|frame| matches!(frame.kind, 1 | RST_STREAM));
        let end = end.unwrap_or_else(|| panic!("{length} {pieces:?}: no end"));
        let record = gateway.record("the request", |record| record["path"] == *path);
        if *good {
            assert_eq!((end.kind, &record["status"]), (1, &200.into()), "{length} {pieces:?}");
        } else {
            assert_eq!((end.kind, end.code()), (RST_STREAM, 1), "{length} {pieces:?}: {end:?}");
            assert_eq!(record["reason"], "malformed_framing", "{record}");
        }
    }
    assert!(origin.received().iter().all(|request| matches!(request.path(), "/2" | "/7" | "/8") || !request.complete));
}

/// A length of zero is a whole request to an HTTP/1 upstream: it is not sent on before the stream has ended.
#[test]
fn waits_for_the_end_of_a_stream_without_content() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener("limits: { body_timeout: 300ms }").start();
    let fields = fields(&[(":method", "POST"), (":path", "/late"), ("content-length", "0")]);
    let mut client = raw(&gateway);
    client.send(frame(1, 4, 1, &block(&fields)));
    let record = gateway.record("the request", |record| record["path"] == "/late");
    assert_eq!(record["reason"], "body_timeout");
    assert_eq!(origin.connections(), 0);
    client.send(frame(1, 4, 3, &block(&fields))).send(frame(0, 1, 3, b""));
    let answer = std::iter::from_fn(|| next_of(&mut client, 0)).find(|data| data.stream == 3).unwrap();
    assert_eq!(answer.payload, b"fine");
}

/// Fields of a request, and reason and detail of the refusal.
type Refused = (&'static [(&'static str, &'static str)], &'static str, &'static str);

/// What the gateway itself refuses in a head of HTTP/2 is answered and recorded as in HTTP/1.
#[test]
fn refuses_heads_by_the_rules_of_http1_where_http2_has_none() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let cases: &[Refused] = &[
        (&[("content-length", "0"), ("content-length", "0")], "malformed_framing", "content_length_repeated"),
        (&[("content_length", "5")], "malformed_framing", "framing_lookalike"),
        (&[("transfer_encoding", "chunked")], "malformed_framing", "framing_lookalike"),
        (&[("expect", "cookies")], "expectation_failed", "expectation_unsupported"),
        (&[(":method", "TRACE"), ("content-length", "0")], "malformed_framing", "content_not_allowed"),
    ];
    for (n, (other, reason, detail)) in cases.iter().enumerate() {
        let path = format!("/{n}");
        let all: Vec<_> = other.iter().copied().chain([(":path", path.as_str())]).collect();
        assert_ne!(status(&mut raw(&gateway), 1, &fields(&all)), Some(200), "{other:?}");
        let record = gateway.record("the refusal", |record| record["path"] == *path);
        assert_eq!((&record["reason"], &record["detail"]), (&(*reason).into(), &(*detail).into()), "{other:?}");
        assert_eq!(record["protocol"], "HTTP/2");
    }
    assert_eq!(origin.connections(), 0);
    let good = fields(&[("expect", "100-continue"), ("plain_name", "1"), ("x-kept", "2")]);
    assert_eq!(status(&mut raw(&gateway), 1, &good), Some(200));
    assert_eq!((origin.last().field("plain_name"), origin.last().field("x-kept")), (None, Some("2")));
    assert_eq!(status(&mut raw(&gateway), 1, &fields(&[(":method", "TRACE")])), Some(200), "TRACE without content");
}

#[test]
fn answers_options_of_the_whole_server_on_http2() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let _ = status(&mut raw(&gateway), 1, &fields(&[(":method", "OPTIONS"), (":path", "*")]));
    let record = gateway.record("the request", |record| record["path"] == "*");
    assert_eq!((&record["status"], &record["reason"]), (&204.into(), &serde_json::Value::Null));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn ends_an_http2_upload_that_pauses_by_its_own_timeout_only() {
    let origin = Origin::http1(|received, wire| wire.ok(&received.body.len().to_string()));
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 300ms }").start();
    let mut client = raw(&gateway);
    client.send(post("/pause")).send(frame(0, 0, 1, b"half"));
    std::thread::sleep(std::time::Duration::from_secs(1));
    client.send(frame(0, 1, 1, b"half"));
    assert_eq!(next_of(&mut client, 0).unwrap().payload, b"8");
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

#[test]
fn an_answered_request_that_is_never_ended_lets_go_of_its_upstream() {
    let origin = Origin::at_head(|received, wire| {
        wire.ok("early");
        wire.read_body(received);
        After::Close
    });
    let gateway = Setup::to(&origin).listener("limits: { body_timeout: 300ms }").start();
    let mut client = raw(&gateway);
    client.send(frame(1, 4, 1, &block(&fields(&[(":method", "POST")]))));
    let record = gateway.record("the request", |record| record["status"] == 200);
    assert_eq!((&record["reason"], &record["flags"]), (&"body_timeout".into(), &serde_json::json!(["aborted"])));
}
