//! Caps: who is held to what, what a refusal says, and what survives a reload.

use std::path::Path;

use portcullis_integration_tests::held::{HELD, holding, in_flight};
use portcullis_integration_tests::websocket::{UPGRADE, switch_and_return};
use portcullis_integration_tests::{Client, Gateway, Origin, Response, Setup, cli, until};
use serde_json::json;

/// In front of an origin, everybody on a plan by address.
fn held_to(origin: &Origin, plan: &str) -> Setup {
    let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
    Setup::to(origin).top(&format!("plans: {{ free: {plan} }}")).host(filters)
}

fn from(gateway: &Gateway, address: &str) -> Response {
    Client::connect_from(address, gateway.address("edge")).get("/")
}

fn statuses(gateway: &Gateway, requests: usize) -> Vec<u16> {
    (0..requests).map(|_| gateway.get("/").status).collect()
}

#[test]
fn a_refusal_says_which_cap_its_state_and_when_to_come_again() {
    let origin = Origin::says("fine");
    let gateway = held_to(&origin, "{ rate: 2/m, quota: 1000/month }").start();
    let answer = gateway.get("/");
    let policy = answer.field("ratelimit-policy").unwrap();
    assert!(policy.starts_with("\"rate.minute\";q=2;w=60, \"quota.month\";q=1000;w="), "{policy}");
    assert!(answer.field("ratelimit").unwrap().starts_with("\"rate.minute\";r=1;t=30, \"quota.month\";r=999;t="));
    assert_eq!(statuses(&gateway, 2), [200, 429]);
    let refused = gateway.get("/");
    assert_eq!((refused.status, refused.reason().as_str()), (429, "over_rate"));
    assert_eq!(refused.detail(), "rate.minute of the plan free: 0 of 2 requests left, 1 needed");
    let after: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&after), "{after}");
    assert_eq!(refused.field("ratelimit").unwrap(), format!("\"rate.minute\";r=0;t={after}"));
    assert_eq!(from(&gateway, "127.0.0.2").status, 200, "another has its own");
    assert_eq!(origin.received().len(), 3);
    let record = gateway.record_of(&refused);
    assert_eq!((&record["reason"], &record["consumer"]), (&json!("over_rate"), &json!("anonymous:127.0.0.1")));
    assert_eq!(gateway.admin().metric("portcullis_cap_refused_total", "cap=\"rate.minute\",of=\"free\""), 2.0);
}

#[test]
fn a_cap_in_shadow_counts_and_refuses_nothing() {
    let gateway = held_to(&Origin::says("fine"), "{ rate: { limit: 1/h, shadow: true } }").start();
    assert_eq!(statuses(&gateway, 2), [200, 200]);
    let answer = gateway.get("/");
    let record = gateway.record_of(&answer);
    let said = serde_json::to_string(&record).unwrap();
    assert!(said.contains("rate.hour of the plan free: 0 of 1 requests left, 1 needed"), "{said}");
    assert_eq!(gateway.admin().metric("portcullis_cap_shadowed_total", "cap=\"rate.hour\""), 2.0);
}

#[test]
fn state_survives_reloads_and_edits_of_the_very_cap() {
    let origin = Origin::says("fine");
    let gateway = held_to(&origin, "{ rate: { limit: 1/h, burst: 3 } }").start();
    assert_eq!(statuses(&gateway, 2), [200, 200]);
    assert_eq!(gateway.admin().post("/api/reload", "", "").status, 200);
    assert_eq!(statuses(&gateway, 2), [200, 429]);
    let wider = held_to(&origin, "{ rate: { limit: 1/h, burst: 5 } }");
    let wider = gateway.complete(&wider.yaml());
    let told = gateway.admin().post("/api/config?dry_run=1", "", &wider).json()["text"].to_string();
    let said = "plan free: rate.hour 1 requests per hour, burst 3 → 1 requests per hour, burst 5";
    assert!(told.contains(said), "{told}");
    assert_eq!(gateway.admin().post("/api/config", "If-Match: *\r\n", &wider).status, 200);
    assert_eq!(statuses(&gateway, 3), [200, 200, 429], "two more than before, and nothing twice");
}

#[test]
fn requests_at_once_are_counted_while_they_are_held() {
    let (origin, release) = holding();
    let gateway = held_to(&origin, "{ concurrency: 1 }").start();
    let mut held = in_flight(&gateway, &origin);
    let refused = gateway.client().ask(HELD);
    assert_eq!((refused.status, refused.reason().as_str()), (429, "over_concurrency"));
    release.send(()).unwrap();
    assert_eq!(held.response().status, 200);
    until("the place to be free", || (gateway.get("/").status == 200).then_some(()));
    // The client has its answer a moment before the request is over and gives its place back.
    let requests = || gateway.admin().json("/api/status")["generations"][0]["requests"].clone();
    until("no request in flight", || requests().as_object().is_some_and(serde_json::Map::is_empty).then_some(()));
    // One that leaves in the middle gives its place back, too.
    let gone = in_flight(&gateway, &origin);
    drop(gone);
    release.send(()).unwrap();
    until("the place to be free again", || (gateway.get("/").status == 200).then_some(()));
}

#[test]
fn websockets_are_connections_and_their_bytes_count() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        switch_and_return(wire)
    });
    let gateway = held_to(&origin, "{ connections: 1, bytes: { quota: 10KB/d } }").start();
    let mut open = gateway.client();
    open.send(UPGRADE);
    assert!(open.head().starts_with("HTTP/1.1 101"));
    let refused = gateway.client().ask(UPGRADE);
    assert_eq!((refused.status, refused.reason().as_str()), (429, "over_concurrency"));
    for _ in 0..2 {
        open.send([b'x'; 4_000]);
        assert_eq!(open.exactly(4_000).unwrap().len(), 4_000);
    }
    // Its place is free when it has ended, and what passed both ways is charged.
    open.finish();
    open.expect_end();
    until("the bytes to be charged", || (gateway.client().ask(UPGRADE).reason() == "over_quota").then_some(()));
}

#[test]
fn routes_and_the_gateway_hold_beside_plans() {
    let gateway = held_to(&Origin::says("fine"), "{ rate: 100/m }")
        .top("caps: { gateway: { shared: { rate: 6/h } }, consumers: { \"anonymous:127.0.0.3\": { rate: 1/h } } }")
        .route("filters: [{ caps: { rate: 2/h } }]")
        .and_route("{ name: free, match: { path: /free }, to: app }")
        .start();
    let ask = |address: &str, path: &str| {
        let answer = Client::connect_from(address, gateway.address("edge")).get(path);
        if answer.status == 200 { "ok".to_owned() } else { answer.detail() }
    };
    assert_eq!([ask("127.0.0.1", "/"), ask("127.0.0.1", "/")], ["ok", "ok"]);
    assert!(ask("127.0.0.1", "/").starts_with("route.each.rate.hour of the route */all: 0 of 2"));
    assert_eq!(ask("127.0.0.1", "/free"), "ok");
    assert_eq!(ask("127.0.0.3", "/free"), "ok");
    assert!(ask("127.0.0.3", "/free").starts_with("own.rate.hour of this consumer alone: 0 of 1"));
    assert_eq!([ask("127.0.0.2", "/free"), ask("127.0.0.4", "/")], ["ok", "ok"]);
    assert!(
        ask("127.0.0.5", "/free").starts_with("gateway.rate.hour of the gateway: 0 of 6"),
        "what was refused spent nothing"
    );
}

#[test]
fn an_override_lifts_a_cap_and_is_listed_until_it_ends() {
    let gateway = held_to(&Origin::says("fine"), "{ rate: 1/h, concurrency: 5 }").start();
    let run = |args: &str| {
        let address = gateway.address("admin").to_string();
        let args: Vec<&str> = args.split(' ').chain(["--admin", &address]).collect();
        cli::run(Path::new("."), &args)
    };
    assert_eq!(statuses(&gateway, 2), [200, 429]);
    assert_eq!(run("caps override").stdout, "no overrides\n");
    let set = run("caps override --plan free --cap rate.hour --multiply 3 --for 30m --reason launch");
    assert_eq!(set.stdout, "rate.hour of the plan free times 3 for 30m: launch\n", "{}", set.stderr);
    assert_eq!(statuses(&gateway, 3), [200, 200, 429]);
    let told = run("caps anonymous:127.0.0.1").stdout;
    assert!(told.contains("rate.hour    plan free  0 of 3 requests left"), "{told}");
    assert!(told.contains("concurrency  plan free  5 of 5 requests left\n"), "{told}");
    assert!(told.contains("override: rate.hour of the plan free times 3 for"), "{told}");
    let refused = run("caps override --plan fre --lift --for 30m --reason x");
    assert!(refused.code == 1 && refused.stderr.contains("there is no plan `fre`"), "{}", refused.stderr);
    let refused = run("caps override --plan free --lift --reason x");
    assert!(refused.stderr.contains("`for` is missing"), "{}", refused.stderr);
    assert_eq!(run("caps override --plan free --cap rate.hour --end").stdout, "no overrides\n");
    assert_eq!(statuses(&gateway, 1), [429]);
    assert!(gateway.stderr().contains("caps: rate.hour of the plan free times 3 for 30m: launch"));
}

#[test]
fn usage_is_what_the_records_say() {
    let gateway = held_to(&Origin::says("fine"), "{ rate: 7/h, credits: 3 }").start();
    let answers: Vec<Response> = (0..9)
        .map(|nth| {
            let body = "b".repeat(nth);
            gateway.client().ask(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {nth}\r\n\r\n{body}"))
        })
        .collect();
    let records: Vec<_> = answers.iter().map(|answer| gateway.record_of(answer)).collect();
    let spent = records.iter().filter(|record| record["status"] == 200);
    let bytes: u64 =
        spent.map(|record| record["bytes_in"].as_u64().unwrap() + record["bytes_out"].as_u64().unwrap()).sum();
    let expected = json!({ "requests": 7, "credits": 21, "bytes": bytes });
    // Usage is told once it is kept, which is twice a second.
    until("the usage to be what the records say", || {
        let used = gateway.admin().json("/api/usage?consumer=anonymous:127.0.0.1");
        (used["consumers"]["anonymous:127.0.0.1"]["total"] == expected).then_some(())
    });
    assert!(bytes > 7 * 4, "{bytes}");
}

#[test]
fn explain_says_how_the_caps_stand_and_spends_nothing() {
    let gateway = held_to(&Origin::says("fine"), "{ rate: 1/h }").start();
    let explain = || gateway.admin().get("/api/explain?url=http://app.test/&format=text").text();
    assert!(explain().contains("rate.hour: 1 of 1 left"), "{}", explain());
    assert_eq!(statuses(&gateway, 2), [200, 429]);
    assert!(explain().contains("over_rate"), "{}", explain());
}
