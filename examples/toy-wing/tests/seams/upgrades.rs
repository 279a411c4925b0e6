//! Upgrades that a filter grants: the connection is its handler's, and the request's record is open until that ends.

use portcullis_integration_tests::websocket::UPGRADE;
use portcullis_integration_tests::{Client, Gateway, Origin, until};
use std::path::Path;

fn wing(host: &str, more: &str) -> Gateway {
    let text = format!(
        "listeners: {{ edge: {{ bind: \"@edge\", limits: {{ connections: 3 }} }} }}\n\
         drain: {{ streams: 0s }}\n\
         clusters:\n\
         \x20 app: {{ endpoints: [\"{}\"] }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   filters: [{host}]\n\
         \x20   routes:\n\
         \x20     - {{ name: app, {more} to: app }}\n",
        Origin::says("plain").address()
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), &text)
}

fn upgraded(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(UPGRADE);
    let head = client.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    for field in ["x-echo: yes", "connection: upgrade", "upgrade: websocket", "x-request-id: "] {
        assert!(head.contains(field), "{head}");
    }
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    client
}

fn streams(gateway: &Gateway) -> u64 {
    gateway.admin().json("/api/status")["overload"]["streams"].as_u64().unwrap()
}

#[test]
fn a_filter_speaks_on_an_upgraded_connection_to_its_end() {
    let gateway = wing("echo", "");
    assert_eq!(gateway.get("/").text(), "plain");
    let mut client = upgraded(&gateway);
    assert_eq!(client.send("hello").exactly(5).unwrap(), b"hello");
    assert_eq!(streams(&gateway), 1);
    assert!(gateway.records().iter().all(|record| record["status"] != 101));
    client.finish().expect_end();
    let record = gateway.record("the stream", |record| record["status"] == 101);
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&5.into(), &5.into()), "{record}");
    assert_eq!((&record["flags"][0], &record["answered_by"]), (&"upgraded".into(), &"echo".into()), "{record}");
    assert_eq!((record.get("reason"), &record["notes"]["echo"]), (None, &"app".into()), "{record}");
    until("the stream to be gone", || (streams(&gateway) == 0).then_some(()));
}

#[test]
fn admission_comes_before_the_upgrade() {
    let gateway = wing("{ toll: { coins: 1 } }, echo", "");
    drop(upgraded(&gateway));
    let mut client = gateway.client();
    client.send(UPGRADE);
    let refused = client.response();
    assert_eq!((refused.status, refused.reason().as_str()), (429, "over_rate"));
    // The connection goes on.
    client.send(UPGRADE);
    assert_eq!(client.response().status, 429);
}

#[test]
fn an_upgrade_that_was_not_asked_for_is_a_fault_of_its_filter() {
    let gateway = wing("{ echo: { always: true } }", "");
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (500, "filter_failed"));
    drop(upgraded(&gateway));
}

#[test]
fn bytes_behind_the_head_of_an_upgrade_are_refused() {
    let gateway = wing("echo", "");
    let mut client = gateway.client();
    client.send(format!("{UPGRADE}early"));
    assert_eq!(client.response().reason(), "malformed_framing");
}

#[test]
fn a_handler_that_panics_ends_its_stream_alone() {
    let gateway = wing("echo", "");
    let mut other = upgraded(&gateway);
    let mut client = upgraded(&gateway);
    client.send("boom");
    client.expect_end();
    let record = gateway.record_with("internal");
    assert_eq!(record["status"], 101, "{record}");
    assert_eq!(other.send("alive").exactly(5).unwrap(), b"alive");
}

#[test]
fn streams_count_against_the_route_and_connections_against_the_listener() {
    let gateway = wing("echo", "limits: { streams: 2 },");
    let (first, mut second) = (upgraded(&gateway), upgraded(&gateway));
    let mut third = gateway.client();
    third.send(UPGRADE);
    let refused = third.response();
    assert_eq!((refused.status, refused.reason().as_str()), (503, "overloaded"));
    assert_eq!(refused.field("retry-after"), Some("1"));
    // Three connections are as many as may be: the fourth is closed unanswered.
    let mut fourth = gateway.client();
    assert!(fourth.send(UPGRADE).try_head().is_err());
    drop(first);
    until("the first to be gone", || (streams(&gateway) == 1).then_some(()));
    third.send(UPGRADE);
    assert!(third.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(second.send("on").exactly(2).unwrap(), b"on");
}

#[test]
fn a_drain_tells_the_handler_and_waits_for_it() {
    let mut gateway = wing("echo", "");
    let mut client = upgraded(&gateway);
    gateway.signal("TERM");
    assert_eq!(client.exactly(3).unwrap(), b"bye");
    client.expect_end();
    assert!(gateway.wait().success());
    let record = gateway.record("the stream", |record| record["status"] == 101);
    assert_eq!((&record["reason"], &record["bytes_out"]), (&"draining".into(), &3.into()), "{record}");
    assert!(gateway.stderr().contains("drained in"), "{}", gateway.stderr());
}

#[test]
fn a_stream_holds_no_generation() {
    let gateway = wing("echo", "");
    let mut client = upgraded(&gateway);
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    gateway.write(&text.replace("name: app,", "name: renamed,"));
    let live = || gateway.admin().metric("portcullis_generations_live", "");
    until("the new generation", || {
        (gateway.admin().json("/api/status")["generation"].as_u64() == Some(2)).then_some(())
    });
    until("the old generation to be free", || (live() < 1.5).then_some(()));
    assert_eq!(client.send("on").exactly(2).unwrap(), b"on");
}
