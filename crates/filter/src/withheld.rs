//! What a filter takes out of a request for good.
//!
//! A route that another stands in for hands its request over with the head that it was chosen by, as it was before its own
//! filters. What they took out for being a secret must not come back with it. So where the proxy keeps such a head, a
//! filter says how to take the secret out of that one too.

use std::sync::Arc;

use pingora_http::RequestHeader;

/// Takes a secret out of a head.
type Take = Arc<dyn Fn(&mut RequestHeader) + Send + Sync>;

/// How to take out of a kept head what filters took out of the request: among a request's values
/// ([`Notes::extensions_mut`](crate::Notes::extensions_mut)) as long as there is a kept head.
#[derive(Clone, Default)]
pub struct Withheld(Vec<Take>);

impl Withheld {
    /// A filter took something out.
    pub fn note(&mut self, take: impl Fn(&mut RequestHeader) + Send + Sync + 'static) {
        self.0.push(Arc::new(take));
    }

    /// Takes all of it out of the kept head.
    pub fn apply(&self, head: &mut RequestHeader) {
        self.0.iter().for_each(|take| take(head));
    }
}
