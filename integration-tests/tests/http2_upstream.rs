//! HTTP/2 upstreams that refuse, reset and leave, by raw frames.

use portcullis_integration_tests::h2::{GOAWAY, RST_STREAM, SETTINGS, block, frame};
use portcullis_integration_tests::place::own_ip;
use portcullis_integration_tests::{Gateway, Origin, Setup};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What an upstream does with a stream: the frames it answers the `n`-th request with.
type Script = dyn Fn(u32, u32) -> Vec<u8> + Send + Sync;

/// An upstream that answers each HEADERS frame by script, and counts them.
fn upstream(script: impl Fn(u32, u32) -> Vec<u8> + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind((own_ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let (counter, script): (_, Arc<Script>) = (count.clone(), Arc::new(script));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (counter, script) = (counter.clone(), script.clone());
            std::thread::spawn(move || serve(stream, &counter, &*script));
        }
    });
    (address, count)
}

/// One connection; it ends with the first error, or when the script answers with nothing.
fn serve(mut stream: TcpStream, counter: &AtomicU32, script: &Script) -> Option<()> {
    let mut preface = [0u8; 24];
    stream.read_exact(&mut preface).ok()?;
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).ok()?;
    loop {
        let mut header = [0u8; 9];
        stream.read_exact(&mut header).ok()?;
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let mut payload = vec![0u8; length];
        stream.read_exact(&mut payload).ok()?;
        let id = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
        if header[3] == SETTINGS && header[4] == 0 {
            stream.write_all(&frame(SETTINGS, 1, 0, b"")).ok()?;
        } else if header[3] == 1 {
            let answer = script(counter.fetch_add(1, Ordering::SeqCst), id);
            stream.write_all(&answer).ok().filter(|()| !answer.is_empty())?;
        }
    }
}

fn ok(id: u32) -> Vec<u8> {
    [frame(1, 4, id, &block(&[(":status", "200")])), frame(0, 1, id, b"fine")].concat()
}

fn reset(id: u32, code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &[0, 0, 0, code])
}

fn gateway(address: SocketAddr) -> Gateway {
    Setup::to_address(address).cluster("protocol: http2").start()
}

const POST: &str = "POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn sends_a_stream_again_that_was_refused_before_it_was_acted_on() {
    let (address, count) = upstream(|n, id| if n == 0 { reset(id, 7) } else { ok(id) });
    let gateway = gateway(address);
    let answer = gateway.client().ask(POST);
    assert_eq!((answer.status, answer.text().as_str()), (200, "fine"));
    let record = gateway.record_of(&answer);
    assert_eq!(record["attempts"][0]["reason"], "upstream_refused_stream");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn goes_on_as_another_route_with_the_body_of_a_stream_that_was_refused() {
    let (address, count) = upstream(|_, id| reset(id, 7));
    let archive = Origin::says("kept");
    let setup = Setup::to_address(address).cluster("protocol: http2").route("fallback: { route: other }");
    let gateway = setup.and_cluster("archive", archive.address(), "").and_route("{ name: other, to: archive }").start();
    let answer = gateway.client().ask(POST);
    assert_eq!((answer.status, answer.text().as_str()), (200, "kept"));
    assert_eq!(archive.last().body, b"hi");
    assert_eq!(count.load(Ordering::SeqCst), 2, "as often as the first route's cluster tries");
}

#[test]
fn does_not_send_a_post_again_that_was_reset() {
    let (address, count) = upstream(|_, id| reset(id, 2));
    let gateway = gateway(address);
    let answer = gateway.client().ask(POST);
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn aborts_an_answer_whose_stream_is_reset() {
    let (address, _count) = upstream(|_, id| {
        [frame(1, 4, id, &block(&[(":status", "200")])), frame(0, 0, id, b"half"), reset(id, 2)].concat()
    });
    let gateway = gateway(address);
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    assert_eq!(gateway.record_with("upstream_incomplete")["path"], "/a");
}

#[test]
fn moves_on_when_an_upstream_says_goaway() {
    let goodbye = |id: u32| frame(GOAWAY, 0, 0, &[&id.to_be_bytes()[..], &[0; 4]].concat());
    let (address, count) = upstream(move |_, id| [ok(id), goodbye(id)].concat());
    let gateway = gateway(address);
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/a").text(), "fine");
    }
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

#[test]
fn refuses_a_malformed_answer() {
    let (address, _count) = upstream(|_, id| frame(1, 5, id, &block(&[("x-a", "no status")])));
    let answer = gateway(address).get("/a");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"), "{}", answer.text());
}
