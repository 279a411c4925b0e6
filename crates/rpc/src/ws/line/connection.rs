//! A connection to an upstream: frames both ways, written in batches.

use bytes::Bytes;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use portcullis_filter::seam::Io;
use portcullis_telemetry::metrics::GaugePart;
use portcullis_types::EndpointName;

use crate::ws::frame::{Decoder, Event, Opcode, Role, masked};

/// How much is read at once.
const READ: usize = 16 * 1024;

/// See the module's text.
pub(super) struct Connection {
    pub(super) endpoint: EndpointName,
    io: Box<dyn Io>,
    /// It is one of those that are counted.
    _counted: GaugePart,
    decoder: Decoder,
    out: Vec<u8>,
    written: usize,
    /// Whether something was written that may still stand in a buffer below.
    unflushed: bool,
    heard: Instant,
    pinged: Instant,
}

impl Connection {
    /// A connection that was just upgraded; messages above `most` bytes end it.
    pub(super) fn new(
        (io, endpoint): (Box<dyn Io>, EndpointName),
        counted: GaugePart,
        most: usize,
        now: Instant,
    ) -> Self {
        Self {
            endpoint,
            io,
            _counted: counted,
            decoder: Decoder::new(Role::Client, most),
            out: Vec::new(),
            written: 0,
            unflushed: false,
            heard: now,
            pinged: now,
        }
    }

    /// Queues a message.
    pub(super) fn send(&mut self, text: &str) {
        masked(Opcode::Text, text.as_bytes(), rand::random(), &mut self.out);
    }

    /// Asks for a sign of life, when there was none for this long.
    pub(super) fn ping_if_silent(&mut self, now: Instant, after: Duration) {
        if now >= self.heard.max(self.pinged) + after {
            self.pinged = now;
            masked(Opcode::Ping, &[], rand::random(), &mut self.out);
        }
    }

    /// Writes what is queued, and waits for what comes. Nothing is lost when this is dropped before its end.
    pub(super) async fn next(&mut self) -> Result<Vec<Event>> {
        let events = poll_fn(|cx| self.poll(cx)).await?;
        self.heard = Instant::now();
        for event in &events {
            if let Event::Ping(payload) = event {
                self.pong(payload);
            }
        }
        Ok(events)
    }

    fn pong(&mut self, payload: &Bytes) {
        masked(Opcode::Pong, payload, rand::random(), &mut self.out);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Event>>> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Err(error));
        }
        self.poll_read(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.unflushed = true;
        }
        if self.written > 0 {
            (self.out, self.written) = (Vec::new(), 0);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// What a piece of bytes holds, once one holds something.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Event>>> {
        let mut buffer = [MaybeUninit::uninit(); READ];
        loop {
            let mut read = ReadBuf::uninit(&mut buffer);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            let mut bytes = read.filled();
            let mut events = Vec::new();
            loop {
                match self.decoder.feed(&mut bytes) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    // What came before stays told.
                    Err(_) if !events.is_empty() => return Poll::Ready(Ok(events)),
                    Err(violation) => return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, violation))),
                }
            }
            if !events.is_empty() {
                return Poll::Ready(Ok(events));
            }
        }
    }
}
