//! What the gateway relies on in Pingora's HTTP/1 session to an upstream, which is our change (`vendor/README.md`): the
//! head of a request and the body that is there go out in one write, and neither waits for what is not there.

use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;

use super::socket::{After, Socket};

fn sizes(socket: &Socket) -> Vec<usize> {
    socket.writes().iter().map(Vec::len).collect()
}

/// A session whose head waits, and the size of the head.
fn session(framing: (&'static str, &str)) -> (HttpSession, Socket, usize) {
    let socket = Socket::default();
    let mut session = socket.session();
    let mut head = RequestHeader::build("POST", b"/rpc", None).unwrap();
    head.insert_header("Host", "api.example").unwrap();
    head.insert_header(framing.0, framing.1).unwrap();
    let size = session.queue_request_header(Box::new(head)).unwrap();
    assert!(session.has_queued_header());
    assert!(socket.writes().is_empty(), "nothing is sent yet");
    (session, socket, size)
}

#[tokio::test]
async fn head_and_body_are_one_write() {
    for size in [1, 300, 1_459, 1_460, 4_096, 65_536] {
        let (mut session, socket, head) = session(("Content-Length", &size.to_string()));
        let body = vec![b'x'; size];
        assert_eq!(session.write_body(&body).await.unwrap(), Some(size));
        session.finish_body().await.unwrap();
        assert_eq!(sizes(&socket), [head + size], "a body of {size} bytes");
        let sent = socket.writes().concat();
        assert!(sent.starts_with(b"POST /rpc HTTP/1.1\r\n") && sent.ends_with(&body));
        assert_eq!(session.body_bytes_sent(), size, "the head is not counted");
    }
}

#[tokio::test]
async fn a_part_of_the_body_does_not_wait_for_the_rest() {
    let (mut session, socket, head) = session(("Content-Length", "10"));
    session.write_body(b"01234").await.unwrap();
    assert_eq!(sizes(&socket), [head + 5], "sent, though the body is not whole");
    session.write_body(b"56789").await.unwrap();
    session.finish_body().await.unwrap();
    assert_eq!(sizes(&socket), [head + 5, 5]);
    assert!(socket.writes().concat().ends_with(b"\r\n\r\n0123456789"));
}

#[tokio::test]
async fn more_of_a_body_than_was_announced_is_cut_as_before() {
    let (mut session, socket, head) = session(("Content-Length", "3"));
    session.write_body(b"abcdef").await.unwrap();
    assert_eq!(socket.writes().concat().len(), head + 3);
    assert!(socket.writes().concat().ends_with(b"\r\n\r\nabc"));
}

#[tokio::test]
async fn head_and_chunk_are_one_write() {
    let (mut session, socket, head) = session(("Transfer-Encoding", "chunked"));
    session.write_body(b"abc").await.unwrap();
    assert_eq!(sizes(&socket), [head + b"3\r\nabc\r\n".len()]);
    session.finish_body().await.unwrap();
    assert!(socket.writes().concat().ends_with(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_head_without_a_body_is_sent_by_its_end() {
    let (mut session, socket, head) = session(("Content-Length", "0"));
    session.finish_body().await.unwrap();
    assert_eq!(sizes(&socket), [head]);
    assert!(!session.has_queued_header());
}

#[tokio::test]
async fn a_head_can_be_sent_alone_and_once() {
    let (mut session, socket, head) = session(("Content-Length", "3"));
    session.send_request_header().await.unwrap();
    session.send_request_header().await.unwrap();
    assert_eq!(sizes(&socket), [head]);
    session.write_body(b"abc").await.unwrap();
    assert_eq!(sizes(&socket), [head, 3]);
}

#[tokio::test]
async fn a_connection_is_silent_until_something_comes_or_it_ends() {
    for (socket, silent) in [
        (Socket::sends([], After::Silence), true),
        (Socket::sends([], After::End), false),
        (Socket::sends([b"HTTP/1.1 408 Request Timeout\r\n\r\n".to_vec()], After::Silence), false),
    ] {
        let mut session = socket.session();
        assert_eq!([session.is_silent(), session.is_silent()], [silent; 2]);
    }
}
