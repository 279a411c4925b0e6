//! The cache phases of a route that names a cache.

use bytes::Bytes;
use pingora_http::{RequestHeader, ResponseHeader};

use portcullis_filter::Response;
use portcullis_filter::seam::CacheFill;
use portcullis_snapshot::request::action;
use portcullis_telemetry::record::{Decision, Flag};

use super::context::Ctx;

/// The answer of this request on its way into a cache.
#[derive(Default)]
pub(crate) enum Fill {
    /// There is no cache, or it was not asked.
    #[default]
    None,
    /// The cache was asked and had nothing.
    Missed,
    /// The cache takes the answer.
    Filling(Box<dyn CacheFill>),
}

impl Fill {
    /// A chunk passed; the end makes it whole.
    pub(super) fn chunk(&mut self, chunk: Option<&Bytes>, end: bool) {
        let Self::Filling(fill) = self else { return };
        let wanted = chunk.is_none_or(|chunk| fill.chunk(chunk));
        if !wanted {
            *self = Self::None;
        } else if end && let Self::Filling(fill) = std::mem::take(self) {
            fill.finish();
        }
    }
}

/// A stored answer, if the route has a cache and the cache has one.
pub(super) async fn lookup(request: &RequestHeader, ctx: &mut Ctx) -> Option<Response> {
    let cache = ctx.route.as_ref()?.cache.clone()?;
    let found = cache.lookup(&ctx.facts.view(request)).await;
    match found {
        Ok(Some(stored)) => {
            ctx.record.flags.set(Flag::Cached);
            ctx.record.decision = Decision::Other("cache");
            Some(Response { header: stored.header, body: stored.body })
        }
        Ok(None) => {
            ctx.fill = Fill::Missed;
            None
        }
        Err(error) => {
            ctx.record.note("cache", error.to_string());
            None
        }
    }
}

/// A stored answer though it is stale, if the route's cache has one that may be used.
pub(super) async fn stale(request: &RequestHeader, ctx: &mut Ctx) -> Option<Response> {
    let cache = ctx.route.as_ref()?.cache.clone()?;
    let found = cache.stale(&ctx.facts.view(request)).await;
    match found {
        Ok(Some(stale)) => {
            ctx.record.flags.set(Flag::Cached);
            Some(action::stale_response(stale, &ctx.core.server_name()))
        }
        Ok(None) => None,
        Err(error) => {
            ctx.record.note("cache", error.to_string());
            None
        }
    }
}

/// After a miss: whether the answer is taken.
pub(super) fn admit(request: &RequestHeader, response: &ResponseHeader, ctx: &mut Ctx) {
    if !matches!(ctx.fill, Fill::Missed) {
        return;
    }
    let cache = ctx.route.as_ref().and_then(|route| route.cache.clone());
    let fill = cache.and_then(|cache| cache.admit(&ctx.facts.view(request), response));
    ctx.fill = fill.map_or(Fill::None, Fill::Filling);
}
