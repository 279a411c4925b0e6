//! Reloads: by signal, by file, by the admin API; all or nothing; and what outlives them.

use portcullis_integration_tests::{Client, Gateway, Origin, PATIENCE, Setup, until};
use serde_json::Value;
use std::sync::Mutex;
use std::sync::mpsc;

/// A config whose answers say which one it is.
fn says(text: &str) -> String {
    format!(
        "listeners:\n  edge: {{ bind: \"@edge\" }}\nhosts:\n  - names: [\"*\"]\n    routes:\n      \
         - {{ name: only, respond: {{ body: \"{text}\" }} }}\n"
    )
}

fn wait_for_text(gateway: &Gateway, text: &str) {
    until(&format!("the config that says {text}"), || (gateway.get("/").text() == text).then_some(()));
}

/// Waits for a reload of this kind in the history.
fn wait_for_reload(gateway: &Gateway, trigger: &str, outcome: &str) -> Value {
    until(&format!("a reload by {trigger} that was {outcome}"), || {
        let status = gateway.admin().json("/api/status");
        let reloads = status["reloads"].as_array().unwrap();
        reloads.iter().find(|reload| reload["trigger"] == trigger && reload["outcome"] == outcome).cloned()
    })
}

/// Applies a config by the API; status and answer.
fn apply(gateway: &Gateway, text: &str) -> (u16, Value) {
    let answer = gateway.admin().post("/api/config", "If-Match: *\r\n", &gateway.complete(text));
    (answer.status, answer.json())
}

#[test]
fn takes_a_new_file_by_itself_when_it_is_renamed_into_place() {
    let gateway = Gateway::with_yaml(&says("one"));
    assert_eq!(gateway.get("/").text(), "one");
    for text in ["two", "three"] {
        gateway.write(&says(text));
        wait_for_text(&gateway, text);
    }
    wait_for_reload(&gateway, "watch", "applied");
}

#[test]
fn reads_the_file_again_on_sighup() {
    let gateway = Gateway::with_yaml(&says("one"));
    gateway.signal("HUP");
    wait_for_reload(&gateway, "signal", "applied");
    gateway.write(&says("two"));
    gateway.signal("HUP");
    wait_for_text(&gateway, "two");
}

#[test]
fn applies_a_config_by_the_api_only_over_the_one_that_was_meant() {
    let gateway = Gateway::with_yaml(&says("one"));
    let admin = gateway.admin();
    let tag = admin.get("/api/config").field("etag").unwrap().to_owned();
    let text = gateway.complete(&says("two"));
    assert_eq!(admin.post("/api/config", "", &text).status, 428, "If-Match is needed");
    assert_eq!(admin.post("/api/config", "If-Match: \"0000\"\r\n", &text).status, 412);
    assert_eq!(gateway.get("/").text(), "one");
    let applied = admin.post("/api/config", &format!("If-Match: {tag}\r\n"), &text);
    assert_eq!((applied.status, &applied.json()["outcome"]), (200, &"applied".into()), "{}", applied.text());
    assert_eq!(gateway.get("/").text(), "two", "it serves once the API has said so");
    assert_eq!(admin.post("/api/config", &format!("If-Match: {tag}\r\n"), &text).status, 412, "the tag is stale now");
    assert_ne!(admin.get("/api/config").field("etag"), Some(tag.as_str()));
}

#[test]
fn a_config_whose_included_file_changed_is_another_config() {
    let gateway = Gateway::with_yaml(&says("one"));
    let admin = gateway.admin();
    let tag = || admin.get("/api/config").field("etag").unwrap().to_owned();
    let more = gateway.dir().join("more.yaml");
    let host = |text: &str| {
        let host = "hosts: [{ names: [more.test], routes: [{ name: more, respond: { body: TEXT } }] }]\n";
        std::fs::write(&more, host.replace("TEXT", text)).unwrap();
    };
    let asked = || gateway.client().ask("GET / HTTP/1.1\r\nHost: more.test\r\n\r\n").text();
    host("first");
    let before = tag();
    gateway.write(&format!("include: more.yaml\n{}", says("one")));
    until("the included host", || (asked() == "first").then_some(()));
    let included = tag();
    assert_ne!(included, before);
    host("second");
    until("the changed host", || (asked() == "second").then_some(()));
    assert_ne!(tag(), included, "the main file is the same, the config is not");
    let text = gateway.complete(&says("two"));
    assert_eq!(admin.post("/api/config", &format!("If-Match: {included}\r\n"), &text).status, 412);
    assert_eq!(admin.json("/api/status")["hash"], tag().trim_matches('"'));
}

#[test]
fn says_what_a_config_would_change_without_applying_it() {
    let gateway = Gateway::with_yaml(&says("one"));
    let answer = gateway.admin().post("/api/config?dry_run=1", "", &gateway.complete(&says("two")));
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &"dry_run".into()));
    assert!(answer.text().contains("only"), "the route is named: {}", answer.text());
    assert_eq!(gateway.get("/").text(), "one");
}

#[test]
fn changes_nothing_on_a_bad_file_and_says_everything_that_is_wrong() {
    let gateway = Gateway::with_yaml(&says("one"));
    let bad = says("two").replace("bind:", "bnd:").replace("respond:", "respnd:");
    gateway.write(&bad);
    wait_for_reload(&gateway, "watch", "refused");
    assert_eq!(gateway.get("/").text(), "one");
    let (status, answer) = apply(&gateway, &bad);
    assert_eq!(status, 422, "{answer}");
    let text = answer.to_string();
    assert!(text.contains("bnd") && text.contains("respnd"), "both mistakes at once: {text}");
    assert!(gateway.stderr().contains("bnd"), "{}", gateway.stderr());
    gateway.write(&says("three"));
    wait_for_text(&gateway, "three");
    assert!(gateway.admin().metric("portcullis_reloads_total", "refused") >= 1.0);
}

#[test]
fn changes_nothing_when_a_new_listener_cannot_bind() {
    let taken = std::net::TcpListener::bind((portcullis_integration_tests::place::own_ip(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let gateway = Gateway::with_yaml(&says("one"));
    let more = says("two").replace("listeners:\n", &format!("listeners:\n  more: {{ bind: \"{address}\" }}\n"));
    let (status, answer) = apply(&gateway, &more);
    assert_eq!(status, 409, "{answer}");
    assert!(answer.to_string().contains(&address.to_string()), "{answer}");
    assert_eq!(gateway.get("/").text(), "one");
    assert_eq!(apply(&gateway, &says("three")).0, 200);
    assert_eq!(gateway.get("/").text(), "three");
}

#[test]
fn adds_changes_and_removes_listeners() {
    let gateway = Gateway::with_yaml(&says("one"));
    let mut kept = gateway.client();
    assert_eq!(kept.get("/").text(), "one");
    let two = says("two").replace("listeners:\n", "listeners:\n  more: { bind: \"@more\", limits: { requests: 1 } }\n");
    assert_eq!(apply(&gateway, &two).0, 200);
    let mut more = Client::connect(gateway.address("more"));
    assert!(more.get("/").closes(), "one request is all this listener allows");
    let three = two.replace(", limits: { requests: 1 }", "").replace("two", "three");
    assert_eq!(apply(&gateway, &three).0, 200);
    let mut more = Client::connect(gateway.address("more"));
    assert!(!more.get("/").closes(), "the listener has changed");
    assert_eq!(apply(&gateway, &says("four")).0, 200);
    until("the listener to be gone", || std::net::TcpStream::connect(gateway.address("more")).err());
    assert_eq!(more.get("/").text(), "four", "its open connections live on");
    assert_eq!(kept.get("/").text(), "four", "and so do those of the listener that stayed");
}

#[test]
fn lets_a_request_end_on_the_generation_it_began_on() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::http1(move |_, wire| {
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        wire.ok("late")
    });
    let setup = |value: &str| {
        let filter = format!("filters: [{{ headers: {{ response: {{ set: {{ x-generation: {value} }} }} }} }}]");
        Setup::to(&origin).route(&filter)
    };
    let gateway = setup("old").start();
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let _ = origin.wait_for(1);
    assert_eq!(apply(&gateway, &setup("new").yaml()).0, 200);
    let generations = gateway.admin().json("/api/config")["generations"].clone();
    let generations = generations.as_array().unwrap();
    assert_eq!(generations.len(), 2, "{generations:?}");
    assert!(generations[1]["requests"].to_string().contains("all\":1"), "who holds it: {}", generations[1]);
    assert_eq!(gateway.admin().metric("portcullis_generations_live", ""), 2.0);
    release.send(()).unwrap();
    assert_eq!(client.response().field("x-generation"), Some("old"));
    release.send(()).unwrap();
    assert_eq!(client.get("/next").field("x-generation"), Some("new"), "the same connection, the next request");
    let live = || gateway.admin().json("/api/config")["generations"].as_array().unwrap().len();
    until("the old generation to end", || (live() == 1).then_some(()));
    assert_eq!(gateway.record("it", |record| record["path"] == "/slow")["generation"], 1);
    assert_eq!(gateway.record("it", |record| record["path"] == "/next")["generation"], 2);
}

#[test]
fn keeps_pools_health_and_counters_of_what_did_not_change() {
    let origin = Origin::http1(|received, wire| match received.path() {
        "/health" => wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        _ => wire.ok("fine"),
    });
    let steady = Origin::says("steady");
    let check = "health_check: { http: { path: /health }, interval: 30s, timeout: 1s, unhealthy_after: 1 }";
    let route = "{ name: steady, match: { path: /steady }, to: steady }";
    let setup = Setup::to(&origin).cluster(check).and_cluster("steady", steady.address(), "").and_route(route);
    let gateway = setup.start();
    until("the endpoint to be unhealthy", || (gateway.get("/").status == 503).then_some(()));
    assert_eq!(gateway.get("/steady").text(), "steady");
    let count = || gateway.admin().metric("portcullis_route_requests_total", "steady");
    until("the count", || (count() == 1.0).then_some(()));
    let other = "{ name: other, match: { path: /other }, respond: { body: new } }";
    assert_eq!(apply(&gateway, &setup.and_route(other).yaml()).0, 200);
    assert_eq!(gateway.get("/other").text(), "new");
    // The next check is half a minute away: without the old verdict the endpoint would be taken again.
    assert_eq!(gateway.get("/").reason(), "no_healthy_upstream");
    assert_eq!(gateway.get("/steady").text(), "steady");
    until("the count, going on where it was", || (count() == 2.0).then_some(()));
    assert_eq!(steady.connections(), 1, "the pooled connection was used again");
}

/// An answer that never ends, a piece at a time.
#[test]
fn drains_the_oldest_generation_when_more_live_than_may() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while wire.send(b"5\r\npiece\r\n") == portcullis_integration_tests::After::Keep {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        wire.send(b"0\r\n\r\n")
    });
    let setup = Setup::to(&origin).top("generations: 2").top("drain: { timeout: 300ms, idle: 100ms }");
    let gateway = setup.start();
    let mut client = gateway.client();
    client.send("GET /stream HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(client.head().contains("200"));
    let other = |n: usize| format!("{{ name: r{n}, match: {{ exact: /r{n} }}, respond: {{ body: \"{n}\" }} }}");
    assert_eq!(apply(&gateway, &setup.clone().and_route(&other(1)).yaml()).0, 200);
    for _ in 0..20 {
        assert!(client.next_chunk().unwrap().starts_with(b"piece"), "two generations may live");
    }
    let mut held = gateway.client();
    held.send("GET /stream HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(held.head().contains("200"));
    assert_eq!(apply(&gateway, &setup.clone().and_route(&other(2)).yaml()).0, 200);
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer looks whole");
    let record = gateway.record_with("draining");
    assert_eq!((&record["generation"], &record["detail"]), (&1.into(), &"generation 1 is drained".into()));
    for _ in 0..20 {
        assert!(held.next_chunk().unwrap().starts_with(b"piece"), "the second generation is among the two");
    }
}

#[test]
fn does_not_let_a_websocket_hold_an_old_generation() {
    let origin = Origin::at_head(|_, wire| {
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let mut bytes = [0u8; 64];
        while let Ok(count @ 1..) = std::io::Read::read(wire.stream(), &mut bytes) {
            wire.send(&bytes[..count]);
        }
        wire.wait_for_end()
    });
    let setup = Setup::to(&origin);
    let gateway = setup.start();
    let mut client = gateway.client();
    client.send("GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(client.head().contains("101"));
    let other = "{ name: other, match: { path: /other }, respond: { body: new } }";
    assert_eq!(apply(&gateway, &setup.and_route(other).yaml()).0, 200);
    let live = || gateway.admin().json("/api/config")["generations"].as_array().unwrap().len();
    until("one generation alone", || (live() == 1).then_some(()));
    client.send("still here");
    assert_eq!(client.exactly(10).unwrap(), b"still here");
}
