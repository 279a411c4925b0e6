//! Objectives of service levels: counted, told, kept over restarts and reloads.

use portcullis_integration_tests::{Gateway, Origin, Setup, origin, until};
use serde_json::Value;

const SLOS: &str =
    "slos: { up: { host: \"*\", objective: 99% }, fast: { host: \"*\", route: all, objective: 99%, latency: 10s } }";

fn slo(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.admin().json("/api/slos");
    let found = all["slos"].as_array().unwrap().iter().find(|slo| slo["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("no {name} in {all}"))
}

fn until_counted(gateway: &Gateway, name: &str, good: u64, bad: u64) -> Value {
    until("the requests to be counted", || {
        let slo = slo(gateway, name);
        (slo["good"] == good && slo["bad"] == bad).then_some(slo)
    })
}

#[test]
fn requests_are_counted_for_the_objectives_of_their_host_and_route() {
    let gateway =
        Setup::to(&Origin::says("fine")).top(SLOS).and_route("{ name: off, match: { path: /off }, to: dead }");
    let gateway = gateway.and_cluster("dead", origin::refused(), "").start();
    (0..3).for_each(|_| assert_eq!(gateway.get("/").status, 200));
    assert!(gateway.get("/off").status >= 400);
    assert_eq!(gateway.get("/a%2fb").status, 400, "the client's fault");
    let up = until_counted(&gateway, "up", 3, 1);
    until_counted(&gateway, "fast", 3, 0);
    assert!((up["burn"]["5m"].as_f64().unwrap() - 25.0).abs() < 1e-6, "{up}");
    assert!((up["budget_left"].as_f64().unwrap() + 24.0).abs() < 1e-6, "{up}");
    assert_eq!(up["firing"][0]["severity"], "page");
    let admin = gateway.admin();
    assert_eq!(admin.metric("portcullis_slo_bad_total", "slo=\"up\""), 1.0);
    assert_eq!(admin.metric("portcullis_slo_objective", "slo=\"fast\""), 0.99);
    assert!((admin.metric("portcullis_slo_burn", "slo=\"up\",window=\"1h\"") - 25.0).abs() < 1e-6);
    let status = admin.json("/api/status");
    let reasons = status["verdict"]["reasons"].as_array().unwrap();
    let burn = reasons.iter().find(|reason| reason["id"] == "slo_burn:up").unwrap_or_else(|| panic!("{status:#}"));
    assert_eq!((&burn["severity"], &burn["runbook"]), (&"failing".into(), &"docs/runbooks/slo.md".into()));
}

#[test]
fn a_budget_outlives_a_reload_and_a_restart() {
    let setup = Setup::to(&Origin::says("fine")).top(SLOS);
    let mut gateway = setup.start();
    assert_eq!(gateway.get("/").status, 200);
    until_counted(&gateway, "up", 1, 0);
    gateway.write(&setup.clone().host("filters: [{ cors: { origins: [\"https://a.example.com\"] } }]").yaml());
    until("the new generation", || (gateway.admin().json("/api/status")["generation"] == 2).then_some(()));
    assert_eq!(gateway.get("/").status, 200);
    until_counted(&gateway, "up", 2, 0);
    gateway.signal("TERM");
    gateway.start_again();
    until_counted(&gateway, "up", 2, 0);
    assert_eq!(gateway.get("/").status, 200);
    until_counted(&gateway, "up", 3, 0);
    until_counted(&gateway, "fast", 3, 0);
}

#[test]
fn a_file_of_budgets_that_is_broken_is_said_and_put_aside() {
    let mut gateway = Setup::to(&Origin::says("fine")).top(SLOS).start();
    gateway.signal("TERM");
    gateway.wait();
    let file = gateway.dir().join("data/slos.json");
    std::fs::write(&file, "{ not json").unwrap();
    gateway.start_again();
    assert_eq!(gateway.admin().metric("portcullis_slo_load_failures_total", ""), 1.0);
    assert!(gateway.stderr().contains("error budgets begin anew"), "{}", gateway.stderr());
    assert!(gateway.dir().join("data/slos.json.bad").exists());
}
