//! What the gateway relies on in Pingora's HTTP/1 session to an upstream, which is our change (`vendor/README.md`): what
//! was read of a response is given away and not copied, and no memory is held for a body that is there already.

use allocation_counter::{AllocationInfo, measure};
use pingora_core::protocols::http::HttpTask;

use super::socket::{After, Socket};

const BUFFER: usize = 64 * 1024;

/// What is allocated for reading a body of `size` bytes that comes in one piece: with the head, or after it. What is
/// given away lives on, and nothing else.
fn of_body(size: usize, with_the_head: bool) -> AllocationInfo {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (head, body) = (format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes(), vec![b'x'; size]);
    let pieces = if with_the_head { vec![[head, body].concat()] } else { vec![head, body] };
    let socket = Socket::sends(pieces, After::Silence);
    let mut session = socket.session();
    runtime.block_on(session.read_response()).unwrap();
    let mut given = None;
    let info = measure(|| {
        given = runtime.block_on(session.read_body_bytes()).unwrap();
        drop(session);
    });
    assert_eq!(given.unwrap().len(), size);
    info
}

#[tokio::test]
async fn a_head_is_given_away_and_what_it_said_of_the_connection_is_known() {
    for (fields, kept) in [("", true), ("Connection: keep-alive\r\n", true), ("Connection: close\r\n", false)] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Name: value\r\n{fields}\r\n");
        let mut session = Socket::sends([head.into_bytes()], After::Silence).session();
        let HttpTask::Header(given, true) = session.read_response_task().await.unwrap() else { panic!("no head") };
        assert_eq!(given.headers.get("x-name").unwrap(), "value");
        let left = session.resp_header().unwrap();
        assert_eq!((left.status, left.version, left.headers.len()), (given.status, given.version, 0));
        session.respect_keepalive();
        assert_eq!(session.will_keepalive(), kept, "{fields}");
    }
}

#[test]
fn a_body_that_came_with_its_head_needs_no_buffer() {
    let total = of_body(300, true).bytes_total;
    assert!(total < 4 * 1024, "{total} bytes");
}

#[test]
fn a_large_piece_is_the_buffer_that_it_was_read_into() {
    let total = usize::try_from(of_body(BUFFER, false).bytes_total).unwrap();
    assert!((BUFFER..BUFFER * 3 / 2).contains(&total), "{total} bytes");
}

#[test]
fn a_small_piece_does_not_hold_a_large_buffer() {
    let info = of_body(1_000, false);
    assert!(info.bytes_current < 4 * 1024, "{} bytes are held", info.bytes_current);
}
