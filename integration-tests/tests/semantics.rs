//! What RFC 9110 and 9112 say of single exchanges: bodiless answers, interim answers, expectations, versions, ends.

use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::{After, Origin, PATIENCE, Setup};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

fn head(path: &str) -> String {
    format!("HEAD {path} HTTP/1.1\r\nHost: app.test\r\n\r\n")
}

#[test]
fn passes_answers_to_head_without_a_body() {
    let origin = Origin::answers(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-Kind: page\r\n\r\n");
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.send(head("/page")).response_to_head();
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("12345")));
    }
    assert_eq!(origin.last().line(), "HEAD /page HTTP/1.1");
}

#[test]
fn answers_head_itself_without_a_body() {
    let route = "{ name: fixed, match: { path: /fixed }, respond: { body: hello } }";
    let gateway = Setup::to(&Origin::says("fine")).and_route(route).start();
    let mut client = gateway.client();
    let answer = client.send(head("/fixed")).response_to_head();
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")));
    assert_eq!(client.get("/fixed").text(), "hello", "nothing was left on the connection");
}

#[test]
fn passes_204_and_304_without_a_body() {
    let origin = Origin::http1(|received, wire| match received.path() {
        "/204" => wire.send(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
        _ => wire.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let none = client.get("/204");
    assert_eq!((none.status, none.field("x-a")), (204, Some("b")));
    assert_eq!((none.field("content-length"), none.field("transfer-encoding")), (None, None));
    let same = client.get("/304");
    assert_eq!((same.status, same.field("etag"), same.field("transfer-encoding")), (304, Some("\"x\""), None));
    assert_eq!(client.get("/204").status, 204, "the connection lives on");
}

#[test]
fn passes_early_hints_before_the_answer() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
        wire.ok("page")
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let hints = client.ask("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!((hints.status, hints.field("link")), (103, Some("</style.css>")));
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
    assert_eq!(gateway.record_of(&answer)["status"], 200);
}

#[test]
fn passes_the_upstreams_100_continue_and_then_the_body() {
    let origin = Origin::at_head(|received, wire| {
        if received.field("expect").is_some() {
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if wire.read_body(received) { wire.ok("thanks") } else { After::Close }
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    assert_eq!(client.ask("hello").text(), "thanks");
    assert_eq!(origin.last().body, b"hello");
    assert_eq!(client.get("/next").text(), "thanks", "the connection lives on");
}

const EXPECTS: &str = "POST /up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn lets_the_upstream_take_its_time_over_100_continue() {
    let origin = Origin::at_head(|received, wire| {
        // The upstream is slow: it takes several times what the client may.
        std::thread::sleep(Duration::from_secs(1));
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        if wire.read_body(received) { wire.ok("thanks") } else { After::Close }
    });
    let limits = "limits: { body_timeout: 300ms, body_rate: 10KiB }";
    let gateway = Setup::to(&origin).listener(limits).start();
    let mut client = gateway.client();
    assert_eq!(client.ask(EXPECTS).status, 100);
    assert_eq!(client.ask("hello").text(), "thanks");
}

#[test]
fn ends_a_body_that_does_not_come_after_100_continue() {
    let origin = Origin::at_head(|received, wire| {
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        wire.read_body(received);
        After::Close
    });
    let gateway = Setup::to(&origin).listener("limits: { body_timeout: 300ms }").start();
    let mut client = gateway.client();
    assert_eq!(client.ask(EXPECTS).status, 100);
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"));
    assert_eq!(gateway.record_of(&answer)["fault"], "client");
}

#[test]
fn blames_the_upstream_that_never_says_100_continue() {
    let origin = Origin::at_head(|_, wire| wire.wait_for_end());
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 300ms }").start();
    let answer = gateway.client().ask(EXPECTS);
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_first_byte_timeout"));
    assert_eq!(gateway.record_of(&answer)["fault"], "upstream");
}

#[test]
fn says_100_continue_itself_where_the_upstream_speaks_http2() {
    let origin = HyperOrigin::plain(|seen| http::Response::new(full(seen.body.clone())));
    let gateway = Setup::to_address(origin.address()).cluster("protocol: http2").start();
    let mut client = gateway.client();
    assert_eq!(client.ask(EXPECTS).status, 100);
    assert_eq!(client.ask("hello").text(), "hello");
}

#[test]
fn passes_a_final_answer_in_place_of_100_continue() {
    let origin = Origin::at_head(|received, wire| {
        if received.field("expect").is_some() {
            wire.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
            return After::Close;
        }
        wire.ok("fine")
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "no!"));
    assert!(answer.closes(), "the body was never sent, so the connection cannot go on: {}", answer.head);
    assert_eq!(gateway.get("/other").text(), "fine");
}

#[test]
fn streams_chunks_both_ways() {
    let origin = Origin::http1(|received, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in received.body.chunks(4) {
            wire.send(format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)));
        }
        wire.send(b"0\r\n\r\n")
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("POST /c HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let answer = client.ask("7\r\n, world\r\n0\r\n\r\n");
    assert_eq!((answer.text().as_str(), answer.field("transfer-encoding")), ("hello, world", Some("chunked")));
    assert_eq!(origin.last().field("transfer-encoding"), Some("chunked"));
    assert_eq!(client.get("/d").status, 200, "the connection lives on");
}

#[test]
fn serves_http_1_0() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    });
    let gateway = Setup::to(&origin).start();
    // Without Host, as old clients send it: the default host serves it.
    let mut client = gateway.client();
    let answer = client.ask("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.field("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
    assert_eq!(answer.text(), "hello");
    client.expect_end();
    assert_eq!(gateway.record_of(&answer)["protocol"], "HTTP/1.0");
}

#[test]
fn routes_an_absolute_target_of_http_1_0_on_its_own_host() {
    let origin = Origin::says("fine");
    let own = "{ names: [own.test], routes: [{ name: own, match: { path: /answered }, respond: { body: own } }, \
               { name: on, to: app }] }";
    let gateway = Setup::to(&origin).and_host(own).start();
    for fields in ["", "Host: own.test\r\n", "Host: OWN.test:80\r\n"] {
        let head = format!("GET http://own.test:80/answered HTTP/1.0\r\n{fields}\r\n");
        let answer = gateway.client().ask(&head);
        assert_eq!((answer.status, answer.text().as_str()), (200, "own"), "{head}");
        let answer = gateway.client().ask(format!("GET http://own.test?q=1 HTTP/1.0\r\nX-A: b\r\n{fields}\r\n"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "fine"));
        let record = gateway.record_of(&answer);
        assert_eq!((&record["route"], &record["host"]), (&"on".into(), &"own.test".into()));
        let seen = origin.last();
        assert_eq!((seen.target(), seen.field("x-a")), ("/?q=1", Some("b")));
        assert!(matches!(seen.fields("host")[..], ["own.test" | "own.test:80"]), "{}", seen.head);
    }
}

#[test]
fn answers_options_of_the_whole_server_itself() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    for target in ["*", "http://app.test"] {
        let answer = client.ask(format!("OPTIONS {target} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
        assert_eq!(answer.status, 204, "{}", answer.head);
        assert_eq!(answer.field("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        let record = gateway.record_of(&answer);
        assert_eq!(
            (&record["status"], &record["path"], &record["host"]),
            (&204.into(), &"*".into(), &"app.test".into())
        );
        assert_eq!(record["reason"], serde_json::Value::Null, "{record}");
    }
    assert!(origin.received().is_empty());
    assert_eq!(client.ask("OPTIONS / HTTP/1.1\r\nHost: app.test\r\n\r\n").text(), "fine", "a path is the route's");
}

#[test]
fn keeps_an_http_1_0_connection_only_when_asked_to() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let mut client = gateway.client();
    let kept = client.ask("GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(kept.text(), "fine");
    if !kept.closes() {
        assert_eq!(client.ask("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n").text(), "fine");
    }
    client.expect_end();
}

#[test]
fn passes_an_answer_that_ends_with_its_connection() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end");
        After::Close
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "to the end");
}

#[test]
fn takes_a_fin_before_the_answer_for_a_client_that_left() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::http1(move |_, wire| {
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        wire.ok("late")
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let _ = origin.wait_for(1);
    client.finish().expect_end();
    let record = gateway.record_with("client_closed");
    assert_eq!((&record["status"], &record["path"]), (&0.into(), &"/a".into()));
    drop(release);
}

#[test]
fn answers_a_half_closed_client_where_the_listener_says_so() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::http1(move |_, wire| {
        released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        wire.ok("late but here")
    });
    let gateway = Setup::to(&origin).listener("half_close: true").start();
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n").finish();
    let _ = origin.wait_for(1);
    release.send(()).unwrap();
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late but here"));
    client.expect_end();
}

#[test]
fn refuses_connect_with_a_record() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let answer = client.ask("CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n");
    assert_eq!((answer.status, answer.reason().as_str()), (405, "connect_refused"));
    client.finish().expect_end();
    let record = gateway.record_of(&answer);
    assert_eq!((&record["method"], &record["reason"]), (&"CONNECT".into(), &"connect_refused".into()));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn drops_the_trailers_of_an_http1_answer() {
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n";
    let gateway = Setup::to(&Origin::answers(chunks)).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "hello");
    }
}

/// RFC 9112 section 6.3: chunks come before a length, which must not go on.
#[test]
fn forwards_one_framing_where_the_upstream_gives_two() {
    let both = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let origin = Origin::answers(both);
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let answer = client.get("/");
    if answer.status == 200 {
        assert_eq!((answer.field("content-length"), answer.text().as_str()), (None, "hello"));
        assert_eq!(client.get("/").text(), "hello");
    } else {
        assert_eq!(answer.reason(), "upstream_malformed");
    }
}

#[test]
fn records_a_client_that_leaves_in_the_middle_of_an_answer() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while wire.send([0u8; 65536]) == After::Keep {}
        After::Close
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("GET /big HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(client.head().contains("200"));
    client.reset();
    let record = gateway.record_with("client_closed");
    assert_eq!((&record["status"], &record["flags"]), (&200.into(), &serde_json::json!(["aborted"])));
}

#[test]
fn takes_an_answer_that_comes_before_the_body_was_sent() {
    let origin = Origin::at_head(|_, wire| {
        wire.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        wire.wait_for_end()
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\nonly the beginning");
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (401, "no"));
}
