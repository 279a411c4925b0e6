//! CONNECT: refused, or granted to a wing's handler, which then owns the connection.

use std::sync::Arc;
use tokio::io::AsyncWriteExt;

use portcullis_filter::seam::{ConnectVerdict, RawStream};
use portcullis_telemetry::record::{Decision, RequestLine};
use portcullis_types::{Protocol, ProxyError, Reason};

use super::conn::Conn;
use super::head::{Head, Refusal};
use super::http1;
use super::io::DownstreamIo;
use super::raw::Rewound;

const GRANTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Serves a CONNECT, whose head is good, to the connection's end.
pub(super) async fn serve(mut io: Box<DownstreamIo>, conn: &Arc<Conn>, head: Head) {
    let authority = head.facts.target.text(&head.bytes).to_owned();
    let verdict = match &conn.listener.connect {
        Some(handler) => handler.connect(&authority, &conn.downstream).await,
        None => ConnectVerdict::Refuse(ProxyError::new(Reason::ConnectRefused)),
    };
    let handler = match verdict {
        ConnectVerdict::Tunnel(handler) => handler,
        ConnectVerdict::Refuse(error) => {
            return http1::refuse(io, conn, Refusal { error, bytes: head.bytes, arrived: head.arrived }).await;
        }
    };
    let core = &conn.gateway;
    let mut record = core.new_record(conn, head.arrived.1);
    record.protocol = Some(Protocol::Http11);
    let line = RequestLine { method: b"CONNECT", host: authority.as_bytes(), ..RequestLine::default() };
    record.set_head(&line, &core.record_options());
    record.decision = Decision::Tunnel;
    if io.write_all(GRANTED).await.is_ok() && io.flush().await.is_ok() {
        record.status = 200;
        if let Some((transport, _)) = io.into_raw() {
            let drain = core.drain.subscribe();
            let io = Box::new(Rewound::new(head.surplus, transport));
            handler.handle(RawStream { io, downstream: conn.downstream.clone(), drain }).await;
        }
    } else {
        record.fail(&Reason::ClientClosed.into());
    }
    record.timers.total = head.arrived.0.elapsed();
    core.finish(record, None, None);
}
