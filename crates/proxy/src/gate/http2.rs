//! An HTTP/2 connection: its streams go through the same phases, each in a task of its own.
//!
//! The h2 layer enforces RFC 9113; our IO wrapper counts what it rejects and cuts floods off. The loop here is ours, so
//! that rejected streams are seen, idle connections end, and a drain says GOAWAY and ends with the last stream.

use bytes::BytesMut;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::GetSocketDigest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

use portcullis_types::{ProxyError, Reason};
use portcullis_wire::h2::{H2ErrorCode, H2Limits, H2Watch};

use super::conn::{CONN, Conn};
use super::io::DownstreamIo;
use crate::gateway::Gateway;

/// Streams that the layer may reject on one connection before it is closed.
const MAX_REJECTED: usize = 32;

/// The streams in flight on one connection.
#[derive(Default)]
struct Streams {
    active: AtomicUsize,
    ended: Notify,
}

/// One stream in flight.
struct StreamGuard(Arc<Streams>);

impl StreamGuard {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.active.fetch_add(1, Ordering::AcqRel);
        Self(streams.clone())
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_one();
        }
    }
}

/// Serves a connection whose preface is in `read` or still to come.
pub(super) async fn serve(mut io: Box<DownstreamIo>, conn: &Arc<Conn>, gateway: &Arc<Gateway>, read: BytesMut) {
    io.expect_http2(H2Watch::new(watch_limits(conn)), read);
    let digest = Arc::new(Digest { socket_digest: io.get_socket_digest(), ..Digest::default() });
    let shaking = tokio::time::timeout(conn.limits().header_timeout, handshake(io, Some(options(conn))));
    let Ok(Ok(mut h2)) = shaking.await else {
        return end(conn, Some("handshake"));
    };
    let mut drain = gateway.core.drain.subscribe();
    let streams = Arc::new(Streams::default());
    let mut draining = false;
    let mut rejected = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = begin_drain(&mut drain), if !draining => {
                h2.graceful_shutdown();
                draining = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut h2, digest.clone()) => accepted,
            () = idle(&streams, conn, draining) => return end(conn, None),
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => spawn(session, StreamGuard::new(&streams), conn, gateway),
            Ok(Some(H2Accept::Rejected)) => {
                rejected += 1;
                conn.gateway.http2_rejected(conn, "stream", "malformed_request");
                if rejected >= MAX_REJECTED {
                    return end(conn, Some("too_many_rejected_streams"));
                }
            }
            Ok(None) => return end(conn, None),
            Err(error) => return end(conn, cause(&error)),
        }
    }
}

async fn begin_drain(drain: &mut tokio::sync::watch::Receiver<bool>) {
    while !*drain.borrow_and_update() {
        if drain.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Resolves when no stream has been in flight for the idle timeout, in a drain for `drain_idle`.
async fn idle(streams: &Streams, conn: &Conn, draining: bool) {
    while streams.active.load(Ordering::Acquire) != 0 {
        streams.ended.notified().await;
    }
    let patience = if draining { conn.gateway.drain_idle() } else { conn.limits().idle_timeout };
    tokio::time::sleep(patience).await;
}

fn spawn(session: HttpSession, guard: StreamGuard, conn: &Arc<Conn>, gateway: &Arc<Gateway>) {
    let (conn, gateway) = (conn.clone(), gateway.clone());
    let core = gateway.core.clone();
    let mut session = ServerSession::new_http2(session);
    session.set_write_timeout(Some(conn.limits().write_timeout));
    core.tasks.spawn(CONN.scope(conn, async move {
        let drain = gateway.core.drain.subscribe();
        gateway.proxy.process_new_http(session, &drain).await;
        drop(guard);
    }));
}

/// Why the layer gave up on a connection; a client that just went away is no violation.
fn cause(error: &pingora_core::Error) -> Option<&'static str> {
    let root: &(dyn std::error::Error + 'static) = error.root_cause();
    let h2 = root.downcast_ref::<h2::Error>()?;
    if h2.is_io() || h2.is_remote() || h2.reason() == Some(h2::Reason::NO_ERROR) {
        return None;
    }
    Some(h2.reason().map_or("protocol_error", |reason| H2ErrorCode(reason.into()).name()))
}

/// Records a connection that ended with a violation.
fn end(conn: &Arc<Conn>, cause: Option<&'static str>) {
    let layer = cause.map(|cause| ProxyError::with_detail(Reason::Http2ProtocolError, cause));
    // A fault that our own watch found comes first: the layer only saw its stream fail.
    if let Some(error) = conn.take_fault().or(layer) {
        conn.gateway.connection_failed(conn, &error);
    }
}

fn options(conn: &Conn) -> H2Options {
    let limits = conn.limits();
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(limits.http2.streams)
        .initial_window_size(limits.http2.stream_window)
        .initial_connection_window_size(limits.http2.connection_window)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    options
}

fn watch_limits(conn: &Conn) -> H2Limits {
    let limits = &conn.limits().http2;
    H2Limits {
        resets: limits.resets,
        settings: limits.control_frames,
        pings: limits.control_frames,
        priorities: limits.control_frames,
        empty_frames: limits.control_frames,
        continuations: limits.continuations,
        header_block: u32::try_from(conn.limits().header_bytes).unwrap_or(u32::MAX),
        ..H2Limits::default()
    }
}
