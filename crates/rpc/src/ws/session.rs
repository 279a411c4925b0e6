//! The session of one client: what it sends is read and acted on, what is queued for it is written.
//!
//! All of it is one future that is polled when bytes came, when there is room to write, when something was queued or when
//! a time is over. Between two polls it holds no buffer: bytes are read onto the stack and acted on at once, unless a
//! message is not whole or the client has too much waiting, and are written from the queue through the stack, unless
//! the client takes less than it is given.

mod end;
mod output;
mod requests;
#[cfg(test)]
mod tests;

use std::future::{pending, poll_fn};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use portcullis_filter::Notes;
use portcullis_filter::seam::{Ending, Io, StreamEnd, UpgradedStream};
use portcullis_identity::Caller;
use portcullis_telemetry::metrics::{GaugePart, WebsocketGauge};

use super::client::{Client, Load};
use super::close::Close;
use super::config::ClientSettings;
use super::frame::{Decoder, Event, Opcode, Role, control};
use super::hub::{Hub, next_number};
use super::spent::Spending;
use end::{Closing, Outcome};
use output::Output;

/// How much is read at once.
const READ: usize = 4 * 1024;

/// See the module's text.
pub struct Session {
    io: Box<dyn Io>,
    client: Arc<Client>,
    hub: Arc<Hub>,
    /// The line of its calls.
    line: u8,
    settings: Arc<ClientSettings>,
    decoder: Decoder,
    /// What was read and not acted on, since too much waits.
    unread: Vec<u8>,
    output: Output,
    timer: Pin<Box<Sleep>>,
    /// When the client was last heard.
    heard: Instant,
    /// Nothing is read before this time.
    paused: Option<Instant>,
    closing: Option<Closing>,
    /// Whether what the client sends cannot be understood any more.
    deaf: bool,
    spending: Spending,
    caller: Option<Caller>,
    /// Of messages that were no request, one after another; of requests that were refused.
    malformed: u32,
    refused: u32,
    bytes_in: u64,
    bytes_out: u64,
    end: Option<Ending>,
    /// Guards among it are held as long as the session lasts.
    notes: Notes,
    /// It is one of those that are counted.
    _counted: GaugePart,
}

impl Session {
    /// A session on a connection that was just upgraded.
    #[must_use]
    pub fn new(stream: UpgradedStream, hub: Arc<Hub>, settings: Arc<ClientSettings>) -> Self {
        let UpgradedStream { io, notes, end, .. } = stream;
        let now = Instant::now();
        Self {
            io,
            client: Arc::new(Client::new(settings.buffer, Arc::clone(hub.metrics()))),
            _counted: hub.metrics().one(WebsocketGauge::Clients),
            line: hub.line_by(next_number()),
            hub,
            settings: Arc::clone(&settings),
            decoder: Decoder::new(Role::Server, settings.frame),
            unread: Vec::new(),
            output: Output::default(),
            timer: Box::pin(sleep_until(now + settings.ping)),
            heard: now,
            paused: None,
            closing: None,
            deaf: false,
            spending: Spending::new(&notes, settings.credits),
            caller: notes.get::<Caller>().cloned(),
            malformed: 0,
            refused: 0,
            bytes_in: 0,
            bytes_out: 0,
            end: Some(end),
            notes,
        }
    }

    /// Serves the client to its end.
    pub async fn run(mut self) -> StreamEnd {
        let client = Arc::clone(&self.client);
        let end = self.end.take();
        let told = async move {
            if let Some(mut end) = end {
                client.close(Close::of(end.due().await.reason));
            }
            pending::<Outcome>().await
        };
        let outcome = tokio::select! {
            outcome = poll_fn(|cx| self.poll(cx)) => outcome,
            outcome = told => outcome,
        };
        self.ended(outcome)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            // Whoever changes the load from here on wakes this.
            let load = self.client.watch(cx.waker());
            let now = Instant::now();
            self.begin_to_close(&load, now);
            if self.is_overdue(now) {
                return Poll::Ready(Outcome::Closed);
            }
            match self.poll_write(cx, now) {
                Poll::Ready(Err(error)) => return Poll::Ready(Outcome::Failed(error)),
                Poll::Ready(Ok(())) if self.has_said_goodbye() => {
                    // The timer goes on, for a client that takes too long over it.
                    if self.timer.as_mut().poll(cx).is_ready() {
                        self.tick(now);
                        continue;
                    }
                    return self.poll_shutdown(cx);
                }
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            let read = match self.poll_read(cx, now) {
                Ok(read) => read,
                Err(outcome) => return Poll::Ready(outcome),
            };
            let fired = self.timer.as_mut().poll(cx).is_ready();
            if fired {
                self.tick(now);
            }
            if !read && !fired {
                return Poll::Pending;
            }
        }
    }

    /// Whether more is to be read from the client.
    fn is_open(&self, now: Instant) -> bool {
        // While it is being closed everything is read, for its own close frame to be seen.
        if self.closing.is_some() {
            return true;
        }
        let Load { bytes, pending, closing } = self.client.load();
        let room = pending < self.settings.pending && bytes <= self.settings.buffer / 2;
        room && closing.is_none() && self.paused.is_none_or(|until| until <= now)
    }

    /// Reads and acts; whether anything was done.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Outcome> {
        if !self.is_open(now) {
            return Ok(false);
        }
        let unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            // What it sent while nothing was read: it is not the client that was silent.
            self.heard = now;
            self.act(&unread, now);
            return Ok(true);
        }
        let mut buffer = [MaybeUninit::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut read) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => return Err(Outcome::Failed(error)),
            Poll::Ready(Ok(())) if read.filled().is_empty() => return Err(Outcome::Closed),
            Poll::Ready(Ok(())) => {}
        }
        self.heard = now;
        self.bytes_in += read.filled().len() as u64;
        self.spending.bytes(read.filled().len());
        self.act(read.filled(), now);
        Ok(true)
    }

    /// Acts on what was read, as long as there is room for what comes of it; keeps the rest.
    fn act(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() && !self.deaf {
            if !self.is_open(now) {
                self.unread = bytes.to_vec();
                return;
            }
            match self.decoder.feed(&mut bytes) {
                Ok(Some(event)) => self.event(event, now),
                Ok(None) => return,
                Err(violation) => {
                    self.client.close(violation.close());
                    self.deaf = true;
                }
            }
        }
    }

    fn event(&mut self, event: Event, now: Instant) {
        match event {
            // What it asks while it is being closed is not done.
            Event::Text(text) if self.closing.is_none() => self.request(&text, now),
            Event::Binary(_) => self.client.close(Close::NOT_TEXT),
            Event::Ping(payload) => self.output.pong(control(Opcode::Pong, &payload)),
            Event::Close(code) => self.closed_by_client(code, now),
            Event::Text(_) | Event::Pong(_) => {}
        }
    }

    /// A time is over: pings a client that is silent, gives one up that does not answer.
    fn tick(&mut self, now: Instant) {
        self.spending.settle();
        let ClientSettings { ping, idle, .. } = *self.settings;
        let silent = now.saturating_duration_since(self.heard);
        if silent >= idle {
            self.client.close(Close::SILENT);
        } else if silent >= ping && self.closing.is_none() {
            self.output.ping(control(Opcode::Ping, &[]));
        }
        let next = self.heard + if silent >= ping { idle } else { ping };
        // It is given up by now when that is over.
        self.timer.as_mut().reset(if next > now { next } else { now + ping });
        if let Some(paused) = self.paused.filter(|until| *until > now) {
            self.wake_at(paused);
        }
        if let Some(time) = self.closing.as_ref().and_then(|closing| closing.next_time(now)) {
            self.wake_at(time);
        }
    }

    /// Wakes the session at that time, if it does not wake earlier.
    fn wake_at(&mut self, time: Instant) {
        if time < self.timer.deadline() {
            self.timer.as_mut().reset(time);
        }
    }

    /// Nothing is read until then.
    fn pause(&mut self, now: Instant, pause: Duration) {
        self.paused = Some(now + pause);
        self.wake_at(now + pause);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.spending.settle();
        self.release();
    }
}
