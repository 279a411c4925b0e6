//! The incremental search for the end of a head.
//!
//! The first broken rule in the order of the bytes is the verdict, whatever the pieces: each rule here looks only
//! at bytes up to the place where it is broken. Rules that need the whole line or head are left to `check_head`.

use super::line::{self, ends_in_version};
use super::{HeadError, HeadLimits, MAX_METHOD};
use crate::class::{CR, LF, find_control};
use crate::h2::PREFACE;

/// What the bytes so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The head has not ended. Call again with the same bytes and more.
    NeedMore,
    /// The head is `buf[skip..skip + len]`, its blank line included.
    Complete {
        /// Bytes before the head to throw away: 2 if a CRLF stood there, else 0.
        skip: usize,
        /// Bytes of the head.
        len: usize,
    },
    /// The connection speaks HTTP/2 with prior knowledge: its 24-byte preface is here.
    Http2Preface,
    /// No continuation makes this an acceptable head.
    Refused(HeadError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Opening,
    RequestLine,
    Fields,
}

/// Finds the end of one head in a buffer that grows. Use a fresh one for each head.
#[derive(Debug, Clone)]
pub struct HeadScanner {
    limits: HeadLimits,
    part: Part,
    /// Where the head begins: after a leading CRLF.
    start: usize,
    line_start: usize,
    /// Everything before it has been looked at.
    pos: usize,
    fields: usize,
}

impl HeadScanner {
    /// A scanner at the start of a head.
    #[must_use]
    pub const fn new(limits: HeadLimits) -> Self {
        Self { limits, part: Part::Opening, start: 0, line_start: 0, pos: 0, fields: 0 }
    }

    /// Looks at the bytes that are new. `buf` must begin where it began in the calls before.
    ///
    /// After `Complete`, `Http2Preface` or `Refused` the scanner is used up.
    pub fn scan(&mut self, buf: &[u8]) -> Scan {
        if self.part == Part::Opening
            && let Some(verdict) = self.opening(buf)
        {
            return verdict;
        }
        let limit = self.start.saturating_add(self.limits.bytes);
        let window = buf.get(..limit).unwrap_or(buf);
        match self.lines(window) {
            Err(error) => Scan::Refused(error),
            Ok(Some(end)) => Scan::Complete { skip: self.start, len: end - self.start },
            Ok(None) if buf.len() >= limit => Scan::Refused(HeadError::HeadTooLarge),
            Ok(None) => Scan::NeedMore,
        }
    }

    /// Judges what stands before a request line. `None` when a request line has begun.
    fn opening(&mut self, buf: &[u8]) -> Option<Scan> {
        match buf {
            [] | [0x16] | [CR] | [CR, LF] => return Some(Scan::NeedMore),
            [0x16, 0x03, ..] => return Some(Scan::Refused(HeadError::TlsOnPlainPort)),
            [b'P', ..] => {
                if let Some(verdict) = preface(buf) {
                    return Some(verdict);
                }
            }
            [CR, LF, CR, ..] => return Some(Scan::Refused(HeadError::RepeatedEmptyLines)),
            [CR, LF, first, ..] => {
                if let Some(error) = bad_first(*first) {
                    return Some(Scan::Refused(error));
                }
                self.start = 2;
            }
            [CR, ..] => return Some(Scan::Refused(HeadError::BareCr)),
            [first, ..] => {
                if let Some(error) = bad_first(*first) {
                    return Some(Scan::Refused(error));
                }
            }
        }
        self.part = Part::RequestLine;
        self.line_start = self.start;
        self.pos = self.start;
        None
    }

    /// Goes through the lines of `window` from where it stopped. The end of the head, if it is there.
    fn lines(&mut self, window: &[u8]) -> Result<Option<usize>, HeadError> {
        loop {
            let Some(at) = find_control(window, self.pos) else {
                self.pos = window.len().max(self.pos);
                self.bound_line(self.pos)?;
                return Ok(None);
            };
            self.bound_line(at)?;
            match window.get(at..).unwrap_or_default() {
                [b'\t', ..] => self.pos = at + 1,
                [CR, LF, ..] => {
                    let line = window.get(self.line_start..at).unwrap_or_default();
                    self.line_start = at + 2;
                    self.pos = at + 2;
                    if self.end_line(line)? {
                        return Ok(Some(at + 2));
                    }
                }
                [CR] | [] => {
                    self.pos = at;
                    return Ok(None);
                }
                [CR, ..] => return Err(HeadError::BareCr),
                [LF, ..] => return Err(HeadError::BareLf),
                [_, ..] => return Err(HeadError::ControlByte),
            }
        }
    }

    /// A request line that can only be too long is refused before its end comes.
    #[inline]
    fn bound_line(&self, end: usize) -> Result<(), HeadError> {
        let longest = self.limits.target.saturating_add(MAX_METHOD + " ".len() + " HTTP/1.1".len());
        if self.part == Part::RequestLine && end.saturating_sub(self.line_start) > longest {
            return Err(HeadError::TargetTooLong);
        }
        Ok(())
    }

    /// Takes one line without its CRLF. True when it was the blank line.
    #[inline]
    fn end_line(&mut self, line: &[u8]) -> Result<bool, HeadError> {
        if self.part == Part::RequestLine {
            // An HTTP/0.9 client sends nothing more, so it must be told now.
            if !ends_in_version(line) {
                return Err(line::explain(line, self.limits.target));
            }
            self.part = Part::Fields;
            return Ok(false);
        }
        match line.first() {
            None => return Ok(true),
            Some(b' ' | b'\t') => return Err(HeadError::ObsFold),
            Some(_) => {}
        }
        self.fields += 1;
        if self.fields > self.limits.fields {
            return Err(HeadError::TooManyFields);
        }
        Ok(false)
    }
}

/// Why no request line can begin with this byte.
const fn bad_first(byte: u8) -> Option<HeadError> {
    match byte {
        b' ' | b'\t' => Some(HeadError::LeadingWhitespace),
        LF => Some(HeadError::BareLf),
        _ => None,
    }
}

/// `None` when the bytes are not an HTTP/2 preface and must be read as a request line.
fn preface(buf: &[u8]) -> Option<Scan> {
    /// `PRI * HTTP/2.0` and the blank line: nothing in HTTP/1 begins like this.
    const UNMISTAKABLE: usize = 18;
    if buf.starts_with(PREFACE) {
        return Some(Scan::Http2Preface);
    }
    if PREFACE.starts_with(buf) {
        return Some(Scan::NeedMore);
    }
    let unmistakable = PREFACE.get(..UNMISTAKABLE).is_some_and(|begin| buf.starts_with(begin));
    unmistakable.then_some(Scan::Refused(HeadError::BadPreface))
}
