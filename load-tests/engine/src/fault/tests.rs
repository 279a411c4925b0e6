//! The proxy over real sockets, before the tool's own origin.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use super::*;
use crate::client::Client;
use crate::origin::Origin;

const LONG: Duration = Duration::from_secs(30);

fn stand() -> (Origin, FaultProxy) {
    let origin = Origin::start("fine").unwrap();
    let proxy = FaultProxy::start(origin.address()).unwrap();
    (origin, proxy)
}

fn raw(proxy: &FaultProxy, request: &str) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

const GET: &str = "GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn without_a_fault_everything_passes() {
    let (origin, proxy) = stand();
    let mut client = Client::connect(proxy.address()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/bytes/300000").unwrap().body.len(), 300_000);
    }
    assert_eq!((origin.requests(), proxy.passed().connections.load(Ordering::SeqCst)), (3, 1));
    // What arrived is counted a moment later.
    let until = Instant::now() + LONG;
    while proxy.passed().down.load(Ordering::SeqCst) <= 900_000 {
        assert!(Instant::now() < until, "{:?}", proxy.passed());
        std::thread::yield_now();
    }
    drop(proxy);
    assert!(client.get("/").is_err(), "it ends its connections");
}

#[test]
fn latency_and_bandwidth_take_their_time() {
    let (_origin, proxy) = stand();
    let mut client = Client::connect(proxy.address()).unwrap();
    let mut timed = |fault, path: &str| {
        proxy.set(fault);
        let start = Instant::now();
        assert_eq!(client.get(path).unwrap().status, 200);
        start.elapsed()
    };
    let latency = Duration::from_millis(60);
    let took = timed(Fault { latency, ..Fault::default() }, "/");
    assert!(took >= latency * 2, "both ways: {took:?}");
    // 100 kB at 1 MB/s are a tenth of a second, less the last piece, which may be on its way.
    let took = timed(Fault { bandwidth: Some(1_000_000), ..Fault::default() }, "/bytes/100000");
    assert!(took >= Duration::from_millis(80), "{took:?}");
}

#[test]
fn a_new_fault_counts_for_what_waits() {
    let (origin, proxy) = stand();
    proxy.set(Fault { latency: LONG * 10, ..Fault::default() });
    let mut stream = raw(&proxy, GET);
    let until = Instant::now() + LONG;
    while origin.counters().connections.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "nobody came");
        std::thread::yield_now();
    }
    // It would take five minutes each way, then half an hour, then nothing.
    proxy.set(Fault { bandwidth: Some(50), ..Fault::default() });
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    proxy.set(Fault { harm: Harm::Reset { after: 0 }, ..Fault::default() });
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn resets_when_so_many_bytes_have_passed() {
    let (_origin, proxy) = stand();
    proxy.set(Fault { harm: Harm::Reset { after: 5000 }, ..Fault::default() });
    let mut stream = raw(&proxy, GET);
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(got.len() <= 5000, "{}", got.len());
    assert_eq!(proxy.passed().resets.load(Ordering::SeqCst), 2, "both sides");
}

#[test]
fn resets_what_is_open() {
    let (_origin, proxy) = stand();
    let mut stream = raw(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    proxy.set(Fault { harm: Harm::Reset { after: 0 }, ..Fault::default() });
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn half_closes_the_servers_direction_alone() {
    let (origin, proxy) = stand();
    proxy.set(Fault { harm: Harm::HalfClose { after: 100 }, ..Fault::default() });
    let mut stream = raw(&proxy, GET);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), 100);
    // The client's direction still leads to the server.
    stream.write_all(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let until = Instant::now() + LONG;
    while proxy.passed().up.load(Ordering::SeqCst) <= GET.len() as u64 {
        assert!(Instant::now() < until, "nothing arrives");
        std::thread::yield_now();
    }
    drop(origin);
}

#[test]
fn a_black_hole_swallows_until_it_ends() {
    let (origin, proxy) = stand();
    proxy.set(Fault { harm: Harm::BlackHole, ..Fault::default() });
    let mut stream = raw(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut byte = [0];
    let error = stream.read(&mut byte).unwrap_err();
    assert_eq!((error.kind(), origin.requests()), (std::io::ErrorKind::WouldBlock, 0));
    proxy.set(Fault::default());
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read_exact(&mut byte).unwrap();
    assert_eq!((&byte, origin.requests()), (b"H", 1));
}
