//! Reads a body whole before the route is chosen, for body matchers and for filters that ask for it.
//!
//! Pingora's session holds what was read and sends it to the upstream, again for each attempt (vendor/README.md). The
//! bytes are shared with the view that a reader makes of them: there is one copy of a body, bounded by what its host
//! wants to see, and it is freed with the request.
//!
//! Of a request that is refused before that, as one without a good key is, no more is read than what tells which call the
//! answer is to: see [`of_refused`].

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_proxy::Session;
use std::time::{Duration, Instant};

use portcullis_filter::Chain;
use portcullis_filter::seam::PEEK_LIMIT;
use portcullis_types::{ProxyError, Reason};

use super::length::stated;
use crate::gate::conn::CONN;
use crate::gate::io::is_too_slow;
use crate::reasons::of_downstream;

/// How long a part of a body may take, and how fast it must come, where no listener says.
const DEFAULT_PACE: (Duration, u64) = (Duration::from_secs(30), 0);

/// The most that is read of the body of a request that is refused already, and how long it may take to come.
const OF_REFUSED: (usize, Duration) = (8 * 1024, Duration::from_millis(100));

/// What is set aside at once for a body that states its length; a larger one grows as it comes.
const FIRST_PART: usize = 64 * 1024;

/// The most bytes that a host looks into.
pub(super) fn limit(chain: &Chain) -> usize {
    chain.peek_limit().unwrap_or(PEEK_LIMIT)
}

/// Reads the whole body; it is sent upstream from the session as if it had not been read.
pub(super) async fn read(session: &mut Session, most: usize) -> Result<Bytes, ProxyError> {
    let length = content_length(session);
    if length.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    go_on(session).await?;
    let body = whole(session, most, length.unwrap_or_default()).await?;
    session.as_mut().set_retry_buffer(body.clone());
    Ok(body)
}

/// The whole body of a request that is refused already, if it is said to be small, is there or comes at once, and was not
/// read before.
pub(super) async fn of_refused(session: &mut Session) -> Option<Bytes> {
    let (most, patience) = OF_REFUSED;
    let length = content_length(session).filter(|length| (1..=most).contains(length))?;
    if session.req_header().headers.contains_key(EXPECT) || session.as_mut().is_body_done() {
        return None;
    }
    tokio::time::timeout(patience, whole(session, most, length)).await.ok()?.ok()
}

fn content_length(session: &Session) -> Option<usize> {
    session.req_header().headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn too_large(most: usize) -> ProxyError {
    let detail = format!("over {most} bytes on a route that looks into the body");
    ProxyError::with_detail(Reason::BodyTooLarge, detail)
}

/// Tells a client that waits for it to send its body. The gateway is then who has answered the expectation, and nothing
/// of it goes upstream.
async fn go_on(session: &mut Session) -> Result<(), ProxyError> {
    if !session.req_header().headers.contains_key(EXPECT) {
        return Ok(());
    }
    let told = session.as_mut().write_continue_response().await;
    told.map_err(|error| ProxyError::new(of_downstream(&error)))?;
    session.set_close_on_response_before_downstream_finish(true);
    drop(session.req_header_mut().remove_header(&EXPECT));
    Ok(())
}

/// A body that came in one part is taken as it is.
async fn whole(session: &mut Session, most: usize, length: usize) -> Result<Bytes, ProxyError> {
    let started = Instant::now();
    let mut first: Option<Bytes> = None;
    let mut body = BytesMut::new();
    let mut received = 0;
    while let Some(part) = part(session).await? {
        received += part.len();
        if received > most {
            return Err(too_large(most));
        }
        in_pace(session, received, started)?;
        if first.is_none() && body.is_empty() {
            first = Some(part);
            continue;
        }
        if let Some(first) = first.take() {
            body.reserve(length.min(FIRST_PART).max(first.len() + part.len()));
            body.extend_from_slice(&first);
        }
        body.extend_from_slice(&part);
    }
    Ok(first.unwrap_or_else(|| body.freeze()))
}

fn pace() -> (Duration, u64) {
    CONN.try_with(|conn| (conn.limits().body_timeout, conn.limits().body_rate)).unwrap_or(DEFAULT_PACE)
}

/// The next part that is not empty.
async fn part(session: &mut Session) -> Result<Option<Bytes>, ProxyError> {
    loop {
        let read = tokio::time::timeout(pace().0, session.read_request_body()).await;
        let part = read.map_err(|_| ProxyError::new(Reason::BodyTimeout))?.map_err(|error| {
            let fault = CONN.try_with(|conn| conn.take_fault()).ok().flatten();
            fault.unwrap_or_else(|| ProxyError::with_detail(of_downstream(&error), "in the middle of a body"))
        })?;
        match part {
            Some(part) if part.is_empty() => {}
            part => return Ok(part),
        }
    }
}

/// The minimum rate of an HTTP/2 body; of an HTTP/1 body the gate's wrapper sees to it.
fn in_pace(session: &Session, received: usize, started: Instant) -> Result<(), ProxyError> {
    let over = stated(session).is_some_and(|length| received as u64 >= length);
    let (timeout, rate) = pace();
    if session.is_http2() && !over && is_too_slow(received as u64, started.elapsed(), rate, timeout) {
        return Err(ProxyError::with_detail(Reason::BodyTooSlow, "below the minimum rate"));
    }
    Ok(())
}
