//! One attack by heads, and how it was answered.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use portcullis_engine::client;

use crate::Failure;

use super::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame, literal, next, preface,
};

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

/// How an attack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// As it must.
    Refused,
    /// Served, or by anything else.
    Served,
    /// Not at all.
    Silent,
}

impl Answered {
    /// By the status of an answer, if there was one, and the one that must be.
    fn by(status: Option<u16>, must: u16) -> Self {
        match status {
            Some(status) if status == must => Self::Refused,
            Some(_) => Self::Served,
            None => Self::Silent,
        }
    }
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
        Ok(match self {
            Self::ManyFields => {
                let fields: String = (0..500).map(|number| format!("X-{number}: v\r\n")).collect();
                Answered::by(status(&mut stream, format!("{BEGINNING}{fields}\r\n").as_bytes()), 431)
            }
            Self::LargeField => {
                let value = "v".repeat(64 << 10);
                Answered::by(status(&mut stream, format!("{BEGINNING}X-Large: {value}\r\n\r\n").as_bytes()), 431)
            }
            Self::Endless => {
                let field = format!("X-Field: {}\r\n", "v".repeat(1000)).repeat(1024);
                Answered::by(status(&mut stream, format!("{BEGINNING}{field}").as_bytes()), 431)
            }
            Self::LongTarget => {
                let target = "t".repeat(16 << 10);
                let head = format!("GET {MALFORMED}/{target} HTTP/1.1\r\nHost: load.test\r\n\r\n");
                Answered::by(status(&mut stream, head.as_bytes()), 414)
            }
            Self::Table => table(&mut stream),
            Self::Continuations => {
                let mut bytes = preface();
                frame(&mut bytes, HEADERS, END_STREAM, 1, &block(MALFORMED));
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
        })
    }
}

/// What is asked for by what is malformed, and by streams that are well-formed until they are reset.
const MALFORMED: &str = "/malformed";
const STREAMS: &str = "/streams";

const BEGINNING: &str = "GET /malformed HTTP/1.1\r\nHost: load.test\r\n";

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
    client::status(answer.get(..count)?)
}

/// The fields of a GET.
fn block(path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "load.test")];
    fields.into_iter().flat_map(|(name, value)| literal(name, value, false)).collect()
}

/// A large entry of the table, and many references to it, in one block that fits the limit of bytes.
fn table(stream: &mut TcpStream) -> Answered {
    let mut fields = block(MALFORMED);
    fields.extend(literal("x-large", &"v".repeat(4000), true));
    // The newest entry of the dynamic table has the index 62.
    fields.extend(std::iter::repeat_n(0x80 | 62, REFERENCES));
    let mut bytes = preface();
    let (first, rest) = fields.split_at(fields.len().min(16_000));
    frame(&mut bytes, HEADERS, END_STREAM, 1, first);
    frame(&mut bytes, CONTINUATION, END_HEADERS, 1, rest);
    drop(stream.write_all(&bytes));
    while let Some((kind, payload)) = next(stream) {
        match kind {
            // The status 431 as a literal, or as what Huffman makes of it: whatever it is, it is not the 200 of the static table.
            HEADERS if payload.first() == Some(&0x88) => return Answered::Served,
            HEADERS | RST_STREAM | GOAWAY => return Answered::Refused,
            _ => {}
        }
    }
    Answered::Silent
}

/// A stream that asks for something and takes it back: a HEADERS frame, and one of [`RESET`] bytes.
fn opened_and_reset(out: &mut Vec<u8>, number: u32) {
    let id = number * 2 + 1;
    frame(out, HEADERS, END_STREAM | END_HEADERS, id, &block(STREAMS));
    // CANCEL.
    frame(out, RST_STREAM, 0, id, &8_u32.to_be_bytes());
}

/// Bytes of RST_STREAM.
const RESET: usize = 13;

/// Whether the connection ends: by GOAWAY, by its end, or by a reset. One that is only silent does not.
fn ends(stream: &mut TcpStream) -> Answered {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Answered::Refused,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Answered::Silent;
            }
            Err(_) => return Answered::Refused,
        }
    }
}
