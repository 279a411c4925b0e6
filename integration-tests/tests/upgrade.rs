//! The binary is replaced: who serves when the new process fails, and when either is killed at any step.

use portcullis_integration_tests::gateway::command;
use portcullis_integration_tests::held::{holding, in_flight};
use portcullis_integration_tests::process::{binary, signal};
use portcullis_integration_tests::{Gateway, Origin, Response, Setup, cli, until};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const QUICK: &str = "drain: { timeout: 60s, idle: 100ms, streams: 100ms }";
/// However late a busy machine lets the gateway run, nothing is refused for it.
const PATIENT: &str = "overload: { event_loop_delay: 0s }";

/// A gateway that stops at a step of an upgrade: `OLD` or `NEW`, and which.
fn stopping(setup: &Setup, side: &str, step: &str) -> Gateway {
    Gateway::by(&setup.yaml(), |file| {
        let mut command = command(&binary(), file);
        command.env(format!("PORTCULLIS_TEST_STOP_{side}"), step);
        command
    })
}

/// Waits for a step: a process may take as long as an upgrade gives it.
fn reached(gateway: &Gateway, step: &str) {
    let started = Instant::now();
    while !gateway.stderr().contains(step) {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain for {step}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks for an upgrade in a thread of its own.
fn asked(gateway: &Gateway, body: &'static str) -> std::thread::JoinHandle<Response> {
    let admin = gateway.admin();
    std::thread::spawn(move || admin.post("/api/upgrade", "", body))
}

fn upgrade(gateway: &Gateway) -> u32 {
    let answer = gateway.admin().post("/api/upgrade", "", "");
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.stderr());
    let pid = u32::try_from(answer.json()["pid"].as_u64().unwrap()).unwrap();
    gateway.end_with_test(pid);
    pid
}

/// A program in the gateway's folder.
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The process that was started serves, as if nothing had been asked.
fn nothing_happened(gateway: &Gateway) {
    let status = gateway.admin().json("/api/status");
    assert_eq!(
        (&status["lifecycle"]["pid"], &status["lifecycle"]["state"]),
        (&gateway.pid().into(), &"serving".into())
    );
    assert_eq!((&status["state"], &status["store"]["state"]), (&"ready".into(), &"good".into()));
    assert_eq!(gateway.get("/").status, 200);
    until("the new process to be gone", || gateway.children().is_empty().then_some(()));
}

/// In front of an origin, with a store.
fn setup(origin: &Origin) -> Setup {
    let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
    Setup::to(origin).top("plans: { free: { quota: 1000000/month } }").top(QUICK).top(PATIENT).host(filters)
}

#[test]
fn a_new_process_takes_over_by_command_by_signal_and_by_api() {
    let origin = Origin::says("fine");
    let mut gateway = setup(&origin).start();
    let first = gateway.pid();
    let admin = gateway.address("admin").to_string();
    let told = cli::run(gateway.dir(), &["upgrade", "--admin", &admin]);
    assert_eq!(told.code, 0, "{told:?}");
    let second = gateway.serving_pid();
    assert!(second != first && told.stdout.contains(&format!("process {second} (")), "{told:?}");
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    assert_eq!(gateway.get("/").status, 200);
    let follows = until("the first to be gone", || {
        let status = gateway.admin().json("/api/status");
        (status["lifecycle"]["follows"]["state"] == "gone").then_some(status)
    });
    assert_eq!((&follows["lifecycle"]["follows"]["pid"], &follows["generation"]), (&first.into(), &2.into()));
    signal(second, "USR2");
    let third = until("the third, alone", || {
        let status = gateway.admin().try_get("/api/status").filter(|answer| answer.status == 200)?.json();
        let follows = &status["lifecycle"]["follows"];
        (follows["pid"] == second && follows["state"] == "gone").then_some(())?;
        u32::try_from(status["lifecycle"]["pid"].as_u64()?).ok()
    });
    gateway.end_with_test(third);
    let fourth = upgrade(&gateway);
    assert!(fourth != third && gateway.serving_pid() == fourth);
    assert_eq!(gateway.admin().metric("portcullis_state", "state=\"serving\""), 1.0);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.admin().json("/api/status")["reloads"][0]["trigger"], "upgrade");
    assert_eq!(gateway.admin().json("/api/status")["generation"], 4);
}

#[test]
fn a_program_that_is_no_gateway_changes_nothing_and_its_last_words_are_told() {
    let origin = Origin::says("fine");
    let gateway = setup(&origin).start();
    let script = |name: &str, text: &str| script(gateway.dir(), name, text).display().to_string();
    let writable = script("writable", "#!/bin/sh\nexit 0\n");
    std::fs::set_permissions(&writable, std::fs::Permissions::from_mode(0o777)).unwrap();
    for (binary, says) in [
        (script("dies", "#!/bin/sh\necho 'out of luck' >&2\nexit 3\n"), "exit status: 3; its last words:\nout of luck"),
        (script("hangs", "#!/bin/sh\nexec sleep 100\n"), "did not get ready within 1s, and was killed"),
        (script("babbles", "#!/bin/sh\necho hello >&0\nexec sleep 100\n"), "does not speak as a gateway does"),
        (writable.clone(), "can be written by others"),
        (gateway.dir().join("missing").display().to_string(), "No such file"),
    ] {
        let body = format!("{{ \"binary\": \"{binary}\", \"within\": \"1s\" }}");
        let answer = gateway.admin().post("/api/upgrade", "", &body);
        assert_eq!((answer.status, answer.reason().as_str()), (409, "upgrade_failed"), "{binary}: {}", answer.text());
        assert!(answer.detail().contains(says), "{binary}: {}", answer.detail());
        nothing_happened(&gateway);
    }
    let told = cli::run(
        gateway.dir(),
        &["upgrade", "--admin", &gateway.address("admin").to_string(), "--binary", "/bin/true"],
    );
    assert!(told.code == 1 && told.stderr.contains("exit status: 0"), "{told:?}");
}

#[test]
fn a_config_that_cannot_be_read_changes_nothing_and_its_errors_are_told() {
    let origin = Origin::says("fine");
    let gateway = Gateway::by(&setup(&origin).yaml(), |file| {
        let mut command = command(&binary(), file);
        command.arg("--no-watch");
        command
    });
    std::fs::write(gateway.file(), "version: 1\nlistenerz: {}\n").unwrap();
    let answer = gateway.admin().post("/api/upgrade", "", "");
    assert_eq!(answer.status, 409);
    assert!(answer.detail().contains("listenerz"), "{}", answer.detail());
    nothing_happened(&gateway);
}

#[test]
fn a_new_process_that_is_killed_at_any_step_changes_nothing() {
    let origin = Origin::says("fine");
    let setup = setup(&origin);
    for step in ["start", "hello", "sockets", "store", "proven", "ready", "go"] {
        let gateway = stopping(&setup, "NEW", step);
        assert_eq!(gateway.get("/").status, 200);
        let asked = asked(&gateway, "");
        reached(&gateway, &format!("stopped at NEW {step}"));
        assert_eq!(gateway.get("/").status, 200, "{step}: served meanwhile");
        for child in gateway.children() {
            signal(child, "KILL");
        }
        let answer = asked.join().unwrap();
        assert_eq!(answer.status, 409, "{step}: {}", answer.text());
        assert!(answer.detail().contains("signal: 9"), "{step}: {}", answer.detail());
        nothing_happened(&gateway);
    }
}

#[test]
fn an_old_process_that_is_killed_at_any_step_leaves_the_new_one_serving_without_a_gap() {
    let origin = Origin::says("fine");
    let setup = setup(&origin);
    for step in ["sockets", "store", "ready", "go", "serving"] {
        let mut gateway = stopping(&setup, "OLD", step);
        let _nobody_answers = asked_in_vain(&gateway);
        reached(&gateway, &format!("stopped at OLD {step}"));
        let children = gateway.children();
        assert_eq!(children.len(), 1, "{step}");
        gateway.signal("KILL");
        let _ = gateway.wait();
        // The sockets never close: who comes now waits for whoever accepts.
        let answer = gateway.get("/");
        assert_eq!((answer.status, gateway.serving_pid()), (200, children[0]), "{step}");
        let store = until("the store", || {
            let status = gateway.admin().json("/api/status");
            (status["store"]["state"] == "good").then_some(status)
        });
        assert_eq!(store["state"], "ready", "{step}");
    }
}

/// Asks for an upgrade whose answer is cut off.
fn asked_in_vain(gateway: &Gateway) -> portcullis_integration_tests::Client {
    let mut client = portcullis_integration_tests::Client::connect(gateway.address("admin"));
    client.send("POST /api/upgrade HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    client
}

#[test]
fn a_new_process_that_dies_while_the_old_one_drains_gives_everything_back() {
    let (origin, release) = holding();
    let gateway = setup(&origin).start();
    let mut held = in_flight(&gateway, &origin);
    let second = upgrade(&gateway);
    assert_eq!((gateway.get("/").status, gateway.serving_pid()), (200, second));
    signal(second, "KILL");
    let status = until("the first to serve again", || {
        let status = gateway.admin().try_get("/api/status").filter(|answer| answer.status == 200)?.json();
        (status["lifecycle"]["pid"] == gateway.pid() && status["store"]["state"] == "good").then_some(status)
    });
    assert_eq!((&status["state"], &status["lifecycle"]["state"]), (&"ready".into(), &"serving".into()));
    assert_eq!(gateway.get("/").status, 200);
    release.send(()).unwrap();
    assert_eq!(held.response().status, 200);
    let third = upgrade(&gateway);
    assert_eq!((gateway.get("/").status, gateway.serving_pid()), (200, third));
}

#[test]
fn a_new_process_that_is_told_to_end_while_the_old_one_drains_leaves_nobody_serving() {
    let (origin, release) = holding();
    let mut gateway = setup(&origin).start();
    let mut held = in_flight(&gateway, &origin);
    let second = upgrade(&gateway);
    assert_eq!(gateway.serving_pid(), second);
    signal(second, "TERM");
    until("the second to be reaped", || gateway.stderr().contains("has ended as it was told").then_some(()));
    release.send(()).unwrap();
    assert_eq!(held.response().status, 200, "what the first had begun is answered");
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    assert!(!gateway.stderr().contains("serving again"), "{}", gateway.stderr());
}

#[test]
fn an_old_process_that_dies_in_its_drain_leaves_the_new_one_as_it_is() {
    let (origin, _release) = holding();
    let mut gateway = setup(&origin).start();
    let _held = in_flight(&gateway, &origin);
    let second = upgrade(&gateway);
    gateway.signal("KILL");
    let _ = gateway.wait();
    until("it to be known", || {
        (gateway.admin().json("/api/status")["lifecycle"]["follows"]["state"] == "gone").then_some(())
    });
    assert_eq!((gateway.get("/").status, gateway.serving_pid()), (200, second));
}

#[test]
fn one_upgrade_at_a_time_and_none_while_the_process_ends() {
    let origin = Origin::says("fine");
    let mut gateway = stopping(&setup(&origin), "NEW", "proven");
    let first = asked(&gateway, "");
    reached(&gateway, "stopped at NEW proven");
    assert_eq!(gateway.admin().json("/api/status")["lifecycle"]["state"], "upgrading");
    let second = gateway.admin().post("/api/upgrade", "", "");
    assert!(second.status == 409 && second.detail().contains("under way"), "{}", second.text());
    let _known = gateway.children();
    gateway.signal("TERM");
    let first = first.join().unwrap();
    assert!(first.status == 409 && first.detail().contains("told to end"), "{}", first.text());
    assert!(gateway.wait().success(), "{}", gateway.stderr());
}

#[test]
fn a_hundred_listeners_go_over() {
    let origin = Origin::says("fine");
    let names: Vec<String> = (0..100).map(|number| format!("l{number}")).collect();
    let mut setup = Setup::to(&origin).top("drain: { timeout: 60s, idle: 30s }").top(PATIENT);
    for name in &names {
        setup = setup.and_listener(&format!("{name}: {{ bind: \"@{name}\" }}"));
    }
    let gateway = setup.start();
    let mut waiting: Vec<_> =
        names.iter().map(|name| portcullis_integration_tests::Client::connect(gateway.address(name))).collect();
    let second = upgrade(&gateway);
    for client in &mut waiting {
        assert_eq!(client.get("/").status, 200);
    }
    let mut missing = String::new();
    for name in &names {
        let answer = portcullis_integration_tests::Client::connect(gateway.address(name)).get("/");
        if answer.status != 200 {
            write!(missing, " {name}: {}", answer.status).unwrap();
        }
    }
    assert_eq!((missing.as_str(), gateway.serving_pid()), ("", second));
}
