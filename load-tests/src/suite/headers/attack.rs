//! One attack by heads, and how it was answered.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Streams that one attack opens and resets: at once, and one after the other. A connection may reset 200 in ten seconds.
const AT_ONCE: u32 = 1000;
const IN_TURNS: u32 = 300;

/// How long a stream lives that is reset when it is on its way upstream.
const LIVES: Duration = Duration::from_micros(500);

/// CONTINUATION frames of one header block.
const CONTINUATIONS: usize = 2000;

/// References to one entry of the dynamic table: 16,000 times 4,000 bytes of fields in 20 KiB.
const REFERENCES: usize = 16_000;

/// Frames of HTTP/2 and their flags (RFC 9113 section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How an attack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// As it must.
    Refused,
    /// Served, or not at all.
    Other,
}

/// A way to attack by heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// 500 fields.
    ManyFields,
    /// A field of 64 KiB.
    LargeField,
    /// A head that goes on for a MiB.
    Endless,
    /// A target of 16 KiB.
    LongTarget,
    /// HTTP/2: a table's entry that is named again and again.
    Table,
    /// HTTP/2: a header block that does not end.
    Continuations,
    /// HTTP/2: streams that are opened and reset, all in one piece.
    Resets,
    /// HTTP/2: streams that are reset when the gateway has begun with them.
    Churn,
}

impl Attack {
    pub(super) const ALL: [Self; 8] = [
        Self::ManyFields,
        Self::LargeField,
        Self::Endless,
        Self::LongTarget,
        Self::Table,
        Self::Continuations,
        Self::Resets,
        Self::Churn,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ManyFields => "500 fields",
            Self::LargeField => "a field of 64 KiB",
            Self::Endless => "a head without an end",
            Self::LongTarget => "a target of 16 KiB",
            Self::Table => "HTTP/2: 64 MB of fields in 20 KiB",
            Self::Continuations => "HTTP/2: CONTINUATION without an end",
            Self::Resets => "HTTP/2: 1,000 streams opened and reset",
            Self::Churn => "HTTP/2: 300 streams reset one after the other",
        }
    }

    /// What must become of it.
    pub(super) const fn refusal(self) -> &'static str {
        match self {
            Self::ManyFields | Self::LargeField | Self::Endless => "431",
            Self::LongTarget => "414",
            Self::Table => "431, a reset stream, or the connection ends",
            Self::Continuations | Self::Resets | Self::Churn => "the connection ends",
        }
    }

    /// How the reason begins under which the gateway counts it. What its HTTP/2 layer ends by itself is `http2_protocol_error`,
    /// what our own bounds end is `http2_abuse`. A table that is too large costs a stream, and counts as either, or as a head.
    pub(super) const fn reason(self) -> Option<&'static str> {
        match self {
            Self::ManyFields | Self::LargeField | Self::Endless => Some("head_too_large"),
            Self::LongTarget => Some("target_too_long"),
            Self::Continuations | Self::Resets | Self::Churn => Some("http2_"),
            Self::Table => None,
        }
    }

    /// Well-formed requests of it that may have reached an origin before they were reset.
    pub(super) const fn streams(self) -> u64 {
        match self {
            Self::Resets => AT_ONCE as u64,
            Self::Churn => IN_TURNS as u64,
            Self::ManyFields
            | Self::LargeField
            | Self::Endless
            | Self::LongTarget
            | Self::Table
            | Self::Continuations => 0,
        }
    }

    /// Plays it on a connection of its own.
    pub(super) fn play(self, to: SocketAddr) -> Result<Answered, Failure> {
        let mut stream = connect(to)?;
        let refused = match self {
            Self::ManyFields => {
                let fields: String = (0..500).map(|number| format!("X-{number}: v\r\n")).collect();
                status(&mut stream, format!("{BEGINNING}{fields}\r\n").as_bytes()) == Some(431)
            }
            Self::LargeField => {
                let value = "v".repeat(64 << 10);
                status(&mut stream, format!("{BEGINNING}X-Large: {value}\r\n\r\n").as_bytes()) == Some(431)
            }
            Self::Endless => {
                let field = format!("X-Field: {}\r\n", "v".repeat(1000)).repeat(1024);
                status(&mut stream, format!("{BEGINNING}{field}").as_bytes()) == Some(431)
            }
            Self::LongTarget => {
                let target = "t".repeat(16 << 10);
                let head = format!("GET /{target} HTTP/1.1\r\nHost: load.test\r\n\r\n");
                status(&mut stream, head.as_bytes()) == Some(414)
            }
            Self::Table => table(&mut stream),
            Self::Continuations => {
                let mut bytes = preface();
                frame(&mut bytes, HEADERS, END_STREAM, 1, &block());
                let field = literal("x-a", &"v".repeat(100), false);
                (0..CONTINUATIONS).for_each(|_| frame(&mut bytes, CONTINUATION, 0, 1, &field));
                // It may end before all is out.
                drop(stream.write_all(&bytes));
                ends(&mut stream)
            }
            Self::Resets => {
                let mut bytes = preface();
                (0..AT_ONCE).for_each(|number| opened_and_reset(&mut bytes, number));
                drop(stream.write_all(&bytes));
                ends(&mut stream)
            }
            Self::Churn => {
                let mut bytes = preface();
                for number in 0..IN_TURNS {
                    opened_and_reset(&mut bytes, number);
                    let (open, reset) = bytes.split_at(bytes.len().saturating_sub(RESET));
                    let sent = stream.write_all(open).and_then(|()| {
                        std::thread::sleep(LIVES);
                        stream.write_all(reset)
                    });
                    if sent.is_err() {
                        break;
                    }
                    bytes.clear();
                }
                ends(&mut stream)
            }
        };
        Ok(if refused { Answered::Refused } else { Answered::Other })
    }
}

const BEGINNING: &str = "GET / HTTP/1.1\r\nHost: load.test\r\n";

/// A connection whose head goes on for 31 KiB and is not over.
pub(super) fn unfinished(to: SocketAddr) -> Result<TcpStream, Failure> {
    let mut stream = connect(to)?;
    let field = format!("X-Field: {}\r\n", "v".repeat(1000)).repeat(31);
    stream.write_all(format!("{BEGINNING}{field}").as_bytes())?;
    Ok(stream)
}

fn connect(to: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The status of the answer to a head, if there is one.
fn status(stream: &mut TcpStream, head: &[u8]) -> Option<u16> {
    // The answer may come before all of it is out.
    drop(stream.write_all(head));
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).ok()?;
    let text = String::from_utf8_lossy(answer.get(..count)?).into_owned();
    text.split(' ').nth(1)?.parse().ok()
}

/// The connection's preface, with settings of nothing.
fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, b"");
    bytes
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(length.get(1..).unwrap_or_default());
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A field as a literal, which goes into the dynamic table or not (RFC 7541 section 6.2), without Huffman coding.
fn literal(name: &str, value: &str, indexed: bool) -> Vec<u8> {
    let mut bytes = vec![if indexed { 0x40 } else { 0 }];
    for text in [name, value] {
        integer(&mut bytes, text.len());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(out: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else {
        out.push(u8::try_from(value).unwrap_or_default());
        return;
    };
    out.push(127);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap_or_default() | 0x80);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap_or_default());
}

/// The fields of a GET.
fn block() -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "load.test")];
    fields.into_iter().flat_map(|(name, value)| literal(name, value, false)).collect()
}

/// A large entry of the table, and many references to it, in one block that fits the limit of bytes.
fn table(stream: &mut TcpStream) -> bool {
    let mut fields = block();
    fields.extend(literal("x-large", &"v".repeat(4000), true));
    // The newest entry of the dynamic table has the index 62.
    fields.extend(std::iter::repeat_n(0x80 | 62, REFERENCES));
    let mut bytes = preface();
    let (first, rest) = fields.split_at(fields.len().min(16_000));
    frame(&mut bytes, HEADERS, END_STREAM, 1, first);
    frame(&mut bytes, CONTINUATION, END_HEADERS, 1, rest);
    drop(stream.write_all(&bytes));
    let mut refused = false;
    while let Some((kind, payload)) = next(stream) {
        match kind {
            // The status 431 as a literal, or as what Huffman makes of it: whatever it is, it is not the 200 of the static table.
            HEADERS => return payload.first() != Some(&0x88),
            RST_STREAM | GOAWAY => refused = true,
            _ => {}
        }
        if refused {
            break;
        }
    }
    refused
}

/// A stream that asks for something and takes it back: a HEADERS frame, and one of [`RESET`] bytes.
fn opened_and_reset(out: &mut Vec<u8>, number: u32) {
    let id = number * 2 + 1;
    frame(out, HEADERS, END_STREAM | END_HEADERS, id, &block());
    // CANCEL.
    frame(out, RST_STREAM, 0, id, &8_u32.to_be_bytes());
}

/// Bytes of RST_STREAM.
const RESET: usize = 13;

/// Whether the connection ends: by GOAWAY, by its end, or by a reset. One that is only silent does not.
fn ends(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// The next frame: its type and its payload.
fn next(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let [a, b, c, kind, ..] = head;
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    Some((kind, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_hpack_has_them() {
        // Examples of RFC 7541 appendix C.1, with a prefix of seven bits.
        for (value, expected) in
            [(10, vec![10]), (126, vec![126]), (127, vec![127, 0]), (1337, vec![127, 0x80 | (1210 % 128) as u8, 9])]
        {
            let mut bytes = Vec::new();
            integer(&mut bytes, value);
            assert_eq!(bytes, expected, "{value}");
        }
        assert_eq!(literal("a", "bc", true), [0x40, 1, b'a', 2, b'b', b'c']);
    }

    #[test]
    fn a_frame_says_its_length() {
        let mut bytes = Vec::new();
        frame(&mut bytes, HEADERS, END_STREAM, 3, b"hi");
        assert_eq!(bytes, [0, 0, 2, 1, 1, 0, 0, 0, 3, b'h', b'i']);
    }
}
