//! Long and large answers and requests: they pass piece by piece, whole, and without being held.

use aws_lc_rs::digest::{Context, SHA256};
use portcullis_integration_tests::process::resident_bytes;
use portcullis_integration_tests::{After, Client, Origin, PATIENCE, Setup, until};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const PIECE: usize = 64 * 1024;

/// Bytes that do not repeat within a piece, and differ from piece to piece.
fn piece(number: usize) -> Vec<u8> {
    let seed = u32::try_from(number).unwrap().wrapping_mul(2_654_435_761);
    (0..PIECE / 4).flat_map(|at| (seed ^ u32::try_from(at).unwrap().wrapping_mul(40_503)).to_le_bytes()).collect()
}

fn digest_of(pieces: usize) -> String {
    let mut context = Context::new(&SHA256);
    (0..pieces).for_each(|number| context.update(&piece(number)));
    format!("{:?}", context.finish())
}

fn digest(bytes: &[u8]) -> String {
    format!("{:?}", aws_lc_rs::digest::digest(&SHA256, bytes))
}

#[test]
fn passes_server_sent_events_one_by_one() {
    let (next, nexts) = mpsc::channel::<()>();
    let nexts = Mutex::new(nexts);
    let origin = Origin::http1(move |_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for n in 0..3 {
            let event = format!("data: {n}\n\n");
            wire.send(format!("{:x}\r\n{event}\r\n", event.len()));
            // The next event only leaves once the client has this one.
            nexts.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        wire.send(b"0\r\n\r\n")
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\n\r\n");
    assert!(client.head().contains("text/event-stream"));
    for n in 0..3 {
        assert_eq!(client.next_chunk().unwrap(), format!("data: {n}\n\n").as_bytes());
        next.send(()).unwrap();
    }
    assert!(client.next_chunk().unwrap().is_empty());
}

#[test]
fn passes_a_request_body_piece_by_piece() {
    let (seen, sights) = mpsc::channel::<Vec<u8>>();
    let seen = Mutex::new(seen);
    let origin = Origin::at_head(move |_, wire| {
        let mut bytes = wire.take_surplus();
        while !bytes.ends_with(b"0\r\n\r\n") {
            seen.lock().unwrap().send(bytes.clone()).unwrap();
            let mut more = [0u8; 4096];
            let count = std::io::Read::read(wire.stream(), &mut more).unwrap();
            bytes.extend_from_slice(&more[..count]);
        }
        wire.ok("fine")
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for word in ["first", "second"] {
        client.send(format!("{:x}\r\n{word}\r\n", word.len()));
        let arrived = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(word);
        while !arrived(sights.recv_timeout(PATIENCE).unwrap()) {}
    }
    assert_eq!(client.ask("0\r\n\r\n").text(), "fine");
}

#[test]
fn sends_a_head_and_the_body_that_came_with_it_together() {
    let origin = Origin::at_head(|_, wire| {
        let with_the_head = wire.take_surplus();
        wire.ok(&String::from_utf8_lossy(&with_the_head))
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    // Of two writes one read may bring both, but not time after time.
    for _ in 0..50 {
        assert_eq!(client.ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello").text(), "hello");
    }
}

#[test]
fn passes_large_bodies_both_ways_unchanged() {
    const PIECES: usize = 512;
    let origin = Origin::http1(|received, wire| {
        let length = received.body.len();
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nX-Digest: {}\r\nContent-Length: {length}\r\n\r\n",
            digest(&received.body)
        ));
        wire.send(&received.body)
    });
    let gateway = Setup::to(&origin).route("body_limit: 0").start();
    let mut client = gateway.client();
    client.send(format!("POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", PIECES * PIECE));
    for number in 0..PIECES {
        client.send(piece(number));
    }
    let answer = client.response();
    let expected = digest_of(PIECES);
    assert_eq!(answer.field("x-digest"), Some(expected.as_str()), "the request body changed on its way");
    assert_eq!(digest(&answer.body), expected, "the response body changed on its way");
    let record = gateway.record_of(&answer);
    let bytes = serde_json::json!(PIECES * PIECE);
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&bytes, &bytes));
}

/// An origin that generates answers of `length` bytes and counts what it could send.
fn generator(length: u64) -> (Origin, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let origin = Origin::http1(move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        let block = vec![42u8; PIECE];
        let mut left = length;
        while left > 0 {
            let some = usize::try_from(left.min(PIECE as u64)).unwrap();
            if wire.send(&block[..some]) == After::Close {
                return After::Close;
            }
            left -= some as u64;
            counter.fetch_add(some as u64, Ordering::SeqCst);
        }
        After::Keep
    });
    (origin, sent)
}

/// Waits until a counter has stood still for a while: the sender is stopped by back-pressure.
fn wait_for_standstill(counter: &AtomicU64) -> u64 {
    let mut last = (counter.load(Ordering::SeqCst), Instant::now());
    until("the origin to be stopped", || {
        let now = counter.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (now > 0 && last.1.elapsed() > Duration::from_millis(300)).then_some(now)
    })
}

/// Memory comes in steps as large as the bound, so several readers are looked at, and what each holds on average.
#[test]
fn holds_under_a_mebibyte_for_a_slow_reader_of_a_gibibyte() {
    const GIBIBYTE: u64 = 1 << 30;
    const READERS: u64 = 16;
    let (warm, _) = generator(32 << 20);
    let (origin, sent) = generator(GIBIBYTE);
    let warming = "{ name: warm, match: { path: /warm }, to: warm }";
    let gateway = Setup::to(&origin).and_cluster("warm", warm.address(), "").and_route(warming).start();
    assert_eq!(gateway.get("/warm").body.len(), 32 << 20);
    let before = resident_bytes(gateway.pid());
    let mut readers: Vec<Client> =
        (0..READERS).map(|_| Client::connect_narrow(gateway.address("edge"), 16 * 1024)).collect();
    for client in &mut readers {
        client.send("GET /big HTTP/1.1\r\nHost: app.test\r\n\r\n");
        assert!(client.head().contains("1073741824"));
    }
    let mut most = 0;
    for _ in 0..4 {
        let stopped_at = wait_for_standstill(&sent);
        assert!(stopped_at < READERS * GIBIBYTE / 8, "nothing stopped the origin");
        most = most.max(resident_bytes(gateway.pid()));
        for client in &mut readers {
            assert_eq!(client.exactly(1 << 20).unwrap().len(), 1 << 20);
        }
    }
    let held = most.saturating_sub(before) / READERS;
    assert!(held < 1 << 20, "the gateway held {held} bytes for a reader that does not read");
}

#[test]
fn stops_a_fast_sender_when_the_upstream_does_not_read() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::at_head(move |received, wire| {
        wire.note(received);
        released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        wire.read_body(received);
        wire.ok(&received.body.len().to_string())
    });
    let gateway = Setup::to(&origin).route("body_limit: 0").start();
    let size: usize = 96 << 20;
    let mut client = gateway.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {size}\r\n\r\n"));
    let _ = origin.wait_for(1);
    let sent = Arc::new(AtomicU64::new(0));
    let (counter, mut writer) = (sent.clone(), client.writer());
    let sending = std::thread::spawn(move || {
        let block = vec![1u8; PIECE];
        for _ in 0..size / PIECE {
            writer.send(&block);
            counter.fetch_add(PIECE as u64, Ordering::SeqCst);
        }
    });
    let stopped_at = wait_for_standstill(&sent);
    assert!(stopped_at < 48 << 20, "the gateway took {stopped_at} bytes that nobody reads");
    release.send(()).unwrap();
    sending.join().unwrap();
    assert_eq!(client.response().text(), size.to_string());
}
