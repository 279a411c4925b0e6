//! The command line: check, explain, diff, schema, and what asks a running gateway.

use portcullis_integration_tests::cli::{Ended, run};
use portcullis_integration_tests::{Gateway, Origin, Setup, until};
use serde_json::Value;
use std::path::Path;

/// Runs a command whose last argument is a file with this text.
fn on_file(args: &[&str], text: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("gateway.yaml"), text).unwrap();
    run(dir.path(), args)
}

const GOOD: &str = r#"version: 1
listeners:
  edge: { bind: "127.0.0.1:8080" }
clusters:
  app: { endpoints: ["127.0.0.1:1", "127.0.0.1:2"] }
hosts:
  - names: ["app.test"]
    filters: [{ cors: { origins: ["https://app.example.com"] } }]
    routes:
      - { name: writes, match: { path: /v1, method: POST }, to: app }
      - { name: beta, match: { path: /v1, headers: { x-beta: "1" } }, to: app }
      - { name: fallback, match: { path: /v1 }, respond: { body: nothing here } }
"#;

#[test]
fn checks_a_good_file() {
    let ended = on_file(&["check", "gateway.yaml"], GOOD);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn reports_every_mistake_of_a_bad_file_with_its_place() {
    let bad =
        GOOD.replace("bind:", "bnd:").replace("to: app }\n      - { name: beta", "to: ap }\n      - { name: beta");
    let ended = on_file(&["check", "gateway.yaml"], &bad);
    assert_eq!(ended.code, 1, "{ended:?}");
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("gateway.yaml:3:") && said.contains("gateway.yaml:10:"), "{said}");
    assert!(said.contains('^') && said.contains("bind") && said.contains("app"), "{said}");
}

#[test]
fn reports_mistakes_to_tools_as_json() {
    let ended = on_file(&["check", "gateway.yaml", "--format", "json"], &GOOD.replace("bind:", "bnd:"));
    assert_eq!(ended.code, 1);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert!(said.to_string().contains("\"line\":3"), "{said}");
}

#[test]
fn does_not_start_on_a_bad_file_and_says_why() {
    let ended = on_file(&["run", "-c", "gateway.yaml"], &GOOD.replace("bind:", "bnd:"));
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("gateway.yaml:3:") && ended.stderr.contains("bnd"), "{}", ended.stderr);
}

#[test]
fn does_not_start_without_its_file() {
    let ended = run(Path::new("/"), &["run", "-c", "/nowhere/gateway.yaml"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("/nowhere/gateway.yaml"), "{}", ended.stderr);
}

#[test]
fn explains_a_request_from_a_file_alone() {
    let args = ["explain", "-c", "gateway.yaml", "POST http://app.test/v1/x?y=1", "-H", "x-a: b", "-d", "hello"];
    let ended = on_file(&args, GOOD);
    assert_eq!(ended.code, 0, "{ended:?}");
    for word in ["edge", "app.test", "writes", "beta", "x-beta", "127.0.0.1:1", "/v1/x?y=1", "cors", "gateway.yaml:10"]
    {
        assert!(ended.stdout.contains(word), "no {word} in:\n{}", ended.stdout);
    }
}

#[test]
fn explains_to_tools_as_json() {
    let args = ["explain", "-c", "gateway.yaml", "http://app.test/v1", "--format", "json"];
    let ended = on_file(&args, GOOD);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert!(told.to_string().contains("fallback"), "{told}");
}

fn checked_gateway() -> (Origin, Gateway) {
    let origin = Origin::http1(|_, wire| wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
    let check = "health_check: { http: { path: /health }, interval: 100ms, unhealthy_after: 1 }";
    let gateway = Setup::to(&origin).cluster(check).start();
    (origin, gateway)
}

#[test]
fn explains_with_the_state_of_a_running_gateway() {
    let (_origin, gateway) = checked_gateway();
    until("the endpoint to be unhealthy", || (gateway.get("/").status == 503).then_some(()));
    let live = run(gateway.dir(), &["explain", "-c", "gateway.yaml", "--live", "GET http://app.test/"]);
    assert_eq!(live.code, 0, "{live:?}");
    assert!(
        live.stdout.contains("health checks fail") && live.stdout.contains("no_healthy_upstream"),
        "{}",
        live.stdout
    );
    let file = run(gateway.dir(), &["explain", "-c", "gateway.yaml", "GET http://app.test/"]);
    assert!(!file.stdout.contains("no_healthy_upstream"), "the file knows nothing of health:\n{}", file.stdout);
}

/// What is explained is what happens: route and target of a live request are those the explanation named.
#[test]
fn explains_what_then_happens() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin)
        .and_route("{ name: api, match: { path: /api, method: [GET, POST] }, to: app, rewrite: { prefix: /v2 } }")
        .and_route("{ name: gone, match: { exact: /gone }, respond: { status: 410 } }")
        .start();
    for (target, route, status) in [("/api/x?y=1", "api", 200), ("/a/../gone", "gone", 410), ("/else", "all", 200)] {
        let url = format!("http://app.test{target}");
        let told = run(gateway.dir(), &["explain", "-c", "gateway.yaml", "--live", &url, "--format", "json"]);
        let told: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
        assert_eq!(told["route"]["name"], route, "{told:#}");
        let answer = gateway.get(target);
        assert_eq!((answer.status, &gateway.record_of(&answer)["route"]), (status, &route.into()));
        if status == 200 {
            assert!(told.to_string().contains(origin.last().target()), "{told:#}");
        }
    }
}

#[test]
fn shows_and_reloads_a_running_gateway() {
    let (_origin, gateway) = checked_gateway();
    let status = run(gateway.dir(), &["status", "-c", "gateway.yaml"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.stdout.contains("edge") && status.stdout.contains("ready"), "{}", status.stdout);
    let reload = run(gateway.dir(), &["reload", "-c", "gateway.yaml"]);
    assert_eq!(reload.code, 0, "{reload:?}");
    let latest = gateway.admin().json("/api/status")["last_reload"].clone();
    assert_eq!((&latest["trigger"], &latest["summary"]), (&"api".into(), &"nothing changed".into()));
}

#[test]
fn says_when_there_is_no_gateway_to_ask() {
    let text = format!("admin: {{ bind: \"{}\" }}\n{GOOD}", portcullis_integration_tests::place::address());
    let ended = on_file(&["status", "-c", "gateway.yaml"], &text);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("127."), "{}", ended.stderr);
}

#[test]
fn says_what_a_new_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("old.yaml"), GOOD).unwrap();
    let new = GOOD.replace("nothing here", "something").replace("127.0.0.1:2", "127.0.0.1:3");
    std::fs::write(dir.path().join("new.yaml"), new).unwrap();
    let ended = run(dir.path(), &["diff", "old.yaml", "new.yaml"]);
    assert!((0..=1).contains(&ended.code), "{ended:?}");
    for word in ["fallback", "app", "127.0.0.1:3", "writes"] {
        assert!(ended.stdout.contains(word), "no {word} in:\n{}", ended.stdout);
    }
}

#[test]
fn prints_a_json_schema_and_its_version() {
    let schema = run(Path::new("/"), &["schema"]);
    let parsed: Value = serde_json::from_str(&schema.stdout).unwrap();
    assert!(parsed["properties"]["listeners"].is_object(), "{}", &schema.stdout[..200]);
    let version = run(Path::new("/"), &["version"]);
    assert!(version.stdout.starts_with("portcullis "), "{version:?}");
}
