//! The HTTP/1 loop of a connection: a head, Pingora's phases, and the next.
//!
//! Requests are served one after the other; what a client pipelines is held back until its turn. The task lets go of
//! all buffers between requests.

use bytes::BytesMut;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;

use portcullis_filter::seam::EndStream;
use portcullis_snapshot::request::secrets;
use portcullis_telemetry::record::RequestLine;
use portcullis_types::{ProxyError, Reason};
use portcullis_wire::Framing;
use portcullis_wire::head::{AuthorityFacts, HeadFacts, TargetForm};

use super::conn::Conn;
use super::head::{Head, Next, Refusal, Waiting, next};
use super::io::DownstreamIo;
use super::{answer, connect, http2, upgraded};
use crate::gateway::Gateway;

/// How long the rest of a request's body may take once its answer is sent, for the connection to be used again.
const BODY_DRAIN: Duration = Duration::from_secs(2);

/// What a connection without ALPN's word may speak.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaks {
    pub(super) http1: bool,
    /// HTTP/2 with prior knowledge.
    pub(super) h2c: bool,
}

/// Serves requests until the connection ends.
pub(super) async fn serve(mut io: Box<DownstreamIo>, conn: &Arc<Conn>, gateway: &Arc<Gateway>, speaks: Speaks) {
    let mut waiting = Waiting::new(conn);
    let mut served = 0u32;
    loop {
        let head = match next(&mut io, conn, &mut waiting).await {
            Next::Request(head) if speaks.http1 => head,
            Next::Request(head) => {
                let error = ProxyError::with_detail(Reason::VersionUnsupported, "http1");
                let refusal = Refusal { error, bytes: head.bytes, arrived: head.arrived };
                return Box::pin(refuse(io, conn, refusal)).await;
            }
            Next::Http2(read) if speaks.h2c && served == 0 => {
                return Box::pin(http2::serve(io, conn, gateway, read)).await;
            }
            Next::Http2(bytes) => {
                let error = ProxyError::with_detail(Reason::VersionUnsupported, "http2_preface");
                let arrived = (std::time::Instant::now(), std::time::SystemTime::now());
                return Box::pin(refuse(io, conn, Refusal { error, bytes, arrived })).await;
            }
            Next::Refused(refusal) => return Box::pin(refuse(io, conn, *refusal)).await,
            Next::Closed => return,
        };
        if head.facts.form == TargetForm::Authority {
            return Box::pin(connect::serve(io, conn, *head)).await;
        }
        served = served.saturating_add(1);
        let last = conn.limits().requests != 0 && served >= conn.limits().requests;
        match request(io, *head, Served { conn, gateway, drain: &waiting.drain, last }).await {
            Some(reused) => io = reused,
            None => return,
        }
    }
}

/// What a request is served with.
struct Served<'a> {
    conn: &'a Arc<Conn>,
    gateway: &'a Arc<Gateway>,
    drain: &'a watch::Receiver<bool>,
    /// Whether the connection ends with it.
    last: bool,
}

/// Hands one request to Pingora's phases; the stream comes back when the connection can go on.
async fn request(mut io: Box<DownstreamIo>, head: Head, served: Served<'_>) -> Option<Box<DownstreamIo>> {
    let Served { conn, gateway, drain, last } = served;
    let upgrade = asks_websocket(&head);
    conn.set_upgrade(upgrade);
    if upgrade && !(head.surplus.is_empty() && head.framing.is_done()) {
        let error = ProxyError::with_detail(Reason::MalformedFraming, "bytes_behind_an_upgrade");
        Box::pin(refuse(io, conn, Refusal { error, bytes: head.bytes, arrived: head.arrived })).await;
        return None;
    }
    let end = upgrade.then(|| io.expect_upgrade());
    if !upgrade {
        io.hold_back(head.surplus);
        io.expect_body(head.framing, head.body, head.facts.flags.expect_continue);
    }
    conn.head_arrived(head.arrived);
    let mut session = ServerSession::new_http1(io as Stream);
    let limits = conn.limits();
    session.set_pipelined_prefix(in_origin_form(head.bytes, &head.facts));
    // The wrapper judges the pace of a body itself: it knows who is waited for.
    session.set_read_timeout(upgrade.then_some(limits.body_timeout));
    session.set_total_drain_timeout(Some(BODY_DRAIN));
    session.set_abort_on_close(!conn.listener.half_close);
    if last {
        session.set_keepalive_reuses_remaining(Some(0));
    }
    let before = conn.requests();
    // On the heap, so that an idle connection does not hold it, and written there in place: it is many KiB.
    let phases = Box::write(Box::new_uninit(), gateway.proxy.process_one(session, drain));
    let reused = unless_cut(Box::into_pin(phases), end).await;
    if conn.requests() == before {
        // The strict check let through what Pingora's own parser refused, and answered with a bare 400.
        conn.gateway.unparsed_request(conn, head.arrived);
    }
    // Taken in any case: without a stream to serve on, the request ends with it.
    let granted = upgrade.then(|| conn.take_granted()).flatten();
    let (stream, _) = reused?.consume();
    let mut io = stream.into_any().downcast::<DownstreamIo>().ok()?;
    io.settle().await.ok()?;
    if let Some(granted) = granted {
        Box::pin(upgraded::serve(io, conn, *granted)).await;
        return None;
    }
    // Pingora thinks that the body is over and our judge does not: the connection is not trusted any further.
    io.is_between_requests().then_some(io)
}

/// What becomes of a request, unless it is a stream that is cut in the middle.
async fn unless_cut<T>(mut serving: Pin<Box<impl Future<Output = Option<T>>>>, end: Option<EndStream>) -> Option<T> {
    let Some(end) = end else { return serving.await };
    poll_fn(|cx| match serving.as_mut().poll(cx) {
        Poll::Pending => end.poll_cut(cx).map(|()| None),
        done => done,
    })
    .await
}

/// Whether a WebSocket is asked for: the one protocol that the gateway upgrades to. A wish for any other is ignored (RFC
/// 9110 section 7.8), and so is one that comes with content: what follows is then a body and judged as such.
fn asks_websocket(head: &Head) -> bool {
    let named = head.facts.upgrade.map(|value| value.bytes(&head.bytes));
    let websocket = named.is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"websocket"));
    websocket && head.facts.asks_upgrade() && head.facts.framing == Framing::None
}

/// Writes an absolute target in origin form. Host says the same, the check has seen to it, but for a default port that
/// only one of the two may name; Pingora's parser would refuse that. An HTTP/1.0 head may lack Host: it then gets the
/// target's authority for one, so that it is routed on what it asks for (RFC 9112 section 3.2.2).
fn in_origin_form(bytes: BytesMut, facts: &HeadFacts) -> BytesMut {
    if facts.form != TargetForm::Absolute {
        return bytes;
    }
    let path = facts.path_and_query.bytes(&bytes);
    let root: &[u8] = match path.first() {
        Some(b'/') => b"",
        Some(_) => b"/",
        None if facts.method.bytes(&bytes) == b"OPTIONS" => b"*",
        None => b"/",
    };
    let host = facts.authority.filter(|_| !facts.flags.host).map(|authority| host_line(authority, &bytes));
    let host = host.unwrap_or_default();
    let before = bytes.get(..facts.target.start).unwrap_or_default();
    let (version, fields) =
        bytes.get(facts.target.end..).and_then(|rest| rest.split_at_checked(VERSION)).unwrap_or_default();
    let mut rewritten = BytesMut::with_capacity(bytes.len() + root.len() + host.len());
    [before, root, path, version, host.as_bytes(), fields]
        .into_iter()
        .for_each(|part| rewritten.extend_from_slice(part));
    rewritten
}

/// The bytes between a target and the first field.
const VERSION: usize = " HTTP/1.0\r\n".len();

/// A Host field of a target's authority.
fn host_line(authority: AuthorityFacts, head: &[u8]) -> String {
    let host = authority.host.text(head);
    authority.port.map_or_else(|| format!("Host: {host}\r\n"), |port| format!("Host: {host}:{port}\r\n"))
}

/// Answers a head that is refused, records it, and ends the connection.
pub(super) async fn refuse(io: Box<DownstreamIo>, conn: &Arc<Conn>, refusal: Refusal) {
    let Refusal { error, bytes, arrived } = refusal;
    let core = &conn.gateway;
    let mut record = core.new_record(conn, arrived.1);
    // What was refused may be anything; the record takes the first line as it is, and the log escapes it.
    let line = bytes
        .as_ref()
        .split(|&byte: &u8| byte == b'\r' || byte == b'\n')
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // No host is known: whatever any host takes for a key is hidden.
    let path = String::from_utf8_lossy(path);
    let snapshot = core.generations.peek();
    let (target, query) = path.split_once('?').map_or((&*path, None), |(target, query)| (target, Some(query)));
    let (target, query) = secrets::hidden(&snapshot, None, (target, query), &http::HeaderMap::new());
    let query = query.as_deref().map(str::as_bytes);
    let line = RequestLine { method, path: target.as_bytes(), query, ..RequestLine::default() };
    record.set_head(&line, &core.record_options());
    record.fail(&error);
    if error.reason != Reason::ClientClosed {
        let sent = answer::refuse(io, conn, &error, record.id).await;
        record.status = if sent { error.reason.status() } else { 0 };
    }
    record.timers.total = arrived.0.elapsed();
    portcullis_mutants::when!(UncountedHeads => if error.reason == Reason::HeadTooLarge { return });
    core.finish(record, None, None);
}
