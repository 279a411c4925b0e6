//! Bounds: connections of a listener and of a network, requests of a connection, bytes of a body.

use portcullis_integration_tests::h2::{preface, read_frame};
use portcullis_integration_tests::{Client, Gateway, Origin, Setup, until};

/// A connection that the gateway has surely taken in: it answered on it.
fn open(gateway: &Gateway, from: &str) -> Client {
    let mut client = Client::connect_from(from, gateway.address("edge"));
    assert_eq!(client.get("/").status, 200);
    client
}

/// Whether a new connection is served.
fn is_served(gateway: &Gateway, from: &str) -> bool {
    let mut client = Client::connect_from(from, gateway.address("edge"));
    client.try_send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").is_ok() && client.try_response().is_ok()
}

#[test]
fn refuses_connections_past_the_listeners_cap() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { connections: 2 }").start();
    let first = open(&gateway, "127.0.0.1");
    let _second = open(&gateway, "127.0.0.2");
    assert!(!is_served(&gateway, "127.0.0.3"));
    let record = gateway.record_with("connection_limit");
    assert_eq!((&record["kind"], &record["client"]), (&"connection".into(), &"127.0.0.3".into()));
    drop(first);
    until("a place to be free again", || is_served(&gateway, "127.0.0.3").then_some(()));
    assert!(gateway.admin().metric("portcullis_listener_closed_total", "connection_limit") >= 1.0);
}

#[test]
fn shows_how_many_connections_are_open_and_forgets_those_that_left() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let shown = || gateway.admin().metric("portcullis_bound_used", "connections");
    let waited = |count: f64| until(&format!("{count} connections"), || (shown() == count).then_some(()));
    waited(0.0);
    let mut open: Vec<Client> = (0..5).map(|_| open(&gateway, "127.0.0.1")).collect();
    let http2 = {
        let mut client = gateway.client();
        client.send(preface());
        assert!(read_frame(&mut client).is_some());
        client
    };
    waited(6.0);
    // Three ways to leave: a FIN, a reset, and one in the middle of a request.
    let mut half = open.pop().unwrap();
    half.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhalf");
    drop(half);
    open.pop().unwrap().reset();
    drop(http2);
    waited(3.0);
    drop(open);
    waited(0.0);
}

#[test]
fn refuses_connections_past_the_cap_of_a_network() {
    let limits = "limits: { connections_per_network: 2 }";
    let gateway = Setup::to(&Origin::says("fine")).listener(limits).start();
    let first = open(&gateway, "127.0.0.2");
    let _second = open(&gateway, "127.0.0.2");
    assert!(!is_served(&gateway, "127.0.0.2"));
    assert!(is_served(&gateway, "127.0.0.3"), "another network has a count of its own");
    assert_eq!(gateway.record_with("network_connection_limit")["client"], "127.0.0.2");
    drop(first);
    until("a place to be free again", || is_served(&gateway, "127.0.0.2").then_some(()));
}

#[test]
fn ends_a_connection_after_its_number_of_requests() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { requests: 3 }").start();
    let mut client = gateway.client();
    for n in 1..=3 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.closes()), (200, n == 3), "request {n}");
    }
    client.expect_end();
}

#[test]
fn refuses_a_body_that_says_it_is_too_large_before_an_upstream_is_contacted() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).route("body_limit: 1KiB").start();
    let mut client = gateway.client();
    let answer = client.ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1025\r\n\r\n");
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    assert!(answer.closes(), "{}", answer.head);
    assert_eq!(gateway.record_of(&answer)["route"], "all");
    assert_eq!(origin.connections(), 0);
    let fits = format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1024\r\n\r\n{}", "a".repeat(1024));
    assert_eq!(gateway.client().ask(fits).status, 200);
}

#[test]
fn cuts_a_chunked_body_where_it_passes_the_limit() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).route("body_limit: 1KiB").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("200\r\n{}\r\n", "a".repeat(512));
    // The refusal may come before all of it is out.
    for _ in 0..3 {
        let _ = client.try_send(&chunk);
    }
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    assert!(answer.closes());
    assert!(origin.received().iter().all(|request| !request.complete));
    assert_eq!(gateway.record_of(&answer)["reason"], "body_too_large");
}

#[test]
fn takes_bodies_of_any_size_where_the_limit_is_off() {
    let origin = Origin::http1(|received, wire| wire.ok(&received.body.len().to_string()));
    let gateway = Setup::to(&origin).route("body_limit: 0").start();
    let size = 11 * 1024 * 1024;
    let mut client = gateway.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {size}\r\n\r\n"));
    assert_eq!(client.ask(vec![b'a'; size]).text(), size.to_string());
}
