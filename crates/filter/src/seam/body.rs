//! Bodies that routing and filters look into: a crate that understands them (JSON-RPC, say) makes a [`BodyView`].

use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;

use portcullis_types::BodyView;

/// Reads a request body before its request is routed. The gateway holds the body back while it does, at most
/// [`PEEK_LIMIT`] bytes or as many as a filter of the host asks for, and only when a route that could still match has a
/// body matcher, or a filter of the host takes part in [`crate::Phase::RequestPeekFilter`].
pub trait BodyPeek: Send + Sync {
    /// What the body says; `None` when it is of no form this knows, so that no body matcher matches.
    fn peek(&self, headers: &HeaderMap, body: &Bytes) -> Option<Arc<dyn BodyView>>;
}

/// The largest body that is looked into where no filter asks for more: a larger one is answered 413 where a route needs
/// to look.
pub const PEEK_LIMIT: usize = 64 * 1024;
