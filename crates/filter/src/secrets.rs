//! What of a request no record may show: a key as a segment of the path, say.
//!
//! A request is recorded before filters run, and also when none ever does. So a filter that reads a secret out of a
//! request's target says, when its chain is made, where such a secret stands; whoever records the request asks for it.

use http::HeaderMap;

/// Knows where a request's target may hold a secret.
pub trait Secrets: Send + Sync {
    /// Hands out every stretch of path and query that must not be shown, as it stands there.
    fn find(&self, path: &str, query: Option<&str>, headers: &HeaderMap, hide: &mut dyn FnMut(&str));
}
