//! What callers spend and use lasts: over a kill, over the end of the process, for bills, and between gateways.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use portcullis_integration_tests::{Gateway, Origin, Setup, cli, until};
use serde_json::{Value, json};

/// In front of an origin, everybody on a plan by address, with not a word of a store.
fn silent(origin: &Origin, plan: &str) -> Setup {
    let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
    Setup::to(origin).top(&format!("plans: {{ free: {plan} }}")).host(filters)
}

/// The same with a store in a directory.
fn keeping(origin: &Origin, plan: &str, directory: &Path) -> Setup {
    silent(origin, plan).top(&format!("store: {{ path: {} }}", directory.display()))
}

fn statuses(gateway: &Gateway, requests: usize) -> Vec<u16> {
    (0..requests).map(|_| gateway.get("/").status).collect()
}

fn store(gateway: &Gateway) -> Value {
    gateway.admin().json("/api/status")["store"].clone()
}

/// Waits until what was spent until now is on disk.
fn until_saved(gateway: &Gateway) {
    let begin = store(gateway)["saved_at_unix_ms"].as_u64().unwrap();
    // The one that runs may have begun before the last request.
    let mut seen = std::collections::BTreeSet::from([begin]);
    until("two more commits", || {
        let now = store(gateway);
        seen.insert(now["saved_at_unix_ms"].as_u64().unwrap());
        (seen.len() >= 3 && now["pending"] == 0).then_some(())
    });
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server of the test's own, without persistence.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start(directory: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(directory);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("redis-server: {error}; run scripts/setup test"));
        until("redis-server", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const CONSUMER: &str = "anonymous:127.0.0.1";

fn used(gateway: &Gateway) -> Value {
    let usage = gateway.admin().json(&format!("/api/usage?consumer={CONSUMER}"));
    assert_eq!(usage["durable"], true);
    usage["consumers"][CONSUMER]["total"]["requests"].clone()
}

#[test]
fn a_quota_and_what_was_used_survive_a_kill() {
    let (origin, directory) = (Origin::says("fine"), tempfile::tempdir().unwrap());
    let setup = keeping(&origin, "{ quota: 5/month }", directory.path());
    let mut gateway = setup.clone().start();
    assert_eq!(statuses(&gateway, 3), [200, 200, 200]);
    until_saved(&gateway);
    gateway.signal("KILL");
    let _ = gateway.wait();
    let gateway = setup.start();
    assert_eq!(statuses(&gateway, 3), [200, 200, 429]);
    until_saved(&gateway);
    assert_eq!(used(&gateway), json!(5));
}

#[test]
fn a_quota_survives_a_kill_when_the_config_says_nothing_of_a_store() {
    let origin = Origin::says("fine");
    let mut gateway = silent(&origin, "{ quota: 5/month }").start();
    assert_eq!(statuses(&gateway, 3), [200, 200, 200]);
    until_saved(&gateway);
    gateway.signal("KILL");
    gateway.start_again();
    assert_eq!(statuses(&gateway, 3), [200, 200, 429]);
    assert!(gateway.dir().join("data/store.redb").exists());
    assert!(gateway.stderr().contains("`store: off` would turn it off"), "{}", gateway.stderr());
}

#[test]
fn a_store_that_is_off_keeps_nothing() {
    let origin = Origin::says("fine");
    let mut gateway = silent(&origin, "{ quota: 2/month }").top("store: off").start();
    assert_eq!(statuses(&gateway, 3), [200, 200, 429]);
    assert_eq!(store(&gateway), Value::Null);
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    let kept: Vec<_> =
        std::fs::read_dir(gateway.dir().join("data")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(kept, ["history"], "of the config alone");
    gateway.start_again();
    assert_eq!(statuses(&gateway, 1), [200]);
}

#[test]
fn a_store_that_nobody_asked_for_and_that_cannot_be_used_is_named_and_the_gateway_serves() {
    let origin = Origin::says("fine");
    let mut gateway = silent(&origin, "{ quota: 3/month }").start();
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    // No directory can be where a file is, whoever the tests run as.
    let data = gateway.dir().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::write(&data, "").unwrap();
    gateway.start_again();
    assert_eq!(statuses(&gateway, 2), [200, 200]);
    let state = store(&gateway);
    assert_eq!(state["state"], "failing", "{state}");
    assert!(state["last_error"].as_str().unwrap().contains("data"), "{state}");
    assert_eq!(gateway.admin().metric("portcullis_store_state", "state=\"failing\""), 1.0);
    assert!(gateway.stderr().contains("DOES NOT LAST"), "{}", gateway.stderr());
    std::fs::remove_file(&data).unwrap();
    until("the store to be opened", || (store(&gateway)["state"] == "good").then_some(()));
    until_saved(&gateway);
    gateway.signal("KILL");
    gateway.start_again();
    assert_eq!(statuses(&gateway, 2), [200, 429]);
}

#[test]
fn what_was_spent_last_is_written_when_the_process_ends() {
    let (origin, directory) = (Origin::says("fine"), tempfile::tempdir().unwrap());
    let setup = keeping(&origin, "{ quota: 5/month }", directory.path());
    let mut gateway = setup.clone().start();
    assert_eq!(statuses(&gateway, 4), [200, 200, 200, 200]);
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    let lines = std::fs::read_to_string(directory.path().join("usage/usage.ndjson")).unwrap();
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["consumer"], &line["method"], &line["requests"]),
        (&json!(CONSUMER), &json!("(http)"), &json!(4))
    );
    let gateway = setup.start();
    assert_eq!(statuses(&gateway, 2), [200, 429]);
    let told = cli::run(directory.path(), &["usage", CONSUMER, "--admin", &gateway.address("admin").to_string()]);
    assert!(told.stdout.contains("(http)"), "{told:?}");
}

#[test]
fn a_store_that_cannot_be_used_stops_the_start_and_says_why() {
    let (origin, directory) = (Origin::says("fine"), tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("store.redb"), "something else, and long enough to be looked at").unwrap();
    let mut gateway = Gateway::spawn(&keeping(&origin, "{ quota: 5/month }", directory.path()).yaml());
    assert!(!gateway.wait().success());
    let said = gateway.stderr();
    assert!(said.contains("store.redb is damaged or no store") && said.contains("move it away"), "{said}");
}

#[test]
fn a_redis_that_is_not_there_delays_nothing_and_is_named() {
    let (origin, directory) = (Origin::says("fine"), tempfile::tempdir().unwrap());
    // Nobody listens on the port of a socket that is gone.
    let port = free_port();
    let store_line =
        format!("store: {{ path: {}, redis: {{ url: \"redis://127.0.0.1:{port}\" }} }}", directory.path().display());
    let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
    let setup = Setup::to(&origin).top("plans: { free: { quota: 5/month } }").top(&store_line).host(filters);
    let gateway = setup.start();
    assert_eq!(statuses(&gateway, 2), [200, 200]);
    let redis = until("the state", || {
        let redis = store(&gateway)["redis"].clone();
        (redis["state"] == "unreachable").then_some(redis)
    });
    assert!(redis["last_error"].as_str().unwrap().contains("refused"), "{redis}");
    assert_eq!(gateway.admin().metric("portcullis_redis_state", "state=\"unreachable\""), 1.0);
    assert_eq!(gateway.admin().metric("portcullis_store_state", "state=\"good\""), 1.0);
}

#[test]
fn gateways_share_a_quota_and_go_on_when_redis_dies() {
    let (origin, directory) = (Origin::says("fine"), tempfile::tempdir().unwrap());
    let redis = Redis::start(directory.path());
    let start = |name: &str, plan: &str| {
        let store_line = format!(
            "store: {{ path: {}, redis: {{ url: \"redis://127.0.0.1:{}\" }} }}",
            directory.path().join(name).display(),
            redis.port
        );
        let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
        let setup = Setup::to(&origin).top(&format!("plans: {{ free: {plan} }}")).top(&store_line);
        setup.host(filters).start()
    };
    let plan = "{ quota: 20/d, gateways: { most: 2, overdraft: 1 }, outage: refuse }";
    let gateways = [start("a", plan), start("b", plan)];
    until("both to know each other", || {
        let known = |gateway: &Gateway| store(gateway)["redis"]["gateways"]["known"] == 2;
        gateways.iter().all(known).then_some(())
    });
    let (mut admitted, mut refused) = (0, 0);
    until("the end of the quota", || {
        for gateway in &gateways {
            match gateway.get("/").status {
                200 => (admitted, refused) = (admitted + 1, 0),
                429 => refused += 1,
                other => panic!("{other}"),
            }
        }
        (refused > 300).then_some(())
    });
    assert!((18..=20 + 2 * 3).contains(&admitted), "{admitted} of 20");
    drop(redis);
    until("the outage to be named", || (store(&gateways[0])["redis"]["state"] == "unreachable").then_some(()));
    assert_eq!(gateways[0].get("/").status, 429);
}
