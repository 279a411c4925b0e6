//! Upgrades: bytes both ways, none lost, whatever the order of the upstream's answer.

use portcullis_integration_tests::websocket::{SWITCHING, UPGRADE, switch_and_return, upgraded};
use portcullis_integration_tests::{After, Client, Origin, Setup};
use std::io::Read;

/// An origin that says 101 the moment a head is there, and then returns what it gets.
fn echo() -> Origin {
    Origin::at_head(|received, wire| {
        wire.note(received);
        switch_and_return(wire)
    })
}

fn returns(client: &mut Client, text: &str) {
    client.send(text);
    assert_eq!(client.exactly(text.len()).unwrap(), text.as_bytes());
}

#[test]
fn passes_an_upgrade_and_its_bytes() {
    let origin = echo();
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send(UPGRADE);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("upgrade: websocket") && lower.contains("sec-websocket-accept: s3ppl"), "{head}");
    for text in ["ping", "and again", "x"] {
        returns(&mut client, text);
    }
    let seen = origin.last();
    assert_eq!((seen.field("upgrade"), seen.field("sec-websocket-version")), (Some("websocket"), Some("13")));
    client.finish();
    client.expect_end();
    let record = gateway.record("the upgrade", |record| record["status"] == 101);
    assert_eq!(record["flags"], serde_json::json!(["upgraded"]));
}

#[test]
fn upgrades_a_thousand_of_a_thousand_against_an_instant_upstream() {
    let origin = echo();
    let gateway = Setup::to(&origin).start();
    for round in 0..1000 {
        let mut client = upgraded(&gateway);
        returns(&mut client, &format!("message {round}"));
    }
    assert_eq!(origin.connections(), 1000, "an upgrade takes a connection of its own");
}

#[test]
fn refuses_an_upgrade_where_the_route_does_not_allow_it() {
    let origin = echo();
    let gateway = Setup::to(&origin).route("upgrade: false").start();
    let answer = gateway.client().ask(UPGRADE);
    assert_ne!(answer.status, 101);
    let received = origin.received();
    assert!(received.iter().all(|request| request.field("upgrade").is_none()), "{received:?}");
}

/// An upstream that takes up HTTP/2 by upgrade would be a tunnel around routes, filters and records.
#[test]
fn does_not_pass_an_upgrade_to_another_http() {
    let origin = echo();
    let gateway = Setup::to(&origin).start();
    for protocol in ["h2c", "HTTP/2.0", "TLS/1.2", "websocket, h2c"] {
        let request = UPGRADE.replace("Upgrade: websocket", &format!("Upgrade: {protocol}"));
        assert_ne!(gateway.client().ask(request).status, 101, "{protocol}");
        assert_eq!(origin.last().field("upgrade"), None, "{protocol}");
    }
}

#[test]
fn passes_an_upstreams_refusal_to_upgrade() {
    let origin = Origin::says("no chat here");
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    let answer = client.ask(UPGRADE);
    assert_eq!((answer.status, answer.text().as_str()), (200, "no chat here"));
}

/// What follows such a head is a body; if it were passed on as a wish to upgrade, it could be read as a stream.
#[test]
fn does_not_ask_for_an_upgrade_that_comes_with_content_or_without_connection() {
    let origin = echo();
    let gateway = Setup::to(&origin).start();
    let with_content = UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
    let without_connection = UPGRADE.replace("Connection: Upgrade\r\n", "");
    assert_ne!(without_connection, UPGRADE, "the request names the field so");
    for request in [with_content, without_connection] {
        assert_ne!(gateway.client().ask(request).status, 101);
        assert_eq!(origin.last().field("upgrade"), None);
    }
}

#[test]
fn refuses_bytes_of_the_stream_before_the_upgrade_was_granted() {
    let origin = echo();
    let gateway = Setup::to(&origin).start();
    let answer = gateway.client().ask(UPGRADE.to_owned() + "too early");
    assert_eq!((answer.status, answer.reason().as_str()), (400, "malformed_framing"));
    assert_eq!(gateway.record_of(&answer)["detail"], "bytes_behind_an_upgrade");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn ends_the_stream_for_both_when_the_upstream_ends_it() {
    let origin = Origin::at_head(|_, wire| {
        wire.send(SWITCHING);
        let mut bytes = [0u8; 4];
        wire.stream().read_exact(&mut bytes).unwrap();
        wire.send(b"bye");
        After::Close
    });
    let gateway = Setup::to(&origin).start();
    let mut client = upgraded(&gateway);
    client.send("quit");
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn adds_no_bytes_of_its_own_to_a_stream_that_breaks() {
    let origin = Origin::at_head(|_, wire| {
        wire.send(SWITCHING);
        let mut bytes = [0u8; 4];
        wire.stream().read_exact(&mut bytes).unwrap();
        wire.reset()
    });
    let gateway = Setup::to(&origin).start();
    let mut client = upgraded(&gateway);
    client.send("quit").expect_end();
}

#[test]
fn lets_a_stream_be_silent_for_longer_than_a_body_or_an_answer_may() {
    let origin = echo();
    let setup = Setup::to(&origin).listener("limits: { body_timeout: 1s, header_timeout: 1s, idle_timeout: 1s }");
    let gateway = setup.cluster("timeouts: { first_byte: 1s, idle: 1s, connect: 1s, total: 1s }").start();
    let mut client = upgraded(&gateway);
    returns(&mut client, "before");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    returns(&mut client, "after");
}

#[test]
fn carries_a_large_stream_both_ways_at_once() {
    let origin = echo();
    let gateway = Setup::to(&origin).start();
    let mut client = upgraded(&gateway);
    let piece = vec![7u8; 64 * 1024];
    for _ in 0..64 {
        client.send(&piece);
        assert_eq!(client.exactly(piece.len()).unwrap(), piece);
    }
}
