//! The binary is replaced while other parts are in the middle of something: a change on trial, a file with errors, a change
//! that is being asked for, logs that turn over, an admin API at several places.

use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::place::own_ip;
use portcullis_integration_tests::{Client, Gateway, Origin, Response, Setup, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// However late a busy machine lets the gateway run, nothing is refused for it.
const PATIENT: &str = "overload: { event_loop_delay: 0s }";
const ANY: &str = "If-Match: *\r\n";

fn setup(origin: &Origin) -> Setup {
    Setup::to(origin).top("drain: { timeout: 30s, idle: 20s, streams: 100ms }").top(PATIENT)
}

fn upgraded(gateway: &Gateway, answer: &Response) -> u32 {
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.stderr());
    let pid = u32::try_from(answer.json()["pid"].as_u64().unwrap()).unwrap();
    gateway.end_with_test(pid);
    pid
}

fn upgrade(gateway: &Gateway) -> u32 {
    upgraded(gateway, &gateway.admin().post("/api/upgrade", "", ""))
}

#[test]
fn a_change_on_trial_is_decided_first() {
    let origin = Origin::says("fine");
    let setup = setup(&origin);
    let gateway = setup.start();
    let changed = setup.and_route("{ name: new, match: { exact: /new }, respond: { body: new } }");
    let changed = gateway.complete(&changed.yaml());
    for (query, kind, number) in [("canary=50%25&for=60s", "canary", 2), ("probation=60s", "probation", 3)] {
        let applied = gateway.admin().post(&format!("/api/config?{query}"), ANY, &changed);
        assert_eq!(applied.status, 200, "{query}: {}", applied.text());
        let refused = gateway.admin().post("/api/upgrade", "", "");
        assert_eq!((refused.status, refused.reason().as_str()), (409, "upgrade_failed"), "{query}");
        let says = format!("generation {number} is on trial: promote or abort it first");
        assert_eq!(refused.detail(), says, "{query}");
        let status = gateway.admin().json("/api/status");
        assert_eq!(
            (&status["lifecycle"]["state"], &status["lifecycle"]["pid"]),
            (&json!("serving"), &json!(gateway.pid()))
        );
        let trial = gateway.admin().json("/api/trial");
        assert_eq!((&trial["kind"], &trial["generation"]), (&json!(kind), &json!(number)), "it goes on: {trial}");
        assert!(gateway.children().is_empty(), "nothing was started");
        let how = if kind == "canary" { "abort" } else { "promote" };
        assert_eq!(gateway.admin().post(&format!("/api/trial/{how}"), "", "").status, 200, "{query}");
    }
    let second = upgrade(&gateway);
    let status = gateway.admin().json("/api/status");
    assert_eq!((&status["lifecycle"]["pid"], &status["generation"]), (&json!(second), &json!(4)), "{status}");
    assert_eq!(
        gateway.get("/new").text(),
        "new",
        "what was promoted goes over, and the file still says something else"
    );
    assert_eq!(status["drift"]["why"], "applied", "{status}");
}

#[test]
fn the_last_good_generation_goes_on_in_the_place_of_a_file_with_errors() {
    let origin = Origin::says("fine");
    let mut gateway = setup(&origin).start();
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    gateway.write(&setup(&origin).yaml().replace("bind:", "bnd:"));
    gateway.start_again_with(&["--last-good"]);
    let before = gateway.admin().json("/api/status");
    upgrade(&gateway);
    let status = gateway.admin().json("/api/status");
    assert!(status["last_good"]["errors"].as_str().is_some_and(|errors| errors.contains("bnd")), "{status}");
    assert_eq!((&status["hash"], &status["generation"]), (&before["hash"], &json!(3)), "{status}");
    assert_eq!((gateway.get("/").status, gateway.admin().metric("portcullis_config_last_good", "")), (200, 1.0));
    gateway.write(&setup(&origin).yaml());
    until("the file to be used", || gateway.admin().json("/api/status")["last_good"].is_null().then_some(()));
}

#[test]
fn a_change_that_comes_too_late_for_the_old_process_is_refused_there() {
    let origin = Origin::says("fine");
    let gateway = setup(&origin).start();
    let body = gateway.complete(&setup(&origin).and_route("{ name: new, match: { exact: /new }, to: app }").yaml());
    let (first, rest) = body.split_at(10);
    let mut late = Client::connect(gateway.address("admin"));
    late.send(format!(
        "POST /api/config HTTP/1.1\r\nHost: localhost\r\n{ANY}Content-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    // Whoever says so has the head, and waits for the body.
    assert!(late.head().starts_with("HTTP/1.1 100"));
    late.send(first);
    let second = upgrade(&gateway);
    let answer = late.ask(rest);
    assert_eq!((answer.status, answer.reason().as_str()), (409, "config_failed"), "{}", answer.text());
    assert!(answer.detail().contains("another process serves by now"), "{}", answer.detail());
    let status = gateway.admin().json("/api/status");
    assert_eq!((&status["lifecycle"]["pid"], &status["generation"]), (&json!(second), &json!(2)));
    let told = gateway.admin().post("/api/config", ANY, &body);
    assert_eq!(told.status, 200, "the new one is asked again: {}", told.text());
}

/// The paths of the records in a log and in what it was turned over to, and how often each is there.
fn recorded(folder: &Path) -> BTreeMap<String, usize> {
    let mut paths = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("small.log") {
            let text = std::fs::read_to_string(file.path()).unwrap();
            for line in text.lines() {
                let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                let path = record["path"].as_str().unwrap();
                *paths.entry(path.trim_end_matches('x').to_owned()).or_default() += 1;
            }
        }
    }
    paths
}

#[test]
fn a_log_that_turns_over_has_each_record_of_both_processes_once() {
    let origin = Origin::says("fine");
    let log = "logs: { small: { file: { path: small.log, rotate: { size: 64KiB, keep: 100 } } } }";
    let mut gateway = setup(&origin).top(log).start();
    // A file has room for some of them.
    let long = "x".repeat(4000);
    let mut old: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    for (number, client) in old.iter_mut().enumerate() {
        assert_eq!(client.get(&format!("/before/{number}{long}")).status, 200);
    }
    upgrade(&gateway);
    for (number, client) in old.iter_mut().enumerate() {
        assert_eq!(gateway.get(&format!("/new/{number}{long}")).status, 200);
        assert_eq!(client.get(&format!("/old/{number}{long}")).status, 200);
    }
    drop(old);
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    let mut expected: BTreeMap<String, usize> =
        (0..20).flat_map(|number| ["before", "old", "new"].map(|when| (format!("/{when}/{number}"), 1))).collect();
    // By which the new process proved itself.
    expected.insert("*".to_owned(), 1);
    until("all records", || (recorded(gateway.dir()) == expected).then_some(()));
    let turned = std::fs::read_dir(gateway.dir()).unwrap().flatten();
    assert!(turned.filter(|file| file.file_name().to_string_lossy().starts_with("small.log.")).count() > 1);
}

#[test]
fn an_admin_api_with_tls_and_a_socket_is_served_at_both_by_the_next_process() {
    let (origin, pki) = (Origin::says("fine"), Pki::new());
    let here = own_ip().to_string();
    let admin = format!(
        "admin:\n  bind: \"@admin\"\n  token: of-the-test\n  tls: {{ certificates: [{}] }}\n  socket: {{ path: admin.sock }}",
        pki.issue(&here).yaml()
    );
    let gateway = Gateway::spawn(&setup(&origin).top(&admin).yaml());
    let path = gateway.dir().join("admin.sock");
    let on_socket = |request: &str| {
        let mut stream = UnixStream::connect(&path).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str::<Value>(body).unwrap_or_default())
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    until("the gateway to be ready", || on_socket(&get("/readyz")));
    let over_tls = |method: &str, path: &str| {
        let mut client = Client::connect(gateway.address("admin")).with_tls(&pki.client(&[]), &here);
        client.ask(format!(
            "{method} {path} HTTP/1.1\r\nHost: x.test\r\nAuthorization: Bearer of-the-test\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let mut before = gateway.pid();
    for _ in 0..2 {
        let next = upgraded(&gateway, &over_tls("POST", "/api/upgrade"));
        assert_ne!(next, before);
        for status in [over_tls("GET", "/api/status").json(), on_socket(&get("/api/status")).unwrap()] {
            assert_eq!(status["lifecycle"]["pid"], next, "{status}");
            assert_eq!(status["lifecycle"]["follows"]["pid"], before, "{status}");
        }
        before = next;
    }
}
