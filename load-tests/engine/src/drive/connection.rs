//! A connection of the load, with one request at a time, and what is spoken on it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Failure;
use crate::answer::{Answer, Progress, Reader, is_empty_lines};
use crate::outcome::Kind;
use crate::tally::Unasked;
use crate::tls::Tls;
use crate::websocket::{self, Frames, Message, Opcode};

use super::transport::{Transport, is_patience};

/// A request that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    /// Its number.
    pub(super) id: u64,
    /// The moment it was planned for, from the load's start.
    pub(super) planned: Duration,
    /// Which of the mix it is, once it was written.
    pub(super) kind: usize,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It connects, and sends this when it has.
    Connecting(Flight),
    /// It becomes a WebSocket, and sends this when it has.
    Upgrading(Flight),
    /// It waits for the answer to this.
    Waiting(Flight),
    /// It may be used.
    Idle,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Not enough yet.
    Part,
    /// An answer, and whether the other side closes.
    Whole { closes: bool },
    /// The connection's end, in good order but for what is not answered.
    Ended,
    /// None will come, and why.
    Cut(Kind),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) state: State,
    reader: Reader,
    /// Once it is a WebSocket.
    frames: Option<Frames>,
    message: Option<Message>,
    /// What came that nobody had asked for.
    unasked: Unasked,
    /// Whether it is waited for room.
    pub(super) both: bool,
}

impl Connection {
    /// Starts to connect.
    pub(super) fn open(
        to: SocketAddr,
        from: Option<IpAddr>,
        tls: Option<&Tls>,
        first: Flight,
    ) -> Result<Self, Failure> {
        Ok(Self {
            transport: Transport::open(to, from, tls)?,
            state: State::Connecting(first),
            reader: Reader::default(),
            frames: None,
            message: None,
            unasked: Unasked::default(),
            both: false,
        })
    }

    /// Sends a request whose answer's body will be looked at, or not. False when the connection is no more.
    pub(super) fn send(&mut self, bytes: &[u8], keep: bool) -> bool {
        self.reader.expect(keep);
        if self.frames.is_none() {
            return self.transport.send(bytes);
        }
        let mut frame = Vec::with_capacity(bytes.len() + 14);
        websocket::write(Opcode::Text, bytes, Some([0; 4]), &mut frame);
        self.transport.send(&frame)
    }

    /// Takes what has come.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            let count = match self.transport.receive(buffer) {
                Ok(0) => return self.ended(),
                Ok(count) => count,
                Err(error) if is_patience(&error) => return Received::Part,
                Err(_) => return Received::Cut(Kind::Reset),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            let received = if self.frames.is_some() { self.take_frames(bytes) } else { self.take_answer(bytes) };
            // A buffer that was not filled holds all that there was; a short one on TLS may not.
            if received != Received::Part || (count < buffer.len() && !self.transport.is_tls()) {
                return received;
            }
        }
    }

    fn ended(&mut self) -> Received {
        if self.frames.is_some() {
            // Without a close frame (RFC 6455 section 7.1.5).
            return Received::Cut(Kind::Reset);
        }
        match self.reader.end() {
            Progress::Whole { closes } => Received::Whole { closes },
            Progress::Part | Progress::Broken => Received::Ended,
        }
    }

    fn take_answer(&mut self, bytes: &[u8]) -> Received {
        if self.state == State::Idle {
            self.unasked.said += u64::from(!is_empty_lines(bytes));
            return if is_empty_lines(bytes) { Received::Part } else { Received::Whole { closes: true } };
        }
        let (progress, rest) = self.reader.take(bytes);
        match progress {
            Progress::Part => Received::Part,
            Progress::Whole { closes } => {
                self.unasked.said += u64::from(!rest.is_empty());
                Received::Whole { closes }
            }
            Progress::Broken => Received::Cut(Kind::Malformed),
        }
    }

    /// Takes all that has come: pings are answered, whatever it waits for, and of two messages one was not asked for.
    fn take_frames(&mut self, bytes: &[u8]) -> Received {
        let Some(frames) = &mut self.frames else { return Received::Part };
        frames.push(bytes);
        let mut received = Received::Part;
        loop {
            let Some(frames) = &mut self.frames else { return received };
            let Ok(message) = frames.message() else { return self.last(received, Kind::Malformed) };
            let Some(message) = message else { return received };
            match message.opcode {
                Opcode::Ping => {
                    if !self.say(Opcode::Pong, &message.payload) {
                        return self.last(received, Kind::Reset);
                    }
                }
                Opcode::Pong => {}
                Opcode::Close => {
                    // Section 5.5.1; the other side may have gone already.
                    self.say(Opcode::Close, message.payload.get(..2).unwrap_or_default());
                    let goodbye = websocket::is_goodbye(&message.payload);
                    return self.last(received, if goodbye { Kind::Goodbye } else { Kind::Reset });
                }
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    if self.state == State::Idle || received != Received::Part {
                        self.unasked.said += 1;
                    } else {
                        self.message = Some(message);
                        received = Received::Whole { closes: false };
                    }
                }
            }
        }
    }

    fn say(&mut self, opcode: Opcode, payload: &[u8]) -> bool {
        let mut frame = Vec::new();
        websocket::write(opcode, payload, Some([0; 4]), &mut frame);
        self.transport.send(&frame)
    }

    /// The end of a WebSocket. Behind an answer it ends nothing that was asked for.
    fn last(&mut self, received: Received, kind: Kind) -> Received {
        if received == Received::Part {
            return Received::Cut(kind);
        }
        self.ends_idle(Received::Cut(kind));
        Received::Whole { closes: true }
    }

    /// It has ended while nothing was asked.
    pub(super) fn ends_idle(&mut self, received: Received) {
        match received {
            Received::Ended | Received::Cut(Kind::Goodbye) => self.unasked.closed += 1,
            Received::Cut(_) => self.unasked.cut += 1,
            // It was left for what it said.
            Received::Part | Received::Whole { .. } => {}
        }
    }

    /// What came unasked since this was looked at.
    pub(super) fn take_unasked(&mut self) -> Unasked {
        std::mem::take(&mut self.unasked)
    }

    /// The answer that is whole.
    pub(super) fn answer(&self) -> Answer<'_> {
        match (&self.frames, &self.message) {
            (Some(_), Some(message)) => {
                let body = message.payload.as_slice();
                Answer { status: 101, head: b"", body, length: body.len() as u64, grpc: None }
            }
            _ => self.reader.answer(),
        }
    }

    /// From now on it is a WebSocket.
    pub(super) fn upgraded(&mut self) {
        self.frames = Some(Frames::default());
    }
}

#[cfg(test)]
mod tests;
