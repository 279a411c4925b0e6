//! The cache phases: look up before the upstream is asked, fill while its answer passes.
//!
//! A cache stands between the upstream and the response filters. It is filled with what the upstream sent, before any filter
//! saw it, and what it gives is filtered for each client as an answer of the upstream's is ([`crate::Source::Upstream`]): one
//! copy serves clients whom the filters answer differently, as with and without compression.

use async_trait::async_trait;
use bytes::Bytes;
use pingora_http::ResponseHeader;
use std::time::Duration;

use portcullis_types::{ProxyError, RequestView};

/// An answer out of a cache.
#[derive(Debug, Clone)]
pub struct CachedResponse {
    /// The head, as it was stored. Response filters see it after that.
    pub header: ResponseHeader,
    /// The whole body.
    pub body: Bytes,
}

/// An answer out of a cache whose freshness is over (RFC 9111 section 4.2).
#[derive(Debug, Clone)]
pub struct StaleResponse {
    /// The answer.
    pub response: CachedResponse,
    /// How old it is (RFC 9111 section 4.2.3), in place of any Age that was stored with it.
    pub age: Duration,
    /// For how long it has been stale.
    pub past: Duration,
}

/// A cache that a route names with `cache: NAME`. Its phases run after the route's request filters.
#[async_trait]
pub trait Cache: Send + Sync {
    /// `request_cache_filter`: a stored answer to this request, `None` for a miss.
    ///
    /// # Errors
    /// The request goes on as a miss; the error is noted in the record.
    async fn lookup(&self, request: &RequestView<'_>) -> Result<Option<CachedResponse>, ProxyError>;

    /// After a miss, when no endpoint of the route could be reached and its `fallback` has `stale: true`: a stored answer
    /// though it is stale, `None` when there is none or it must not be used. That is the cache's to judge (RFC 9111 section
    /// 4.2.4): `must-revalidate`, `proxy-revalidate`, `no-cache` and `s-maxage` of the answer forbid it, as do `no-cache`,
    /// `min-fresh` and a smaller `max-age` of the request without a `max-stale` that allows it. The gateway writes Age and
    /// Cache-Status. The default has nothing.
    ///
    /// # Errors
    /// The request goes on as without a copy; the error is noted in the record.
    async fn stale(&self, _request: &RequestView<'_>) -> Result<Option<StaleResponse>, ProxyError> {
        Ok(None)
    }

    /// `response_cache_filter`: after a miss, whether to store this answer, and into what. The head is the upstream's, without
    /// the fields that concern its connection.
    fn admit(&self, request: &RequestView<'_>, response: &ResponseHeader) -> Option<Box<dyn CacheFill>>;
}

/// An answer on its way into a cache. Dropped without [`CacheFill::finish`] when the answer did not come whole.
pub trait CacheFill: Send + Sync {
    /// A chunk of the body, as the upstream sent it. `false` says that the rest is not wanted.
    fn chunk(&mut self, chunk: &Bytes) -> bool;

    /// The answer came whole: store it.
    fn finish(self: Box<Self>);
}
