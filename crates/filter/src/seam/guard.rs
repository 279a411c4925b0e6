//! Whether a stream may go on: judged by the filters that let it in, long after their phases are over.

use std::fmt;
use std::sync::Arc;

use portcullis_types::ProxyError;

/// Judges one open stream: a WebSocket, tunnelled or spoken by the gateway, or an event stream. A filter that lets a request
/// in puts one among its [`crate::Notes`] with [`crate::Notes::guard_stream`]. It is kept as long as the stream lasts, so it
/// holds what it judges by and never a generation.
pub trait StreamGuard: Send + Sync {
    /// So many bytes pass in a tunnel, in either direction. Called for each piece, so it is to be cheap; what a handler
    /// passes on by itself is not told.
    ///
    /// # Errors
    /// Why the stream must end; the same from then on.
    fn passes(&self, _bytes: u64) -> Result<(), ProxyError> {
        Ok(())
    }

    /// Asked of every open stream once a second: to be answered from memory.
    ///
    /// # Errors
    /// Why the stream must end.
    fn may_go_on(&self) -> Result<(), ProxyError> {
        Ok(())
    }
}

/// All who judge a stream.
#[derive(Clone, Default)]
pub struct StreamGuards(Vec<Arc<dyn StreamGuard>>);

impl StreamGuards {
    /// One more.
    pub(crate) fn add(&mut self, guard: Arc<dyn StreamGuard>) {
        self.0.push(guard);
    }

    /// Tells all of them of bytes that pass.
    ///
    /// # Errors
    /// The first reason that one of them has to end the stream.
    pub fn passes(&self, bytes: u64) -> Result<(), ProxyError> {
        first_error(self.0.iter().map(|guard| guard.passes(bytes)))
    }

    /// Asks all of them.
    ///
    /// # Errors
    /// The first reason that one of them has to end the stream.
    pub fn may_go_on(&self) -> Result<(), ProxyError> {
        first_error(self.0.iter().map(|guard| guard.may_go_on()))
    }
}

/// The first error of all of them; those behind it are asked too.
fn first_error(told: impl Iterator<Item = Result<(), ProxyError>>) -> Result<(), ProxyError> {
    let mut first = Ok(());
    for one in told {
        first = first.and(one);
    }
    first
}

impl fmt::Debug for StreamGuards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamGuards").field(&self.0.len()).finish()
    }
}
