//! What Pingora asks of a stream beside its bytes.

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use std::sync::Arc;

use super::{DownstreamIo, Mode};

#[async_trait]
impl Shutdown for DownstreamIo {
    async fn shutdown(&mut self) {
        // The client may be gone already; there is nobody left to tell.
        drop(tokio::io::AsyncWriteExt::shutdown(self).await);
    }
}

impl UniqueID for DownstreamIo {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl Ssl for DownstreamIo {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        matches!(self.mode, Mode::Http2(_)).then_some(ALPN::H2)
    }
}

impl GetTimingDigest for DownstreamIo {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for DownstreamIo {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for DownstreamIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl Peek for DownstreamIo {}
