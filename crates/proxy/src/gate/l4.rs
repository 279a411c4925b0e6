//! Connections that a wing's L4 handler owns.

use std::sync::Arc;

use portcullis_filter::seam::{L4Handler, RawStream};

use super::conn::Conn;
use super::io::DownstreamIo;
use super::raw::Rewound;

/// Hands a connection over, and holds its place until the handler is done with it.
pub(super) async fn serve(io: Box<DownstreamIo>, conn: &Arc<Conn>, handler: &Arc<dyn L4Handler>) {
    let Some((transport, read)) = io.into_raw() else { return };
    let drain = conn.gateway.drain.subscribe();
    let stream = RawStream { io: Box::new(Rewound::new(read, transport)), downstream: conn.downstream.clone(), drain };
    handler.handle(stream).await;
}
