//! The dashboard in a real browser: what an operator sees and clicks.

use portcullis_integration_tests::{Client, Gateway};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dashboard")
}

/// The Node of `scripts/setup`, else the system's.
fn node() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rpc-clients/node");
    if ours.is_file() { ours } else { "node".into() }
}

fn start(check: &str, gateway: &Gateway) -> Child {
    let place = |name: &str| format!("http://{}", gateway.address(name));
    let mut command = Command::new(node());
    command.current_dir(folder()).arg("browser.js").args([check, &place("admin"), &place("edge")]);
    if let Some(pictures) = std::env::var_os("PORTCULLIS_SCREENSHOTS") {
        command.arg(pictures);
    }
    command.stdout(Stdio::piped()).spawn().expect("node; scripts/setup test installs it")
}

/// What the browser saw in the end.
fn end(mut child: Child) -> Value {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines.map(Result::unwrap).filter(|line| line.starts_with('{')).last();
    let status = child.wait().unwrap();
    assert!(status.success(), "the browser ended with {status}; it had said {last:?}");
    serde_json::from_str(&last.expect("a word of the browser")).unwrap()
}

fn see(check: &str, gateway: &Gateway) -> Value {
    end(start(check, gateway))
}

fn nothing_to_complain(seen: &Value) {
    assert_eq!(seen["complaints"], Value::Array(Vec::new()), "{seen:#}");
}

fn gateway() -> Gateway {
    Gateway::with_yaml(
        "listeners: { edge: { bind: \"@edge\" } }\n\
         clusters:\n  app: { endpoints: [\"127.0.0.1:1\", \"127.0.0.1:2\"] }\n\
         hosts:\n  - names: [\"*\"]\n    routes:\n      \
         - { name: app, match: { path: /app }, to: app }\n      \
         - { name: all, respond: { body: one } }\n",
    )
}

/// Some requests of each kind, so that there is something to see.
fn busy(gateway: &Gateway) {
    let mut client = gateway.client();
    for path in ["/", "/app/down", "/x"].iter().cycle().take(60) {
        assert!([200, 502, 503].contains(&client.get(path).status), "{path}");
    }
}

#[test]
fn every_view_shows_at_desktop_and_phone_width_in_both_themes_without_a_fault() {
    let gateway = gateway();
    busy(&gateway);
    let seen = see("views", &gateway);
    nothing_to_complain(&seen);
    for (view, told) in seen.as_object().unwrap().iter().filter(|(view, _)| *view != "complaints") {
        assert!(told["title"].as_str().unwrap().ends_with("Portcullis"), "{view}: {told}");
        assert!(told["wide"].as_i64().unwrap() <= 0, "{view} scrolls sideways by {} pixels", told["wide"]);
        assert_eq!(told["violations"], Value::Array(Vec::new()), "{view}");
    }
}

#[test]
fn what_happens_now_shows_by_itself() {
    let seen = see("live", &gateway());
    nothing_to_complain(&seen);
    assert!(seen["rows"].as_u64().unwrap() >= 1, "{seen}");
}

#[test]
fn a_config_is_applied_and_rolled_back_by_clicking() {
    let seen = see("apply", &gateway());
    assert!(seen["finding"].as_str().unwrap().contains("boddy"), "{seen}");
    assert!(seen["selected"].as_str().unwrap().contains("boddy"), "the cursor is on the line: {seen}");
    assert!(seen["effect"].as_str().unwrap().contains("route all"), "{seen}");
    assert_eq!((&seen["applied"], &seen["back"]), (&"two".into(), &"one".into()), "{seen}");
    nothing_to_complain(&seen);
}

#[test]
fn a_gateway_that_ends_is_missed() {
    let mut gateway = gateway();
    let mut child = start("dead", &gateway);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("opened"));
    gateway.signal("KILL");
    gateway.wait();
    let seen: Value = serde_json::from_str(&lines.next().expect("what it saw")).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(seen["says"].as_str().unwrap().contains("has not answered"), "{seen}");
    assert_eq!((&seen["verdict"], &seen["views"]), (&"no answer".into(), &1.into()), "{seen}");
}

#[test]
fn markup_of_clients_and_configs_stays_text() {
    let hurt = "<img src=x onerror=globalThis.hurt=1>";
    let gateway = Gateway::with_yaml(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters:\n  app: {{ endpoints: [{{ address: \"127.0.0.1:1\", zone: \"{hurt}\" }}] }}\n\
         hosts:\n  - names: [\"*\"]\n    routes:\n      \
         - {{ name: app, match: {{ path: /app }}, to: app }}\n      \
         - {{ name: all, respond: {{ body: \"{hurt}\" }} }}\n"
    ));
    let escaped = "%3Cimg%20src=x%20onerror=globalThis.hurt=1%3E";
    let mut client: Client = gateway.client();
    client.ask(format!("GET /{escaped} HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {hurt}\r\nX: {hurt}\r\n\r\n"));
    client.ask(format!("GET /app HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {hurt}\r\n\r\n"));
    let seen = see("hostile", &gateway);
    assert_eq!((&seen["raised"], &seen["images"], &seen["marked"]), (&0.into(), &0.into(), &Value::Null), "{seen}");
    assert_eq!(seen["shown"], true, "{seen}");
    nothing_to_complain(&seen);
}

#[test]
fn a_token_is_asked_for_and_kept_in_the_tab_alone() {
    let gateway = Gateway::with_yaml(
        "listeners: { edge: { bind: \"@edge\" } }\nadmin: { bind: \"@admin\", token: right-token }\n\
         hosts: [{ names: [\"*\"], routes: [{ name: all, respond: {} }] }]\n",
    );
    let seen = see("token", &gateway);
    assert_eq!((&seen["cookies"], &seen["kept"]), (&0.into(), &serde_json::json!([0, 1])), "{seen}");
}

#[test]
fn views_are_reached_by_keys() {
    let seen = see("keys", &gateway());
    nothing_to_complain(&seen);
    assert_eq!(seen["focused"], "INPUT", "{seen}");
}

#[test]
fn ten_thousand_routes_and_five_thousand_endpoints_are_found_by_searching() {
    let routes: String = (0..10_000)
        .map(|n| {
            format!(
                "      - {{ name: route-{n}, match: {{ path: /{n} }}, to: {} }}\n",
                if n < 9_999 { "first" } else { "last" }
            )
        })
        .collect();
    let endpoints: String = (0..5_000).map(|n| format!("\"10.9.{}.{}:80\", ", n / 256, n % 256)).collect();
    let gateway = Gateway::with_yaml(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters:\n  first: {{ endpoints: [\"127.0.0.1:1\"] }}\n  last: {{ endpoints: [{endpoints}] }}\n\
         hosts:\n  - names: [\"*\"]\n    routes:\n{routes}"
    ));
    let seen = see("large", &gateway);
    assert!(seen["drawn"]["routes"].as_u64().unwrap() <= 200, "{seen}");
    assert!(seen["found"].as_str().unwrap().contains("10.9.19.130:80"), "{seen}");
    assert!(seen["wide"].as_i64().unwrap() <= 0, "{seen}");
    nothing_to_complain(&seen);
}
