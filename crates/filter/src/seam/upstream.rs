//! Requests that the gateway makes by itself: a part of a batch, a poll, the upstream side of a stream it terminates.

use async_trait::async_trait;
use bytes::Bytes;
use pingora_http::{RequestHeader, ResponseHeader};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{ClusterName, EndpointName, ProxyError, Reason};

use super::stream::Io;

/// A request of the gateway's own.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// The head; Host and Content-Length are set when there is none.
    pub header: RequestHeader,
    /// The whole body.
    pub body: Bytes,
    /// Whether it may be sent to another endpoint after one may have acted on it.
    pub idempotent: bool,
    /// For all of it, attempts included; the cluster's own timeouts hold within.
    pub timeout: Duration,
    /// The most bytes of the answer's body.
    pub most: usize,
}

/// The answer to one.
#[derive(Debug, Clone)]
pub struct UpstreamResponse {
    /// The head.
    pub header: ResponseHeader,
    /// The whole body.
    pub body: Bytes,
    /// Who answered.
    pub endpoint: EndpointName,
}

/// An upgraded connection to an endpoint. It counts as in flight to the endpoint until it is dropped.
pub struct UpstreamStream {
    /// The head of the 101.
    pub header: ResponseHeader,
    /// The bytes both ways; what came behind the head is read from here too.
    pub io: Box<dyn Io>,
    /// Who is at the other end.
    pub endpoint: EndpointName,
}

impl fmt::Debug for UpstreamStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamStream").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Reaches the clusters of the current generation, by their balancing, health, limits and timeouts.
#[async_trait]
pub trait Upstreams: Send + Sync {
    /// Sends a request and reads the whole answer, whatever its status is.
    ///
    /// # Errors
    /// No endpoint gave a whole answer in time.
    async fn call(&self, cluster: &ClusterName, request: UpstreamRequest) -> Result<UpstreamResponse, ProxyError>;

    /// Opens an upgraded connection (RFC 6455 over HTTP/1.1) to an endpoint that is none of `avoid`, unless there is no
    /// other. The head carries the fields of the handshake; any answer but 101 is an error.
    ///
    /// # Errors
    /// No endpoint granted it.
    async fn upgrade(
        &self,
        cluster: &ClusterName,
        header: RequestHeader,
        avoid: &[EndpointName],
    ) -> Result<UpstreamStream, ProxyError>;
}

/// The gateway's [`Upstreams`], as filters get it from their [`crate::BuildCx::services`].
#[derive(Clone)]
pub struct Caller(pub Arc<dyn Upstreams>);

impl Caller {
    /// One that reaches nobody, for filters that are built to be checked and thrown away.
    #[must_use]
    pub fn inert() -> Self {
        Self(Arc::new(Inert))
    }
}

struct Inert;

impl Inert {
    fn unreached<T>() -> Result<T, ProxyError> {
        Err(ProxyError::with_detail(Reason::Internal, "no gateway serves"))
    }
}

#[async_trait]
impl Upstreams for Inert {
    async fn call(&self, _cluster: &ClusterName, _request: UpstreamRequest) -> Result<UpstreamResponse, ProxyError> {
        Self::unreached()
    }

    async fn upgrade(
        &self,
        _cluster: &ClusterName,
        _header: RequestHeader,
        _avoid: &[EndpointName],
    ) -> Result<UpstreamStream, ProxyError> {
        Self::unreached()
    }
}
