//! The writer.

use super::head::{MAX_CONTROL, Opcode};
use super::mask;
use crate::ws::close::Close;

/// A head as it is sent: at most two bytes and eight of length.
#[derive(Debug, Clone, Copy)]
pub struct FrameHead {
    bytes: [u8; 10],
    length: u8,
}

impl FrameHead {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The head of a whole message of the server's, or of a control frame.
#[must_use]
pub fn head(opcode: Opcode, length: usize) -> FrameHead {
    let mut bytes = [0; 10];
    let (short, extended) = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => (short, 0),
        (_, Ok(_)) => (126, 2),
        _ => (127, 8),
    };
    let big_endian = (length as u64).to_be_bytes();
    let significant = big_endian.get(8 - extended..).unwrap_or_default();
    let whole = [0x80 | opcode.bits(), short].into_iter().chain(significant.iter().copied());
    for (place, byte) in bytes.iter_mut().zip(whole) {
        *place = byte;
    }
    FrameHead {
        bytes,
        length: if extended == 0 {
            2
        } else if extended == 2 {
            4
        } else {
            10
        },
    }
}

/// A whole frame of the server's.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Box<[u8]> {
    let head = head(opcode, payload.len());
    [head.as_slice(), payload].concat().into_boxed_slice()
}

/// A control frame of the server's; what is too long for one is cut off.
#[must_use]
pub fn control(opcode: Opcode, payload: &[u8]) -> Box<[u8]> {
    frame(opcode, payload.get(..MAX_CONTROL).unwrap_or(payload))
}

/// A close frame of the server's.
#[must_use]
pub fn close(close: &Close) -> Box<[u8]> {
    control(Opcode::Close, &[&close.code.to_be_bytes(), close.reason.as_bytes()].concat())
}

/// Writes a whole frame of the client's behind what stands there. The key is to be one that nobody can foresee.
pub fn masked(opcode: Opcode, payload: &[u8], key: [u8; 4], into: &mut Vec<u8>) {
    let head = head(opcode, payload.len());
    into.reserve(head.as_slice().len() + key.len() + payload.len());
    let second = into.len() + 1;
    into.extend_from_slice(head.as_slice());
    if let Some(second) = into.get_mut(second) {
        *second |= 0x80;
    }
    into.extend_from_slice(&key);
    let start = into.len();
    into.extend_from_slice(payload);
    mask::apply(into.get_mut(start..).unwrap_or_default(), key, 0);
}
