//! Bodies that routing looks into: a crate that understands them (JSON-RPC, say) fills a [`BodyView`].

use http::HeaderMap;
use portcullis_types::BodyView;

/// Reads a request body for body matchers. The gateway holds the body back while it does, at most
/// [`PEEK_LIMIT`] bytes, and only when a route that could still match asks for it.
pub trait BodyPeek: Send + Sync {
    /// What the body says; `None` when it is of no form this knows, so that no body matcher matches.
    fn peek(&self, headers: &HeaderMap, body: &[u8]) -> Option<Box<dyn BodyView>>;
}

/// The largest body that is looked into: the bound of Pingora's replay buffer. A larger one is answered 413 where a
/// route needs to look.
pub const PEEK_LIMIT: usize = 64 * 1024;
