//! A socket whose other side is the test.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What comes when all pieces were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum After {
    /// Nothing, for ever.
    #[default]
    Silence,
    End,
}

/// What comes, piece by piece; how much room each read had; the writes, each as it came, and how many of them
/// were flushed; how much one takes, if not all; how often one was tried that nobody takes.
#[derive(Debug, Default)]
struct Sides {
    pieces: VecDeque<Vec<u8>>,
    after: After,
    rooms: Vec<usize>,
    writes: Vec<Vec<u8>>,
    flushed: usize,
    most: Option<usize>,
    broken: bool,
    stalled: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Socket(Arc<Mutex<Sides>>);

impl Socket {
    pub(super) fn sends(pieces: impl IntoIterator<Item = Vec<u8>>, after: After) -> Self {
        let sides = Sides { pieces: pieces.into_iter().collect(), after, ..Sides::default() };
        Self(Arc::new(Mutex::new(sides)))
    }

    /// A session of a client over it.
    pub(super) fn session(&self) -> HttpSession {
        HttpSession::new(Box::new(self.stream()))
    }

    /// A stream over it.
    pub(super) fn stream(&self) -> Stream {
        Stream::from(VirtualSocketStream::new(Box::new(self.clone())))
    }

    /// More comes.
    pub(super) fn send(&self, piece: Vec<u8>) {
        self.0.lock().unwrap().pieces.push_back(piece);
    }

    /// A write takes so many bytes and no more.
    pub(super) fn takes(&self, most: usize) {
        self.0.lock().unwrap().most = Some(most);
    }

    /// Every write fails from now on.
    pub(super) fn breaks(&self) {
        self.0.lock().unwrap().broken = true;
    }

    /// No write is taken from now on: whoever reads on the other side has stopped.
    pub(super) fn stalls(&self) {
        self.0.lock().unwrap().stalled = Some(0);
    }

    /// Writes that were tried since.
    pub(super) fn tried(&self) -> usize {
        self.0.lock().unwrap().stalled.unwrap_or_default()
    }

    /// The room of each read since this was asked last.
    pub(super) fn rooms(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap().rooms)
    }

    /// Writes that a buffer would still hold.
    pub(super) fn unflushed(&self) -> usize {
        let sides = self.0.lock().unwrap();
        sides.writes.len() - sides.flushed
    }

    pub(super) fn writes(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().writes.clone()
    }
}

impl VirtualSocket for Socket {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut sides = self.0.lock().unwrap();
        sides.rooms.push(buffer.remaining());
        match sides.pieces.pop_front() {
            Some(mut piece) => {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&piece);
                if !rest.is_empty() {
                    sides.pieces.push_front(rest);
                }
                Poll::Ready(Ok(()))
            }
            None if sides.after == After::End => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut sides = self.0.lock().unwrap();
        if sides.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(tried) = &mut sides.stalled {
            *tried += 1;
            return Poll::Pending;
        }
        let most = sides.most.unwrap_or(usize::MAX);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        let taken = bytes.len();
        sides.writes.push(bytes);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sides = self.0.lock().unwrap();
        sides.flushed = sides.writes.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
