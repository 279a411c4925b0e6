//! Follows the content of one message, in any pieces, and says where the message ends.
//!
//! The bytes themselves go on untouched; this only judges the framing beside the parser that reads them. Data is
//! skipped by arithmetic, so the cost is per chunk and not per byte.
//!
//! Chunked is read by the grammar of RFC 9112 section 7.1 without its optional whitespace: a size of 1 to 16
//! hexadecimal digits below 2^63, well-formed extensions, CRLF after the size line and after the data, then
//! trailers. Bounded: the extensions of one chunk, the overhead of all chunks beside their data, and the trailers.
//! A trailer may not carry what belongs in a head: framing, routing, authentication, or how the content is read
//! (RFC 9110 section 6.5.1).

#[cfg(test)]
mod tests;
mod trailer;

use self::trailer::Trailers;
use crate::Framing;
use crate::class::{self, CR, LF, TOKEN};

/// Most digits of a chunk size.
pub const MAX_SIZE_DIGITS: u8 = 16;

/// Line bytes a chunk may spend for free. What exceeds it and twice the data is counted as overhead.
const FREE_LINE: u64 = 16;

closed_error! {
    /// Why the framing of a message's content was refused.
    pub enum FramingError {
        ChunkSizeMissing, "chunk_size_missing", "a chunk has no size";
        ChunkSizeInvalid, "chunk_size_invalid", "a chunk size holds a byte that is not a hexadecimal digit";
        ChunkSizeTooLong, "chunk_size_too_long", "a chunk size has more than 16 digits";
        ChunkSizeTooLarge, "chunk_size_too_large", "the chunks add up to 2^63 bytes or more";
        ChunkExtensionInvalid, "chunk_extension_invalid", "a chunk extension is not well formed";
        ChunkExtensionTooLong, "chunk_extension_too_long", "the extensions of a chunk are longer than their limit";
        ChunkOverhead, "chunk_overhead", "the chunks spend more bytes beside the data than their limit";
        ChunkDataUnterminated, "chunk_data_unterminated", "the data of a chunk is not followed by CRLF";
        BareLf, "chunk_bare_lf", "a line of the chunked coding ends in LF without CR";
        BareCr, "chunk_bare_cr", "a CR in the chunked coding is not followed by LF";
        TrailerNameInvalid, "trailer_name_invalid", "the name of a trailer is not a token";
        TrailerValueInvalid, "trailer_value_invalid", "the value of a trailer holds a control byte";
        TrailerForbidden, "trailer_forbidden", "a trailer carries a field that belongs in the head";
        TrailersTooLarge, "trailers_too_large", "the trailers are larger than their limit";
        TooManyTrailers, "too_many_trailers", "there are more trailers than their limit";
        Truncated, "content_truncated", "the connection ended before the message did";
    }
}

/// Bounds of what stands beside the data of a chunked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of extensions in one chunk, the first `;` included.
    pub extension: usize,
    /// Bytes of size lines in the message beyond 16 and twice the data of each chunk (compare CVE-2023-39326).
    pub overhead: u64,
    /// Bytes of all trailers.
    pub trailer_bytes: usize,
    /// Number of trailers.
    pub trailers: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { extension: 256, overhead: 16 * 1024, trailer_bytes: 8 * 1024, trailers: 32 }
    }
}

/// How far one piece went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// Bytes of the piece that belong to the message. The rest belongs to the next one.
    pub consumed: usize,
    /// Whether the message has ended.
    pub done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Size { digits: u8 },
    Extension(Extension),
    SizeLf,
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    Done,
    Failed(FramingError),
}

/// Where in `;name=value` or `;name="quoted"` the last byte was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    Escaped,
    AfterQuoted,
}

/// The judge of one message's content.
#[derive(Debug, Clone)]
pub struct FramingValidator {
    state: State,
    limits: BodyLimits,
    /// Size of the chunk whose line is being read.
    size: u64,
    /// Bytes of the size line so far.
    line: u64,
    extension: usize,
    overhead: u64,
    content: u64,
    trailers: Trailers,
}

impl FramingValidator {
    /// A judge for a message with this framing, with default bounds.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self::with_limits(framing, BodyLimits::default())
    }

    /// A judge for a message with this framing.
    #[must_use]
    pub const fn with_limits(framing: Framing, limits: BodyLimits) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { digits: 0 },
        };
        Self { state, limits, size: 0, line: 0, extension: 0, overhead: 0, content: 0, trailers: Trailers::new() }
    }

    /// Judges the next bytes of the connection. Bytes after the end of the message are left alone.
    ///
    /// # Errors
    /// The first rule broken. It is sticky: the connection cannot be read any further.
    pub fn feed(&mut self, input: &[u8]) -> Result<Fed, FramingError> {
        let mut rest = input;
        loop {
            match self.state {
                State::Failed(error) => return Err(error),
                State::Done => break,
                State::Length(left) => match self.skip(left, &mut rest) {
                    0 => self.state = State::Done,
                    left => {
                        self.state = State::Length(left);
                        break;
                    }
                },
                State::Data(left) => match self.skip(left, &mut rest) {
                    0 => self.state = State::DataCr,
                    left => {
                        self.state = State::Data(left);
                        break;
                    }
                },
                state @ (State::Size { .. }
                | State::Extension(_)
                | State::SizeLf
                | State::DataCr
                | State::DataLf
                | State::Trailers) => {
                    let Some((byte, tail)) = rest.split_first() else { break };
                    self.state = self.step(state, *byte).unwrap_or_else(State::Failed);
                    rest = tail;
                }
            }
        }
        Ok(Fed { consumed: input.len() - rest.len(), done: self.is_done() })
    }

    /// Whether the message has ended.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes of content so far, without any framing.
    #[must_use]
    pub const fn content(&self) -> u64 {
        self.content
    }

    /// Judges the end of the connection.
    ///
    /// # Errors
    /// [`FramingError::Truncated`] when the message has not ended, or the rule broken before.
    pub const fn finish(&self) -> Result<(), FramingError> {
        match self.state {
            State::Done => Ok(()),
            State::Failed(error) => Err(error),
            State::Length(_)
            | State::Size { .. }
            | State::Extension(_)
            | State::SizeLf
            | State::Data(_)
            | State::DataCr
            | State::DataLf
            | State::Trailers => Err(FramingError::Truncated),
        }
    }

    /// Takes up to `left` bytes off `rest`. Returns how many are still to come.
    fn skip(&mut self, left: u64, rest: &mut &[u8]) -> u64 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        *rest = rest.get(take..).unwrap_or_default();
        let taken = take as u64;
        self.content += taken;
        left.saturating_sub(taken)
    }

    fn step(&mut self, state: State, byte: u8) -> Result<State, FramingError> {
        match state {
            State::Size { digits } => self.step_size(digits, byte),
            State::Extension(at) => self.step_extension(at, byte),
            State::SizeLf if byte == LF => self.end_size_line(),
            State::SizeLf => Err(FramingError::BareCr),
            State::DataCr if byte == CR => Ok(State::DataLf),
            State::DataLf if byte == LF => Ok(State::Size { digits: 0 }),
            State::DataCr | State::DataLf => Err(FramingError::ChunkDataUnterminated),
            State::Trailers => {
                let ended = self.trailers.step(byte, &self.limits)?;
                Ok(if ended { State::Done } else { State::Trailers })
            }
            State::Length(_) | State::Data(_) | State::Done | State::Failed(_) => Ok(state),
        }
    }

    fn step_size(&mut self, digits: u8, byte: u8) -> Result<State, FramingError> {
        self.line += 1;
        if let Some(value) = class::hex_value(byte) {
            if digits == MAX_SIZE_DIGITS {
                return Err(FramingError::ChunkSizeTooLong);
            }
            self.size = (self.size << 4) | u64::from(value);
            return Ok(State::Size { digits: digits + 1 });
        }
        match byte {
            LF => Err(FramingError::BareLf),
            CR | b';' if digits == 0 => Err(FramingError::ChunkSizeMissing),
            CR => Ok(State::SizeLf),
            b';' => {
                self.extension = 1;
                Ok(State::Extension(Extension::NameStart))
            }
            _ => Err(FramingError::ChunkSizeInvalid),
        }
    }

    fn step_extension(&mut self, at: Extension, byte: u8) -> Result<State, FramingError> {
        self.line += 1;
        let next = at.step(byte)?;
        let Some(next) = next else { return Ok(State::SizeLf) };
        self.extension += 1;
        if self.extension > self.limits.extension {
            return Err(FramingError::ChunkExtensionTooLong);
        }
        Ok(State::Extension(next))
    }

    fn end_size_line(&mut self) -> Result<State, FramingError> {
        let size = std::mem::take(&mut self.size);
        let line = std::mem::take(&mut self.line);
        let total = self.content.checked_add(size).and_then(|total| i64::try_from(total).ok());
        if total.is_none() {
            return Err(FramingError::ChunkSizeTooLarge);
        }
        let free = FREE_LINE.saturating_add(size.saturating_mul(2));
        self.overhead = self.overhead.saturating_add(line).saturating_sub(free);
        if self.overhead > self.limits.overhead {
            return Err(FramingError::ChunkOverhead);
        }
        Ok(if size == 0 { State::Trailers } else { State::Data(size) })
    }
}

impl Extension {
    /// The next place, or `None` when the byte was the CR that ends the line.
    fn step(self, byte: u8) -> Result<Option<Self>, FramingError> {
        let token = class::is(byte, TOKEN);
        let next = match (self, byte) {
            (_, LF) => return Err(FramingError::BareLf),
            (Self::Name | Self::Value | Self::AfterQuoted, CR) => return Ok(None),
            (Self::Name | Self::Value | Self::AfterQuoted, b';') => Self::NameStart,
            (Self::NameStart | Self::Name, _) if token => Self::Name,
            (Self::Name, b'=') => Self::ValueStart,
            (Self::ValueStart, b'"') => Self::Quoted,
            (Self::ValueStart | Self::Value, _) if token => Self::Value,
            (Self::Quoted, b'"') => Self::AfterQuoted,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if byte == b'\t' || !class::is_control(byte) => Self::Quoted,
            (
                Self::NameStart
                | Self::Name
                | Self::ValueStart
                | Self::Value
                | Self::Quoted
                | Self::Escaped
                | Self::AfterQuoted,
                _,
            ) => return Err(FramingError::ChunkExtensionInvalid),
        };
        Ok(Some(next))
    }
}
