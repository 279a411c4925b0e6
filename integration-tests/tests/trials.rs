//! Changes that are watched: a bad one is taken back by itself, and who was not on trial notices nothing.

use portcullis_integration_tests::cli::run;
use portcullis_integration_tests::{Gateway, Response, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A config whose only route answers so.
fn answers(with: &str) -> String {
    format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\nhosts:\n  - names: [\"*\"]\n    routes:\n      \
         - {{ name: all, respond: {{ {with} }} }}\n"
    )
}

const GOOD: &str = "status: 200, body: one";
const BAD: &str = "status: 503, body: bad";

fn apply(gateway: &Gateway, text: &str, query: &str) -> Response {
    let seen = gateway.admin().json("/api/config")["hash"].as_str().unwrap().to_owned();
    gateway.admin().post(&format!("/api/config?{query}"), &format!("If-Match: \"{seen}\"\r\n"), &gateway.complete(text))
}

/// Callers of four hundred keys, until they are told to stop. Each key's statuses are counted.
struct Callers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<BTreeMap<u32, BTreeMap<u16, u64>>>>,
}

impl Callers {
    fn start(gateway: &Gateway) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let call = |from: u32| {
            let (mut client, stop) = (gateway.client(), stop.clone());
            std::thread::spawn(move || {
                let mut seen: BTreeMap<u32, BTreeMap<u16, u64>> = BTreeMap::new();
                for key in (from..400).step_by(2).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: key-{key}\r\n\r\n"));
                    *seen.entry(key).or_default().entry(answer.status).or_default() += 1;
                    // Some hundreds a second are enough, and leave the machine to the gateway.
                    std::thread::sleep(Duration::from_millis(2));
                }
                seen
            })
        };
        let threads = vec![call(0), call(1)];
        Self { stop, threads }
    }

    /// The statuses of each key.
    fn stop(self) -> BTreeMap<u32, BTreeMap<u16, u64>> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn ended(gateway: &Gateway) -> Value {
    until("the end of the trial", || {
        let now = gateway.admin().json("/api/trial");
        (now["kind"].is_null() && now["last"].is_object()).then(|| now["last"].clone())
    })
}

#[test]
fn a_canary_that_fails_is_taken_back_and_nobody_else_notices() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    let callers = Callers::start(&gateway);
    let applied = apply(&gateway, &answers(BAD), "canary=20%25&for=60s&note=worse");
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!((&applied.json()["generation"], &applied.json()["trial"]), (&1.into(), &2.into()));
    let last = ended(&gateway);
    // By the trial's own steps, three seconds of which came before: a busy machine may take longer over each.
    assert!(last["trial"]["seconds"].as_f64().is_some_and(|seconds| seconds + 3.0 < 10.0), "{last}");
    assert_eq!((&last["good"], &last["generation"]), (&false.into(), &2.into()), "{last}");
    assert!(last["says"].as_str().unwrap().contains("more requests failed"), "{last}");
    let seen = callers.stop();
    let on_trial = seen.values().filter(|statuses| statuses.contains_key(&503)).count();
    assert!((40..=120).contains(&on_trial), "{on_trial} of {} callers", seen.len());
    assert_eq!(gateway.admin().json("/api/status")["generation"], 1);
    assert_eq!(gateway.get("/").text(), "one");
    let second = gateway.admin().json("/api/history/2");
    assert_eq!((&second["outcome"], &second["verdict"]["good"]), (&"failed".into(), &false.into()), "{second}");
    assert!(gateway.admin().metric("portcullis_reloads_total", "failed") > 0.0);
}

#[test]
fn a_canary_serves_the_same_callers_until_it_serves_all() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    assert_eq!(apply(&gateway, &answers("status: 200, body: two"), "canary=50%25").status, 200);
    let phase = |wanted: &str| (gateway.admin().json("/api/trial")["phase"] == wanted).then_some(());
    let ask = |key: u32| {
        gateway.client().ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: key-{key}\r\n\r\n")).text()
    };
    let alike = (0..20).all(|key| ask(key) == "one");
    // What was answered before the lead-in was over; on a machine that is very late that may be nothing.
    assert!(alike || phase("lead").is_none(), "all are served alike while the groups are told apart");
    until("the canary to begin", || phase("watching"));
    // It is watched from when it begins to serve, which takes its turn among changes.
    until("the canary to serve", || (0..40).any(|key| ask(key) == "two").then_some(()));
    let first: Vec<String> = (0..40).map(ask).collect();
    assert!(first.contains(&"one".to_owned()) && first.contains(&"two".to_owned()), "{first:?}");
    assert_eq!((0..40).map(ask).collect::<Vec<_>>(), first);
    let refused = apply(&gateway, &answers("status: 200, body: three"), "");
    assert_eq!(refused.status, 409);
    assert!(refused.json()["detail"].as_str().unwrap().contains("a canary of generation 2 is under way"));
    let promoted = gateway.admin().post("/api/trial/promote?note=fine", "", "");
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    assert!((0..40).all(|key| ask(key) == "two"));
    assert_eq!(gateway.admin().json("/api/status")["generation"], 2);
    let second = gateway.admin().json("/api/history/2");
    assert_eq!((&second["outcome"], &second["verdict"]["good"]), (&"applied".into(), &true.into()), "{second}");
    assert!(second["verdict"]["says"].as_str().unwrap().contains("fine"), "{second}");
    assert_eq!(gateway.admin().post("/api/trial/abort", "", "").status, 409, "there is none any more");
}

#[test]
fn a_file_that_is_refused_leaves_a_trial_alone_and_one_that_is_taken_ends_it() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    assert_eq!(apply(&gateway, &answers("status: 200, body: two"), "canary=50%25").status, 200);
    let admin = gateway.admin();
    let generations = |count: usize| {
        until("generations in the status", || {
            (admin.json("/api/status")["generations"].as_array().unwrap().len() == count).then_some(())
        });
    };
    generations(2);
    gateway.write(&answers(GOOD).replace("bind:", "bnd:"));
    until("a refusal", || (admin.metric("portcullis_reloads_total", "refused") > 0.0).then_some(()));
    assert_eq!(admin.json("/api/trial")["generation"], 2, "it goes on");
    gateway.write(&answers("status: 200, body: three"));
    until("the file", || (gateway.get("/").text() == "three").then_some(()));
    // Written down when the new generation serves already.
    let trial = until("the trial's end", || Some(admin.json("/api/trial")).filter(|trial| !trial["last"].is_null()));
    assert!(trial["kind"].is_null() && trial["last"]["says"] == "another change came", "{trial}");
}

#[test]
fn a_probation_that_an_operator_rolls_back_was_not_good() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    assert_eq!(apply(&gateway, &answers("status: 200, body: two"), "probation=60s").status, 200);
    assert_eq!(gateway.admin().post("/api/rollback", "", r#"{"note":"looks wrong"}"#).status, 200);
    let last = gateway.admin().json("/api/trial")["last"].clone();
    assert_eq!(
        (&last["good"], &last["says"]),
        (&false.into(), &"rolled back by loopback: looks wrong".into()),
        "{last}"
    );
}

#[test]
fn a_rollback_ends_a_canary() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    assert_eq!(apply(&gateway, &answers("status: 200, body: two"), "").status, 200);
    assert_eq!(apply(&gateway, &answers("status: 200, body: three"), "canary=50%25").status, 200);
    assert_eq!(gateway.admin().post("/api/rollback", "", "").status, 200);
    assert_eq!(gateway.get("/").text(), "one");
    let trial = gateway.admin().json("/api/trial");
    assert!(trial["kind"].is_null() && trial["last"]["says"] == "rolled back by loopback", "{trial}");
}

#[test]
fn a_probation_that_goes_worse_is_rolled_back() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    let callers = Callers::start(&gateway);
    // Something of before is needed, to compare with.
    until("two seconds of traffic", || {
        let steps = gateway.admin().json("/api/timeline")["steps"].clone();
        steps
            .as_array()
            .is_some_and(|steps| steps.iter().any(|step| step["requests"].as_u64() > Some(100)))
            .then_some(())
    });
    let applied = apply(&gateway, &answers(BAD), "probation=60s");
    assert_eq!((applied.status, &applied.json()["trial"]), (200, &2.into()), "{}", applied.text());
    let last = ended(&gateway);
    assert_eq!(last["good"], false, "{last}");
    until("the one before", || (gateway.get("/").text() == "one").then_some(()));
    assert!(last["trial"]["seconds"].as_f64().is_some_and(|seconds| seconds < 10.0), "{last}");
    drop(callers.stop());
    let list = gateway.admin().json("/api/history")["generations"].clone();
    assert_eq!(
        (&list[0]["trigger"], &list[0]["who"], &list[0]["of"]),
        (&"trial".into(), &"the probation".into(), &1.into()),
        "{list}"
    );
    assert_eq!(list[1]["verdict"]["good"], false, "{list}");
}

#[test]
fn what_holds_for_everybody_cannot_be_tried_on_a_share() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    let more = answers(GOOD) + "generations: 3\n";
    let refused = apply(&gateway, &more, "canary=5%25");
    assert_eq!(refused.status, 409);
    assert!(
        refused.json()["detail"].as_str().unwrap().contains("what holds for everybody: settings"),
        "{}",
        refused.text()
    );
    for query in ["canary=5", "canary=60%25", "probation=1s", "canary=5%25&probation=60s", "for=60s"] {
        assert_eq!(apply(&gateway, &answers(BAD), query).status, 400, "{query}");
    }
    assert!(gateway.admin().json("/api/trial")["kind"].is_null());
}

#[test]
fn apply_waits_for_the_verdict_and_says_by_its_exit_code_what_it_was() {
    let gateway = Gateway::with_yaml(&answers(GOOD));
    let callers = Callers::start(&gateway);
    fs::write(gateway.dir().join("bad.yaml"), gateway.complete(&answers(BAD))).unwrap();
    let ended =
        run(gateway.dir(), &["apply", "bad.yaml", "--yes", "--canary", "20%", "--for", "60s", "-c", "gateway.yaml"]);
    drop(callers.stop());
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stdout.contains("generation 2: it was taken back: more requests failed"), "{ended:?}");
    assert_eq!(gateway.get("/").text(), "one");
}
