//! The cache phases: look up before the upstream is asked, fill while its answer passes.

use async_trait::async_trait;
use bytes::Bytes;
use pingora_http::ResponseHeader;

use portcullis_types::{ProxyError, RequestView};

/// An answer out of a cache.
#[derive(Debug, Clone)]
pub struct CachedResponse {
    /// The head, as it was stored.
    pub header: ResponseHeader,
    /// The whole body.
    pub body: Bytes,
}

/// A cache that a route names with `cache: NAME`. Its phases run after the route's request filters.
#[async_trait]
pub trait Cache: Send + Sync {
    /// `request_cache_filter`: a stored answer to this request, `None` for a miss.
    ///
    /// # Errors
    /// The request goes on as a miss; the error is noted in the record.
    async fn lookup(&self, request: &RequestView<'_>) -> Result<Option<CachedResponse>, ProxyError>;

    /// `response_cache_filter`: after a miss, whether to store this answer, and into what.
    fn admit(&self, request: &RequestView<'_>, response: &ResponseHeader) -> Option<Box<dyn CacheFill>>;
}

/// An answer on its way into a cache. Dropped without [`CacheFill::finish`] when the answer did not come whole.
pub trait CacheFill: Send + Sync {
    /// A chunk of the body. `false` says that the rest is not wanted.
    fn chunk(&mut self, chunk: &Bytes) -> bool;

    /// The answer came whole: store it.
    fn finish(self: Box<Self>);
}
