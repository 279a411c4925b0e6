//! The downstream's byte stream: judged on its way in, bounded in time on its way out.
//!
//! Pingora reads a request's body through this type, so whatever it did not judge itself is judged here: the framing of
//! each HTTP/1 request, the frames of an HTTP/2 connection. Bytes behind the end of a request are held back for the
//! next one and never shown to the request in flight. Invariants: at most [`MAX_SURPLUS`] bytes are held back; a fault
//! is noted in the connection before the error is returned; a connection closed before its request was read whole
//! lingers, so that the answer is not lost to a reset.

mod stream;
mod turn;

use bytes::BytesMut;
use pingora_core::protocols::SocketDigest;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::time::Sleep;

use portcullis_filter::seam::EndStream;
use portcullis_types::{ProxyError, Reason};
use portcullis_wire::body::FramingValidator;
use portcullis_wire::h2::{H2Outbound, H2Watch};

use super::conn::Conn;
use super::linger;
use super::pace::{BlockPace, BodyPace};
use super::transport::Transport;
use super::tunnel::Tunnel;

/// Bytes of later requests that are held back while one is in flight.
const MAX_SURPLUS: usize = 64 * 1024;

/// The writer's buffer: an MSS, so that head and small body leave in one packet.
const WRITE_BUFFER: usize = 1460;

/// How the head that tells a client to go on begins.
const CONTINUE: &[u8] = b"HTTP/1.1 100 ";

/// What the bytes that arrive belong to.
enum Mode {
    /// The gate itself reads: a head is expected.
    Head,
    /// The body of a request in flight.
    Body(Box<Body>),
    /// The request in flight is whole; what arrives now is for later.
    Whole,
    /// An upgrade was asked for, or granted: bytes pass as they are.
    Through(Box<Tunnel>),
    /// HTTP/2 frames.
    Http2(Box<Frames>),
    /// A handler speaks on it; whether the client has ended its side.
    Given { ended: bool },
}

/// A body on its way.
struct Body {
    framing: FramingValidator,
    received: u64,
    pace: BodyPace,
}

/// The frames of a connection, in both directions.
struct Frames {
    inbound: H2Watch,
    outbound: H2Outbound,
    blocks: BlockPace,
}

/// A downstream connection as Pingora sees it.
pub(crate) struct DownstreamIo {
    transport: Option<BufWriter<Transport>>,
    mode: Mode,
    surplus: BytesMut,
    conn: Arc<Conn>,
    digest: Arc<SocketDigest>,
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// Whether our side has ended.
    is_shut: bool,
    fd: i32,
}

impl std::fmt::Debug for DownstreamIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownstreamIo").field("peer", &self.conn.downstream.peer).finish_non_exhaustive()
    }
}

impl DownstreamIo {
    /// Wraps a transport, ready for a first head.
    pub(crate) fn new(transport: Transport, conn: Arc<Conn>) -> Self {
        let fd = transport.fd();
        let digest = SocketDigest::from_raw_fd(fd);
        // The address is known, and with PROXY protocol the socket's own would be wrong.
        drop(digest.peer_addr.set(Some(conn.downstream.peer.into())));
        drop(digest.local_addr.set(Some(conn.downstream.local.into())));
        Self {
            transport: Some(BufWriter::with_capacity(WRITE_BUFFER, transport)),
            mode: Mode::Head,
            surplus: BytesMut::new(),
            conn,
            digest: Arc::new(digest),
            write_deadline: None,
            is_shut: false,
            fd,
        }
    }

    /// Resolves when there is something to read, holding no buffer while it waits.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        if !self.surplus.is_empty() {
            return Ok(());
        }
        std::future::poll_fn(|cx| match &self.transport {
            Some(transport) => transport.get_ref().poll_readable(cx),
            None => Poll::Ready(Ok(())),
        })
        .await
    }

    /// The bytes held back from the request before.
    pub(crate) fn take_surplus(&mut self) -> BytesMut {
        std::mem::take(&mut self.surplus)
    }

    /// The gate reads the next head.
    pub(crate) fn expect_head(&mut self) {
        self.mode = Mode::Head;
    }

    /// A request is about to be handed on: `received` bytes of its body came with the head. With `held`, the client
    /// waits for a 100 before it sends any.
    pub(super) fn expect_body(&mut self, framing: FramingValidator, received: u64, held: bool) {
        self.mode = if framing.is_done() {
            Mode::Whole
        } else {
            Mode::Body(Box::new(Body { framing, received, pace: BodyPace::new(held && received == 0) }))
        };
    }

    /// What came behind the request that is about to be handed on.
    pub(super) fn hold_back(&mut self, surplus: BytesMut) {
        self.surplus = surplus;
    }

    /// An upgrade request is about to be handed on; what is given ends what becomes of it.
    pub(crate) fn expect_upgrade(&mut self) -> EndStream {
        let (end, ending) = EndStream::new();
        self.conn.set_tunnel(end.clone());
        self.mode = Mode::Through(Box::new(Tunnel::new(ending)));
        end
    }

    /// The connection is given to a handler, which reads and writes what it likes. Writes are bounded in time as ever.
    pub(super) fn give_away(&mut self) {
        self.mode = Mode::Given { ended: false };
    }

    /// The connection speaks HTTP/2; `read` came already and will be read again.
    pub(crate) fn expect_http2(&mut self, watch: H2Watch, read: BytesMut) {
        self.surplus = read;
        let (outbound, blocks) = (H2Outbound::default(), BlockPace::default());
        self.mode = Mode::Http2(Box::new(Frames { inbound: watch, outbound, blocks }));
    }

    /// Gives the stream away, bytes read ahead first: for a tunnel or an L4 handler.
    pub(crate) fn into_raw(mut self) -> Option<(BufWriter<Transport>, BytesMut)> {
        let surplus = self.take_surplus();
        self.transport.take().map(|transport| (transport, surplus))
    }

    /// Whether the request before is whole, and the next may be read.
    pub(crate) const fn is_between_requests(&self) -> bool {
        !matches!(self.mode, Mode::Body(_))
    }

    fn fault(&self, reason: Reason, detail: &'static str) -> io::Error {
        self.conn.set_fault(ProxyError::with_detail(reason, detail));
        io::Error::new(io::ErrorKind::InvalidData, detail)
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Some(transport) => Pin::new(transport.get_mut()).poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }

    /// The request is whole: take in what belongs to the next, and report only the end of the connection.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.surplus.len() >= MAX_SURPLUS {
                // Back-pressure: the rest waits in the kernel. The writer will notice a connection that is gone.
                return Poll::Pending;
            }
            let mut bytes = [0u8; 2048];
            let mut chunk = ReadBuf::new(&mut bytes);
            ready!(self.poll_inner(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.surplus.extend_from_slice(chunk.filled());
        }
    }

    /// Bytes of a tunnel, until it is to end: then a close frame is written where one may stand, and both sides end.
    fn poll_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_end(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        ready!(self.poll_inner(cx, buf))?;
        let Mode::Through(tunnel) = &mut self.mode else { return Poll::Ready(Ok(())) };
        let may = tunnel.read(buf.filled().len() - before);
        Poll::Ready(may.map_err(|why| self.ended(why)))
    }

    /// The gateway ends the tunnel.
    fn ended(&self, why: ProxyError) -> io::Error {
        self.conn.set_fault(why);
        io::ErrorKind::ConnectionAborted.into()
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let why = loop {
            let Mode::Through(tunnel) = &mut self.mode else { return Poll::Pending };
            let (left, why) = ready!(tunnel.poll_due(cx));
            if left.is_empty() {
                break why;
            }
            match ready!(self.poll_out(cx, |transport, cx| transport.poll_write(cx, &left))) {
                Ok(written) => self.said(written),
                Err(error) => return Poll::Ready(error),
            }
        };
        match ready!(self.poll_out(cx, |transport, cx| transport.poll_flush(cx))) {
            Ok(()) => Poll::Ready(self.ended(why)),
            Err(error) => Poll::Ready(error),
        }
    }

    fn said(&mut self, written: usize) {
        if let Mode::Through(tunnel) = &mut self.mode {
            tunnel.say(written);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Poll::Ready(read) = self.poll_inner(cx, buf) else { return self.poll_body_pause(cx).map(Err) };
        read?;
        let arrived = buf.filled().get(before..).unwrap_or_default();
        let Mode::Body(body) = &mut self.mode else { return Poll::Ready(Ok(())) };
        if arrived.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let fed = match body.framing.feed(arrived) {
            Ok(fed) => fed,
            Err(error) => return Poll::Ready(Err(self.fault(Reason::MalformedFraming, error.name()))),
        };
        body.received += fed.consumed as u64;
        let (waited, limits) = (body.pace.arrived(), self.conn.limits());
        let too_slow = !fed.done && is_too_slow(body.received, waited, limits.body_rate, limits.body_timeout);
        self.surplus.extend_from_slice(arrived.get(fed.consumed..).unwrap_or_default());
        buf.set_filled(before + fed.consumed);
        if too_slow {
            return Poll::Ready(Err(self.fault(Reason::BodyTooSlow, "below the minimum rate")));
        }
        if fed.done {
            self.mode = Mode::Whole;
        }
        Poll::Ready(Ok(()))
    }

    /// Bounds how long the next part of a body may be waited for.
    fn poll_body_pause(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Mode::Body(body) = &mut self.mode else { return Poll::Pending };
        ready!(body.pace.poll_pause(cx, self.conn.limits().body_timeout));
        self.conn.set_fault(ProxyError::new(Reason::BodyTimeout));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// A 100 has been written: it is the client's turn.
    fn note_continue(&mut self, written: &[u8]) {
        if let Mode::Body(body) = &mut self.mode
            && body.pace.is_held()
            && written.starts_with(CONTINUE)
        {
            body.pace.release();
        }
    }

    fn poll_http2(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.surplus.is_empty() {
            let Poll::Ready(read) = self.poll_inner(cx, buf) else { return self.poll_open_block(cx).map(Err) };
            read?;
        } else {
            let some = self.surplus.split_to(self.surplus.len().min(buf.remaining()));
            buf.put_slice(&some);
        }
        let arrived = buf.filled().get(before..).unwrap_or_default();
        let Mode::Http2(frames) = &mut self.mode else { return Poll::Ready(Ok(())) };
        match frames.inbound.feed(std::time::Instant::now(), arrived) {
            Ok(()) => {
                frames.blocks.note(frames.inbound.open_block());
                Poll::Ready(Ok(()))
            }
            Err(abuse) => Poll::Ready(Err(self.fault(Reason::Http2Abuse, abuse.name()))),
        }
    }

    fn poll_given(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.surplus.is_empty() {
            let some = self.surplus.split_to(self.surplus.len().min(buf.remaining()));
            buf.put_slice(&some);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(self.poll_inner(cx, buf));
        if read.is_err() || buf.filled().len() == before {
            self.mode = Mode::Given { ended: true };
        }
        Poll::Ready(read)
    }

    /// Bounds how long a header block may be open: the layer above waits for its end for ever.
    fn poll_open_block(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Mode::Http2(frames) = &mut self.mode else { return Poll::Pending };
        ready!(frames.blocks.poll_open(cx, self.conn.limits().header_timeout));
        Poll::Ready(self.fault(Reason::HeadTimeout, "http2_header_block"))
    }

    /// Bounds how long a write may wait for the client.
    fn poll_write_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.conn.limits().write_timeout;
        let sleep = self.write_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(sleep.as_mut().poll(cx));
        self.conn.set_fault(ProxyError::new(Reason::ClientTooSlow));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut BufWriter<Transport>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(transport) = &mut self.transport else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        match write(Pin::new(transport), cx) {
            Poll::Ready(done) => {
                self.write_deadline = None;
                Poll::Ready(done)
            }
            Poll::Pending => {
                if let Mode::Body(body) = &mut self.mode {
                    body.pace.unasked();
                }
                self.poll_write_deadline(cx).map(Err)
            }
        }
    }

    /// Sees what the HTTP/2 layer says to the client: data earns window updates, and what the layer rejects by itself
    /// is counted with its cause.
    fn watch_outbound(&mut self, written: &[u8]) -> io::Result<()> {
        let Mode::Http2(frames) = &mut self.mode else { return Ok(()) };
        let Frames { inbound, outbound, .. } = &mut **frames;
        let (now, conn) = (std::time::Instant::now(), &self.conn);
        let mut abuse = None;
        outbound.feed(written, |event| {
            abuse = abuse.or(inbound.observe(now, event).err());
            conn.observe_http2(event);
        });
        abuse.map_or(Ok(()), |abuse| Err(self.fault(Reason::Http2Abuse, abuse.name())))
    }
}

/// Whether a body that was waited for so long lags behind its minimum rate, once its grace is over.
pub(crate) fn is_too_slow(received: u64, elapsed: Duration, rate: u64, grace: Duration) -> bool {
    elapsed > grace && u128::from(received) * 1_000 < u128::from(rate) * elapsed.as_millis()
}

impl AsyncRead for DownstreamIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match self.mode {
            Mode::Body(_) => self.poll_body(cx, buf),
            Mode::Whole => self.poll_whole(cx),
            Mode::Through(_) => self.poll_through(cx, buf),
            Mode::Head => self.poll_inner(cx, buf),
            Mode::Http2(_) => self.poll_http2(cx, buf),
            Mode::Given { .. } => self.poll_given(cx, buf),
        };
        if read.is_pending() { self.poll_waiting(cx) } else { read }
    }
}

impl AsyncWrite for DownstreamIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let buf = match &mut self.mode {
            Mode::Through(tunnel) => match tunnel.room(cx, buf) {
                // Nothing may follow a close frame.
                Ok(0) => return Poll::Ready(Ok(buf.len())),
                Ok(room) => buf.get(..room).unwrap_or(buf),
                Err(why) => return Poll::Ready(Err(self.ended(why))),
            },
            Mode::Head | Mode::Body(_) | Mode::Whole | Mode::Http2(_) | Mode::Given { .. } => buf,
        };
        let written = ready!(self.poll_out(cx, |transport, cx| transport.poll_write(cx, buf)))?;
        let passed = buf.get(..written).unwrap_or_default();
        if let Mode::Through(tunnel) = &mut self.mode {
            tunnel.wrote(passed);
        }
        self.note_continue(passed);
        self.watch_outbound(passed)?;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.mode, Mode::Through(_)) {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        let written = ready!(self.poll_out(cx, |transport, cx| transport.poll_write_vectored(cx, slices)))?;
        let mut left = written;
        for slice in slices {
            let passed = slice.get(..left).unwrap_or(slice);
            self.note_continue(passed);
            self.watch_outbound(passed)?;
            left -= passed.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.may_hold() {
            return Poll::Ready(Ok(()));
        }
        self.poll_out(cx, |transport, cx| transport.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        if let Some(transport) = &mut self.transport {
            transport.get_mut().cork();
        }
        let shut = ready!(self.poll_out(cx, |transport, cx| transport.poll_shutdown(cx)));
        self.is_shut = shut.is_ok();
        Poll::Ready(shut)
    }
}

impl Drop for DownstreamIo {
    fn drop(&mut self) {
        let Some(transport) = self.transport.take() else { return };
        let closing = matches!(&self.mode, Mode::Through(tunnel) if tunnel.is_closing());
        let open = matches!(self.mode, Mode::Body(_) | Mode::Given { ended: false });
        let unread = closing || open || !self.surplus.is_empty();
        // What was written and not flushed belongs to an answer that broke off; the client gets all there is of it.
        if unread || !transport.buffer().is_empty() {
            linger::spawn(transport, &self.conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_too_slow_only_below_the_rate_and_after_the_grace() {
        let grace = Duration::from_secs(30);
        assert!(!is_too_slow(0, grace, 240, grace));
        assert!(is_too_slow(100, Duration::from_secs(31), 240, grace));
        assert!(!is_too_slow(240 * 31, Duration::from_secs(31), 240, grace));
        assert!(!is_too_slow(0, Duration::from_secs(31), 0, grace));
    }
}
