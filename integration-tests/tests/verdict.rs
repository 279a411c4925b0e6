//! "Is it healthy?": the verdict with its reasons, by status, command line and metrics.

use portcullis_integration_tests::{Gateway, Origin, Setup, cli, origin, until};
use serde_json::Value;

fn verdict(gateway: &Gateway) -> Value {
    gateway.admin().json("/api/status")["verdict"].clone()
}

fn reason(gateway: &Gateway, id: &str) -> Option<Value> {
    let verdict = verdict(gateway);
    verdict["reasons"].as_array().unwrap().iter().find(|reason| reason["id"] == id).cloned()
}

fn status(gateway: &Gateway) -> cli::Ended {
    let admin = gateway.address("admin").to_string();
    cli::run(gateway.dir(), &["status", "--admin", &admin, "--exit-code"])
}

#[test]
fn a_gateway_with_nothing_wrong_is_healthy() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(verdict(&gateway), serde_json::json!({ "state": "healthy", "reasons": [] }));
    let ended = status(&gateway);
    assert!(ended.code == 0 && ended.stdout.starts_with("verdict     healthy\n"), "{ended:?}");
    until("the metric", || (gateway.admin().metric("portcullis_verdict", "state=\"healthy\"") == 1.0).then_some(()));
}

#[test]
fn a_cluster_whose_endpoints_fail_their_check_is_told_with_who_suffers() {
    let check = "health_check: { http: { path: / }, interval: 1s, timeout: 500ms }";
    let gateway = Setup::to_address(origin::refused()).cluster(check).start();
    let down = until("the verdict", || {
        drop(gateway.get("/"));
        let found = ["cluster_down:app", "cluster_panicking:app"].iter().find_map(|id| reason(&gateway, id));
        found.filter(|reason| reason["affected"]["share_of_traffic"].as_f64().is_some_and(|share| share > 0.0))
    });
    assert_eq!(down["severity"], "failing");
    assert_eq!(down["affected"]["hosts"][0], "*");
    assert_eq!(down["runbook"], "docs/runbooks/cluster.md");
    let since = down["since"].clone();
    let later = until("another look", || reason(&gateway, down["id"].as_str().unwrap()));
    assert_eq!(later["since"], since, "since when is kept");
    let ended = status(&gateway);
    assert!(ended.code == 2 && ended.stdout.starts_with("verdict     FAILING, "), "{ended:?}");
    let kind = format!("kind=\"{}\"", down["kind"].as_str().unwrap());
    until("the metric", || (gateway.admin().metric("portcullis_verdict_reasons", &kind) == 1.0).then_some(()));
}

#[test]
fn errors_that_begin_are_told_by_their_reason() {
    let gateway = Setup::to_address(origin::refused()).cluster("retry: { attempts: 1 }").start();
    let told = until("the errors", || {
        drop(gateway.get("/"));
        reason(&gateway, "errors_rising:upstream_connect_refused").and(reason(&gateway, "errors"))
    });
    assert_eq!((&told["kind"], &told["severity"]), (&"errors".into(), &"failing".into()));
    assert!(told["evidence"].to_string().contains("upstream_connect_refused"), "{told}");
}

#[test]
fn what_an_operator_overrode_is_said_and_does_no_harm() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).and_to(Origin::says("other").address()).start();
    let admin = gateway.address("admin").to_string();
    let endpoint = origin.address().to_string();
    let args = [
        "endpoint", "weigh", "app", &endpoint, "--weight", "2", "--for", "5m", "--reason", "a test", "--admin", &admin,
    ];
    assert_eq!(cli::run(gateway.dir(), &args).code, 0);
    let told = until("the override", || reason(&gateway, "overrides"));
    assert_eq!(told["severity"], "information");
    assert!(told["evidence"][0].as_str().unwrap().contains("a test"), "{told}");
    assert_eq!(verdict(&gateway)["state"], "healthy");
}

#[test]
fn a_gateway_that_does_not_answer_is_failing_for_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = portcullis_integration_tests::address().to_string();
    assert_eq!(cli::run(dir.path(), &["status", "--admin", &nobody, "--exit-code"]).code, 2);
    assert_eq!(cli::run(dir.path(), &["status", "--admin", &nobody]).code, 1);
}
