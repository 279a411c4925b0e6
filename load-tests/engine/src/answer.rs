//! Answers of HTTP/1.1, read as they arrive: as much of RFC 9112 as a client needs that asks one thing at a time. Pure.
//!
//! The cost counts: a load tool reads a hundred thousand of these a second. A head is looked at once, when it is whole; a
//! body is only kept where somebody wants to look at it.

use memchr::{memchr, memmem};

/// The longest head.
const LONGEST_HEAD: usize = 64 << 10;

/// The longest body that is kept.
const LONGEST_BODY: usize = 4 << 20;

/// An answer that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The head, without the empty line; empty for protocols that have none.
    pub head: &'a [u8],
    /// The body, where it was asked for.
    pub body: &'a [u8],
    /// Bytes that the body had.
    pub length: u64,
    /// The status of gRPC.
    pub grpc: Option<u32>,
}

impl Answer<'_> {
    /// Whether the head has a field of this name, in whatever case.
    #[must_use]
    pub fn has_field(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The value of a field, by its name in whatever case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(split_field)
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }
}

/// Whether bytes are nothing but ends of lines.
pub(crate) fn is_empty_lines(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is needed.
    Part,
    /// It is whole. Whether the connection can be used again.
    Whole {
        /// Whether the other side closes, or said more than it was asked.
        closes: bool,
    },
    /// It is no answer.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many bytes of the body are missing.
    Length(u64),
    /// The body ends with the connection.
    Close,
    /// The line that says how long the next chunk is.
    Size,
    /// So many bytes of a chunk are missing, the line's end behind it among them.
    Chunk(u64),
    /// The lines behind the last chunk.
    Trailers,
    Over,
}

/// Reads answers, one after the other.
#[derive(Debug)]
pub struct Reader {
    stage: Stage,
    /// The head; then what could not be taken yet.
    head: Vec<u8>,
    /// Where a line of chunks or trailers is collected.
    line: Vec<u8>,
    body: Vec<u8>,
    keep: bool,
    status: u16,
    length: u64,
    closes: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            stage: Stage::Head,
            head: Vec::with_capacity(512),
            line: Vec::new(),
            body: Vec::new(),
            keep: false,
            status: 0,
            length: 0,
            closes: false,
        }
    }
}

impl Reader {
    /// Gets ready for the next answer; says whether its body will be looked at.
    pub fn expect(&mut self, keep: bool) {
        self.stage = Stage::Head;
        self.head.clear();
        self.line.clear();
        self.body.clear();
        (self.keep, self.length, self.closes) = (keep, 0, false);
    }

    /// Whether not a byte of the answer has come.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.stage == Stage::Head && self.head.is_empty()
    }

    /// The answer, once it is whole.
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        Answer { status: self.status, head: &self.head, body: &self.body, length: self.length, grpc: None }
    }

    /// Takes what has come. The rest is what came behind a whole answer, but for empty lines, which RFC 9112 section 9.2 lets
    /// a client pass over.
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> (Progress, &'a [u8]) {
        let mut bytes = bytes;
        loop {
            let next = match self.stage {
                Stage::Head => self.take_head(bytes),
                Stage::Length(left) => Some(self.take_length(left, bytes)),
                Stage::Close => {
                    self.keep_body(bytes);
                    Some(&[][..])
                }
                Stage::Size | Stage::Trailers => self.take_line(bytes),
                Stage::Chunk(left) => self.take_chunk(left, bytes),
                Stage::Over => Some(bytes),
            };
            let Some(rest) = next else { return (Progress::Broken, &[]) };
            if self.stage == Stage::Over {
                let rest = if is_empty_lines(rest) { &[] } else { rest };
                return (Progress::Whole { closes: self.closes || !rest.is_empty() }, rest);
            }
            if rest.is_empty() {
                return (Progress::Part, rest);
            }
            bytes = rest;
        }
    }

    /// The connection has ended: whole is only what ends so.
    pub fn end(&mut self) -> Progress {
        if self.stage == Stage::Close {
            self.stage = Stage::Over;
            return Progress::Whole { closes: true };
        }
        Progress::Broken
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        // The end may lie across two pieces.
        let known = self.head.len();
        let from = known.saturating_sub(3);
        self.head.extend_from_slice(bytes);
        let Some(end) = memmem::find(self.head.get(from..)?, b"\r\n\r\n") else {
            return (self.head.len() <= LONGEST_HEAD).then_some(&[]);
        };
        let end = from + end;
        let rest = bytes.get(end + 4 - known..)?;
        self.head.truncate(end);
        self.read_head()?;
        // Of 100 and its like there is another one behind; a switch of protocols is final.
        if (100..200).contains(&self.status) && self.status != 101 {
            self.head.clear();
            self.stage = Stage::Head;
        }
        Some(rest)
    }

    fn read_head(&mut self) -> Option<()> {
        let head = self.head.as_slice();
        let first = head.get(..memchr(b'\r', head).unwrap_or(head.len()))?;
        let old = first.strip_prefix(b"HTTP/1.0 ");
        let rest = old.or_else(|| first.strip_prefix(b"HTTP/1.1 "))?;
        self.status = rest.get(..3).and_then(crate::head::number)?;
        let (mut length, mut chunked, mut closes) = (None, false, old.is_some());
        let mut lines = head.get(first.len()..)?;
        while let Some(start) = memchr(b'\n', lines) {
            lines = lines.get(start + 1..)?;
            let line = lines.get(..memchr(b'\r', lines).unwrap_or(lines.len()))?;
            // By length first: most fields are none of these.
            let (name, value) = split_field(line)?;
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => length = Some(crate::head::number::<u64>(value)?),
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    chunked = value.eq_ignore_ascii_case(b"chunked").then_some(true)?;
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    closes =
                        value.eq_ignore_ascii_case(b"close") || (closes && !value.eq_ignore_ascii_case(b"keep-alive"));
                }
                _ => {}
            }
        }
        self.closes = closes;
        self.stage = match (self.status, chunked, length) {
            (100..200 | 204 | 304, ..) | (_, false, Some(0)) => Stage::Over,
            (_, true, None) => Stage::Size,
            (_, false, Some(length)) => Stage::Length(length),
            (_, false, None) => Stage::Close,
            // Both at once is how requests are smuggled.
            (_, true, Some(_)) => return None,
        };
        Some(())
    }

    fn take_length<'a>(&mut self, left: u64, bytes: &'a [u8]) -> &'a [u8] {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (taken, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
        self.keep_body(taken);
        let left = left - taken.len() as u64;
        self.stage = if left == 0 { Stage::Over } else { Stage::Length(left) };
        rest
    }

    /// The two bytes behind a chunk are counted with it, and are no part of the body.
    fn take_chunk<'a>(&mut self, left: u64, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (taken, rest) = bytes.split_at_checked(count)?;
        let of_body = usize::try_from(left.saturating_sub(2)).unwrap_or(usize::MAX).min(taken.len());
        self.keep_body(taken.get(..of_body)?);
        let left = left - taken.len() as u64;
        self.stage = if left == 0 { Stage::Size } else { Stage::Chunk(left) };
        Some(rest)
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let end = memchr(b'\n', bytes);
        let (piece, rest) = bytes.split_at_checked(end.map_or(bytes.len(), |end| end + 1))?;
        self.line.extend_from_slice(piece);
        if end.is_none() {
            return (self.line.len() <= LONGEST_HEAD).then_some(rest);
        }
        let line = self.line.strip_suffix(b"\r\n")?;
        self.stage = match (self.stage, line) {
            (Stage::Trailers, b"") => Stage::Over,
            (Stage::Size, line) => {
                let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
                let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                if size == 0 { Stage::Trailers } else { Stage::Chunk(size.checked_add(2)?) }
            }
            (stage, _) => stage,
        };
        self.line.clear();
        Some(rest)
    }

    fn keep_body(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.keep && self.body.len() < LONGEST_BODY {
            self.body.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text in pieces of every size: what comes of it must not depend on how it is cut.
    fn read(text: &str) -> Option<(u16, String, bool, usize)> {
        let mut found = Vec::new();
        for size in 1..=text.len() {
            let mut reader = Reader::default();
            reader.expect(true);
            let mut result = None;
            let mut at = 0;
            while at < text.len() {
                let piece = &text.as_bytes()[at..(at + size).min(text.len())];
                let (progress, rest) = reader.take(piece);
                at += piece.len() - rest.len();
                match progress {
                    Progress::Part => continue,
                    Progress::Broken => break,
                    Progress::Whole { .. } => {
                        let answer = reader.answer();
                        let body = String::from_utf8(answer.body.to_vec()).unwrap();
                        assert_eq!(answer.length, body.len() as u64);
                        result = Some((answer.status, body, reader.closes, at));
                        break;
                    }
                }
            }
            found.push(result);
        }
        assert!(found.windows(2).all(|two| two[0] == two[1]), "{text:?}: {found:?}");
        found.pop().flatten()
    }

    fn check(text: &str, expected: Option<(u16, &str, bool)>) {
        let whole = expected.map(|(status, body, closes)| (status, body.to_owned(), closes, text.len()));
        assert_eq!(read(text), whole, "{text:?}");
    }

    #[test]
    fn finds_the_end_however_it_arrives() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Some((200, "abc", false)));
        check("HTTP/1.1 503\r\ncontent-length:0\r\nConnection: close\r\n\r\n", Some((503, "", true)));
        check("HTTP/1.1 204 No\r\n\r\n", Some((204, "", false)));
        check("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", Some((200, "x", false)));
        check("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", Some((101, "", false)));
        check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Some((200, "x", true)));
        check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx", Some((200, "x", false)));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}2\r\nab\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n"), Some((200, "ab0123456789", false)));
        check(&format!("{chunked}0\r\nA: b\r\n\r\n"), Some((200, "", false)));
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for text in [
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nwhat\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let mut reader = Reader::default();
        reader.expect(true);
        assert_eq!(reader.take(b"HTTP/1.1 200 OK\r\n\r\nab").0, Progress::Part);
        assert_eq!(reader.end(), Progress::Whole { closes: true });
        assert_eq!(reader.answer().body, b"ab");
        reader.expect(true);
        assert!(reader.is_untouched());
        assert_eq!(reader.take(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").0, Progress::Part);
        assert_eq!(reader.end(), Progress::Broken);
    }

    #[test]
    fn more_than_was_asked_for_ends_the_connection() {
        let mut reader = Reader::default();
        reader.expect(false);
        let (progress, rest) = reader.take(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy");
        assert_eq!((progress, rest), (Progress::Whole { closes: true }, &b"y"[..]));
        assert_eq!((reader.answer().length, reader.answer().body), (1, &b""[..]));
        reader.expect(false);
        let (progress, rest) = reader.take(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx\r\n");
        assert_eq!((progress, rest), (Progress::Whole { closes: false }, &b""[..]), "an empty line is nothing");
    }

    #[test]
    fn finds_fields_of_a_head() {
        let answer =
            Answer { status: 200, head: b"HTTP/1.1 200 OK\r\nA: 1\r\nX-Id:  q ", body: b"", length: 0, grpc: None };
        assert_eq!((answer.field("x-id"), answer.has_field("b")), (Some(&b"q"[..]), false));
    }
}
