//! What is written: control frames before messages, messages in batches, large ones without a copy.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::Session;
use crate::ws::client::Item;
use crate::ws::frame::{FrameHead, Opcode, head};
use crate::ws::message::Notification;
use crate::ws::spent::Delivered;

/// How many bytes are put together for one write.
const BATCH: usize = 8 * 1024;

/// What is being written, beyond what the client's queue holds.
#[derive(Default)]
pub(super) struct Output {
    /// In order; whole frames at first.
    pieces: VecDeque<Bytes>,
    /// The latest of each: one answers all pings before it.
    pong: Option<Box<[u8]>>,
    ping: Option<Box<[u8]>>,
    /// Whether something was written that may still stand in a buffer below.
    unflushed: bool,
}

impl Output {
    /// A pong is to be sent.
    pub(super) fn pong(&mut self, frame: Box<[u8]>) {
        self.pong = Some(frame);
    }

    /// A ping is to be sent.
    pub(super) fn ping(&mut self, frame: Box<[u8]>) {
        self.ping = Some(frame);
    }

    /// Queues one control frame, if one waits.
    fn next_control(&mut self) -> bool {
        let frame = self.pong.take().or_else(|| self.ping.take());
        let any = frame.is_some();
        self.pieces.extend(frame.map(Bytes::from));
        any
    }

    /// Queues a frame that is too large to be copied.
    fn push_large(&mut self, item: Item) {
        match item {
            Item::Frame(frame) => self.pieces.push_back(frame.into()),
            Item::Notification(notification, number) => {
                let number = number.to_string();
                let (before, behind) = notification.shared_parts();
                let head = head(Opcode::Text, notification.length() + number.len());
                let head = Bytes::copy_from_slice(head.as_slice());
                self.pieces.extend([head, before, number.into(), behind]);
            }
        }
    }
}

/// Frames put together on the stack.
struct Batch {
    bytes: [u8; BATCH],
    length: usize,
}

impl Batch {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn put_notification(&mut self, notification: &Notification, number: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let head: FrameHead = head(Opcode::Text, notification.length() + digits.len());
        let (before, behind) = notification.parts();
        for part in [head.as_slice(), before, digits, behind] {
            self.put(part);
        }
    }

    fn filled(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Session {
    /// Writes what is to be written. Ready when all of it is on its way.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<()>> {
        loop {
            while let Some(piece) = self.output.pieces.front_mut() {
                if piece.has_remaining() {
                    let count = ready!(Pin::new(&mut self.io).poll_write(cx, piece))?;
                    piece.advance(count);
                    self.written(count)?;
                } else {
                    self.output.pieces.pop_front();
                }
            }
            if self.output.pieces.capacity() > 0 {
                self.output.pieces = VecDeque::new();
            }
            if self.output.next_control() || ready!(self.poll_batch(cx))? || self.next_close(now) {
                continue;
            }
            if self.output.unflushed {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                self.output.unflushed = false;
            }
            return Poll::Ready(Ok(()));
        }
    }

    fn written(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Err(Error::from(ErrorKind::WriteZero));
        }
        self.output.unflushed = true;
        self.bytes_out += count as u64;
        self.spending.bytes(count);
        Ok(())
    }

    /// Writes the next of what is queued for the client; whether there was anything.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let mut batch = Batch { bytes: [0; BATCH], length: 0 };
        let (mut large, mut room) = (None, BATCH);
        let mut delivered = Delivered::default();
        let takes = |item: &Item| {
            let fits = item.length() <= room;
            let alone = room == BATCH;
            room = if fits { room - item.length() } else { 0 };
            fits || alone
        };
        self.client.take_while(takes, |item| {
            if let Item::Notification(notification, _) = &item {
                delivered.add(notification.kind);
            }
            portcullis_mutants::when!(FailsOnWebsocket => if portcullis_mutants::one_in(50) { return });
            match item {
                Item::Frame(frame) if frame.len() <= BATCH => batch.put(&frame),
                Item::Notification(it, number) if it.length() <= BATCH - Item::OVERHEAD => {
                    batch.put_notification(&it, number);
                }
                item @ (Item::Frame(_) | Item::Notification(..)) => large = Some(item),
            }
        });
        self.spending.delivered(&delivered);
        if let Some(large) = large {
            self.output.push_large(large);
            return Poll::Ready(Ok(true));
        }
        if batch.length == 0 {
            return Poll::Ready(Ok(false));
        }
        let written = match Pin::new(&mut self.io).poll_write(cx, batch.filled()) {
            Poll::Ready(count) => {
                let count = count?;
                self.written(count)?;
                count
            }
            Poll::Pending => 0,
        };
        let rest = batch.filled().get(written..).unwrap_or_default();
        if !rest.is_empty() {
            self.output.pieces.push_back(Bytes::copy_from_slice(rest));
        }
        Poll::Ready(Ok(true))
    }

    /// Queues the close frame, when it is its time and nothing else waits.
    fn next_close(&mut self, now: Instant) -> bool {
        let frame = self.closing.as_mut().filter(|closing| closing.from <= now).and_then(|it| it.frame.take());
        let any = frame.is_some();
        self.output.pieces.extend(frame.map(Bytes::from));
        any
    }
}
