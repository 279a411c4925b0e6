//! Commands that look at a running gateway: requests, top, incident.

use portcullis_integration_tests::{Gateway, Origin, Setup, cli, origin, until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;

fn ask(gateway: &Gateway, args: &[&str]) -> cli::Ended {
    let admin = gateway.address("admin").to_string();
    cli::run(gateway.dir(), &[args, &["--admin", &admin]].concat())
}

fn both() -> Gateway {
    let setup = Setup::to(&Origin::says("fine")).and_route("{ name: off, match: { path: /off }, to: dead }");
    setup.and_cluster("dead", origin::refused(), "").start()
}

#[test]
fn the_last_requests_are_a_line_each_oldest_first() {
    let gateway = both();
    let good = gateway.get("/good");
    let bad = gateway.get("/off?secret=1");
    let lines = until("both records", || {
        let ended = ask(&gateway, &["requests"]);
        let lines: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
        (lines.len() == 2).then_some(lines)
    });
    assert!(lines[0].contains("  200  ") && lines[0].ends_with(&good.id()), "{lines:?}");
    assert!(lines[1].contains("route off") && lines[1].contains("upstream_connect_refused"), "{lines:?}");
    let failed = ask(&gateway, &["requests", "--failed", "--route", "off", "--format", "json"]);
    let record: Value = serde_json::from_str(failed.stdout.trim()).unwrap();
    assert_eq!(record["id"], bad.id());
    let none = ask(&gateway, &["requests", "--slow", "30s"]);
    assert!(none.code == 0 && none.stdout.is_empty() && none.stderr.contains("no such request"), "{none:?}");
    let wrong = ask(&gateway, &["requests", "--reason", "bad_luck"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("the name of a reason"), "{wrong:?}");
}

#[test]
fn one_request_is_told_as_a_story() {
    let gateway = both();
    let bad = gateway.get("/off");
    let told =
        until("the record", || Some(ask(&gateway, &["requests", "show", &bad.id()])).filter(|told| told.code == 0));
    for says in [
        "decided     by generation 1: host *, route off, to the cluster dead",
        "failed: upstream_connect_refused",
        "ended       with 5",
    ] {
        assert!(told.stdout.contains(says), "{says} in {told:?}");
    }
    let whole = gateway.admin().json(&format!("/api/requests/{}", bad.id()));
    assert_eq!(whole["cluster"], "dead");
    let unknown = ask(&gateway, &["requests", "show", &"0".repeat(32)]);
    assert!(unknown.code == 1 && unknown.stderr.contains("no such request is kept"), "{unknown:?}");
    assert_eq!(gateway.admin().get("/api/requests/1").status, 400);
}

#[test]
fn top_prints_rates_for_a_pipe() {
    let gateway = both();
    assert_eq!(gateway.get("/").status, 200);
    until("the count", || {
        (gateway.admin().metric("portcullis_route_requests_total", "route=\"all\"") == 1.0).then_some(())
    });
    for (view, row) in [("routes", "*/all"), ("clusters", "app"), ("endpoints", "app "), ("consumers", "")] {
        let ended = ask(&gateway, &["top", "--once", "--view", view]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stdout.starts_with("name "), "{ended:?}");
        assert!(ended.stdout.lines().skip(1).any(|line| line.starts_with(row)) || row.is_empty(), "{ended:?}");
    }
    let filtered = ask(&gateway, &["top", "--once", "--view", "clusters", "--filter", "DEAD"]);
    assert_eq!(filtered.stdout.lines().count(), 2, "{filtered:?}");
    assert_eq!(gateway.admin().get("/api/top?of=everything").status, 400);
}

#[test]
fn an_incident_is_a_folder_for_its_owner_without_secrets() {
    let gateway = both();
    let bad = gateway.get("/off?password=hunter2");
    until("the record", || {
        gateway.admin().try_get(&format!("/api/requests/{}", bad.id())).filter(|one| one.status == 200)
    });
    let ended = ask(&gateway, &["incident", "--out", "bundle", "--note", "the dead cluster"]);
    assert!(ended.code == 0 && ended.stdout == "bundle\n", "{ended:?}");
    let folder = gateway.dir().join("bundle");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("\"127.0.0.1\""), "{path:?}: {text}");
    }
    let failed: Value = serde_json::from_str(&read("failed-requests.json")).unwrap();
    assert_eq!((&failed[0]["id"], &failed[0]["client"]), (&bad.id().into(), &"127.0.0.0/24".into()));
    assert!(read("metrics.txt").contains("portcullis_build_info") && read("config.yaml").contains("dead:"));
    assert!(read("post-mortem.md").starts_with("# Post-mortem: the dead cluster\n"));
    assert!(read("status.txt").starts_with("verdict     "));
    let again = ask(&gateway, &["incident", "--out", "bundle"]);
    assert!(again.code == 1 && again.stderr.contains("cannot be made"), "what is there is not overwritten: {again:?}");
}
