//! Pipelined requests: answered in order, or the first with `close`; none is harmed.

use portcullis_integration_tests::{After, Client, Origin, PATIENCE, Setup};
use std::sync::Mutex;
use std::sync::mpsc;

fn request(n: usize) -> String {
    format!("GET /{n} HTTP/1.1\r\nHost: app.test\r\n\r\n")
}

/// Reads answers until all are there or one said `close`; how many came.
fn read_in_order(client: &mut Client, count: usize) -> usize {
    for n in 0..count {
        let answer = client.response();
        assert_eq!((answer.status, answer.text()), (200, format!("/{n}")));
        if answer.closes() {
            client.expect_end();
            return n + 1;
        }
    }
    count
}

#[test]
fn answers_requests_in_one_packet_in_order() {
    let origin = Origin::http1(|received, wire| wire.ok(received.path()));
    let gateway = Setup::to(&origin).start();
    for count in [2, 5] {
        let before = origin.received().len();
        let mut client = gateway.client();
        client.send((0..count).map(request).collect::<String>());
        assert_eq!(read_in_order(&mut client, count), count);
        assert_eq!(origin.received().len() - before, count);
        assert_eq!(client.get("/after").text(), "/after", "the connection lives on");
    }
}

#[test]
fn holds_a_request_back_that_arrives_while_the_first_waits() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::http1(move |received, wire| {
        if received.path() == "/0" {
            released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        wire.ok(received.path())
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send(request(0));
    let _ = origin.wait_for(1);
    // Two more, the second in two pieces, while the first is with the origin.
    client.send(request(1)).send("GET /2 HTT");
    client.send("P/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(origin.received().len(), 1, "a request overtook another");
    release.send(()).unwrap();
    assert_eq!(read_in_order(&mut client, 3), 3);
}

#[test]
fn answers_a_body_and_the_request_behind_it_in_one_packet() {
    let origin = Origin::http1(|received, wire| wire.ok(&String::from_utf8_lossy(&received.body)));
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let first = "POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\none";
    let second = "POST /b HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n";
    let third = "POST /c HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nthree";
    client.send([first, second, third].concat());
    for text in ["one", "two", "three"] {
        assert_eq!(client.response().text(), text);
    }
}

#[test]
fn does_not_take_the_bytes_of_a_body_for_a_request() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let head = format!("POST /outer HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", smuggled.len());
    let mut client = gateway.client();
    assert_eq!(client.ask(head + smuggled).status, 200);
    assert_eq!(client.get("/next").status, 200);
    let received = origin.received();
    let paths: Vec<&str> = received.iter().map(|request| request.path()).collect();
    assert_eq!(paths, ["/outer", "/next"]);
    assert_eq!(received[0].body, smuggled.as_bytes());
}

#[test]
fn serves_what_was_pipelined_behind_a_request_that_a_filter_refused() {
    let origin = Origin::says("fine");
    let denied = "{ name: denied, match: { path: /0 }, respond: { status: 403, body: no } }";
    let gateway = Setup::to(&origin).and_route(denied).start();
    let mut client = gateway.client();
    client.send(request(0) + &request(1));
    assert_eq!(client.response().status, 403);
    assert_eq!(client.response().text(), "fine");
}

#[test]
fn ends_after_the_request_that_says_close() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let last = "GET /0 HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    client.send(last.to_owned() + &request(1));
    let answer = client.response();
    assert!(answer.closes(), "{}", answer.head);
    client.finish().expect_end();
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn reads_no_more_than_its_bound_ahead_of_a_waiting_request() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::http1(move |received, wire| {
        if received.path() == "/0" {
            released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            return wire.ok("/0");
        }
        wire.ok(received.path());
        After::Keep
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send(request(0));
    let _ = origin.wait_for(1);
    // More than the gateway holds back (64 KiB), less than what the kernel takes.
    let count = 2500;
    client.send((1..count).map(request).collect::<String>());
    release.send(()).unwrap();
    assert_eq!(read_in_order(&mut client, count), count);
}
