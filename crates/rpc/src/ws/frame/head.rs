//! Heads of frames, read byte by byte (RFC 6455 section 5.2).

use super::decode::{Role, Violation};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before.
    Continuation,
    /// A message of text.
    Text,
    /// A message of bytes.
    Binary,
    /// The end of what this side sends.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    /// The four bits of the head.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it may stand between the fragments of a message, and has no fragments itself.
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The longest head: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;
/// The most bytes of a control frame's payload.
pub(super) const MAX_CONTROL: usize = 125;

/// A head as far as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partial {
    bytes: [u8; LONGEST],
    have: u8,
}

/// A head, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) length: u64,
    pub(super) mask: Option<[u8; 4]>,
}

impl Partial {
    /// Nothing of it.
    pub(super) const EMPTY: Self = Self { bytes: [0; LONGEST], have: 0 };

    /// Whether nothing of a head came yet.
    pub(super) const fn is_empty(self) -> bool {
        self.have == 0
    }

    /// Takes one byte; the head, once it is whole.
    pub(super) fn feed(&mut self, byte: u8, role: Role) -> Result<Option<Head>, Violation> {
        let at = usize::from(self.have);
        if let Some(place) = self.bytes.get_mut(at) {
            *place = byte;
            self.have += 1;
        }
        if at == 0 {
            opcode(byte)?;
        }
        let Some(head) = self.whole(role)? else { return Ok(None) };
        *self = Self::EMPTY;
        Ok(Some(head))
    }

    fn whole(&self, role: Role) -> Result<Option<Head>, Violation> {
        let bytes = self.bytes.get(..usize::from(self.have)).unwrap_or_default();
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (fin, opcode, short) = (first & 0x80 != 0, opcode(*first)?, second & 0x7f);
        let masked = second & 0x80 != 0;
        if masked != matches!(role, Role::Server) {
            return Err(Violation::Mask);
        }
        if opcode.is_control() && (!fin || usize::from(short) > MAX_CONTROL) {
            return Err(Violation::Control);
        }
        let Some((length, rest)) = length(short, rest)? else { return Ok(None) };
        let mask = match (masked, rest.first_chunk()) {
            (false, _) => None,
            (true, Some(mask)) => Some(*mask),
            (true, None) => return Ok(None),
        };
        Ok(Some(Head { fin, opcode, length, mask }))
    }
}

/// What the first byte says.
fn opcode(first: u8) -> Result<Opcode, Violation> {
    if first & 0x70 != 0 {
        return Err(Violation::Reserved);
    }
    Opcode::from_bits(first & 0x0f).ok_or(Violation::Opcode)
}

/// The length and what comes behind it, once it is here.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 65_536),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    // The least number of bytes must be used, and the highest bit is zero.
    if length < least || length > u64::MAX >> 1 {
        return Err(Violation::Length);
    }
    Ok(Some((length, rest)))
}
