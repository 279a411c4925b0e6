//! Reads one request head off a connection, under its deadlines, and judges it.

use bytes::{Buf, BytesMut};
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Sleep;

use portcullis_types::{ProxyError, Reason};
use portcullis_wire::body::FramingValidator;
use portcullis_wire::head::{HeadError, HeadFacts, HeadLimits, HeadScanner, Scan, check_head};

use super::conn::Conn;
use super::io::DownstreamIo;

/// What a buffer for a head begins with: most heads fit.
const HEAD_BUFFER: usize = 4096;

/// What came in place of the next request.
pub(super) enum Next {
    /// A good head, with the part of its body that came with it.
    Request(Box<Head>),
    /// The HTTP/2 preface, in these bytes.
    Http2(BytesMut),
    /// Nothing: the client closed, was idle too long, or we drain.
    Closed,
    /// Something that is answered with an error and a close.
    Refused(Box<Refusal>),
}

/// A good head.
pub(super) struct Head {
    /// The head and the bytes of its body that came with it.
    pub(super) bytes: BytesMut,
    /// What came behind the request.
    pub(super) surplus: BytesMut,
    /// What the head says.
    pub(super) facts: HeadFacts,
    /// Follows the rest of the body.
    pub(super) framing: FramingValidator,
    /// Bytes of the body that came with the head.
    pub(super) body: u64,
    /// When its first byte came.
    pub(super) arrived: (Instant, SystemTime),
}

/// A head that is refused.
pub(super) struct Refusal {
    /// Why.
    pub(super) error: ProxyError,
    /// What was read of it, for the record.
    pub(super) bytes: BytesMut,
    /// When its first byte came.
    pub(super) arrived: (Instant, SystemTime),
}

/// What a connection waits with between requests. The timer is set once and only looked at when it fires, so that a
/// request costs no timer of its own.
pub(super) struct Waiting {
    pub(super) drain: watch::Receiver<bool>,
    timer: Pin<Box<Sleep>>,
}

impl Waiting {
    pub(super) fn new(conn: &Conn) -> Self {
        let timer = Box::pin(tokio::time::sleep(conn.limits().idle_timeout));
        Self { drain: conn.gateway.drain.subscribe(), timer }
    }
}

/// Waits for the next request.
pub(super) async fn next(io: &mut DownstreamIo, conn: &Conn, waiting: &mut Waiting) -> Next {
    io.expect_head();
    let Some(mut bytes) = beginning(io, conn, waiting).await else { return Next::Closed };
    let arrived = (Instant::now(), SystemTime::now());
    let limits = head_limits(conn);
    let reading = read(io, &mut bytes, &limits);
    let end = tokio::time::timeout(patience(conn), reading).await;
    let refused = |error: ProxyError, bytes| Next::Refused(Box::new(Refusal { error, bytes, arrived }));
    match end {
        Err(_) => refused(Reason::HeadTimeout.into(), bytes),
        Ok(Err(_)) if bytes.is_empty() => Next::Closed,
        Ok(Err(_)) => refused(ProxyError::with_detail(Reason::ClientClosed, "in the middle of a head"), bytes),
        Ok(Ok(Scan::Http2Preface)) => Next::Http2(bytes),
        Ok(Ok(Scan::Refused(error))) => refused(reason_of(error), bytes),
        Ok(Ok(Scan::NeedMore)) => Next::Closed,
        Ok(Ok(Scan::Complete { skip, len })) => {
            bytes.advance(skip);
            match judge(bytes, len, &limits, arrived) {
                Ok(head) => Next::Request(head),
                Err(refusal) => Next::Refused(refusal),
            }
        }
    }
}

/// Waits for the first bytes of a request; `None` when the connection should be closed instead. One deadline holds for
/// the whole wait, however often the connection wakes up for nothing.
async fn beginning(io: &mut DownstreamIo, conn: &Conn, waiting: &mut Waiting) -> Option<BytesMut> {
    let mut deadline = Instant::now() + conn.limits().idle_timeout;
    loop {
        if !first_byte(io, conn, waiting, &mut deadline).await {
            return None;
        }
        if let Some(bytes) = first_read(io).await {
            return Some(bytes).filter(|bytes| !bytes.is_empty());
        }
        if Instant::now() >= deadline {
            return None;
        }
    }
}

/// Waits for a first byte; `false` when the connection should be closed instead. A drain brings the deadline forward.
async fn first_byte(io: &mut DownstreamIo, conn: &Conn, waiting: &mut Waiting, deadline: &mut Instant) -> bool {
    let mut draining = *waiting.drain.borrow_and_update();
    loop {
        if draining {
            *deadline = (*deadline).min(Instant::now() + conn.gateway.drain_idle());
        }
        if waiting.timer.deadline() > (*deadline).into() {
            // A drain is less patient than the timer was set for.
            waiting.timer.as_mut().reset((*deadline).into());
        }
        tokio::select! {
            biased;
            ready = io.readable() => return ready.is_ok(),
            _ = waiting.drain.changed(), if !draining => draining = true,
            () = waiting.timer.as_mut() => {
                if Instant::now() >= *deadline {
                    return false;
                }
                waiting.timer.as_mut().reset((*deadline).into());
            }
        }
    }
}

/// The first bytes of a request; empty at the end of the connection. `None` when the socket was ready for nothing, as a
/// fresh one is, or a TLS one whose record held no data: the request has not begun, and its deadline must not either.
async fn first_read(io: &mut DownstreamIo) -> Option<BytesMut> {
    let mut bytes = io.take_surplus();
    bytes.reserve(HEAD_BUFFER.saturating_sub(bytes.len()));
    if !bytes.is_empty() {
        return Some(bytes);
    }
    let read = {
        let mut reading = std::pin::pin!(io.read_buf(&mut bytes));
        std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await
    };
    match read {
        Poll::Ready(Ok(_)) => Some(bytes),
        Poll::Ready(Err(_)) => Some(BytesMut::new()),
        Poll::Pending => None,
    }
}

/// Reads until the head is whole or cannot become good.
async fn read(io: &mut DownstreamIo, bytes: &mut BytesMut, limits: &HeadLimits) -> io::Result<Scan> {
    let mut scanner = HeadScanner::new(*limits);
    loop {
        if !bytes.is_empty() {
            let scan = scanner.scan(bytes);
            if scan != Scan::NeedMore {
                return Ok(scan);
            }
        }
        if io.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Judges a whole head and what of its body came with it, before anybody else sees a byte.
fn judge(
    mut bytes: BytesMut,
    len: usize,
    limits: &HeadLimits,
    arrived: (Instant, SystemTime),
) -> Result<Box<Head>, Box<Refusal>> {
    let (head, rest) = bytes.split_at(len);
    let judged = check_head(head, limits).map_err(reason_of).and_then(|facts| {
        let mut framing = FramingValidator::new(facts.framing);
        let fed =
            framing.feed(rest).map_err(|error| ProxyError::with_detail(Reason::MalformedFraming, error.name()))?;
        Ok((facts, framing, fed.consumed))
    });
    let (facts, framing, consumed) = match judged {
        Ok(judged) => judged,
        Err(error) => return Err(Box::new(Refusal { error, bytes, arrived })),
    };
    let surplus = bytes.split_off(len + consumed);
    Ok(Box::new(Head { bytes, surplus, facts, framing, body: consumed as u64, arrived }))
}

/// How long a head may take.
fn patience(conn: &Conn) -> Duration {
    portcullis_mutants::when!(EndlessHead => return Duration::MAX);
    conn.limits().header_timeout
}

fn head_limits(conn: &Conn) -> HeadLimits {
    let limits = conn.limits();
    HeadLimits { bytes: limits.header_bytes, fields: limits.header_fields, target: limits.target_bytes }
}

/// The reason a broken rule of a head is answered with.
fn reason_of(error: HeadError) -> ProxyError {
    ProxyError::with_detail(portcullis_snapshot::request::reasons::of_head(error), error.name())
}

/// How long a refused connection may take to be told.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
