//! What the gateway relies on in Pingora's HTTP/1 session to a client, which is our change (`vendor/README.md`): what there is
//! of an answer goes out in one write and without a copy, whatever its framing.

use bytes::Bytes;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::VirtualSocketStream;
use pingora_core::{Error, ErrorType};
use pingora_http::ResponseHeader;

use super::socket::{After, Socket};

/// A session that has read its request.
async fn session(method: &str, socket: &Socket) -> HttpSession {
    let stream = Stream::from(VirtualSocketStream::new(Box::new(socket.clone())));
    let mut session = HttpSession::new(Box::new(stream));
    socket.send(format!("{method} / HTTP/1.1\r\nHost: api.example\r\n\r\n").into_bytes());
    session.read_request().await.unwrap().unwrap();
    session
}

fn head(status: u16, framing: Option<(&'static str, &str)>) -> HttpTask {
    let mut head = ResponseHeader::build(status, None).unwrap();
    if let Some((name, value)) = framing {
        head.insert_header(name, value).unwrap();
    }
    HttpTask::Header(Box::new(head), false)
}

fn body(piece: impl Into<Bytes>, last: bool) -> HttpTask {
    HttpTask::Body(Some(piece.into()), last)
}

/// What was written, and where its head ends.
fn written(socket: &Socket) -> (Vec<u8>, usize) {
    let bytes = socket.writes().concat();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (bytes, end)
}

#[tokio::test]
async fn a_head_and_all_that_is_there_of_its_body_are_one_write() {
    for sizes in [[1, 1, 1], [300, 1_400, 2], [4_096, 65_536, 32_768]] {
        let socket = Socket::sends([], After::Silence);
        let mut session = session("GET", &socket).await;
        let pieces: Vec<Vec<u8>> = sizes.iter().zip(b'a'..).map(|(&size, byte)| vec![byte; size]).collect();
        let length = pieces.concat().len();
        let mut tasks = vec![head(200, Some(("Content-Length", &length.to_string())))];
        tasks.extend(pieces.iter().map(|piece| body(piece.clone(), false)));
        tasks.push(HttpTask::Done);
        assert!(session.response_duplex_vec(tasks).await.unwrap(), "this was the end");
        assert_eq!(socket.writes().len(), 1, "{sizes:?}");
        let (bytes, end) = written(&socket);
        assert_eq!(bytes.get(end..), Some(&*pieces.concat()));
        assert_eq!(session.body_bytes_sent(), length, "the head is not counted");
    }
}

#[tokio::test]
async fn pieces_are_one_chunk_and_the_end_goes_with_them() {
    let socket = Socket::sends([], After::Silence);
    let mut session = session("GET", &socket).await;
    let chunked = head(200, Some(("Transfer-Encoding", "chunked")));
    let first = vec![chunked, body("0123456789", false), body("abcdef", false)];
    assert!(!session.response_duplex_vec(first).await.unwrap());
    assert_eq!(socket.writes().len(), 1, "what is there does not wait for the rest");
    assert!(session.response_duplex_vec(vec![body("xyz", true)]).await.unwrap());
    assert_eq!(socket.writes().len(), 2);
    let (bytes, end) = written(&socket);
    assert_eq!(bytes.get(end..), Some(&b"10\r\n0123456789abcdef\r\n3\r\nxyz\r\n0\r\n\r\n"[..]));
    assert_eq!(session.body_bytes_sent(), 19);
}

#[tokio::test]
async fn a_part_of_a_known_length_does_not_wait_for_more() {
    let socket = Socket::sends([], After::Silence);
    let mut session = session("GET", &socket).await;
    session.response_duplex_vec(vec![head(200, Some(("Content-Length", "3")))]).await.unwrap();
    assert_eq!(socket.unflushed(), 1, "the head waits for what comes first of the body");
    for (part, last) in [("a", false), ("b", false), ("c", true)] {
        session.response_duplex_vec(vec![body(part, last)]).await.unwrap();
        assert!(socket.writes().concat().ends_with(part.as_bytes()));
        assert_eq!(socket.unflushed(), 0, "{part} is with the client");
    }
}

#[tokio::test]
async fn an_end_alone_is_an_end() {
    let socket = Socket::sends([], After::Silence);
    let mut session = session("GET", &socket).await;
    assert!(!session.response_duplex_vec(vec![head(200, Some(("Transfer-Encoding", "chunked")))]).await.unwrap());
    assert!(session.response_duplex_vec(vec![body("", false), HttpTask::Done]).await.unwrap());
    let (bytes, end) = written(&socket);
    assert_eq!(bytes.get(end..), Some(&b"0\r\n\r\n"[..]), "an empty piece is no chunk: that would be the end");
}

#[tokio::test]
async fn a_socket_that_takes_little_gets_all_in_order() {
    for most in [1, 7, 1_000, 70_000] {
        let socket = Socket::sends([], After::Silence);
        socket.takes(most);
        let mut session = session("GET", &socket).await;
        let pieces = [vec![b'a'; 4_000], vec![b'b'; 65_536], vec![b'c'; 3]];
        let mut tasks = vec![head(200, Some(("Transfer-Encoding", "chunked")))];
        tasks.extend(pieces.iter().map(|piece| body(piece.clone(), false)));
        tasks.push(HttpTask::Done);
        session.response_duplex_vec(tasks).await.unwrap();
        let (bytes, end) = written(&socket);
        let sent = [b"10FA3\r\n", &*pieces.concat(), b"\r\n0\r\n\r\n"].concat();
        assert!(bytes.get(end..) == Some(&*sent), "at most {most} bytes a write");
    }
}

#[tokio::test]
async fn more_than_was_announced_is_cut() {
    for (method, sent) in [("GET", "01234"), ("HEAD", "")] {
        let socket = Socket::sends([], After::Silence);
        let mut session = session(method, &socket).await;
        let tasks = vec![head(200, Some(("Content-Length", "5"))), body("012", false), body("3456", true)];
        assert!(session.response_duplex_vec(tasks).await.unwrap());
        let (bytes, end) = written(&socket);
        assert_eq!(bytes.get(end..), Some(sent.as_bytes()), "{method}");
    }
}

#[tokio::test]
async fn a_word_before_the_answer_goes_first_and_at_once() {
    let socket = Socket::sends([], After::Silence);
    let mut session = session("GET", &socket).await;
    session.response_duplex_vec(vec![head(103, None)]).await.unwrap();
    assert!(socket.writes().concat().starts_with(b"HTTP/1.1 103 "));
    let tasks = vec![head(103, None), head(200, Some(("Content-Length", "2"))), body("ok", true)];
    session.response_duplex_vec(tasks).await.unwrap();
    assert_eq!(socket.writes().len(), 3);
    assert!(socket.writes()[2].starts_with(b"HTTP/1.1 200 ") && socket.writes()[2].ends_with(b"\r\n\r\nok"));
}

#[tokio::test]
async fn what_came_before_a_failure_is_sent_and_the_body_has_no_end() {
    let socket = Socket::sends([], After::Silence);
    let mut session = session("GET", &socket).await;
    let failed = HttpTask::Failed(Error::new(ErrorType::ReadError));
    let tasks = vec![head(200, Some(("Transfer-Encoding", "chunked"))), body("abc", false), failed];
    let error = session.response_duplex_vec(tasks).await.unwrap_err();
    assert_eq!(error.etype(), &ErrorType::ReadError);
    let (bytes, end) = written(&socket);
    assert_eq!(bytes.get(end..), Some(&b"3\r\nabc\r\n"[..]));
}

#[tokio::test]
async fn a_head_whose_write_failed_counts_as_sent() {
    let socket = Socket::sends([], After::Silence);
    let mut session = session("GET", &socket).await;
    socket.breaks();
    let tasks = vec![head(200, Some(("Content-Length", "4000"))), body(vec![b'x'; 4_000], true)];
    let error = session.response_duplex_vec(tasks).await.unwrap_err();
    assert_eq!(error.etype(), &ErrorType::WriteError);
    assert_eq!(session.response_written().map(|head| head.status.as_u16()), Some(200), "no second one may follow");
}
