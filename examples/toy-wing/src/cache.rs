//! The smallest cache that is one: GETs of answers that say `cache-control: public`, whole, in memory, bounded.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use pingora_http::ResponseHeader;
use portcullis_filter::seam::{Cache, CacheFill, CachedResponse};
use portcullis_types::{ProxyError, RequestView};
use std::collections::HashMap;
use std::sync::Arc;

/// Answers kept, and bytes of one.
const MAX_ENTRIES: usize = 1_000;
const MAX_BYTES: usize = 256 * 1024;

type Stored = Arc<Mutex<HashMap<String, CachedResponse>>>;

/// The cache.
#[derive(Default)]
pub(crate) struct ToyCache {
    stored: Stored,
}

fn key(request: &RequestView<'_>) -> Option<String> {
    (request.method == "GET").then(|| format!("{}{}?{}", request.host, request.path, request.query.unwrap_or("")))
}

#[async_trait]
impl Cache for ToyCache {
    async fn lookup(&self, request: &RequestView<'_>) -> Result<Option<CachedResponse>, ProxyError> {
        Ok(key(request).and_then(|key| self.stored.lock().get(&key).cloned()))
    }

    fn admit(&self, request: &RequestView<'_>, response: &ResponseHeader) -> Option<Box<dyn CacheFill>> {
        let public = response.headers.get("cache-control").is_some_and(|value| value == "public");
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
        if stored.len() < MAX_ENTRIES {
            stored.insert(self.key, CachedResponse { header: self.header, body: self.body.freeze() });
        }
    }
}
