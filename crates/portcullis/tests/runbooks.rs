//! The runbooks are run: every command of every page, against a gateway whose config has what they name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up stops here, with the place")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
/// The request that pages tell the story of.
const REQUEST: &str = "0af7651916cd43dd8448eb211c80319c";

fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("docs/runbooks");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<(String, String)> = files
        .map(|path: PathBuf| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

/// What on-call reads besides, whose commands are run too.
fn production() -> (String, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("docs/production-ready.md");
    ("production-ready".to_owned(), std::fs::read_to_string(file).unwrap())
}

/// The commands of a page, a line each.
fn commands(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(info) => inside = info == "sh",
            None if inside => found.push(line.to_owned()),
            None => {}
        }
    }
    found
}

struct Gateway {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ask(to: SocketAddr, request: &str) -> Option<String> {
    let mut tcp = TcpStream::connect(to).ok()?;
    tcp.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

impl Gateway {
    fn start() -> Self {
        let (edge, admin) = (free(), free());
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: '{edge}' }} }}\nadmin: {{ bind: '{admin}' }}\n\
             trusted_networks: [127.0.0.0/8]\nplans: {{ free: {{ rate: 100/s }} }}\n\
             slos: {{ api-up: {{ host: api.example.com, objective: 99.9% }} }}\n\
             clusters: {{ api: {{ endpoints: ['10.0.0.11:8080', '10.0.0.12:8080'] }} }}\n\
             hosts:\n  - names: [api.example.com]\n    filters: [{{ anonymous: {{ plan: free }} }}, caps]\n    routes:\n      \
             - {{ name: here, match: {{ path: /here }}, respond: {{ status: 204 }} }}\n      - {{ name: all, to: api }}\n"
        );
        std::fs::write(dir.path().join("gateway.yaml"), text).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["run", "-c", "gateway.yaml"]).current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let gateway = Self { child: command.spawn().unwrap(), dir };
        until("the gateway", || TcpStream::connect(edge).is_ok() && TcpStream::connect(admin).is_ok());
        let request = format!(
            "GET /here HTTP/1.1\r\nHost: api.example.com\r\nX-Request-Id: {REQUEST}\r\nConnection: close\r\n\r\n"
        );
        assert!(ask(edge, &request).unwrap().starts_with("HTTP/1.1 204"));
        let record = format!("GET /api/requests/{REQUEST} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        until("the record", || ask(admin, &record).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
        gateway
    }
}

#[test]
fn every_command_of_a_runbook_runs() {
    let gateway = Gateway::start();
    let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
    for (name, page) in pages().into_iter().chain([production()]) {
        let commands = commands(&page);
        assert!(!commands.is_empty(), "{name} names no command");
        for command in commands {
            let mut shell = Command::new("sh");
            let output =
                shell.args(["-c", &command]).env("PATH", &path).current_dir(gateway.dir.path()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {command}: {}\n{said}", output.status);
        }
        // What a page leaves behind is not in the way of the next one.
        for entry in std::fs::read_dir(gateway.dir.path()).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with("incident-")) {
                std::fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }
}

#[test]
fn every_alert_and_every_reason_has_its_page_and_is_named_there() {
    let pages = pages();
    let page = |name: &str| {
        let found = pages.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("there is no docs/runbooks/{name}.md")).1.clone()
    };
    let mut named = BTreeSet::new();
    for kind in portcullis_health::Kind::ALL {
        assert!(page(kind.runbook()).contains(&format!("`{}`", kind.as_str())), "{kind:?}");
        named.insert(kind.runbook().to_owned());
    }
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("conf/slos.yaml");
    let output = Command::new(BINARY).args(["rules", "-c"]).arg(config).output().unwrap();
    let rules = String::from_utf8(output.stdout).unwrap();
    let mut alert = String::new();
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            name.clone_into(&mut alert);
        }
        if let Some(runbook) = line.strip_prefix("runbook: docs/runbooks/") {
            let name = runbook.trim_end_matches(".md");
            assert!(page(name).contains(&format!("`{alert}`")), "{alert} is not in {name}.md");
            named.insert(name.to_owned());
        }
    }
    let all: BTreeSet<String> = pages.into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, all, "pages that nothing leads to");
}
