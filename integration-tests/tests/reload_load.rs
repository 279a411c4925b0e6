//! A hundred reloads under load: no request fails, no WebSocket drops.

use portcullis_integration_tests::{Client, Gateway, Origin, Setup};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

const RELOADS: usize = 100;
const CLIENTS: usize = 4;
const SOCKETS: usize = 10;

/// An origin for both: it upgrades where it is asked to, and returns the stream's bytes.
fn origin() -> Origin {
    Origin::http1(|received, wire| {
        if received.field("upgrade").is_none() {
            return wire.ok("fine");
        }
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let mut bytes = [0u8; 1024];
        while let Ok(count @ 1..) = wire.stream().read(&mut bytes) {
            if wire.stream().write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        portcullis_integration_tests::After::Close
    })
}

/// A keep-alive client that never closes: whatever ends its connection is a failure.
fn hammer(gateway: &Gateway, stop: &Arc<AtomicBool>, done: &Arc<AtomicUsize>) -> JoinHandle<Vec<String>> {
    let (mut client, stop, done) = (gateway.client(), stop.clone(), done.clone());
    std::thread::spawn(move || {
        let mut failures = Vec::new();
        while !stop.load(Ordering::SeqCst) && failures.len() < 10 {
            let sent = client.try_send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
            match sent.and_then(|()| client.try_response()) {
                Ok(answer) if answer.status == 200 && !answer.closes() => {}
                Ok(answer) => failures.push(answer.head),
                Err(error) => failures.push(error.to_string()),
            }
            done.fetch_add(1, Ordering::SeqCst);
        }
        failures
    })
}

fn websocket(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send("GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(client.head().contains("101"));
    client
}

fn reload(gateway: &Gateway, setup: &Setup, number: usize) {
    let changed = setup
        .clone()
        .and_route(&format!("{{ name: r{number}, match: {{ exact: /r{number} }}, respond: {{ body: \"{number}\" }} }}"))
        .and_cluster(&format!("c{number}"), portcullis_integration_tests::origin::refused(), "")
        .and_route(&format!("{{ name: c{number}, match: {{ exact: /c{number} }}, to: c{number} }}"));
    let text = gateway.complete(&changed.yaml());
    let answer = gateway.admin().post("/api/config", "If-Match: *\r\n", &text);
    assert_eq!(answer.status, 200, "reload {number}: {}", answer.text());
}

#[test]
fn fails_no_request_and_drops_no_websocket_over_a_hundred_reloads() {
    over_reloads("threads: 2");
}

/// A single thread has another scheduler, and nobody who takes over what it is kept from.
#[test]
fn fails_no_request_and_drops_no_websocket_over_a_hundred_reloads_on_one_thread() {
    over_reloads("threads: 1");
}

fn over_reloads(threads: &str) {
    let origin = origin();
    let setup = Setup::to(&origin).top(threads);
    let gateway = setup.start();
    let mut sockets: Vec<Client> = (0..SOCKETS).map(|_| websocket(&gateway)).collect();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS).map(|_| hammer(&gateway, &stop, &done)).collect();
    for number in 0..RELOADS {
        reload(&gateway, &setup, number);
        let mut fresh = gateway.client();
        assert_eq!(fresh.get(&format!("/r{number}")).text(), number.to_string(), "the reload is in place");
        let socket = &mut sockets[number % SOCKETS];
        let message = format!("message {number}");
        socket.send(&message);
        assert_eq!(socket.exactly(message.len()).unwrap(), message.as_bytes());
    }
    stop.store(true, Ordering::SeqCst);
    let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(failures.is_empty(), "{} failures: {failures:?}", failures.len());
    assert!(done.load(Ordering::SeqCst) >= RELOADS, "there was no load: {} requests", done.load(Ordering::SeqCst));
    for socket in &mut sockets {
        socket.send("the end");
        assert_eq!(socket.exactly(7).unwrap(), b"the end");
    }
    let live = || gateway.admin().json("/api/config")["generations"].as_array().unwrap().len();
    portcullis_integration_tests::until("the old generations to end", || (live() == 1).then_some(()));
}
