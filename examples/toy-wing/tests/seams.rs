//! Each seam over real sockets, through the toy wing's own binary.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot set itself up stops here, with the place"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[path = "seams/batches.rs"]
mod batches;
#[path = "seams/certificate.rs"]
mod certificate;
#[path = "seams/fallback.rs"]
mod fallback;
#[path = "seams/footprint.rs"]
mod footprint;
#[path = "seams/grpc.rs"]
mod grpc;
#[path = "seams/own_requests.rs"]
mod own_requests;
#[path = "seams/phases.rs"]
mod phases;
#[path = "seams/upgrades.rs"]
mod upgrades;

/// A running toy wing, with an origin behind it that counts its requests.
struct Wing {
    process: Child,
    http: u16,
    tcp: u16,
    tls: u16,
    asked: Arc<AtomicU32>,
    dir: tempfile::TempDir,
}

impl Drop for Wing {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn origin(asked: Arc<AtomicU32>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = asked.clone();
            std::thread::spawn(move || answer(stream, &asked));
        }
    });
    port
}

fn answer(stream: TcpStream, asked: &AtomicU32) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        asked.fetch_add(1, Ordering::SeqCst);
        drop(writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncache-control: public\r\n\r\nhello"));
    }
}

impl Wing {
    fn start() -> Self {
        let asked = Arc::new(AtomicU32::new(0));
        let app = origin(asked.clone());
        let (http, tcp, tls, admin) = (free_port(), free_port(), free_port(), free_port());
        let dir = tempfile::tempdir().unwrap();
        let registry = dir.path().join("endpoints.txt");
        std::fs::write(&registry, format!("127.0.0.1:{app}\n")).unwrap();
        let registry = registry.display();
        let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/certs");
        let yaml = format!(
            "version: 1\n\
             listeners:\n\
             \x20 edge: {{ bind: \"127.0.0.1:{http}\", connect: echo }}\n\
             \x20 tcp: {{ bind: \"127.0.0.1:{tcp}\", handler: echo }}\n\
             \x20 tls: {{ bind: \"127.0.0.1:{tls}\", tls: {{ certificates: [{{ cert: {certificates}/edge.pem, key: {certificates}/edge.key }}] }} }}\n\
             admin: {{ bind: \"127.0.0.1:{admin}\" }}\n\
             clusters:\n\
             \x20 app: {{ endpoints: [\"127.0.0.1:{app}\"] }}\n\
             \x20 pool: {{ endpoints: {{ source: registry, of: \"{registry}\" }} }}\n\
             hosts:\n\
             \x20 - names: [template.test]\n\
             \x20   routes:\n\
             \x20     - {{ name: app, cache: toy, filters: [shout], to: app }}\n\
             \x20     - {{ name: pool, match: {{ path: /pool }}, to: pool }}\n\
             \x20     - {{ name: calls, match: {{ jsonrpc: [ping] }}, respond: {{ status: 200, body: pong }} }}\n"
        );
        let path: PathBuf = dir.path().join("gateway.yaml");
        std::fs::write(&path, yaml).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_toy-wing"))
            .args(["run", "-c"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = log.by_ref().map_while(Result::ok).find(|line| {
            lines.lock().unwrap().push(line.clone());
            line.contains("generation 1 serves")
        });
        assert!(ready.is_some(), "the wing does not start: {:?}", lines.lock().unwrap());
        std::thread::spawn(move || log.for_each(drop));
        Self { process, http, tcp, tls, asked, dir }
    }

    fn connect(port: u16) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// One request on a connection of its own, to the end of the answer.
    fn get(&self, host: &str, path: &str) -> String {
        let mut stream = Self::connect(self.http);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn an_l4_handler_owns_the_connection() {
    let wing = Wing::start();
    let mut stream = Wing::connect(wing.tcp);
    stream.write_all(b"not http at all").unwrap();
    let mut echoed = [0; 15];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"not http at all");
}

#[test]
fn a_connect_handler_grants_one_authority_and_refuses_others() {
    let wing = Wing::start();
    let mut stream = Wing::connect(wing.http);
    stream.write_all(b"CONNECT echo.test:7 HTTP/1.1\r\nhost: echo.test:7\r\n\r\nearly").unwrap();
    let granted = b"HTTP/1.1 200 Connection established\r\n\r\nearly";
    let mut answer = vec![0; granted.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, granted);
    let mut stream = Wing::connect(wing.http);
    stream.write_all(b"CONNECT other.test:7 HTTP/1.1\r\nhost: other.test:7\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn a_host_source_serves_a_site_that_the_config_does_not_name() {
    let wing = Wing::start();
    assert!(wing.get("anything.sites.test", "/").starts_with("HTTP/1.1 200 "));
    assert!(wing.get("anything.else.test", "/").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_cache_answers_the_second_request_and_the_body_is_transformed() {
    let wing = Wing::start();
    let (first, second) = (wing.get("template.test", "/page"), wing.get("template.test", "/page"));
    assert!(first.ends_with("HELLO"), "{first}");
    assert!(second.ends_with("HELLO"), "{second}");
    assert_eq!(wing.asked.load(Ordering::SeqCst), 1);
    wing.get("template.test", "/other");
    assert_eq!(wing.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_source_of_endpoints_says_where_requests_go() {
    let wing = Wing::start();
    assert!(wing.get("template.test", "/pool").ends_with("hello"));
    let other = Arc::new(AtomicU32::new(0));
    let port = origin(other.clone());
    std::fs::write(wing.dir.path().join("endpoints.txt"), format!("127.0.0.1:{port}\n")).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while other.load(Ordering::SeqCst) == 0 {
        assert!(std::time::Instant::now() < deadline, "the new endpoint is never used");
        assert!(wing.get("template.test", "/pool").ends_with("hello"));
    }
}

#[test]
fn a_body_reader_decides_the_route() {
    let wing = Wing::start();
    let call = |method: &str| {
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}");
        let mut stream = Wing::connect(wing.http);
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: template.test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(call("ping").ends_with("pong"));
    assert!(call("other").ends_with("HELLO"));
}

#[test]
fn a_certificate_source_is_asked_for_a_name_that_the_config_does_not_have() {
    let wing = Wing::start();
    let shown = certificate::shown_for(Wing::connect(wing.tls), "fresh.sites.test");
    let default = certificate::shown_for(Wing::connect(wing.tls), "unknown.test");
    let again = certificate::shown_for(Wing::connect(wing.tls), "fresh.sites.test");
    assert_ne!(shown, default);
    assert_eq!(shown, again);
    assert!(String::from_utf8_lossy(&shown).contains("fresh.sites.test"));
}
