//! Tests of what `explain` says of endpoints, places and listeners.

use portcullis_balance::Ask;
use portcullis_snapshot::Snapshot;
use portcullis_snapshot::explain::{Explanation, Moment, NEAREST, Question, explain};
use portcullis_types::GenerationId;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use super::explain::{ask_of, world};

const CONFIG: &str = r#"
version: 1
listeners:
  edge: { bind: "127.0.0.1:0" }
  inner: { bind: "127.0.0.1:8081" }
clusters:
  sessions:
    balance: { hash: { by: "header:x-user" } }
    endpoints:
      - { address: "127.0.0.1:9001", weight: 3 }
      - { address: "127.0.0.1:9002" }
      - { address: "127.0.0.1:9003" }
      - { address: "127.0.0.1:9004", weight: 0 }
  lottery:
    balance: random
    endpoints:
      - { address: "127.0.0.1:9005", weight: 2 }
      - { address: "127.0.0.1:9006" }
      - { address: "127.0.0.1:9007", weight: 0 }
      - { address: "127.0.0.1:9008", priority: 1 }
hosts:
  - names: [app.example.com]
    routes:
      - { name: lottery, match: { path: /lottery }, to: lottery }
      - { name: rest, to: sessions }
"#;

fn snapshot(config: &str) -> Snapshot {
    let (_dir, world) = world(config);
    world.activate(world.check().candidate.unwrap(), None, (GenerationId(1), "test")).unwrap()
}

fn now<'a>(bound: &'a [(String, Vec<SocketAddr>)]) -> Moment<'a> {
    Moment { now: Instant::now(), live: true, bound }
}

async fn of_user(snapshot: &Snapshot, user: &str) -> Explanation {
    let mut question = Question::new("http://app.example.com/").unwrap();
    question.field(&format!("x-user: {user}")).unwrap();
    explain(snapshot, &question, now(&[])).await
}

#[tokio::test]
async fn a_hashed_request_is_told_the_endpoint_that_the_balancer_takes() {
    let snapshot = snapshot(CONFIG);
    let cluster = snapshot.cluster_named("sessions").unwrap();
    let before = cluster.fleet.members().endpoints.explain(Instant::now());
    let mut told = Vec::new();
    for user in (0..60).map(|user| format!("user-{user}")) {
        let finding = of_user(&snapshot, &user).await.cluster.unwrap();
        let endpoint = finding.endpoint.unwrap();
        assert_eq!(finding.chosen.unwrap(), format!("by its header:x-user, this request takes {endpoint}"));
        assert!(finding.endpoints.iter().all(|endpoint| endpoint.share.is_none()));
        told.push((user, endpoint));
    }
    let after = cluster.fleet.members().endpoints.explain(Instant::now());
    assert!(before.iter().zip(&after).all(|(one, other)| one.totals == other.totals), "an explanation was counted");
    for (user, endpoint) in &told {
        let key = portcullis_policy::stable_hash(0, user.as_bytes());
        let choice =
            cluster.fleet.members().endpoints.choose(&Ask { key: Some(key), ..Ask::new(Instant::now(), 7) }).unwrap();
        assert_eq!(choice.endpoint().spec().name.as_str(), endpoint, "{user}");
    }
    for name in ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"] {
        assert!(told.iter().any(|(_, endpoint)| endpoint == name), "{name} is never taken");
    }
}

#[tokio::test]
async fn a_hashed_request_passes_an_endpoint_that_is_full_as_the_balancer_does() {
    let snapshot = snapshot(CONFIG);
    let cluster = snapshot.cluster_named("sessions").unwrap();
    let key = portcullis_policy::stable_hash(0, b"user-1");
    let ask = || Ask { key: Some(key), ..Ask::new(Instant::now(), 7) };
    let mut held = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let told = of_user(&snapshot, "user-1").await.cluster.unwrap().endpoint.unwrap();
        let choice = cluster.fleet.members().endpoints.choose(&ask()).unwrap();
        assert_eq!(choice.endpoint().spec().name.as_str(), told, "with {} in flight", held.len());
        names.insert(told);
        held.push(choice);
    }
    assert!(names.len() > 1, "no endpoint was ever full");
}

#[test]
fn where_chance_decides_each_share_is_told() {
    let finding = ask_of(CONFIG, |_| {}, "http://app.example.com:8081/lottery").cluster.unwrap();
    let shares: Vec<_> = finding.endpoints.iter().map(|each| each.share.map(|share| share.to_string())).collect();
    assert_eq!(shares, [Some("66.7%".to_owned()), Some("33.3%".to_owned()), None, None]);
    assert_eq!((finding.endpoint, finding.chosen.as_deref()), (None, Some("chance decides, by weight")));
    let told = ask_of(CONFIG, |_| {}, "http://app.example.com:8081/");
    let finding = told.cluster.as_ref().unwrap();
    assert_eq!(finding.chosen.as_deref(), Some("the request has no header:x-user: chance decides, by weight"));
    assert_eq!(finding.endpoints[0].share.unwrap().to_string(), "60%");
    assert!(told.to_string().contains("(weight 3, priority 0, 60% of the requests)"), "{told}");
}

#[test]
fn clusters_and_listeners_are_told_with_their_lines() {
    let told = ask_of(CONFIG, |_| {}, "http://app.example.com:8081/lottery");
    let at = |at: &Option<String>| at.as_ref().unwrap().rsplit_once("gateway.yaml:").unwrap().1.to_owned();
    assert_eq!(told.listeners.iter().map(|trial| at(&trial.at)).collect::<Vec<_>>(), ["4", "5"]);
    assert_eq!(at(&told.cluster.as_ref().unwrap().at), "14");
    let (text, json) = (told.to_string(), told.to_json());
    assert!(text.contains("gateway.yaml:5)\n") && text.contains("gateway.yaml:14)\n"), "{text}");
    assert!(json["listeners"][1]["at"].as_str().unwrap().ends_with("gateway.yaml:5"), "{json}");
    assert!(json["cluster"]["at"].as_str().unwrap().ends_with("gateway.yaml:14"), "{json}");
}

#[tokio::test]
async fn a_listener_on_port_0_is_told_by_the_port_that_is_bound() {
    let snapshot = snapshot(CONFIG);
    let bound = [("edge".to_owned(), vec![SocketAddr::from(([127, 0, 0, 1], 43_210))])];
    let question = Question::new("http://app.example.com:43210/").unwrap();
    let told = explain(&snapshot, &question, now(&bound)).await;
    let edge = &told.listeners[0];
    assert_eq!((edge.takes, &edge.bind[..]), (true, &["127.0.0.1:43210".to_owned()][..]));
    assert_eq!(edge.why, "speaks plain text on port 43210");
    assert_eq!(told.listeners[1].bind, ["127.0.0.1:8081"]);
}

#[test]
fn of_many_routes_the_nearest_are_told_and_all_when_asked() {
    let mut config = CONFIG.replace("      - { name: rest, to: sessions }\n", "");
    for n in 0..300 {
        writeln!(config, "      - {{ name: r{n}, match: {{ path: /, headers: {{ x-n: \"{n}\" }} }}, to: sessions }}")
            .unwrap();
    }
    let of = |all: bool| {
        ask_of(
            &config,
            |question| {
                question.all = all;
                question.field("x-n: 250").unwrap();
            },
            "http://app.example.com:8081/",
        )
    };
    let told = of(false);
    assert_eq!((told.routes.len(), told.routes_left_out), (NEAREST, 281));
    assert!(told.routes[14].wins && told.routes.iter().any(|trial| trial.wins && trial.name == "r250"), "{told}");
    assert!(told.to_string().contains("… and 281 more"), "{told}");
    assert_eq!(told.to_json()["routes_left_out"], 281);
    let told = of(true);
    assert_eq!((told.routes.len(), told.routes_left_out), (301, 0));
}

#[tokio::test]
async fn a_selection_by_labels_is_told_and_only_its_endpoints_are() {
    let config = CONFIG
        .replace("127.0.0.1:9002\" }", "127.0.0.1:9002\", labels: { version: canary } }")
        .replace("to: sessions }", "to: { cluster: sessions, subset: { version: canary } } }");
    let told = of_user(&snapshot(&config), "a").await;
    let cluster = told.cluster.as_ref().unwrap();
    assert!(cluster.because.contains("version: canary"), "{}", cluster.because);
    assert_eq!(cluster.endpoints.len(), 1);
    assert_eq!(cluster.endpoint.as_deref(), Some("127.0.0.1:9002"));
}
