//! The length that an HTTP/2 request states of its content.
//!
//! The HTTP/2 layer resets a stream whose DATA disagrees with `content-length` (RFC 9113 section 8.1.1), but only when the
//! frame is there that shows it. An HTTP/1 upstream takes a request for whole as soon as the stated bytes have come, so the
//! last of them wait here for the end of the stream: what turns out malformed is not forwarded.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use pingora_proxy::Session;
use std::time::Duration;

use portcullis_types::{ProxyError, Reason};

use super::context::Ctx;
use crate::gate::conn::CONN;
use crate::reasons::of_downstream;

/// The length, if it is one that parts of a body can make up.
pub(super) fn stated(session: &Session) -> Option<u64> {
    let length = session.req_header().headers.get(CONTENT_LENGTH).filter(|_| session.is_http2())?;
    length.to_str().ok()?.parse().ok()
}

/// Waits for the end of a stream that states to have no content: Pingora takes it for ended whatever comes.
pub(super) async fn end_of_nothing(session: &mut Session) -> Result<(), ProxyError> {
    if stated(session) != Some(0) {
        return Ok(());
    }
    let patience = CONN.try_with(|conn| conn.limits().body_timeout).unwrap_or(Duration::from_secs(30));
    let reading = async {
        // Frames without data may come before the end; any with data is an error of the layer's.
        while session.as_mut().read_request_body().await?.is_some() {}
        Ok(())
    };
    let ended: Result<_, Box<pingora_core::Error>> =
        tokio::time::timeout(patience, reading).await.map_err(|_| ProxyError::new(Reason::BodyTimeout))?;
    ended.map_err(|error| ProxyError::new(of_downstream(&error)))
}

/// Holds back the part that makes up the stated length, until the end.
pub(super) fn hold(chunk: &mut Option<Bytes>, end: bool, ctx: &mut Ctx) {
    let body = &mut ctx.body;
    if end {
        if body.held.is_some() {
            *chunk = join(body.held.take(), chunk.take());
        }
    } else if body.stated.is_some_and(|length| body.received >= length) {
        // An empty part is not sent on; none at all would say that the body is over.
        let more = chunk.replace(Bytes::new());
        body.held = join(body.held.take(), more);
    }
}

/// Two parts in one.
fn join(first: Option<Bytes>, second: Option<Bytes>) -> Option<Bytes> {
    match (first, second.filter(|second| !second.is_empty())) {
        (Some(first), Some(second)) => Some([first, second].concat().into()),
        (some, None) | (None, some) => some,
    }
}
