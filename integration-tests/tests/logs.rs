//! Several logs at once: each shows its own part, a reload leaves alone what it does not change, and a collector that
//! was away gets everything in the end.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_integration_tests::place::address;
use portcullis_integration_tests::{After, Gateway, Origin, until};
use serde_json::Value;

fn gateway(origin: &Origin, logs: &str) -> Gateway {
    Gateway::with_yaml(&config(origin, logs))
}

fn config(origin: &Origin, logs: &str) -> String {
    format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\nclusters: {{ app: {{ endpoints: [\"{}\"] }} }}\nlogs:\n{logs}\n\
         hosts: [{{ names: [\"*\"], routes: [{{ name: all, to: app }}] }}]\n",
        origin.address()
    )
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A collector that takes everything.
fn collector(at: SocketAddr) -> Origin {
    Origin::bound(
        at,
        |received, wire| {
            if wire.read_body(received) { wire.ok(r#"{"text":"Success","code":0}"#) } else { After::Close }
        },
    )
}

/// The paths of the events that it got, in order.
fn paths(collector: &Origin) -> Vec<String> {
    let events = |body: &[u8]| -> Vec<Value> {
        serde_json::Deserializer::from_slice(body).into_iter().collect::<Result<_, _>>().unwrap()
    };
    let path = |event: Value| event["event"]["path"].as_str().unwrap().to_owned();
    collector.received().iter().flat_map(|seen| events(&seen.body)).map(path).collect()
}

#[test]
fn each_log_shows_its_own_part_and_tells_of_itself() {
    let gateway = gateway(
        &Origin::says("fine"),
        "  open: { file: { path: open.log }, headers: [x-tenant, x-rpc-key] }\n  \
         shut: { file: { path: shut.log }, query: false, mask: { v4: 8, v6: 0 }, fields: { without: [user_agent] } }\n  \
         bad: { file: { path: bad.log }, only: { statuses: [5xx] } }",
    );
    let mut client = gateway.client();
    let answer = client.ask(
        "GET /a?tenant=acme HTTP/1.1\r\nHost: a.test\r\nX-Tenant: acme\r\nX-Rpc-Key: s3cret\r\nX-Other: o\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    let one = |name: &str| until(name, || lines(&gateway.dir().join(name)).pop());
    let (open, shut) = (one("open.log"), one("shut.log"));
    assert_eq!(open["headers"], serde_json::json!({ "x-tenant": "acme", "x-rpc-key": "***" }));
    assert_eq!(open["query"], "tenant=acme");
    assert!(
        open["client"].as_str().unwrap().starts_with("127.") && !open["client"].as_str().unwrap().ends_with(".0.0.0")
    );
    assert_eq!(shut["client"], "127.0.0.0");
    assert!(!shut.to_string().contains("acme") && shut.get("headers").is_none(), "{shut}");
    assert!(lines(&gateway.dir().join("bad.log")).is_empty());
    let shown = gateway.admin().json("/api/requests?limit=1").to_string();
    assert!(!shown.contains("headers"), "{shown}");
    let names: Vec<Value> =
        gateway.admin().json("/api/status")["logs"].as_array().unwrap().iter().map(|log| log["name"].clone()).collect();
    assert_eq!(names, ["access_log", "open", "shut", "bad"]);
    assert_eq!(gateway.admin().metric("portcullis_records_written_total", "sink=\"shut\""), 1.0);
}

#[test]
fn a_log_that_a_reload_does_not_change_goes_on_and_one_that_is_gone_is_finished() {
    let (origin, collector) = (Origin::says("fine"), collector(address()));
    let events = format!(
        "  far: {{ splunk_hec: {{ url: \"http://{}\", token: t, gzip: false, batch: {{ wait: 1m }} }} }}",
        collector.address()
    );
    let gateway = gateway(&origin, &format!("  a: {{ file: {{ path: a.log }} }}\n{events}"));
    assert_eq!(gateway.get("/1").status, 200);
    let generation = || gateway.admin().json("/api/status")["generation"].as_u64().unwrap();
    let change = |logs: &str| {
        let before = generation();
        gateway.write(&config(&origin, logs));
        gateway.signal("HUP");
        until("the reload", || (generation() > before).then_some(()));
    };
    change(&format!("  b: {{ file: {{ path: b.log }} }}\n{events}"));
    // The new generation serves a moment before the logs that are gone are finished.
    until("what was queued, before it is gone", || (lines(&gateway.dir().join("a.log")).len() == 1).then_some(()));
    assert_eq!(gateway.get("/2").status, 200);
    until("the new log", || (lines(&gateway.dir().join("b.log")).len() == 1).then_some(()));
    assert_eq!(lines(&gateway.dir().join("a.log")).len(), 1);
    assert!(collector.received().is_empty(), "the batch goes on filling: the reload did not touch it");
    assert_eq!(gateway.admin().metric("portcullis_records_written_total", "sink=\"a\""), 0.0);
    change("  b: { file: { path: b.log } }");
    until("the events, when their log is gone", || (paths(&collector) == ["/1", "/2"]).then_some(()));
}

#[test]
fn a_reload_to_a_log_that_cannot_be_opened_changes_nothing() {
    let origin = Origin::says("fine");
    let gateway = gateway(&origin, "  a: { file: { path: a.log } }");
    gateway.write(&config(&origin, "  b: { file: { path: /nowhere/at/all/b.log } }"));
    gateway.signal("HUP");
    until("the refusal", || {
        gateway.stderr().contains("the log `b` cannot be opened at /nowhere/at/all/b.log").then_some(())
    });
    assert_eq!(gateway.get("/1").status, 200);
    until("the log of before", || (lines(&gateway.dir().join("a.log")).len() == 1).then_some(()));
}

#[test]
fn events_of_a_gateway_that_ended_while_the_collector_was_down_are_sent_by_the_next() {
    let origin = Origin::says("fine");
    let place = address();
    let log = format!(
        "  far: {{ splunk_hec: {{ url: \"http://{place}\", token: t, gzip: false, spool: {{ path: spool }} }} }}"
    );
    let mut gateway = gateway(&origin, &log);
    let mut client = gateway.client();
    for n in 0..20 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    drop(client);
    gateway.signal("TERM");
    gateway.wait();
    let batches = || {
        std::fs::read_dir(gateway.dir().join("spool"))
            .unwrap()
            .filter(|file| file.as_ref().unwrap().path().extension().is_some())
            .count()
    };
    assert!(batches() > 0);
    let collector = collector(place);
    gateway.start_again();
    let expected: Vec<String> = (0..20).map(|n| format!("/{n}")).collect();
    until("the events", || (paths(&collector) == expected).then_some(()));
}
