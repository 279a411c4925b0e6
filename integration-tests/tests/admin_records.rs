//! What the admin API writes down: who did what, and what was overridden.

use portcullis_integration_tests::cli::run;
use portcullis_integration_tests::{Gateway, Origin, Setup, until};
use serde_json::Value;

const BAN: &str = r#"{"network":"203.0.113.0/24","for":"1h","reason":"credential stuffing"}"#;

fn lines(gateway: &Gateway, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(gateway.dir().join(file)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_audit_log_has_every_change_and_every_refusal_and_is_rotated() {
    let admin = "admin: { bind: \"@admin\", audit: { file: audit.log } }";
    let gateway = Setup::to(&Origin::says("fine")).top(admin).start();
    let done = gateway.admin().post("/api/bans", "", BAN);
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(gateway.admin().post("/api/reload?secret=1", "Origin: http://evil.test\r\n", "").status, 403);
    assert_eq!(gateway.admin().get("/api/status").status, 200);
    let lines_of =
        |file: &str, count: usize| until("the lines", || Some(lines(&gateway, file)).filter(|all| all.len() >= count));
    let all = lines_of("audit.log", 2);
    let shown = |line: &Value| format!("{} {} {} {}", line["actor"], line["method"], line["path"], line["status"]);
    let shown: Vec<String> = all.iter().map(shown).collect();
    assert_eq!(shown, ["\"loopback\" \"POST\" \"/api/bans\" 200", "null \"POST\" \"/api/reload?…\" 403"]);
    assert_eq!((&all[0]["reason"], &all[1]["refused"]), (&"credential stuffing".into(), &"cross_site".into()));
    assert_eq!(all[0]["id"], done.field("x-request-id").unwrap());
    std::fs::rename(gateway.dir().join("audit.log"), gateway.dir().join("audit.1")).unwrap();
    gateway.signal("HUP");
    until("the new file", || gateway.dir().join("audit.log").exists().then_some(()));
    assert_eq!(gateway.admin().post("/api/reload", "", "").status, 200);
    assert_eq!(lines_of("audit.log", 1)[0]["path"], "/api/reload");
}

#[test]
fn an_audit_log_on_a_full_disk_stops_nobody_and_is_said() {
    let admin = "admin: { bind: \"@admin\", audit: { file: /dev/full } }";
    let gateway = Setup::to(&Origin::says("fine")).top(admin).start();
    assert_eq!(gateway.admin().post("/api/bans", "", BAN).status, 200);
    assert_eq!(gateway.admin().get("/api/status").status, 200);
    let dropped = || gateway.admin().metric("portcullis_records_dropped_total", "sink=\"audit\"");
    until("the loss to be counted", || (dropped() >= 1.0).then_some(()));
    until("the loss to be said", || gateway.stderr().contains("log `audit`: cannot write").then_some(()));
    let status = gateway.admin().json("/api/status");
    let audit = status["logs"].as_array().unwrap().iter().find(|log| log["name"] == "audit").unwrap().clone();
    assert_eq!(audit["dropped"]["write_failed"], 1, "{status}");
    assert_eq!(gateway.admin().json("/api/audit")["entries"][0]["path"], "/api/bans");
}

#[test]
fn overrides_outlive_a_restart_and_what_ended_meanwhile_is_said() {
    let origin = Origin::says("fine");
    let mut gateway = Setup::to(&origin).top("store: { path: data }").start();
    let short = r#"{"network":"198.51.100.0/24","for":"4s","reason":"a short one"}"#;
    assert_eq!(gateway.admin().post("/api/bans", "", BAN).status, 200);
    let drain = format!(r#"{{"action":"drain","endpoint":"{}","for":"30m","reason":"disk swap"}}"#, origin.address());
    let drained = gateway.admin().post("/api/clusters/app/endpoints", "", &drain);
    assert_eq!(drained.status, 200, "{}", drained.text());
    assert_eq!(gateway.get("/").status, 503);
    assert_eq!(gateway.admin().post("/api/bans", "", short).status, 200);
    gateway.signal("KILL");
    gateway.wait();
    let file = gateway.dir().join("data/overrides.json");
    until("the short one to be over", || {
        let since = file.metadata().unwrap().modified().unwrap();
        since.elapsed().ok().filter(|age| age.as_millis() > 3_500)
    });
    gateway.start_again();
    assert_eq!(gateway.get("/").status, 503, "still drained, before anything was served");
    let told = gateway.admin().json("/api/overrides?ended=1");
    let targets: Vec<&str> =
        told["overrides"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
    let endpoint = format!("app {}", origin.address());
    assert_eq!(targets, [endpoint.as_str(), "203.0.113.0/24"], "soonest to end first");
    assert_eq!(
        (&told["overrides"][0]["reason"], &told["overrides"][0]["who"]),
        (&"disk swap".into(), &"loopback".into())
    );
    assert_eq!(told["ended"][0]["target"], "198.51.100.0/24", "{told}");
    assert!(told["ended"][0]["how"].as_str().unwrap().contains("did not run"), "{told}");
    let said = gateway.stderr();
    assert!(said.contains("disk swap holds again") && said.contains("a short one is over"), "{said}");
    let listed = run(gateway.dir(), &["overrides", "--ended", "-c", "gateway.yaml"]);
    assert!(listed.stdout.contains("drain by loopback: disk swap; for another 29m"), "{listed:?}");
    assert!(listed.stdout.contains("over since") && listed.stdout.contains("a short one"), "{listed:?}");
}

#[test]
fn without_a_store_overrides_end_with_the_process_and_that_is_said() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    until("the word", || gateway.stderr().contains("overrides by the admin API end with this process").then_some(()));
    assert_eq!(gateway.admin().json("/api/overrides")["lasts_over_a_restart"], false);
    let second = r#"{"network":"198.51.100.0/24","for":"1s","reason":"a short one"}"#;
    assert_eq!(gateway.admin().post("/api/bans", "", second).status, 200);
    until("the end to be said", || gateway.stderr().contains("a short one is over, its time is up").then_some(()));
    let told = gateway.admin().json("/api/overrides?ended=1");
    assert_eq!((&told["ended"][0]["how"], &told["overrides"]), (&"its time is up".into(), &serde_json::json!([])));
}
