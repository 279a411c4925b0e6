//! Clients that take their time: each deadline ends the connection, with a record.
//!
//! The deadlines are short and real. A client that drips sleeps between its bytes, because that is what it is; nothing
//! waits by sleeping.

use portcullis_integration_tests::h2::{frame, preface};
use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{After, Client, Origin, PATIENCE, Response, Setup};
use std::time::{Duration, Instant};

const DRIP: Duration = Duration::from_millis(50);

/// Sends a byte at a time, over and over, until the connection ends; gives the answer.
fn drip(client: Client, piece: &'static [u8]) -> Response {
    let mut reader = client;
    let mut writer = reader.writer();
    let dripping = std::thread::spawn(move || {
        let started = Instant::now();
        while started.elapsed() < PATIENCE && writer.try_send(piece).is_ok() {
            std::thread::sleep(DRIP);
        }
    });
    let answer = reader.response();
    drop(reader);
    dripping.join().unwrap();
    answer
}

#[test]
fn ends_a_head_that_drips_past_its_deadline() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener("limits: { header_timeout: 300ms }").start();
    for before in [0, 1] {
        let mut client = gateway.client();
        for _ in 0..before {
            assert_eq!(client.get("/").status, 200);
        }
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\nX-A: ");
        let answer = drip(client, b"a");
        assert_eq!((answer.status, answer.reason().as_str()), (408, "head_timeout"));
        assert!(answer.closes());
        let record = gateway.record_of(&answer);
        assert!(record["total_ms"].as_f64().unwrap() >= 300.0, "{record}");
    }
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn closes_an_idle_connection_without_a_word() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { idle_timeout: 300ms }").start();
    gateway.client().expect_end();
    let mut used = gateway.client();
    assert_eq!(used.get("/").status, 200);
    used.expect_end();
    assert_eq!(gateway.records().len(), 1, "an idle connection that is closed is no event");
}

#[test]
fn ends_a_tls_handshake_that_does_not_come() {
    let pki = Pki::new();
    let tls = format!("tls: {{ certificates: [{}] }}", pki.issue("app.test").yaml());
    let gateway =
        Setup::to(&Origin::says("fine")).listener(&tls).listener("limits: { handshake_timeout: 300ms }").start();
    gateway.client().expect_end();
    let mut half = gateway.client();
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc");
    half.rest();
    let count = || gateway.records().iter().filter(|record| record["reason"] == "tls_handshake_timeout").count();
    portcullis_integration_tests::until("two records", || (count() == 2).then_some(()));
    assert_eq!(gateway.record_with("tls_handshake_timeout")["kind"], "connection");
}

#[test]
fn ends_a_proxy_protocol_header_that_does_not_come() {
    let setup = Setup::to(&Origin::says("fine")).listener("limits: { handshake_timeout: 300ms }");
    let gateway = setup.listener("proxy_protocol: { from: [\"127.0.0.0/8\"] }").start();
    let mut client = gateway.client();
    client.send("PROXY TCP4 ");
    client.expect_end();
    assert_eq!(gateway.record_with("proxy_protocol_invalid")["kind"], "connection");
}

const POST: &str = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n";

/// An origin that notes a request once its head is there, and waits for a body that never ends.
fn patient() -> Origin {
    Origin::at_head(|received, wire| {
        wire.note(received);
        wire.read_body(received);
        After::Close
    })
}

#[test]
fn ends_a_body_that_stops() {
    let gateway = Setup::to(&patient()).listener("limits: { body_timeout: 300ms }").start();
    let answer = gateway.client().ask(POST.to_owned() + "the beginning");
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"));
    assert!(answer.closes());
    assert_eq!(gateway.record_of(&answer)["reason"], "body_timeout");
}

#[test]
fn ends_a_body_below_the_minimum_rate() {
    let gateway = Setup::to(&patient()).listener("limits: { body_timeout: 300ms, body_rate: 10KiB }").start();
    let mut client = gateway.client();
    client.send(POST);
    let answer = drip(client, b"a");
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_too_slow"));
    assert_eq!(gateway.record_of(&answer)["reason"], "body_too_slow");
}

#[test]
fn takes_a_body_that_is_slow_but_above_the_minimum_rate() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener("limits: { body_timeout: 1s, body_rate: 10B }").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..30 {
        client.send("a");
        std::thread::sleep(DRIP);
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn lets_an_upload_take_longer_than_the_first_byte_of_its_answer_may() {
    let origin = Origin::http1(|received, wire| wire.ok(&received.body.len().to_string()));
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 1s }").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..30 {
        client.send("a");
        std::thread::sleep(DRIP);
    }
    assert_eq!(client.response().text(), "30");
}

/// Sends a request in two parts with a pause between them that is longer than the first byte of an answer may take.
fn pause(client: &mut Client) -> Response {
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 8\r\n\r\nhalf");
    std::thread::sleep(Duration::from_secs(1));
    client.ask("half")
}

#[test]
fn lets_an_upload_pause_for_longer_than_the_first_byte_of_its_answer_may_take() {
    let http1 = Origin::http1(|received, wire| wire.ok(&received.body.len().to_string()));
    let http2 = HyperOrigin::plain(|seen| http::Response::new(full(seen.body.len().to_string())));
    let upstreams = [Setup::to(&http1), Setup::to_address(http2.address()).cluster("protocol: http2")];
    for setup in upstreams {
        let gateway = setup.cluster("timeouts: { first_byte: 300ms }").start();
        assert_eq!(pause(&mut gateway.client()).text(), "8");
    }
}

#[test]
fn measures_the_first_byte_of_an_answer_from_the_end_of_the_upload() {
    let origin = Origin::http1(|_, wire| wire.wait_for_end());
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 300ms }").start();
    let answer = pause(&mut gateway.client());
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_first_byte_timeout"));
}

#[test]
fn ends_an_upload_that_pauses_past_the_total_timeout() {
    let gateway = Setup::to(&patient()).route("timeouts: { total: 300ms }").start();
    let answer = gateway.client().ask(POST.to_owned() + "the beginning");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_total_timeout"));
}

/// Not the client is slow but the upstream, which takes the body below the client's minimum rate.
#[test]
fn counts_only_the_clients_own_time_against_its_rate() {
    let origin = Origin::at_head(|received, wire| {
        std::thread::sleep(Duration::from_secs(1));
        if wire.read_body(received) { wire.ok(&received.body.len().to_string()) } else { After::Close }
    });
    let gateway = Setup::to(&origin).listener("limits: { body_timeout: 300ms, body_rate: 1GiB }").start();
    let size = 8 << 20;
    let mut client = gateway.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {size}\r\n\r\n"));
    assert_eq!(client.ask(vec![b'a'; size]).text(), size.to_string());
}

#[test]
fn ends_an_answer_that_the_client_does_not_take() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while wire.send([0u8; 64 * 1024]) == After::Keep {}
        After::Close
    });
    let gateway = Setup::to(&origin).listener("limits: { write_timeout: 300ms }").start();
    let mut client = Client::connect_narrow(gateway.address("edge"), 4096);
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let record = gateway.record_with("client_too_slow");
    assert_eq!((&record["status"], &record["flags"]), (&200.into(), &serde_json::json!(["aborted"])));
    client.rest();
}

#[test]
fn ends_an_http2_connection_that_stalls_in_its_preface() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { header_timeout: 300ms }").start();
    let mut client = gateway.client();
    client.send(&preface()[..20]);
    client.rest();
    assert_eq!(gateway.record_with("head_timeout")["status"], 408);
}

#[test]
fn ends_an_http2_connection_without_streams() {
    let gateway = Setup::to(&Origin::says("fine")).listener("limits: { idle_timeout: 300ms }").start();
    let mut client = gateway.client();
    client.send(preface()).send(frame(4, 1, 0, b""));
    client.rest();
}

#[test]
fn a_total_timeout_ends_with_the_answers_head() {
    let origin = Origin::at_head(|received, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        if wire.read_body(received) { wire.send(b"whole") } else { After::Close }
    });
    let gateway = Setup::to(&origin).cluster("timeouts: { total: 500ms, connect: 200ms }").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nab");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(client.ask("cd").text(), "whole");
}
