//! Connections to an upstream that wait for their next request: used again while they are good, and only then.

use portcullis_integration_tests::{After, Origin, Setup};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// An origin that answers the first request of each connection, then waits for a word of the test, says `then`, and
/// tells what it read up to the connection's end.
fn after_the_first(then: &'static [u8]) -> (Origin, Sender<()>, Receiver<Vec<u8>>) {
    let (go, may_go) = channel::<()>();
    let (ended, has_ended) = channel();
    let may_go = Mutex::new(may_go);
    let origin = Origin::http1(move |received, wire| {
        wire.note(received);
        wire.ok("own answer");
        if may_go.lock().unwrap().recv().is_err() {
            return After::Close;
        }
        let stream = wire.stream();
        // The gateway may have closed the connection already.
        drop(stream.write_all(then));
        drop(ended.send(rest(stream)));
        After::Close
    });
    (origin, go, has_ended)
}

fn rest(stream: &mut impl Read) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), [0u8; 1024]);
    // An end with a reset is an end.
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        all.extend_from_slice(&bytes[..count]);
    }
    all
}

#[test]
fn closes_an_idle_upstream_connection_when_its_keepalive_is_over() {
    let (origin, go, ended) = after_the_first(b"");
    let gateway = Setup::to(&origin).cluster("keepalive: 1s").start();
    assert_eq!(gateway.get("/a").text(), "own answer");
    let idle_since = Instant::now();
    go.send(()).unwrap();
    let read = ended.recv_timeout(Duration::from_secs(10)).expect("the connection was not closed");
    assert!(read.is_empty(), "{}", String::from_utf8_lossy(&read));
    let idle = idle_since.elapsed();
    assert!(idle >= Duration::from_millis(900) && idle < Duration::from_secs(4), "{idle:?}");
    assert_eq!(gateway.get("/b").text(), "own answer");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn drops_an_idle_upstream_connection_that_talks_and_never_takes_its_words_for_an_answer() {
    let (origin, go, ended) = after_the_first(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npoison!");
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "own answer");
    go.send(()).unwrap();
    // Nobody asks for the connection: the gateway sees by itself that it is of no use.
    let read = ended.recv_timeout(Duration::from_secs(10)).expect("the connection was kept");
    assert!(read.is_empty(), "{}", String::from_utf8_lossy(&read));
    assert_eq!(client.get("/b").text(), "own answer");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn never_sends_a_request_on_a_connection_that_the_upstream_closed() {
    let (closed, is_closed) = channel();
    let origin = Origin::http1(move |received, wire| {
        wire.note(received);
        wire.ok("fine");
        wire.stream().shutdown(std::net::Shutdown::Both).unwrap();
        closed.send(()).unwrap();
        After::Close
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    for n in 1..=50 {
        // A POST is not sent twice: on a closed connection it would fail.
        let answer = client.ask("POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!((answer.status, answer.text().as_str()), (200, "fine"), "request {n}");
        is_closed.recv().unwrap();
    }
    assert_eq!(origin.connections(), 50);
}

#[test]
fn shares_upstream_connections_between_many_clients_without_mixing_answers() {
    const CLIENTS: usize = 8;
    let origin = Origin::http1(|received, wire| wire.ok(received.target()));
    let gateway = Setup::to(&origin).top("threads: 4").start();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut connection = gateway.client();
                for n in 0..200 {
                    let target = format!("/client-{client}/{n}");
                    assert_eq!(connection.get(&target).text(), target);
                }
            });
        }
    });
    assert_eq!(origin.received().len(), CLIENTS * 200);
    assert!(origin.connections() <= CLIENTS, "{} connections for {CLIENTS} clients", origin.connections());
}
