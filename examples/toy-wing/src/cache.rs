//! The smallest cache that is one: GETs of answers that say `cache-control: public`, whole, in memory, bounded. Fresh for
//! their `max-age`, without one as long as the process lives; stale ones are kept, for when nothing better can be had.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};
use parking_lot::Mutex;
use pingora_http::ResponseHeader;
use portcullis_filter::seam::{Cache, CacheFill, CachedResponse, StaleResponse};
use portcullis_types::{ProxyError, RequestView};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers kept, and bytes of one.
const MAX_ENTRIES: usize = 1_000;
const MAX_BYTES: usize = 256 * 1024;

type Stored = Arc<Mutex<HashMap<String, Entry>>>;

/// The cache.
#[derive(Default)]
pub(crate) struct ToyCache {
    stored: Stored,
}

/// An answer, and since when it is kept.
struct Entry {
    response: CachedResponse,
    since: Instant,
}

impl Entry {
    fn age(&self) -> Duration {
        let before = self.response.header.headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok());
        Duration::from_secs(before.unwrap_or(0)) + self.since.elapsed()
    }

    /// For how long it has been stale, at an age.
    fn past(&self, age: Duration) -> Option<Duration> {
        let mut directives = directives(&self.response.header.headers);
        let fresh: u64 = directives.find_map(|it| it.strip_prefix("max-age=")?.parse().ok())?;
        age.checked_sub(Duration::from_secs(fresh))
    }

    /// Whether its origin forbids that it is used when it is stale (RFC 9111 section 4.2.4).
    fn must_be_fresh(&self) -> bool {
        let forbids = |it: &str| matches!(it, "must-revalidate" | "proxy-revalidate" | "no-cache");
        directives(&self.response.header.headers).any(|it| forbids(it) || it.starts_with("s-maxage="))
    }
}

fn directives(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = fields.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn key(request: &RequestView<'_>) -> Option<String> {
    (request.method == "GET").then(|| format!("{}{}?{}", request.host, request.path, request.query.unwrap_or("")))
}

#[async_trait]
impl Cache for ToyCache {
    async fn lookup(&self, request: &RequestView<'_>) -> Result<Option<CachedResponse>, ProxyError> {
        let Some(key) = key(request) else { return Ok(None) };
        let stored = self.stored.lock();
        Ok(stored.get(&key).filter(|entry| entry.past(entry.age()).is_none()).map(|entry| entry.response.clone()))
    }

    async fn stale(&self, request: &RequestView<'_>) -> Result<Option<StaleResponse>, ProxyError> {
        // Any wish of the client's for how fresh an answer is counts as one for a fresh answer.
        let Some(key) = key(request).filter(|_| directives(request.headers).next().is_none()) else { return Ok(None) };
        let stored = self.stored.lock();
        let found = stored.get(&key).filter(|entry| !entry.must_be_fresh());
        Ok(found.map(|entry| {
            let age = entry.age();
            StaleResponse { response: entry.response.clone(), age, past: entry.past(age).unwrap_or_default() }
        }))
    }

    fn admit(&self, request: &RequestView<'_>, response: &ResponseHeader) -> Option<Box<dyn CacheFill>> {
        let public = directives(&response.headers).any(|it| it == "public");
        let key = key(request).filter(|_| public && response.status == 200)?;
        Some(Box::new(Fill { key, header: response.clone(), body: BytesMut::new(), stored: self.stored.clone() }))
    }
}

struct Fill {
    key: String,
    header: ResponseHeader,
    body: BytesMut,
    stored: Stored,
}

impl CacheFill for Fill {
    fn chunk(&mut self, chunk: &Bytes) -> bool {
        self.body.extend_from_slice(chunk);
        self.body.len() <= MAX_BYTES
    }

    fn finish(self: Box<Self>) {
        let mut stored = self.stored.lock();
        if stored.len() < MAX_ENTRIES || stored.contains_key(&self.key) {
            let response = CachedResponse { header: self.header, body: self.body.freeze() };
            stored.insert(self.key, Entry { response, since: Instant::now() });
        }
    }
}
