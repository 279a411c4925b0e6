//! The origins over real sockets.

use std::io::Read as _;
use std::net::Ipv4Addr;

use super::*;
use crate::client::Client;

fn origin() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || drop(connection("one", stream)));
        }
    });
    address
}

fn ask(client: &mut Client, request: &str) -> (u16, String) {
    client.send(request).unwrap();
    let answer = client.answer().unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[test]
fn says_what_it_saw_on_every_request_of_a_connection() {
    let mut client = Client::connect(origin()).unwrap();
    for (request, expected) in [
        ("GET /a?b=1 HTTP/1.1\r\nHost: x\r\n\r\n", "\"target\":\"/a?b=1\",\"body_bytes\":0"),
        (
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            "\"method\":\"POST\",\"target\":\"/a\",\"body_bytes\":3",
        ),
        ("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "\"body_bytes\":2"),
        ("GET /a HTTP/1.1\r\nHost: \"\r\n\r\n", "\"host\":\"\\\"\""),
    ] {
        let (status, body) = ask(&mut client, request);
        assert_eq!(status, 200);
        assert!(body.starts_with("{\"origin\":\"one\"") && body.contains(expected), "{body}");
    }
    assert_eq!(ask(&mut client, "GET /?status=503 HTTP/1.1\r\nHost: x\r\n\r\n").0, 503);
}

#[test]
fn echoes_frames() {
    let mut client = Client::connect(origin()).unwrap();
    // The handshake of RFC 6455, section 1.3.
    client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 101);
    let mut back = [0; 7];
    // Section 5.7.
    client.exchange(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], &mut back).unwrap();
    assert_eq!(&back, b"\x81\x05Hello");
}

#[test]
fn accepts_the_key_of_the_rfc() {
    let address = origin();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut head = String::new();
    stream.read_to_string(&mut head).unwrap();
    assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
}
