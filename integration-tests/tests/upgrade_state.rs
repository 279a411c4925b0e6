//! The binary is replaced: what the old process knew and what it spent is not lost.

use portcullis_integration_tests::{Client, Gateway, Origin, Setup, until};
use serde_json::{Value, json};

const CONSUMER: &str = "anonymous:127.0.0.1";
const JSON: &str = "Content-Type: application/json\r\n";

fn setup(origin: &Origin, quota: &str) -> Setup {
    let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
    Setup::to(origin)
        .top(&format!("plans: {{ free: {{ quota: {quota} }} }}"))
        .top("drain: { timeout: 30s, idle: 20s, streams: 100ms }")
        .top("overload: { event_loop_delay: 0s }")
        .host(filters)
}

fn upgrade(gateway: &Gateway) {
    let answer = gateway.admin().post("/api/upgrade", "", "");
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.stderr());
    gateway.end_with_test(u32::try_from(answer.json()["pid"].as_u64().unwrap()).unwrap());
}

fn used(gateway: &Gateway) -> Value {
    gateway.admin().json(&format!("/api/usage?consumer={CONSUMER}"))["consumers"][CONSUMER]["total"]["requests"].clone()
}

fn remaining(gateway: &Gateway) -> Value {
    let caps = gateway.admin().json(&format!("/api/caps/{CONSUMER}?plan=free"))["caps"].clone();
    let quota = caps.as_array().and_then(|caps| caps.iter().find(|cap| cap["cap"] == "quota.month"));
    quota.map(|quota| quota["remaining"].clone()).unwrap_or_default()
}

#[test]
fn what_the_old_process_spends_while_it_drains_counts_in_the_new_one() {
    let origin = Origin::says("fine");
    let mut gateway = setup(&origin, "100/month").start();
    let mut old: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
    for client in &mut old {
        assert_eq!(client.get("/").status, 200);
    }
    upgrade(&gateway);
    // For a moment both accept.
    let mut new = 0_u64;
    until("a request to the new one", || {
        assert_eq!(gateway.get("/new").status, 200);
        new += 1;
        let records = gateway.admin().get("/api/requests").text();
        records.contains("\"path\":\"/new\"").then_some(())
    });
    // Four to the old process before, four to it now, and these.
    let all = 8 + new;
    for client in &mut old {
        assert_eq!(client.get("/late").status, 200);
    }
    drop(old);
    until("all to be used", || (used(&gateway) == json!(all)).then_some(()));
    until("all to be spent", || (remaining(&gateway) == json!(100 - all)).then_some(()));
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    // And on disk, once.
    gateway.signal_serving("TERM");
    let path = gateway.dir().join("data/usage/usage.ndjson");
    let total = until("the journal", || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let total: u64 = lines.filter_map(|line| line["requests"].as_u64()).sum();
        (total >= all).then_some(total)
    });
    assert_eq!(total, all);
}

#[test]
fn overrides_bans_generation_and_an_applied_config_go_over() {
    let origin = Origin::says("fine");
    let setup = setup(&origin, "1/month");
    let gateway = setup.start();
    let post = |path: &str, fields: &str, body: &str| {
        let answer = gateway.admin().post(path, fields, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    };
    post("/api/caps/overrides", JSON, r#"{ "plan": "free", "multiply": 3, "for": "1h", "reason": "launch" }"#);
    let endpoint = origin.address();
    let weigh =
        format!(r#"{{ "action": "weigh", "endpoint": "{endpoint}", "weight": 7, "for": "1h", "reason": "swap" }}"#);
    post("/api/clusters/app/endpoints", JSON, &weigh);
    post("/api/bans", JSON, r#"{ "network": "203.0.113.0/24", "for": "1h", "reason": "abuse" }"#);
    let applied = setup.clone().and_route("{ name: new, match: { exact: /new }, respond: { body: new } }");
    post("/api/config", "If-Match: *\r\n", &gateway.complete(&applied.yaml()));
    let hash = gateway.admin().json("/api/status")["hash"].clone();
    upgrade(&gateway);
    let status = gateway.admin().json("/api/status");
    assert_eq!((&status["generation"], &status["hash"]), (&json!(3), &hash));
    assert_eq!(gateway.get("/new").text(), "new");
    let caps = gateway.admin().json("/api/caps/overrides")["overrides"][0].clone();
    assert_eq!((&caps["plan"], &caps["reason"]), (&json!("free"), &json!("launch")), "{caps}");
    let endpoints = gateway.admin().json("/api/clusters/app/endpoints")["overrides"][0].clone();
    assert_eq!((&endpoints["weight"], &endpoints["reason"]), (&json!(7), &json!("swap")), "{endpoints}");
    let ban = gateway.admin().json("/api/bans")["bans"][0].clone();
    assert_eq!((&ban["network"], &ban["reason"]), (&json!("203.0.113.0/24"), &json!("abuse")), "{ban}");
    // The quota of one, three times.
    assert_eq!([gateway.get("/").status, gateway.get("/").status, gateway.get("/").status], [200, 200, 429]);
    // A second one has it all again.
    upgrade(&gateway);
    assert_eq!(gateway.admin().json("/api/status")["hash"], hash);
    assert_eq!(gateway.get("/").status, 429);
}
