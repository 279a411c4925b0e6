//! Answers that several calls share: identical reads in flight wait for one of them, and what cannot change soon is kept.
//!
//! Two calls are identical when they go to the same host, path and query and have the same method and params, white space
//! between tokens aside. The params are compared as they are written, so commitment, `minContextSlot`, the case of an
//! address and the order of members all count. The id does not: an answer is given out under the id of each call, its type
//! kept. Who calls does not count either: what a node says of a chain does not depend on it, and caps were asked before the
//! cache is. A route whose answers do depend on it must not name a cache; nor may two routes of one host, path and query
//! that lead to different chains.
//!
//! Single calls alone are shared, and of their answers those of status 200, without a content coding, with a `result`: an
//! error is given to nobody but who got it. What may be kept, and for how long, is in [`Keep`](crate::solana::Keep), by
//! method and commitment; null is never kept, nor is what the config object says in more than one way.
//!
//! Bounds: bytes kept, bytes on their way in, bytes of one answer, calls in flight that others may wait for, calls that wait
//! for one, and for how long they do. A call that would go beyond one of them goes on as a miss.

mod answer;
mod fill;
mod flights;
mod key;
mod passage;
mod rules;
mod store;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora_http::ResponseHeader;
use std::sync::Arc;
use std::time::Duration;

use portcullis_filter::Response;
use portcullis_filter::seam::{Cache, CacheFill, CachedResponse};
use portcullis_telemetry::metrics::{RpcCacheMetrics, RpcMetrics};
use portcullis_types::{ProxyError, RequestView};

use crate::body::Body;
use crate::scan::Call;
use crate::solana::{self, Effect};
use answer::Answer;
use fill::Fill;
use flights::{Flights, Joined};
use rules::Retention;
use store::Store;

pub(crate) use passage::Passage;
pub use portcullis_telemetry::metrics::CacheOutcome as Outcome;

/// The field that says how a call passed the cache.
pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// How much a cache holds, and how long calls wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all answers that are kept; and as many again on their way in.
    pub bytes: usize,
    /// Bytes of one answer.
    pub entry: usize,
    /// Calls in flight that others may wait for.
    pub flights: usize,
    /// Calls that may wait for one.
    pub waiting: usize,
    /// How long they do.
    pub wait: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024 * 1024,
            entry: 8 * 1024 * 1024,
            flights: 16_384,
            waiting: 1024,
            wait: Duration::from_secs(5),
        }
    }
}

/// What all caches of a process share.
struct Shared {
    bounds: Bounds,
    flights: Flights,
    store: Store,
}

impl Shared {
    fn new(bounds: Bounds, metrics: &RpcMetrics) -> Self {
        let metrics = metrics.store();
        Self { bounds, flights: Flights::new(&bounds, &metrics), store: Store::new(&bounds, metrics) }
    }
}

/// What a cache does beyond letting calls in flight share an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    WhatLasts,
    BlockhashesToo,
}

/// A cache of JSON-RPC answers.
#[derive(Clone)]
pub struct RpcCache {
    keeps: Keeps,
    shared: Arc<Shared>,
    metrics: Arc<RpcCacheMetrics>,
}

impl RpcCache {
    /// The caches by the names that a route's `cache` uses. They hold one store between them.
    #[must_use]
    pub fn all(bounds: Bounds, metrics: &RpcMetrics) -> [(&'static str, Arc<dyn Cache>); 3] {
        let shared = Arc::new(Shared::new(bounds, metrics));
        let cache = |name, keeps| {
            let cache = Self { keeps, shared: shared.clone(), metrics: metrics.cache(name) };
            (name, Arc::new(cache) as Arc<dyn Cache>)
        };
        [
            cache("rpc", Keeps::WhatLasts),
            cache("rpc-blockhash", Keeps::BlockhashesToo),
            cache("rpc-coalesce", Keeps::Nothing),
        ]
    }

    /// For how long the answer to a call is kept.
    fn retention(&self, body: &Body, call: &Call) -> Option<Retention> {
        let method = solana::method(body.slice(call.method()))?;
        match self.keeps {
            Keeps::Nothing => None,
            Keeps::WhatLasts => rules::retention(method, &body.params(call), false),
            Keeps::BlockhashesToo => rules::retention(method, &body.params(call), true),
        }
    }

    /// Waits for the answer to an identical call in flight. Where it comes to nothing, one of those who waited leads the
    /// calls that come after; none of them waits again.
    async fn join(&self, key: &Arc<[u8]>, passage: &Passage) -> Option<Arc<Answer>> {
        let waiting = match self.shared.flights.join(key) {
            Joined::Lead(lead) => {
                passage.lead(lead);
                return None;
            }
            Joined::Alone => return None,
            Joined::Behind(waiting) => waiting,
        };
        let answer = tokio::time::timeout(self.shared.bounds.wait, waiting.answer()).await.ok()?;
        if answer.is_none()
            && let Joined::Lead(lead) = self.shared.flights.join(key)
        {
            passage.lead(lead);
        }
        answer
    }
}

/// The read that a request makes, if it makes a single one.
fn read<'a>(request: &RequestView<'a>) -> Option<(&'a Body, &'a Call)> {
    let body = Body::of(request.body?)?;
    let call = body.single().filter(|call| call.id().is_some())?;
    let method = solana::method(body.slice(call.method()))?;
    (*request.method == Method::POST && method.effect == Effect::Read).then_some((body, call))
}

#[async_trait]
impl Cache for RpcCache {
    async fn lookup(&self, request: &RequestView<'_>) -> Result<Option<CachedResponse>, ProxyError> {
        let Some((body, call)) = read(request) else { return Ok(None) };
        let id = call.id().map_or(&b"null"[..], |id| id.of(body.text()));
        let key = key::of(request, body, call);
        if self.retention(body, call).is_some()
            && let Some((answer, age)) = self.shared.store.get(&key)
        {
            body.passage.set(Outcome::Hit);
            self.metrics.passed(Outcome::Hit);
            return Ok(Some(respond(&answer, id, Outcome::Hit, age)));
        }
        // A request that looked once, as another route, and goes on, waits for nobody: it may be the one waited for.
        let answer = if body.passage.set(Outcome::Miss) { None } else { self.join(&key, &body.passage).await };
        let Some(answer) = answer else {
            self.metrics.passed(Outcome::Miss);
            return Ok(None);
        };
        body.passage.set(Outcome::Coalesced);
        self.metrics.passed(Outcome::Coalesced);
        Ok(Some(respond(&answer, id, Outcome::Coalesced, Duration::ZERO)))
    }

    fn admit(&self, request: &RequestView<'_>, response: &ResponseHeader) -> Option<Box<dyn CacheFill>> {
        let (body, call) = read(request)?;
        // Without a fill the lead ends here, and who waits goes on.
        let lead = body.passage.take_lead();
        let retention = self.retention(body, call);
        if response.status != StatusCode::OK || response.headers.contains_key(header::CONTENT_ENCODING) {
            return None;
        }
        let length = response.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > self.shared.bounds.entry) {
            return None;
        }
        let wanted = lead.is_some() || retention.is_some();
        wanted.then(|| {
            let id = call.id().map_or(&b"null"[..], |id| id.of(body.text()));
            let keep = retention.map(|retention| (key::of(request, body, call), retention));
            Box::new(Fill::new(self.shared.clone(), id, lead, keep)) as Box<dyn CacheFill>
        })
    }
}

fn respond(answer: &Answer, id: &[u8], outcome: Outcome, age: Duration) -> CachedResponse {
    let response = Response::new(StatusCode::OK)
        .with_body(HeaderValue::from_static("application/json"), answer.under(id))
        .with_field(X_CACHE, HeaderValue::from_static(outcome.as_str()))
        .with_field(header::AGE, HeaderValue::from(age.as_secs()));
    CachedResponse { header: response.header, body: response.body }
}
