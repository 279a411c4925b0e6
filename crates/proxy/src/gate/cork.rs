//! A byte stream that can hold back what is written to it, so that it leaves in one write with what comes next.
//!
//! A write to a socket costs a system call, a segment and, on one machine, waking who waits for it. TLS has things to
//! say that nobody waits for: the ticket after a handshake, the notice that the connection closes. While the stream is
//! corked all is held back, until the other side is waited for, or the stream is shut. Once it is not, what is still
//! held goes out before what is written next, in the same write. Invariant: bytes leave in the order of their writes,
//! and none is left behind by a flush or a shutdown.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many pieces leave in one write with what was held; a caller with more writes again.
const PIECES: usize = 16;

/// The stream.
#[derive(Debug)]
pub(crate) struct Corked<T> {
    inner: T,
    /// Without room of its own once it is written.
    held: Vec<u8>,
    corked: bool,
}

impl<T> Corked<T> {
    pub(crate) const fn new(inner: T) -> Self {
        Self { inner, held: Vec::new(), corked: false }
    }

    pub(crate) const fn get_ref(&self) -> &T {
        &self.inner
    }

    /// From now on writes are held back, until a read has to wait or the stream is shut.
    pub(crate) const fn cork(&mut self) {
        self.corked = true;
    }

    /// What is held leaves with the next write, or flush.
    pub(crate) const fn uncork(&mut self) {
        self.corked = false;
    }

    /// Whether something is held back.
    pub(crate) const fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }
}

impl<T: AsyncWrite + Unpin> Corked<T> {
    /// Writes what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            self.wrote(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is held and, behind it, a part of the pieces at least; how much of the pieces.
    fn poll_with_held(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let held = self.held.len();
        let mut all = [IoSlice::new(&[]); PIECES];
        let rest = std::iter::once(IoSlice::new(&self.held)).chain(pieces.iter().copied());
        let count = all.iter_mut().zip(rest).map(|(slot, piece)| *slot = piece).count();
        let all = all.get(..count).unwrap_or_default();
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, all))?;
        self.wrote(written.min(held))?;
        Poll::Ready(Ok(written.saturating_sub(held)))
    }

    fn wrote(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if count >= self.held.len() {
            self.held = Vec::new();
        } else {
            self.held.drain(..count);
        }
        Ok(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if read.is_pending() && this.corked {
            // It may be this that the other side waits for.
            if let Poll::Ready(Err(error)) = this.poll_held(cx) {
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Corked<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.corked {
            let before = this.held.len();
            pieces.iter().for_each(|piece| this.held.extend_from_slice(piece));
            return Poll::Ready(Ok(this.held.len() - before));
        }
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        while !this.held.is_empty() {
            let written = ready!(this.poll_with_held(cx, pieces))?;
            if written > 0 {
                return Poll::Ready(Ok(written));
            }
        }
        Pin::new(&mut this.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.corked {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
