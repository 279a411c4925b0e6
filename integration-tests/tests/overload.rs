//! Limits, queues, priorities, the process's guards, and streams that have to end.

use portcullis_integration_tests::held::{HELD, holding, in_flight};
use portcullis_integration_tests::process::resident_bytes;
use portcullis_integration_tests::websocket::{UPGRADE, switch_and_return, upgraded};
use portcullis_integration_tests::{After, Client, Gateway, Origin, PATIENCE, Response, Setup, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";

fn queued(gateway: &Gateway, count: f64) {
    until(&format!("{count} in the queue"), || {
        (gateway.admin().metric("portcullis_cluster_queued", "app") == count).then_some(())
    });
}

/// A connection whose request waits.
fn waiting(gateway: &Gateway, path: &str, nth: f64) -> Client {
    let mut client = gateway.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
    queued(gateway, nth);
    client
}

fn is_refused(gateway: &Gateway, answer: &Response, detail: &str) {
    assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"), "{}", answer.head);
    assert!(answer.head.to_ascii_lowercase().contains("retry-after:"), "{}", answer.head);
    assert_eq!(gateway.record_of(answer)["detail"], *detail);
}

#[test]
fn a_request_past_the_limit_waits_and_the_wait_is_in_its_record() {
    let (origin, release) = holding();
    let gateway = Setup::to(&origin).cluster("limits: { requests: 1, queue_timeout: 60s }").start();
    let mut first = in_flight(&gateway, &origin);
    let mut second = waiting(&gateway, "/", 1.0);
    assert_eq!(origin.received().len(), 1, "the second is kept back");
    assert_eq!(gateway.admin().metric("portcullis_cluster_in_flight", "app"), 1.0);
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
    let answer = second.response();
    assert_eq!(answer.status, 200);
    let record = gateway.record_of(&answer);
    assert!(record["queue_ms"].as_f64().is_some_and(|queue| queue > 0.0), "{record}");
    assert!(gateway.admin().metric("portcullis_cluster_queue_seconds_count", "app") >= 1.0);
    queued(&gateway, 0.0);
}

#[test]
fn a_full_queue_and_a_wait_that_is_too_long_are_refused_with_their_details() {
    let (origin, release) = holding();
    let gateway = Setup::to(&origin).cluster("limits: { requests: 1, queue: 1, queue_timeout: 300ms }").start();
    let mut first = in_flight(&gateway, &origin);
    let mut second = waiting(&gateway, "/", 1.0);
    let full = gateway.get("/");
    is_refused(&gateway, &full, "queue_full");
    is_refused(&gateway, &second.response(), "queue_timeout");
    assert!(gateway.admin().metric("portcullis_bound_refused_total", "cluster_queue") >= 2.0);
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
    assert_eq!(second.ask(GET).status, 200, "its connection goes on");
}

#[test]
fn without_a_queue_what_does_not_fit_is_refused_at_once() {
    let (origin, release) = holding();
    let gateway = Setup::to(&origin)
        .cluster("limits: { requests: 1, queue: 0 }")
        .and_route("{ name: own, match: { path: /own }, limits: { requests: 1 }, to: app }")
        .start();
    let mut first = in_flight(&gateway, &origin);
    is_refused(&gateway, &gateway.get("/"), "requests");
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
    until("the place to be free", || (gateway.get("/own").status == 200).then_some(()));
}

#[test]
fn a_route_has_a_limit_of_its_own() {
    let (origin, release) = holding();
    let gateway = Setup::to(&origin)
        .route("limits: { requests: 1 }")
        .and_route("{ name: other, match: { path: /other }, to: app }")
        .start();
    let mut first = in_flight(&gateway, &origin);
    is_refused(&gateway, &gateway.get("/"), "route_requests");
    assert_eq!(gateway.get("/other").status, 200);
    assert!(gateway.admin().metric("portcullis_bound_refused_total", "route_requests") >= 1.0);
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
}

#[test]
fn a_client_that_leaves_leaves_the_queue() {
    let (origin, release) = holding();
    let gateway = Setup::to(&origin).cluster("limits: { requests: 1, queue: 2, queue_timeout: 60s }").start();
    let mut first = in_flight(&gateway, &origin);
    let leaver = waiting(&gateway, "/left", 1.0);
    let mut stayer = waiting(&gateway, "/", 2.0);
    drop(leaver);
    queued(&gateway, 1.0);
    let record = gateway.record("who left", |record| record["path"] == "/left");
    assert_eq!(record["reason"], "client_closed");
    release.send(()).unwrap();
    assert_eq!((first.response().status, stayer.response().status), (200, 200));
    assert!(origin.received().iter().all(|request| request.path() != "/left"));
}

#[test]
fn what_is_in_flight_counts_after_the_limit_was_edited() {
    let (origin, release) = holding();
    let setup = |limits: &str| Setup::to(&origin).cluster(&format!("limits: {limits}"));
    let gateway = setup("{ requests: 1, queue_timeout: 60s }").start();
    let mut first = in_flight(&gateway, &origin);
    let mut second = waiting(&gateway, "/held", 1.0);
    gateway.write(&setup("{ requests: 2, queue: 0 }").yaml());
    let _ = origin.wait_for(2);
    is_refused(&gateway, &gateway.get("/"), "requests");
    gateway.write(&setup("{ requests: 3, queue: 0 }").yaml());
    until("the third place", || (gateway.get("/").status == 200).then_some(()));
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!((first.response().status, second.response().status), (200, 200));
    until("all to have left", || (gateway.admin().metric("portcullis_cluster_in_flight", "app") == 0.0).then_some(()));
}

#[test]
fn an_endpoint_has_no_more_requests_than_it_may() {
    let ((one, release_one), (two, release_two)) = (holding(), holding());
    let limits = "limits: { per_endpoint: 1, queue: 1, queue_timeout: 60s }";
    let gateway = Setup::to(&one).and_to(two.address()).cluster(limits).start();
    let mut clients: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    clients.iter_mut().for_each(|client| {
        client.send(HELD);
    });
    let _ = (one.wait_for(1), two.wait_for(1));
    let mut third = waiting(&gateway, "/", 1.0);
    is_refused(&gateway, &gateway.get("/"), "queue_full");
    release_one.send(()).unwrap();
    assert_eq!(third.response().status, 200);
    assert_eq!(two.received().len(), 1, "the endpoint that is busy got no more");
    release_two.send(()).unwrap();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn ten_thousand_at_once_are_all_answered_and_the_upstream_sees_no_more_than_it_may() {
    const CLIENTS: usize = 10_000;
    let (now, most) = (Mutex::new(0_u32), Mutex::new(0_u32));
    let seen = std::sync::Arc::new((now, most));
    let counts = seen.clone();
    let origin = Origin::http1(move |_, wire| {
        let in_flight = {
            let mut now = counts.0.lock().unwrap();
            *now += 1;
            *now
        };
        let mut most = counts.1.lock().unwrap();
        *most = in_flight.max(*most);
        drop(most);
        let after = wire.ok("fine");
        *counts.0.lock().unwrap() -= 1;
        after
    });
    let gateway = Setup::to(&origin)
        .top("overload: { connections: 20000 }")
        .listener("limits: { connections: 20000, connections_per_network: 20000 }")
        .cluster("limits: { requests: 8, queue: 500, queue_timeout: 60s }")
        .start();
    // One descriptor each: a `Client` has two.
    let connect = |_| {
        let mut client = TcpStream::connect(gateway.address("edge")).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(GET.as_bytes()).unwrap();
        client
    };
    let status = |client: &mut TcpStream| {
        let mut line = [0u8; 12];
        client.read_exact(&mut line).unwrap();
        String::from_utf8_lossy(&line[9..]).into_owned()
    };
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(connect).collect();
    let statuses: Vec<String> = clients.iter_mut().map(status).collect();
    let fine = statuses.iter().filter(|status| *status == "200").count();
    let refused = statuses.iter().filter(|status| *status == "503").count();
    assert_eq!(fine + refused, CLIENTS);
    assert!(fine >= 508, "{fine}");
    assert!(*seen.1.lock().unwrap() <= 8);
    queued(&gateway, 0.0);
    assert_eq!(gateway.admin().metric("portcullis_cluster_in_flight", "app"), 0.0);
}

#[test]
fn the_least_important_is_shed_first_when_the_queue_is_full() {
    let (origin, release) = holding();
    let gateway = Setup::to(&origin)
        .cluster("limits: { requests: 1, queue: 1, queue_timeout: 60s }")
        .and_route("{ name: batch, match: { path: /batch }, priority: sheddable, to: app }")
        .and_route("{ name: pay, match: { path: /pay }, priority: critical, to: app }")
        .start();
    let mut first = in_flight(&gateway, &origin);
    let mut batch = waiting(&gateway, "/batch", 1.0);
    let mut pay = gateway.client();
    pay.send("GET /pay HTTP/1.1\r\nHost: app.test\r\n\r\n");
    is_refused(&gateway, &batch.response(), "queue_displaced");
    is_refused(&gateway, &gateway.get("/batch"), "queue_full");
    release.send(()).unwrap();
    assert_eq!((first.response().status, pay.response().status), (200, 200));
}

#[test]
fn an_adaptive_limit_moves_and_serves_on() {
    let gateway = Setup::to(&Origin::says("fine")).cluster("limits: { adaptive: true }").start();
    let limit = || gateway.admin().metric("portcullis_bound_limit", "cluster_requests");
    assert_eq!(limit(), 20.0);
    let mut client = gateway.client();
    until("another limit", || {
        (0..50).for_each(|_| assert_eq!(client.ask(GET).status, 200));
        (limit() != 20.0).then_some(())
    });
}

#[test]
fn short_of_memory_it_refuses_what_is_least_important_and_says_so() {
    let origin = Origin::says("fine");
    let setup = |overload: &str| {
        Setup::to(&origin)
            .top(&format!("overload: {overload}"))
            .route("priority: critical")
            .and_route("{ name: batch, match: { path: /batch }, priority: sheddable, to: app }")
            .and_route("{ name: plain, match: { path: /plain }, to: app }")
    };
    let gateway = setup("{ memory: off }").start();
    assert_eq!(gateway.get("/batch").status, 200);
    // Each reload makes it grow a little, so the bound is set anew until it fits what is used.
    until("the least important alone to be refused", || {
        let bound = resident_bytes(gateway.pid()) / 1024 * 100 / 102;
        gateway.write(&setup(&format!("{{ memory: {bound}KiB }}")).yaml());
        let answer = until("a refusal", || Some(gateway.get("/batch")).filter(|answer| answer.status == 503));
        assert_eq!(answer.reason(), "memory_pressure");
        (gateway.get("/plain").status == 200).then_some(())
    });
    assert_eq!(gateway.admin().get("/readyz").status, 200);
    assert_eq!(gateway.admin().json("/api/status")["overload"]["refuses"], "sheddable");
    gateway.write(&setup("{ memory: 1MiB }").yaml());
    until("all to be refused", || (gateway.get("/").status == 503).then_some(()));
    let ready = gateway.admin().get("/readyz");
    assert!(ready.status == 503 && ready.text().contains("overloaded"), "{}", ready.text());
    assert!(gateway.admin().metric("portcullis_bound_refused_total", "process_memory_bytes") >= 2.0);
    assert!(gateway.admin().metric("portcullis_failures_total", "memory_pressure") >= 2.0);
    gateway.write(&setup("{ memory: off }").yaml());
    until("all to be served", || (gateway.get("/batch").status == 200).then_some(()));
}

#[test]
fn the_process_has_a_cap_on_its_connections() {
    let gateway = Setup::to(&Origin::says("fine")).top("overload: { connections: 2 }").start();
    let mut held: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.ask(GET).status, 200));
    let mut third = gateway.client();
    assert!(third.try_send(GET).is_err() || third.try_response().is_err());
    assert_eq!(gateway.record_with("process_connections")["kind"], "connection");
    held.pop();
    until("a place to be free", || {
        let mut client = gateway.client();
        (client.try_send(GET).is_ok() && client.try_response().is_ok()).then_some(())
    });
}

/// 1001, as the gateway says it.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// An origin that returns what it gets on an upgraded connection, and answers all else.
fn echo() -> Origin {
    Origin::at_head(|received, wire| {
        wire.note(received);
        if received.field("upgrade").is_some() { switch_and_return(wire) } else { wire.ok("fine") }
    })
}

fn returns(client: &mut Client, bytes: &[u8]) {
    client.send(bytes);
    assert_eq!(client.exactly(bytes.len()).unwrap(), bytes);
}

#[test]
fn streams_have_a_limit_of_their_own_and_do_not_count_as_requests() {
    let origin = echo();
    let gateway = Setup::to(&origin).cluster("limits: { requests: 1, queue: 0, streams: 1 }").start();
    let first = upgraded(&gateway);
    is_refused(&gateway, &gateway.client().ask(UPGRADE), "streams");
    until("the request's place to be free", || (gateway.get("/").status == 200).then_some(()));
    assert_eq!(gateway.admin().metric("portcullis_bound_used", "cluster_streams"), 1.0);
    drop(first);
    until("the stream's place to be free", || {
        (gateway.admin().metric("portcullis_bound_used", "cluster_streams") == 0.0).then_some(())
    });
    drop(upgraded(&gateway));
}

#[test]
fn a_stream_survives_a_reload_and_ends_with_1001_between_frames_when_its_endpoint_leaves() {
    let (origin, other) = (echo(), Origin::says("other"));
    let setup = |origin: &Origin| Setup::to(origin).top("drain: { streams: 100ms }");
    let gateway = setup(&origin).start();
    let (mut whole, mut half) = (upgraded(&gateway), upgraded(&gateway));
    let frame = [0x82, 4, 1, 2, 3, 4];
    returns(&mut whole, &frame);
    returns(&mut half, &frame[..3]);
    gateway.write(&setup(&origin).cluster("keepalive: 5s").yaml());
    until("the next generation", || (gateway.admin().json("/api/status")["generation"] == 2).then_some(()));
    returns(&mut whole, &frame);
    gateway.write(&setup(&other).yaml());
    assert_eq!(whole.exactly(4).unwrap(), GOING_AWAY);
    whole.expect_end();
    // The other has half a frame: what is missing of it comes first.
    returns(&mut half, &frame[3..]);
    assert_eq!(half.exactly(4).unwrap(), GOING_AWAY);
    half.expect_end();
    let record = gateway.record("the stream", |record| record["status"] == 101);
    assert_eq!((&record["reason"], &record["detail"]), (&"draining".into(), &"stream_drained".into()));
}

#[test]
fn a_stream_ends_when_its_endpoint_is_drained_without_a_new_generation() {
    let (origin, other) = (echo(), echo());
    let setup = Setup::to(&origin).and_to(other.address()).cluster("balance: round_robin");
    let gateway = setup.top("drain: { streams: 50ms }").start();
    let mut clients = [upgraded(&gateway), upgraded(&gateway)];
    assert_eq!((origin.connections(), other.connections()), (1, 1));
    let body = format!(
        "{{ \"endpoint\": \"{}\", \"action\": \"drain\", \"for\": \"1h\", \"reason\": \"test\" }}",
        origin.address()
    );
    let answer = gateway.admin().post("/api/clusters/app/endpoints", "Content-Type: application/json\r\n", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = gateway.record("the stream", |record| record["detail"] == "stream_drained");
    assert_eq!(record["attempts"][0]["endpoint"], origin.address().to_string());
    let goes_on = |client: &mut Client| {
        let sent = client.try_send([0x82, 1, 7]);
        sent.is_ok() && client.exactly(3).is_ok_and(|bytes| bytes == [0x82, 1, 7])
    };
    let stays = clients.iter_mut().map(goes_on).filter(|goes_on| *goes_on);
    assert_eq!(stays.count(), 1, "the other's stream goes on");
}

#[test]
fn a_drain_ends_streams_one_after_the_other_and_then_the_process() {
    let origin = echo();
    let mut gateway = Setup::to(&origin).top("drain: { timeout: 60s, streams: 1s }").start();
    let mut clients: Vec<Client> = (0..20).map(|_| upgraded(&gateway)).collect();
    let started = Instant::now();
    gateway.signal("TERM");
    let ends: Vec<Duration> = clients
        .iter_mut()
        .map(|client| {
            assert_eq!(client.exactly(4).unwrap(), GOING_AWAY);
            client.expect_end();
            started.elapsed()
        })
        .collect();
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let last = ends.iter().max().unwrap();
    assert!(*last > Duration::from_millis(300), "twenty ends within a second are spread: {ends:?}");
}

#[test]
fn an_event_stream_counts_as_a_stream_and_ends_at_its_next_event_when_its_endpoint_leaves() {
    let (next, nexts) = mpsc::channel::<()>();
    let nexts = Mutex::new(nexts);
    let origin = Origin::http1(move |received, wire| {
        if received.path() != "/events" {
            return wire.ok("fine");
        }
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        while nexts.lock().unwrap().recv_timeout(PATIENCE).is_ok() {
            wire.send(b"9\r\ndata: x\n\n\r\n");
        }
        After::Close
    });
    let other = Origin::says("other");
    let setup = |origin: &Origin| {
        Setup::to(origin).top("drain: { streams: 50ms }").cluster("limits: { requests: 1, queue: 0, streams: 1 }")
    };
    let gateway = setup(&origin).start();
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let _ = client.head();
    next.send(()).unwrap();
    assert!(!client.next_chunk().unwrap().is_empty());
    assert_eq!(gateway.get("/").status, 200, "it is no request any more");
    until("the end of that request", || {
        (gateway.admin().metric("portcullis_cluster_in_flight", "app") == 0.0).then_some(())
    });
    is_refused(&gateway, &gateway.get("/events"), "streams");
    gateway.write(&setup(&other).yaml());
    let record = until("the end of the stream", || {
        let _ = next.send(());
        gateway.records().into_iter().find(|record| record["path"] == "/events" && record["detail"] == "stream_drained")
    });
    assert_eq!(record["reason"], "draining");
}
