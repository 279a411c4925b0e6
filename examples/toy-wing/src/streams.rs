//! An L4 handler that echoes, and a CONNECT handler that lets tunnels to one authority through to it.

use async_trait::async_trait;
use portcullis_filter::seam::{ConnectHandler, ConnectVerdict, L4Handler, RawStream};
use portcullis_types::{Downstream, ProxyError, Reason};
use std::sync::Arc;

/// Sends back what it gets, until either side or the gateway is done.
pub(crate) struct Echo;

#[async_trait]
impl L4Handler for Echo {
    async fn handle(&self, stream: RawStream) {
        let RawStream { io, mut drain, .. } = stream;
        let (mut read, mut write) = tokio::io::split(io);
        tokio::select! {
            _ = tokio::io::copy(&mut read, &mut write) => {}
            _ = drain.wait_for(|draining| *draining) => {}
        }
    }
}

/// Grants `echo.test:7` and nothing else.
pub(crate) struct ConnectToEcho(pub(crate) Arc<Echo>);

#[async_trait]
impl ConnectHandler for ConnectToEcho {
    async fn connect(&self, authority: &str, _downstream: &Arc<Downstream>) -> ConnectVerdict {
        if authority == "echo.test:7" {
            ConnectVerdict::Tunnel(self.0.clone())
        } else {
            ConnectVerdict::Refuse(ProxyError::new(Reason::ConnectRefused))
        }
    }
}
