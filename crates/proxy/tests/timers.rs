//! What the gateway relies on in Pingora's HTTP/1 session to an upstream, which is our change (`vendor/README.md`): what is ready at
//! once has no timeout made for it. A process of its own: the first timeout starts a thread that stays for all others.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers and all")]

use std::fs;
use std::time::Duration;

use pingora_core::ErrorType;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;
use tokio::io::{AsyncWriteExt as _, duplex};

#[path = "../src/pingora_tests/half.rs"]
mod half;

use half::Half;

/// Threads of this process. Not their names: a thread gives itself its name, some time after it was made.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test]
async fn what_is_ready_at_once_has_no_timeout_made_for_it() {
    let before = threads();
    let (ours, mut upstream) = duplex(1 << 16);
    let mut session = HttpSession::new(Box::new(Half::stream(ours)));
    session.write_timeout = Some(Duration::from_secs(10));
    let mut head = RequestHeader::build("POST", b"/", None).unwrap();
    head.insert_header("Content-Length", "4").unwrap();
    session.write_request_header(Box::new(head)).await.unwrap();
    assert_eq!(threads(), before, "a head is written");
    session.write_body(b"ping").await.unwrap();
    assert_eq!(threads(), before, "a body is written");

    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npong").await.unwrap();
    session.read_response().await.unwrap();
    session.read_timeout = Some(Duration::from_millis(10));
    assert_eq!(session.read_body_ref().await.unwrap(), Some(&b"pong"[..]));
    assert_eq!(threads(), before, "a body is read that came with its head");

    let late = session.read_body_ref().await.unwrap_err();
    assert_eq!(late.etype(), &ErrorType::ReadTimedout);
    assert_eq!(threads(), before + 1, "what is waited for has a timeout");
}
