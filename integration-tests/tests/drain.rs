//! SIGTERM: not ready, requests in flight end, idle connections are closed politely, and then the process ends.

use http::Request;
use http_body_util::Full;
use portcullis_integration_tests::h2::{GOAWAY, H2Client, frame, get_block, next_of, preface, whole};
use portcullis_integration_tests::held::{holding, in_flight};
use portcullis_integration_tests::{Gateway, Origin, PATIENCE, Setup, until};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Sends SIGTERM and waits until the gateway has taken note.
fn terminate(gateway: &Gateway) {
    gateway.signal("TERM");
    until("not ready", || gateway.admin().try_get("/readyz").filter(|answer| answer.status == 503));
}

#[test]
fn lets_requests_in_flight_end_and_then_ends_at_once() {
    drains("threads: 2");
}

#[test]
fn lets_requests_in_flight_end_on_one_thread_too() {
    drains("threads: 1");
}

fn drains(threads: &str) {
    let (origin, release) = holding();
    let mut gateway = Setup::to(&origin).top("drain: { timeout: 60s, idle: 200ms }").top(threads).start();
    let mut client = in_flight(&gateway, &origin);
    terminate(&gateway);
    let alive = gateway.admin().get("/healthz");
    assert_eq!(alive.status, 200, "a process that drains is alive");
    until("the listener to be closed", || TcpStream::connect(gateway.address("edge")).err());
    assert!(!gateway.has_ended(), "it ended before its request");
    release.send(()).unwrap();
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str(), answer.closes()), (200, "fine", true), "{}", answer.head);
    let released = Instant::now();
    client.expect_end();
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(released.elapsed() < Duration::from_secs(5), "it ended {:?} after its last request", released.elapsed());
    assert_eq!(
        gateway.records().iter().filter(|record| record["path"] == "/held").count(),
        1,
        "the record was written"
    );
}

#[test]
fn ends_at_once_without_any_connection() {
    let mut gateway = Setup::to(&Origin::says("fine")).start();
    let started = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn closes_idle_connections_after_a_grace() {
    let (origin, _release) = holding();
    let mut gateway = Setup::to(&origin).top("drain: { timeout: 60s, idle: 200ms }").start();
    let mut idle = gateway.client();
    assert_eq!(idle.get("/").status, 200);
    let mut unused = gateway.client();
    assert_eq!(gateway.get("/").status, 200, "the unused connection was accepted before this one");
    gateway.signal("TERM");
    idle.expect_end();
    unused.expect_end();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn answers_a_late_request_on_an_idle_connection_with_close() {
    let (origin, release) = holding();
    let mut gateway = Setup::to(&origin).top("drain: { timeout: 60s, idle: 10s }").start();
    let _in_flight = in_flight(&gateway, &origin);
    let mut idle = gateway.client();
    assert_eq!(idle.get("/").status, 200);
    terminate(&gateway);
    let late = idle.get("/late");
    assert_eq!((late.status, late.closes()), (200, true), "{}", late.head);
    idle.expect_end();
    release.send(()).unwrap();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn is_bounded_by_its_timeout() {
    let (origin, _release) = holding();
    let mut gateway = Setup::to(&origin).top("drain: { timeout: 500ms, idle: 100ms }").start();
    let mut client = in_flight(&gateway, &origin);
    let started = Instant::now();
    gateway.signal("TERM");
    let status = gateway.wait();
    assert!(started.elapsed() >= Duration::from_millis(500), "{status}: {:?}", started.elapsed());
    client.rest();
}

#[tokio::test]
async fn says_goaway_and_lets_streams_end() {
    let (origin, release) = holding();
    let mut gateway = Setup::to(&origin).top("drain: { timeout: 60s, idle: 200ms }").start();
    let client = H2Client::plain(gateway.address("edge")).await;
    assert_eq!(client.get("http://app.test/").await.status(), 200);
    let held = Request::get("http://app.test/held").body(Full::default()).unwrap();
    let asked = client.begin(held);
    let waiting = async {
        let watch = tokio::task::spawn_blocking(move || drop(origin.wait_for(2)));
        watch.await.unwrap();
        gateway.signal("TERM");
        until("not ready", || gateway.admin().try_get("/readyz").filter(|answer| answer.status == 503));
        release.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(asked, waiting);
    let answer = whole(answer.unwrap()).await;
    assert_eq!((answer.status(), &answer.body[..]), (200, b"fine".as_slice()));
    tokio::time::timeout(PATIENCE, client.connection).await.expect("the connection did not end").unwrap().unwrap();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn sends_goaway_on_an_idle_http2_connection() {
    let mut gateway = Setup::to(&Origin::says("fine")).top("drain: { timeout: 60s, idle: 200ms }").start();
    let mut client = gateway.client();
    client.send(preface()).send(frame(4, 1, 0, b"")).send(frame(1, 5, 1, &get_block()));
    assert!(next_of(&mut client, 1).is_some());
    gateway.signal("TERM");
    let bye = next_of(&mut client, GOAWAY).expect("GOAWAY before the end");
    assert_eq!(bye.code(), 0, "NO_ERROR");
    client.rest();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn refuses_to_start_on_a_port_in_use_and_names_it() {
    let taken = std::net::TcpListener::bind((portcullis_integration_tests::place::own_ip(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!(
        "listeners: {{ edge: {{ bind: \"{address}\" }} }}\nhosts:\n  - names: [\"*\"]\n    routes:\n      - {{ name: a, respond: {{ body: a }} }}\n"
    );
    let mut gateway = Gateway::spawn(&text);
    let started = Instant::now();
    assert_eq!(gateway.wait().code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(5), "it waited {:?}", started.elapsed());
    until("the port's name", || gateway.stderr().contains(&address.to_string()).then_some(()));
}
