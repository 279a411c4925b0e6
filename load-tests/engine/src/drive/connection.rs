//! A connection of the load, with one request at a time, and what is spoken on it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Failure;
use crate::answer::{Answer, Progress, Reader};
use crate::outcome::Kind;
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
            return Received::Cut(Kind::Reset);
        }
        match self.reader.end() {
            Progress::Whole { closes } => Received::Whole { closes },
            Progress::Part | Progress::Broken => Received::Cut(Kind::Reset),
        }
    }

    fn take_answer(&mut self, bytes: &[u8]) -> Received {
        match self.reader.take(bytes).0 {
            Progress::Part => Received::Part,
            Progress::Whole { closes } => Received::Whole { closes },
            Progress::Broken => Received::Cut(Kind::Malformed),
        }
    }

    /// Pings are answered, whatever it waits for.
    fn take_frames(&mut self, bytes: &[u8]) -> Received {
        let Some(frames) = &mut self.frames else { return Received::Part };
        frames.push(bytes);
        loop {
            let Ok(message) = frames.message() else { return Received::Cut(Kind::Malformed) };
            let Some(message) = message else { return Received::Part };
            match message.opcode {
                Opcode::Ping => {
                    let mut pong = Vec::new();
                    websocket::write(Opcode::Pong, &message.payload, Some([0; 4]), &mut pong);
                    if !self.transport.send(&pong) {
                        return Received::Cut(Kind::Reset);
                    }
                }
                Opcode::Pong => {}
                Opcode::Close => return Received::Cut(Kind::Reset),
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    self.message = Some(message);
                    return Received::Whole { closes: false };
                }
            }
        }
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
