//! An upgraded connection on its way to its end: the gateway may have to close it, and does so between two frames.

use bytes::Bytes;
use std::task::{Context, Poll, Waker, ready};

use portcullis_filter::seam::Ending;
use portcullis_types::{ProxyError, Reason};

use super::frames::{self, Frames};

/// Bytes that still pass, both ways together, in a tunnel that may not go on: for the frame that is on its way. In a drain
/// a frame of any length may end.
const LEEWAY: usize = 64 * 1024;

/// What the wrapper of a downstream connection keeps of an upgrade.
pub(super) struct Tunnel {
    frames: Frames,
    end: Ending,
    due: Option<Due>,
    /// Who reads, to be told when a frame has ended.
    reader: Option<Waker>,
}

/// The end that is to come.
struct Due {
    why: ProxyError,
    /// What is left to write of the close frame.
    left: Bytes,
    /// Whether the close frame has begun.
    begun: bool,
    /// Bytes that passed since.
    passed: usize,
}

impl Due {
    fn new(why: ProxyError) -> Self {
        Self { left: frames::close(why.reason), why, begun: false, passed: 0 }
    }

    fn may_pass(&self) -> Result<(), ProxyError> {
        let over = self.passed > LEEWAY && self.why.reason != Reason::Draining;
        if over { Err(self.why.clone()) } else { Ok(()) }
    }
}

impl Tunnel {
    /// A tunnel that ends when this is due.
    pub(super) fn new(end: Ending) -> Self {
        Self { frames: Frames::default(), end, due: None, reader: None }
    }

    /// How much of what is for the client may be written: all of it, or when the tunnel is to end what the current frame
    /// has left; 0 when nothing may follow what was written.
    ///
    /// # Errors
    /// Why the tunnel ends here, in the middle of a frame.
    pub(super) fn room(&mut self, cx: &Context<'_>, bytes: &[u8]) -> Result<usize, ProxyError> {
        let Poll::Ready(due) = self.poll_told(cx) else { return Ok(bytes.len()) };
        let begun = due.begun;
        if begun || self.frames.is_between() {
            return Ok(0);
        }
        self.due.as_ref().map_or(Ok(()), Due::may_pass)?;
        Ok(self.frames.clone().feed_frame(bytes))
    }

    /// Sees what was written to the client.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        self.frames.feed(bytes);
        let Some(due) = &mut self.due else { return };
        due.passed += bytes.len();
        if self.frames.is_between()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }

    /// So many bytes came from the client.
    ///
    /// # Errors
    /// Why they may not pass.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), ProxyError> {
        let Some(due) = &mut self.due else { return Ok(()) };
        due.passed += bytes;
        due.may_pass()
    }

    /// Whether the close frame has begun: nothing of the upstream's may follow.
    pub(super) fn is_closing(&self) -> bool {
        self.due.as_ref().is_some_and(|due| due.begun)
    }

    /// Resolves when the tunnel is to end and a close frame may stand: with what is left to write of it, and why.
    pub(super) fn poll_due(&mut self, cx: &Context<'_>) -> Poll<(Bytes, ProxyError)> {
        let due = ready!(self.poll_told(cx));
        let (begun, left, why) = (due.begun, due.left.clone(), due.why.clone());
        if !begun && !self.frames.is_between() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready((left, why))
    }

    fn poll_told(&mut self, cx: &Context<'_>) -> Poll<&Due> {
        if self.due.is_none() {
            self.due = Some(Due::new(ready!(self.end.poll_due(cx))));
        }
        self.due.as_ref().map_or(Poll::Pending, Poll::Ready)
    }

    /// So many bytes more of the close frame are written.
    pub(super) fn say(&mut self, bytes: usize) {
        if let Some(due) = &mut self.due {
            due.begun = true;
            let said = bytes.min(due.left.len());
            drop(due.left.split_to(said));
        }
    }
}
