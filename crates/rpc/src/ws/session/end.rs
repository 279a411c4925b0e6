//! How a session ends.

use std::io::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use portcullis_filter::seam::StreamEnd;
use portcullis_telemetry::metrics::WebsocketEnd;
use portcullis_types::{ProxyError, Reason};

use super::Session;
use crate::ws::client::Load;
use crate::ws::close::Close;
use crate::ws::frame::{Opcode, close, control};

/// How long a client has to take what waits, and to answer a close frame.
const GOODBYE: Duration = Duration::from_secs(5);
/// Over how long closes are spread that many clients get for one reason.
const SPREAD: Duration = Duration::from_secs(2);

/// A connection that is being closed.
pub(super) struct Closing {
    /// Why; `None` when the client began it.
    why: Option<Close>,
    /// The close frame, until it is sent.
    pub(super) frame: Option<Box<[u8]>>,
    /// When the close frame may be sent.
    pub(super) from: Instant,
    /// When nothing more is waited for.
    until: Instant,
    /// Whether the client sent a close frame.
    heard: bool,
}

impl Closing {
    fn new(why: Option<Close>, frame: Box<[u8]>, from: Instant) -> Self {
        Self { why, frame: Some(frame), from, until: from + GOODBYE, heard: why.is_none() }
    }

    /// When something is to be done next.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        [self.from, self.until].into_iter().find(|time| *time > now)
    }
}

/// How it went.
pub(super) enum Outcome {
    /// It was closed, by this side or the other.
    Closed,
    /// The connection broke.
    Failed(Error),
}

impl Session {
    /// Begins to close, when somebody said so.
    pub(super) fn begin_to_close(&mut self, load: &Load, now: Instant) {
        let (None, Some(why)) = (&self.closing, load.closing) else { return };
        let spread = if why.is_for_many() { SPREAD.mul_f64(rand::random()) } else { Duration::ZERO };
        self.closing = Some(Closing::new(Some(why), close(&why), now + spread));
        self.wake_for_close(now);
    }

    /// The client sent a close frame.
    pub(super) fn closed_by_client(&mut self, code: Option<u16>, now: Instant) {
        if let Some(closing) = &mut self.closing {
            closing.heard = true;
            return;
        }
        self.release();
        let code = code.map(u16::to_be_bytes);
        let echo = control(Opcode::Close, code.as_ref().map_or(&[], |code| code));
        self.closing = Some(Closing::new(None, echo, now));
        self.wake_for_close(now);
    }

    fn wake_for_close(&mut self, now: Instant) {
        if let Some(time) = self.closing.as_ref().and_then(|closing| closing.next_time(now)) {
            self.wake_at(time);
        }
    }

    /// Whether both sides have said that they send no more.
    pub(super) fn has_said_goodbye(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.heard && closing.frame.is_none())
    }

    /// Whether nothing more is waited for.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.until <= now)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        Poll::Ready(match ready!(Pin::new(&mut self.io).poll_shutdown(cx)) {
            Ok(()) => Outcome::Closed,
            Err(error) => Outcome::Failed(error),
        })
    }

    /// Gives up all that the client holds.
    pub(super) fn release(&mut self) {
        for (number, held) in self.client.end() {
            self.hub.unsubscribe(held.line, number);
        }
    }

    /// What the record is told.
    pub(super) fn ended(&self, outcome: Outcome) -> StreamEnd {
        let why = self.closing.as_ref().and_then(|closing| closing.why);
        let by_client = if matches!(outcome, Outcome::Failed(_)) { WebsocketEnd::Lost } else { WebsocketEnd::Client };
        self.hub.metrics().ended(why.map_or(by_client, Close::counted_as));
        let broke = match outcome {
            Outcome::Closed => None,
            Outcome::Failed(error) => Some(ProxyError::with_detail(Reason::ClientClosed, error.kind().to_string())),
        };
        let closed = |why: Close| ProxyError::with_detail(why.reason_for_record(), why.reason);
        StreamEnd {
            error: why.map(closed).or(broke),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            annotations: why.map(|why| ("websocket_close", why.code.to_string())).into_iter().collect(),
        }
    }
}
