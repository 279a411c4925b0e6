//! What takes an origin long, each on a thread of its own: large bodies, waits, WebSockets with subscriptions.

use std::io::{ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value as Json;

use crate::Failure;
use crate::answer::Answer;
use crate::head;
use crate::websocket::{self, Frames, Message, Opcode};

use super::echo::Echo;
use super::pattern::{Pattern, hex};
use super::{SMALL, Shared, answer};

/// The longest wait.
const LONGEST: u64 = 60_000;

/// The body for who has waited, or is on a connection on which somebody has.
const WAITED: &str = "{\"waited\":true}";

/// How often a thread that waits looks whether the origin ends.
const TICK: Duration = Duration::from_millis(100);

/// Whether a request begins that takes long.
pub(super) fn is_slow(request: &[u8]) -> bool {
    let slow: [&[u8]; 4] = [b"POST /sink", b"PUT /sink", b"GET /wait/", b"GET /pubsub"];
    // Small bodies are made in the loop. A number that is not over yet is not small.
    let bytes = request.strip_prefix(b"GET /bytes/").is_some_and(|rest| {
        let end = rest.iter().position(|byte| *byte == b' ');
        end.and_then(|end| head::number::<u64>(rest.get(..end)?)).is_none_or(|count| count > SMALL)
    });
    bytes || slow.iter().any(|beginning| request.starts_with(beginning))
}

/// Gives a connection a thread.
pub(super) fn take(stream: TcpStream, got: Vec<u8>, shared: &Arc<Shared>) -> Result<(), Failure> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("origin-slow".to_owned()).stack_size(256 << 10);
    // A client that goes away ends its own thread and nothing else.
    thread.spawn(move || drop(Conversation { stream, got, shared }.run()))?;
    Ok(())
}

/// A connection that has once asked for what takes long. Whatever it asks for next is answered here too.
struct Conversation {
    stream: TcpStream,
    got: Vec<u8>,
    shared: Arc<Shared>,
}

impl Conversation {
    fn run(mut self) -> Result<(), Failure> {
        loop {
            let Some(head) = self.head()? else { return Ok(()) };
            self.shared.counters.requests.fetch_add(1, Ordering::SeqCst);
            let view = Answer { status: 0, head: &head, body: b"", length: 0, grpc: None };
            let mut words = head.split(|byte| *byte == b' ');
            let target = words.nth(1).unwrap_or_default();
            let length = view.field("content-length").and_then(head::number::<u64>).unwrap_or(0);
            let number = |prefix: &[u8]| target.strip_prefix(prefix).and_then(head::number::<u64>);
            if target.starts_with(b"/pubsub") {
                let key = view.field("sec-websocket-key").unwrap_or_default();
                self.stream.write_all(&websocket::switching(&String::from_utf8_lossy(key)))?;
                return self.socket();
            } else if target.starts_with(b"/ws") {
                let mut out = Vec::new();
                let echo = Echo::agree(&head, &self.shared, &mut out);
                return self.echo(echo, out);
            } else if let Some(count) = number(b"/bytes/") {
                self.send(count)?;
            } else if target.starts_with(b"/sink") {
                self.sink(length)?;
            } else if let Some(milliseconds) = number(b"/wait/") {
                let milliseconds = milliseconds.min(LONGEST);
                let counters = &self.shared.counters;
                let waiting = counters.waiting.fetch_add(1, Ordering::SeqCst) + 1;
                counters.most_waiting.fetch_max(waiting, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(milliseconds));
                counters.waiting.fetch_sub(1, Ordering::SeqCst);
                self.stream.write_all(&answer(200, WAITED))?;
            } else {
                let mut out = Vec::new();
                super::reply(&head, target, &self.shared, &answer(200, WAITED), &mut out);
                self.stream.write_all(&out)?;
            }
        }
    }

    /// Returns every message of a WebSocket.
    fn echo(&mut self, mut echo: Echo, mut out: Vec<u8>) -> Result<(), Failure> {
        loop {
            let goes_on = echo.answer(&mut self.got, &mut out);
            self.stream.write_all(&out)?;
            out.clear();
            if !goes_on || !self.more()? {
                return Ok(());
            }
        }
    }

    /// More bytes; false at the end. Waits as long as the origin lives.
    fn more(&mut self) -> Result<bool, Failure> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.got.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    return Ok(true);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
                {
                    if self.shared.stop.load(Ordering::SeqCst) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn head(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.got, b"\r\n\r\n") {
                let head = self.got.drain(..end + 4).take(end).collect();
                return Ok(Some(head));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    fn send(&mut self, count: u64) -> Result<(), Failure> {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {count}\r\n\r\n");
        self.stream.write_all(head.as_bytes())?;
        let (mut pattern, mut left) = (Pattern::default(), count);
        while left > 0 {
            let bytes = pattern.next(left);
            self.stream.write_all(bytes)?;
            left -= bytes.len() as u64;
        }
        Ok(())
    }

    fn sink(&mut self, length: u64) -> Result<(), Failure> {
        let (mut context, mut left) = (Context::new(&SHA256), length);
        loop {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.got.len());
            context.update(self.got.get(..count).unwrap_or_default());
            self.got.drain(..count);
            left -= count as u64;
            self.shared.counters.sunk.fetch_add(count as u64, Ordering::SeqCst);
            if left == 0 {
                break;
            }
            if !self.more()? {
                return Err("the connection ended within a body".into());
            }
        }
        let hash = hex(context.finish().as_ref());
        Ok(self.stream.write_all(&answer(200, &format!("{{\"bytes\":{length},\"sha256\":\"{hash}\"}}")))?)
    }

    fn socket(&mut self) -> Result<(), Failure> {
        self.shared.counters.sockets.fetch_add(1, Ordering::SeqCst);
        let mut subscriptions = Vec::new();
        let ended = self.talk(&mut subscriptions);
        subscriptions.into_iter().for_each(|number| self.shared.hub.remove(number));
        self.shared.counters.sockets.fetch_sub(1, Ordering::SeqCst);
        ended
    }

    fn talk(&mut self, subscriptions: &mut Vec<u64>) -> Result<(), Failure> {
        let mut frames = Frames::default();
        loop {
            frames.push(&std::mem::take(&mut self.got));
            while let Some(message) = frames.message().map_err(|_| "no frame")? {
                match message.opcode {
                    Opcode::Ping => self.say(Opcode::Pong, &message.payload)?,
                    Opcode::Close => return self.say(Opcode::Close, &message.payload),
                    Opcode::Pong | Opcode::Continuation => {}
                    Opcode::Text | Opcode::Binary => {
                        self.shared.counters.messages.fetch_add(1, Ordering::SeqCst);
                        self.call(&message, subscriptions)?;
                    }
                }
            }
            if !self.more()? {
                return Ok(());
            }
        }
    }

    fn call(&mut self, message: &Message, subscriptions: &mut Vec<u64>) -> Result<(), Failure> {
        let call: Json = serde_json::from_slice(&message.payload)?;
        let (id, method) = (call.get("id").cloned().unwrap_or_default(), call.get("method").and_then(Json::as_str));
        match method {
            Some("slotSubscribe") => {
                // The answer stands before the first notification: nobody is told before the lock is given back.
                let number = self
                    .shared
                    .hub
                    .add_then(self.stream.try_clone()?, |number| reply(&mut self.stream, &id, &format!("{number}")))?;
                subscriptions.push(number);
                Ok(())
            }
            Some("slotUnsubscribe") => {
                let number = call.pointer("/params/0").and_then(Json::as_u64).unwrap_or_default();
                self.shared.hub.remove(number);
                subscriptions.retain(|other| *other != number);
                self.reply_locked(&id, "true")
            }
            _ => self.reply_locked(&id, "1"),
        }
    }

    /// Publishing writes to the same socket.
    fn reply_locked(&mut self, id: &Json, result: &str) -> Result<(), Failure> {
        let hold = self.shared.hub.hold();
        let replied = reply(&mut self.stream, id, result);
        drop(hold);
        replied
    }

    fn say(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Failure> {
        let mut frame = Vec::with_capacity(payload.len() + 10);
        websocket::write(opcode, payload, None, &mut frame);
        // Who publishes writes to the same socket.
        let hold = self.shared.hub.hold();
        let written = self.stream.write_all(&frame);
        drop(hold);
        Ok(written?)
    }
}

fn reply(stream: &mut TcpStream, id: &Json, result: &str) -> Result<(), Failure> {
    let text = format!("{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":{id}}}");
    let mut frame = Vec::new();
    websocket::write(Opcode::Text, text.as_bytes(), None, &mut frame);
    Ok(stream.write_all(&frame)?)
}
