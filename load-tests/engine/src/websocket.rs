//! WebSockets, RFC 6455: handshake and frames, from both ends. Pure.
//!
//! The tool has a codec of its own rather than the gateway's: an error in a shared one would be seen by nobody.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the key is hashed with, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key that the tool's clients send; a nonce against caches, of which there are none on the way.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The longest message.
const LONGEST: usize = 32 << 20;

/// The request of a client's handshake; `fields` are whole lines with their ends.
#[must_use]
pub fn upgrade(target: &str, host: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// What a server answers to a key.
#[must_use]
pub fn accept(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()))
}

/// A server's answer to a handshake.
#[must_use]
pub fn switching(key: &str) -> Vec<u8> {
    let accept = accept(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// What a frame is, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// More of a message.
    Continuation,
    /// A message of text.
    Text,
    /// A message of bytes.
    Binary,
    /// The end.
    Close,
    /// A question whether anybody is there.
    Ping,
    /// The answer to it.
    Pong,
}

impl Opcode {
    const ALL: [(u8, Self); 6] = [
        (0, Self::Continuation),
        (1, Self::Text),
        (2, Self::Binary),
        (8, Self::Close),
        (9, Self::Ping),
        (10, Self::Pong),
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.iter().find(|(number, _)| *number == byte & 0x0f).map(|(_, opcode)| *opcode)
    }

    fn number(self) -> u8 {
        Self::ALL.iter().find(|(_, opcode)| *opcode == self).map_or(0, |(number, _)| *number)
    }
}

/// Appends a frame. A client's frames have a mask; zeros are one.
pub fn write(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    out.push(0x80 | opcode.number());
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => out.push(masked | length),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend(u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    match mask {
        Some(mask) => {
            out.extend(mask);
            out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        None => out.extend_from_slice(payload),
    }
}

/// What a close frame says whose sender goes away, or starts again: 1001 (section 7.4.1) and 1012 (IANA's registry).
const GOODBYES: [u16; 2] = [1001, 1012];

/// Whether the payload of a close frame says so.
#[must_use]
pub fn is_goodbye(payload: &[u8]) -> bool {
    matches!(payload, &[first, second, ..] if GOODBYES.contains(&u16::from_be_bytes([first, second])))
}

/// A message, or a frame that controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is; never a continuation.
    pub opcode: Opcode,
    /// What it says, without its mask.
    pub payload: Vec<u8>,
}

/// Bytes that are no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Reads frames and joins them.
#[derive(Debug, Default)]
pub struct Frames {
    got: Vec<u8>,
    /// A message whose end has not come.
    open: Option<Message>,
}

impl Frames {
    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.got.extend_from_slice(bytes);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    ///
    /// When the bytes are none.
    pub fn message(&mut self) -> Result<Option<Message>, Broken> {
        while let Some((last, message, length)) = parse(&self.got)? {
            self.got.drain(..length);
            let control = matches!(message.opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
            if control {
                return if last { Ok(Some(message)) } else { Err(Broken) };
            }
            let joined = match (self.open.take(), message) {
                (None, message) if message.opcode != Opcode::Continuation => message,
                (Some(mut open), message) if message.opcode == Opcode::Continuation => {
                    open.payload.extend(message.payload);
                    open
                }
                _ => return Err(Broken),
            };
            if joined.payload.len() > LONGEST {
                return Err(Broken);
            }
            if last {
                return Ok(Some(joined));
            }
            self.open = Some(joined);
        }
        Ok(None)
    }
}

/// A frame at the beginning of the bytes: whether it ends its message, what it says, and how long it is.
fn parse(bytes: &[u8]) -> Result<Option<(bool, Message, usize)>, Broken> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    // Reserved bits belong to extensions, and none were agreed on.
    let opcode = Opcode::of(first).filter(|_| first & 0x70 == 0).ok_or(Broken)?;
    let (length, more) = match (second & 0x7f, rest) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 2),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8),
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(short), 0),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or(Broken)?;
    let masked = second & 0x80 != 0;
    let start = 2 + more + if masked { 4 } else { 0 };
    let Some(payload) = bytes.get(start..start + length) else { return Ok(None) };
    let mut payload = payload.to_vec();
    if masked {
        let mask = bytes.get(start - 4..start).unwrap_or_default();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Ok(Some((first & 0x80 != 0, Message { opcode, payload }, start + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Message>, Broken> {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for byte in bytes {
            frames.push(&[*byte]);
            found.extend(frames.message()?);
        }
        Ok(found)
    }

    #[test]
    fn answers_the_key_of_the_rfc() {
        assert_eq!(accept(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn reads_what_it_writes() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for mask in [None, Some([0x37, 0xfa, 0x21, 0x3d])] {
                let payload = vec![b'x'; length];
                let mut bytes = Vec::new();
                write(Opcode::Text, &payload, mask, &mut bytes);
                let mut frames = Frames::default();
                frames.push(&bytes);
                assert_eq!(frames.message(), Ok(Some(Message { opcode: Opcode::Text, payload })), "{length}");
                assert_eq!(frames.message(), Ok(None));
            }
        }
    }

    #[test]
    fn tells_a_goodbye_from_other_ends() {
        let close = |code: u16| [&code.to_be_bytes(), &b"why"[..]].concat();
        assert!([1001, 1012].map(close).iter().all(|payload| is_goodbye(payload)));
        assert!(![1000, 1006, 1011].map(close).iter().any(|payload| is_goodbye(payload)));
        assert!(!is_goodbye(b"") && !is_goodbye(b"\x03"));
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        // Section 5.7: a masked text, and one in two fragments with a ping between.
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let text = |text: &str| Message { opcode: Opcode::Text, payload: text.into() };
        assert_eq!(read(&masked), Ok(vec![text("Hello")]));
        let fragments = b"\x01\x03Hel\x89\x02hi\x80\x02lo";
        let ping = Message { opcode: Opcode::Ping, payload: b"hi".to_vec() };
        assert_eq!(read(fragments), Ok(vec![ping, text("Hello")]));
    }

    #[test]
    fn refuses_what_is_no_frame() {
        for bytes in [
            &b"\x83\x00"[..],
            b"\xc1\x00",
            b"\x80\x00",
            b"\x01\x00\x01\x00",
            b"\x09\x00",
            b"\x81\x7f\xff\0\0\0\0\0\0\0",
        ] {
            assert_eq!(read(bytes), Err(Broken), "{bytes:?}");
        }
    }
}
