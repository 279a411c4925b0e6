//! An upgraded connection on its way to its end: the gateway may have to close it, and does so between two frames.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::frames::Frames;

/// What the wrapper of a downstream connection keeps of an upgrade.
pub(super) struct Tunnel {
    frames: Frames,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    due: bool,
    /// Who reads, to be told when a frame has ended.
    reader: Option<Waker>,
    /// Bytes of the close frame that are written.
    said: usize,
}

impl Tunnel {
    /// A tunnel that ends when this is cancelled.
    pub(super) fn new(end: CancellationToken) -> Self {
        let end = Box::pin(end.cancelled_owned());
        Self { frames: Frames::default(), end, due: false, reader: None, said: 0 }
    }

    /// Sees what was written to the client.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        self.frames.feed(bytes);
        if self.due
            && self.frames.is_between()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }

    /// Whether the close frame has begun: nothing of the upstream's may follow.
    pub(super) const fn is_closing(&self) -> bool {
        self.said > 0
    }

    /// Resolves when the tunnel is to end and a close frame may stand: with what is left to write of it.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<&'static [u8]> {
        if !self.due {
            std::task::ready!(self.end.as_mut().poll(cx));
            self.due = true;
        }
        if self.said == 0 && !self.frames.is_between() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(super::frames::GOING_AWAY.get(self.said..).unwrap_or_default())
    }

    /// So much more of the close frame is written.
    pub(super) const fn say(&mut self, bytes: usize) {
        self.said += bytes;
    }
}
