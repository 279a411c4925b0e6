//! A service manager that speaks systemd's protocols, and the steps by which a process ends.

use portcullis_integration_tests::gateway::command;
use portcullis_integration_tests::process::binary;
use portcullis_integration_tests::{Client, Gateway, Origin, Setup, until};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A service manager that hears what it is told, as it comes: a queue that is full loses words.
struct Manager {
    heard: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let hears = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = socket.recv(&mut bytes) {
                hears.lock().unwrap().push(String::from_utf8_lossy(&bytes[..count]).into_owned());
            }
        });
        Self { heard, dir }
    }

    fn start(&self, setup: &Setup, more: &[(&str, &str)]) -> Gateway {
        let path = self.dir.path().join("notify");
        Gateway::by(&setup.yaml(), |file| {
            let mut command = command(&binary(), file);
            command.env("NOTIFY_SOCKET", path).envs(more.iter().copied());
            command
        })
    }

    /// Waits for a message with this line; what came before is forgotten.
    fn hears(&self, line: &str) -> String {
        until(line, || {
            let mut heard = self.heard.lock().unwrap();
            let is_it = |text: &String| text.lines().any(|one| one == line);
            let at = heard.iter().position(is_it)?;
            heard.drain(..=at).next_back()
        })
    }
}

/// In front of an origin; however late a busy machine lets the gateway run, nothing is refused for it.
fn setup(origin: &Origin) -> Setup {
    Setup::to(origin).top("overload: { event_loop_delay: 0s }")
}

/// Waits for words on standard error: they are read beside the test.
fn says(gateway: &Gateway, words: &str) {
    until(words, || gateway.stderr().contains(words).then_some(()));
}

#[test]
fn a_service_manager_is_told_of_every_step() {
    let (origin, manager) = (Origin::says("fine"), Manager::new());
    let gateway = manager.start(&setup(&origin).top("drain: { idle: 100ms }"), &[("WATCHDOG_USEC", "200000")]);
    let ready = manager.hears("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("generation 1 serves"), "{ready}");
    manager.hears("WATCHDOG=1");
    gateway.signal("HUP");
    assert!(manager.hears("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.hears("READY=1");
    let answer = gateway.admin().post("/api/upgrade", "", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let pid = gateway.serving_pid();
    manager.hears(&format!("MAINPID={pid}"));
    assert!(manager.hears("READY=1").contains("generation 3 serves"));
    manager.hears("WATCHDOG=1");
    gateway.signal_serving("TERM");
    assert!(manager.hears("STOPPING=1").contains("draining"));
}

#[test]
fn a_watchdog_that_was_meant_for_another_process_is_not_kept_quiet() {
    let (origin, manager) = (Origin::says("fine"), Manager::new());
    let mut gateway = manager.start(&setup(&origin), &[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    manager.hears("READY=1");
    gateway.signal("TERM");
    let _ = gateway.wait();
    let before = manager.heard.lock().unwrap().clone();
    manager.hears("STOPPING=1");
    assert!(!before.iter().any(|text| text.contains("WATCHDOG")), "{before:?}");
}

/// Passes a socket as the third descriptor, as a service manager does.
fn passing(file: &Path, socket: TcpListener, name: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    let run = "exec 3<&0 0</dev/null; LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" run -c \"$1\"";
    shell.args(["-c", run]).arg(binary()).arg(file);
    shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name).stdin(OwnedFd::from(socket));
    shell
}

fn bound() -> TcpListener {
    TcpListener::bind((portcullis_integration_tests::place::own_ip(), 0)).unwrap()
}

#[test]
fn a_socket_that_was_opened_before_goes_to_the_listener_of_its_name() {
    let (origin, socket) = (Origin::says("fine"), bound());
    let at = socket.local_addr().unwrap();
    // Who comes before the process is there waits for it.
    let mut early = Client::connect(at);
    let gateway = Gateway::by(&setup(&origin).yaml(), |file| passing(file, socket, "edge"));
    assert_eq!(early.get("/").status, 200);
    assert_eq!(gateway.admin().json("/api/status")["listeners"][0]["addresses"][0], at.to_string());
    // Another address than the config's.
    says(&gateway, "is bound to");
    let answer = gateway.admin().post("/api/upgrade", "", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let _ = gateway.serving_pid();
    assert_eq!(Client::connect(at).get("/").status, 200, "it goes on to the next process");
}

#[test]
fn a_socket_that_was_opened_before_goes_to_the_listener_of_its_address() {
    let (origin, socket) = (Origin::says("fine"), bound());
    let at = socket.local_addr().unwrap();
    let setup = setup(&origin).and_listener(&format!("second: {{ bind: \"{at}\" }}"));
    let gateway = Gateway::by(&setup.yaml(), |file| passing(file, socket, "unknown"));
    assert_eq!((Client::connect(at).get("/").status, gateway.get("/").status), (200, 200));
}

#[test]
fn a_socket_that_no_listener_is_for_is_named_and_closed() {
    let (origin, socket) = (Origin::says("fine"), bound());
    let at = socket.local_addr().unwrap();
    let gateway = Gateway::by(&setup(&origin).yaml(), |file| passing(file, socket, "stray"));
    says(&gateway, &format!("the socket stray on {at}"));
    until("it to be closed", || std::net::TcpStream::connect(at).err());
}

#[test]
fn a_lame_duck_says_that_it_is_not_ready_and_serves_until_the_drain() {
    let origin = Origin::says("fine");
    let mut gateway = setup(&origin).top("drain: { delay: 60s, idle: 100ms }").start();
    gateway.signal("TERM");
    let refused = until("not ready", || gateway.admin().try_get("/readyz").filter(|answer| answer.status == 503));
    assert_eq!(refused.detail(), "leaving");
    assert_eq!(gateway.get("/").status, 200, "it serves");
    let status = gateway.admin().json("/api/status");
    assert_eq!((&status["state"], &status["lifecycle"]["state"]), (&"leaving".into(), &"leaving".into()));
    assert_eq!(gateway.admin().metric("portcullis_state", "state=\"leaving\""), 1.0);
    assert_eq!(gateway.admin().metric("portcullis_state", ""), 1.0, "one step at a time");
    let upgrade = gateway.admin().post("/api/upgrade", "", "");
    assert!(upgrade.status == 409 && upgrade.detail().contains("drains"), "{}", upgrade.text());
    // Whoever is in a hurry says so again.
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    says(&gateway, "not ready any more, serving for 1m");
    says(&gateway, "drained in");
}

#[test]
fn without_a_delay_the_drain_begins_at_once_and_that_is_said() {
    let mut gateway = setup(&Origin::says("fine")).start();
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    says(&gateway, "`drain.delay` is 0s, so the drain begins at once");
}
