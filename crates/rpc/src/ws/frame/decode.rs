//! The reader.

use bytes::Bytes;

use super::head::{Head, Opcode, Partial};
use super::mask;
use super::utf8::Utf8;
use crate::ws::close::{Close, is_sendable};

/// Which end of the connection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server: every frame must be masked.
    Server,
    /// The client: none may be.
    Client,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message of text, which is UTF-8.
    Text(Bytes),
    /// A message of bytes.
    Binary(Bytes),
    /// A ping and its payload, to be sent back.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer sends no more; the code that it gave. Nothing is read behind it.
    Close(Option<u16>),
}

/// What a peer may not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit.
    #[error("a reserved bit is set")]
    Reserved,
    /// An opcode that means nothing.
    #[error("the opcode is unknown")]
    Opcode,
    /// A client's frame without a mask, or a server's with one.
    #[error("the mask is missing, or one too many")]
    Mask,
    /// A control frame that is long or in fragments.
    #[error("a control frame is too long or in fragments")]
    Control,
    /// A length in more bytes than it needs, or of 2^63 and more.
    #[error("the length is malformed")]
    Length,
    /// A fragment without a beginning, or a message within another.
    #[error("the fragments are out of order")]
    Fragments,
    /// Text that is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// A code that may not stand in a close frame, or a payload of one byte.
    #[error("the close frame is malformed")]
    CloseCode,
    /// A message above the bound.
    #[error("the message is too big")]
    TooBig,
}

impl Violation {
    /// The close that says so.
    #[must_use]
    pub const fn close(self) -> Close {
        match self {
            Self::Utf8 => Close::NOT_UTF8,
            Self::TooBig => Close::TOO_BIG,
            Self::Reserved
            | Self::Opcode
            | Self::Mask
            | Self::Control
            | Self::Length
            | Self::Fragments
            | Self::CloseCode => Close::PROTOCOL,
        }
    }
}

/// Reads what one peer sends.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// The most bytes of a message.
    most: usize,
    /// The head that is being read; the frame whose payload is, with how much of it came.
    partial: Partial,
    frame: Option<(Head, u64)>,
    /// The message that is being read: what it is, and what came of it.
    message: Option<Opcode>,
    payload: Vec<u8>,
    utf8: Utf8,
    /// The payload of a control frame between fragments.
    control: Vec<u8>,
    closed: bool,
}

impl Decoder {
    /// Before the first frame.
    #[must_use]
    pub const fn new(role: Role, most: usize) -> Self {
        Self {
            role,
            most,
            partial: Partial::EMPTY,
            frame: None,
            message: None,
            payload: Vec::new(),
            utf8: Utf8::EMPTY,
            control: Vec::new(),
            closed: false,
        }
    }

    /// Whether it stands between two messages, and holds nothing.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.partial.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    /// Takes bytes off the front of `input` until there is an event, or no more bytes.
    ///
    /// # Errors
    /// The peer sent what it may not; nothing more can be read.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            if self.closed {
                *input = &[];
                return Ok(None);
            }
            let Some((head, come)) = self.frame else {
                let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
                *input = rest;
                if let Some(head) = self.partial.feed(byte, self.role)? {
                    self.begin(head)?;
                    self.frame = Some((head, 0));
                }
                continue;
            };
            let left = usize::try_from(head.length - come).unwrap_or(usize::MAX);
            if left > 0 && input.is_empty() {
                return Ok(None);
            }
            let (piece, rest) = input.split_at(left.min(input.len()));
            *input = rest;
            self.take(head, come, piece)?;
            if piece.len() < left {
                self.frame = Some((head, come + piece.len() as u64));
                continue;
            }
            self.frame = None;
            if let Some(event) = self.end(head)? {
                return Ok(Some(event));
            }
        }
    }

    /// A frame begins: whether it may.
    fn begin(&mut self, head: Head) -> Result<(), Violation> {
        match (head.opcode, self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, Some(_)) => {}
            (Opcode::Text | Opcode::Binary, None) => self.message = Some(head.opcode),
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::Fragments);
            }
        }
        let room = (self.most - self.payload.len()) as u64;
        if head.length > room { Err(Violation::TooBig) } else { Ok(()) }
    }

    /// Takes a piece of a frame's payload.
    fn take(&mut self, head: Head, come: u64, piece: &[u8]) -> Result<(), Violation> {
        let control = head.opcode.is_control();
        let into = if control { &mut self.control } else { &mut self.payload };
        let start = into.len();
        if start == 0 && piece.len() as u64 == head.length {
            // It is here whole: no more than it needs.
            into.reserve_exact(piece.len());
        }
        into.extend_from_slice(piece);
        let piece = into.get_mut(start..).unwrap_or_default();
        if let Some(key) = head.mask {
            mask::apply(piece, key, come);
        }
        let text = !control && self.message == Some(Opcode::Text);
        if text && !self.utf8.feed(piece) { Err(Violation::Utf8) } else { Ok(()) }
    }

    /// A frame is whole: what it makes.
    fn end(&mut self, head: Head) -> Result<Option<Event>, Violation> {
        match head.opcode {
            Opcode::Ping => return Ok(Some(Event::Ping(std::mem::take(&mut self.control).into()))),
            Opcode::Pong => return Ok(Some(Event::Pong(std::mem::take(&mut self.control).into()))),
            Opcode::Close => {
                self.closed = true;
                let payload = std::mem::take(&mut self.control);
                self.payload = Vec::new();
                return close_code(&payload).map(|code| Some(Event::Close(code)));
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        if !head.fin {
            return Ok(None);
        }
        if !std::mem::take(&mut self.utf8).is_whole() {
            return Err(Violation::Utf8);
        }
        let payload = Bytes::from(std::mem::take(&mut self.payload));
        Ok(match self.message.take() {
            Some(Opcode::Text) => Some(Event::Text(payload)),
            _ => Some(Event::Binary(payload)),
        })
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::CloseCode) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_sendable(code) {
        return Err(Violation::CloseCode);
    }
    std::str::from_utf8(reason).map(|_| Some(code)).map_err(|_| Violation::Utf8)
}
