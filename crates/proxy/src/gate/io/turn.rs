//! Answers that are ready in the same turn of the event loop leave in a row.
//!
//! A write wakes who waits for it: the client, a network card, a hypervisor. Between an answer's last write and the next request lies the
//! work of ending a request, in which a client that was woken has taken its answer and gone to sleep again, to be woken for the next
//! connection's. So the end of an answer stays in the buffer until its request has ended, and all that has become ready meanwhile: then
//! they are sent one after the other. Invariant: nothing is held while anything is waited for. A read that has to wait, a shutdown and a
//! drop send it at once.

use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{DownstreamIo, Mode};

impl DownstreamIo {
    /// Whether what a flush would send may stay: it is the end of an answer over HTTP/1.
    pub(super) fn may_hold(&self) -> bool {
        matches!(self.mode, Mode::Body(_) | Mode::Whole) && self.conn.is_answered()
    }

    /// Something is waited for: what was held leaves first.
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.may_hold() && self.is_holding() {
            ready!(self.poll_out(cx, |transport, cx| transport.poll_flush(cx)))?;
        }
        Poll::Pending
    }

    /// The request has ended: sends what is left of its answer, after all that is ready besides.
    ///
    /// # Errors
    ///
    /// When the client has gone, or does not take it in time.
    pub(crate) async fn settle(&mut self) -> io::Result<()> {
        if self.is_holding() {
            tokio::task::yield_now().await;
        }
        self.conn.set_answered(false);
        self.flush().await
    }

    fn is_holding(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| !transport.buffer().is_empty())
    }
}
