//! HTTP/1 connections that stop being HTTP by a filter's word: a WebSocket that the gateway terminates itself.

use async_trait::async_trait;
use pingora_http::ResponseHeader;
use std::fmt;
use std::sync::Arc;

use portcullis_types::{ClusterName, Downstream, ProxyError, RequestId};

use super::ending::Ending;
use super::stream::Io;
use crate::cx::Notes;

/// A filter's answer to a request that asks for an upgrade: once the request is admitted this head is sent, then the
/// handler owns the connection. Filters behind it in the chain are passed over, [`crate::Phase::AdmissionFilter`] is not.
pub struct Upgrade {
    /// The head of the 101, with the fields of the protocol. Connection and Upgrade are set when it is sent.
    pub response: ResponseHeader,
    /// Who speaks from then on. It holds what the stream needs (limits, the caller), never a generation.
    pub handler: Box<dyn UpgradeHandler>,
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("response", &self.response).finish_non_exhaustive()
    }
}

/// Speaks on an upgraded connection.
#[async_trait]
pub trait UpgradeHandler: Send {
    /// Owns the connection to its end. What is returned completes the request's record.
    async fn serve(self: Box<Self>, stream: UpgradedStream) -> StreamEnd;
}

/// An upgraded connection: the raw bytes both ways, nothing of HTTP left.
pub struct UpgradedStream {
    /// The bytes; what came behind the head is read from here too.
    pub io: Box<dyn Io>,
    /// Facts of the connection.
    pub downstream: Arc<Downstream>,
    /// The request that was upgraded.
    pub id: RequestId,
    /// The cluster that the route decided on, if it forwards.
    pub cluster: Option<ClusterName>,
    /// What the request's filters said and shared: who calls, what may be spent. Guards among it are held as long as
    /// they are.
    pub notes: Notes,
    /// Is due when the stream is to end: the gateway drains (such ends are spread), or who is at the other end may not go
    /// on, by one of the request's [`super::StreamGuard`]s.
    pub end: Ending,
}

impl fmt::Debug for UpgradedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradedStream").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a stream ended.
#[derive(Debug, Default)]
pub struct StreamEnd {
    /// Why, when it did not end well.
    pub error: Option<ProxyError>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// More for the record.
    pub annotations: Vec<(&'static str, String)>,
}
