//! What the gateway relies on in Pingora's HTTP/1 session to an upstream, which is our change (`vendor/README.md`): the
//! head of a request and the body that is there go out in one write, and neither waits for what is not there.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_http::RequestHeader;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The writes that reach a socket, each as it came.
#[derive(Debug, Clone, Default)]
struct Socket(Arc<Mutex<Vec<Vec<u8>>>>);

impl Socket {
    fn writes(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    fn sizes(&self) -> Vec<usize> {
        self.writes().iter().map(Vec::len).collect()
    }
}

impl VirtualSocket for Socket {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A session whose head waits, and the size of the head.
fn session(framing: (&'static str, &str)) -> (HttpSession, Socket, usize) {
    let socket = Socket::default();
    let stream = Stream::from(VirtualSocketStream::new(Box::new(socket.clone())));
    let mut session = HttpSession::new(Box::new(stream));
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
    for size in [1, 300, 1_459, 1_460, 4_096, 16_384] {
        let (mut session, socket, head) = session(("Content-Length", &size.to_string()));
        let body = vec![b'x'; size];
        assert_eq!(session.write_body(&body).await.unwrap(), Some(size));
        session.finish_body().await.unwrap();
        assert_eq!(socket.sizes(), [head + size], "a body of {size} bytes");
        let sent = socket.writes().concat();
        assert!(sent.starts_with(b"POST /rpc HTTP/1.1\r\n") && sent.ends_with(&body));
        assert_eq!(session.body_bytes_sent(), size, "the head is not counted");
    }
}

#[tokio::test]
async fn a_large_body_is_not_copied_for_it() {
    let (mut session, socket, head) = session(("Content-Length", "65536"));
    session.write_body(&[b'x'; 65_536]).await.unwrap();
    assert_eq!(socket.sizes(), [head, 65_536]);
}

#[tokio::test]
async fn a_part_of_the_body_does_not_wait_for_the_rest() {
    let (mut session, socket, head) = session(("Content-Length", "10"));
    session.write_body(b"01234").await.unwrap();
    assert_eq!(socket.sizes(), [head + 5], "sent, though the body is not whole");
    session.write_body(b"56789").await.unwrap();
    session.finish_body().await.unwrap();
    assert_eq!(socket.sizes(), [head + 5, 5]);
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
    assert_eq!(socket.sizes(), [head + b"3\r\nabc\r\n".len()]);
    session.finish_body().await.unwrap();
    assert!(socket.writes().concat().ends_with(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_head_without_a_body_is_sent_by_its_end() {
    let (mut session, socket, head) = session(("Content-Length", "0"));
    session.finish_body().await.unwrap();
    assert_eq!(socket.sizes(), [head]);
    assert!(!session.has_queued_header());
}

#[tokio::test]
async fn a_head_can_be_sent_alone_and_once() {
    let (mut session, socket, head) = session(("Content-Length", "3"));
    session.send_request_header().await.unwrap();
    session.send_request_header().await.unwrap();
    assert_eq!(socket.sizes(), [head]);
    session.write_body(b"abc").await.unwrap();
    assert_eq!(socket.sizes(), [head, 3]);
}
