//! The walk itself.

use super::error::{JsonError, JsonFault};
use super::span::Span;

/// The deepest nesting that can be asked for: as deep as a Solana node reads.
pub const MAX_DEPTH: usize = 127;
/// The most bytes of a number.
pub const MAX_NUMBER: usize = 128;

/// What kind of value stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A string as it is written: the text between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Where the text between the quotes stands.
    pub span: Span,
    /// Whether it has escapes, so that it means another text than stands there.
    pub escaped: bool,
}

/// Walks a text from its start.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    deepest: usize,
    most: usize,
}

impl<'a> Cursor<'a> {
    /// Before a text that nests at most so deep, [`MAX_DEPTH`] at most.
    ///
    /// # Errors
    /// The text is not UTF-8, or has 4 GiB.
    pub fn new(text: &'a [u8], most: usize) -> Result<Self, JsonError> {
        let utf8 =
            std::str::from_utf8(text).map_err(|error| JsonError { at: error.valid_up_to(), fault: JsonFault::Utf8 });
        utf8.map(|_| Self::within(text, most))
    }

    /// Before a part of a text that was walked already.
    #[must_use]
    pub fn within(text: &'a [u8], most: usize) -> Self {
        Self { text, at: 0, depth: 0, deepest: 0, most: most.min(MAX_DEPTH) }
    }

    /// How deep the text nested so far: 1 for an object of scalars.
    #[must_use]
    pub const fn deepest(&self) -> usize {
        self.deepest
    }

    /// Where the cursor stands.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The kind of the value that comes next, by its first byte.
    ///
    /// # Errors
    /// No value comes.
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            _ => Err(self.fault(JsonFault::Value)),
        }
    }

    /// Passes one value of whatever kind.
    ///
    /// # Errors
    /// It is no value.
    pub fn value(&mut self) -> Result<(Kind, Span), JsonError> {
        let kind = self.kind()?;
        let start = self.at;
        match kind {
            Kind::Object | Kind::Array => self.nested()?,
            Kind::String => drop(self.string()?),
            Kind::Number => self.number()?,
            Kind::Null => self.literal(b"null")?,
            Kind::Bool => self.bool()?,
        }
        Ok((kind, Span::new(start, self.at)))
    }

    /// Passes a string.
    ///
    /// # Errors
    /// It is none.
    pub fn string(&mut self) -> Result<Key, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(JsonFault::Value));
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                None => return Err(self.fault(JsonFault::End)),
                Some(0..0x20) => return Err(self.fault(JsonFault::Control)),
                Some(_) => self.at += 1,
            }
        }
        let span = Span::new(start, self.at);
        self.at += 1;
        Ok(Key { span, escaped })
    }

    /// Passes an object: `each` is called with every key, before its value, and passes the value.
    ///
    /// # Errors
    /// It is no object, or `each` says so.
    pub fn members<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Key) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open()?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            self.space();
            each(self, key)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Passes an array: `each` is called before every element and passes it.
    ///
    /// # Errors
    /// It is no array, or `each` says so.
    pub fn elements<E: From<JsonError>>(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.open()?;
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            self.space();
            each(self)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// Passes white space, behind which the text must end.
    ///
    /// # Errors
    /// It does not.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault(JsonFault::Trailing)) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// What is wrong here; that the text ends here, if it does.
    fn fault(&self, fault: JsonFault) -> JsonError {
        JsonError { at: self.at, fault: if self.at >= self.text.len() { JsonFault::End } else { fault } }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes an opening bracket.
    fn open(&mut self) -> Result<(), JsonError> {
        if self.depth == self.most {
            return Err(JsonError { at: self.at, fault: JsonFault::Depth });
        }
        self.at += 1;
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        Ok(())
    }

    /// Whether the container just opened is empty; its end is passed then.
    fn closes(&mut self, with: u8) -> bool {
        self.space();
        let closes = self.peek() == Some(with);
        if closes {
            self.at += 1;
            self.depth -= 1;
        }
        closes
    }

    /// Behind a value: passes a comma, or the end of the container.
    fn goes_on(&mut self, close: u8) -> Result<bool, JsonError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            _ => Err(self.fault(JsonFault::Comma)),
        }
    }

    /// Passes a key and its colon.
    fn key(&mut self) -> Result<Key, JsonError> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.fault(JsonFault::Key));
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault(JsonFault::Colon));
        }
        self.at += 1;
        Ok(key)
    }

    /// Passes a container and all in it. One bit a level says which of the two it is.
    fn nested(&mut self) -> Result<(), JsonError> {
        let outside = self.depth;
        let mut objects = 0_u128;
        loop {
            match self.kind()? {
                Kind::Object => {
                    self.open()?;
                    objects = objects << 1 | 1;
                    if self.closes(b'}') {
                        objects >>= 1;
                    } else {
                        self.key()?;
                        continue;
                    }
                }
                Kind::Array => {
                    self.open()?;
                    objects <<= 1;
                    if !self.closes(b']') {
                        continue;
                    }
                    objects >>= 1;
                }
                Kind::Null | Kind::Bool | Kind::Number | Kind::String => drop(self.value()?),
            }
            if !self.next_value(outside, &mut objects)? {
                return Ok(());
            }
        }
    }

    /// Behind a value inside of containers: passes what closes, up to where the next value stands, if one does.
    fn next_value(&mut self, outside: usize, objects: &mut u128) -> Result<bool, JsonError> {
        while self.depth > outside {
            let object = *objects & 1 == 1;
            if self.goes_on(if object { b'}' } else { b']' })? {
                if object {
                    self.key()?;
                }
                return Ok(true);
            }
            *objects >>= 1;
        }
        Ok(false)
    }

    /// Passes bytes of a string that mean themselves, eight at a time while there are eight.
    fn plain(&mut self) {
        while let Some(chunk) = self.text.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let ends = ends_of_plain(u64::from_le_bytes(*chunk));
            if ends != 0 {
                self.at += (ends.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
    }

    /// Passes an escape.
    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => self.unicode(start),
            _ => Err(self.fault(JsonFault::Escape)),
        }
    }

    /// Passes `u` and four digits, and the second half where they are the first of a pair.
    fn unicode(&mut self, start: usize) -> Result<(), JsonError> {
        let surrogate = JsonError { at: start, fault: JsonFault::Surrogate };
        match self.hex()? {
            0xdc00..=0xdfff => Err(surrogate),
            0xd800..=0xdbff if self.text.get(self.at..self.at + 2) == Some(b"\\u") => {
                self.at += 1;
                let low = self.hex()?;
                if (0xdc00..=0xdfff).contains(&low) { Ok(()) } else { Err(surrogate) }
            }
            0xd800..=0xdbff => Err(surrogate),
            _ => Ok(()),
        }
    }

    /// Passes `u` and four digits.
    fn hex(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or_else(|| self.fault(JsonFault::Escape))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.pass(b'-');
        if !self.pass(b'0') {
            self.digits(start)?;
        }
        if self.pass(b'.') {
            self.digits(start)?;
        }
        if self.pass(b'e') || self.pass(b'E') {
            let _signed = self.pass(b'+') || self.pass(b'-');
            self.digits(start)?;
        }
        Ok(())
    }

    /// Passes a byte, if it stands here.
    fn pass(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    /// Passes one digit or more of the number that starts there.
    fn digits(&mut self, start: usize) -> Result<(), JsonError> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
            if self.at - start > MAX_NUMBER {
                return Err(JsonError { at: start, fault: JsonFault::LongNumber });
            }
        }
        if self.at > first { Ok(()) } else { Err(self.fault(JsonFault::Number)) }
    }

    fn bool(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b't') { self.literal(b"true") } else { self.literal(b"false") }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) == Some(word) {
            self.at = end;
            Ok(())
        } else {
            Err(JsonError { at: self.at, fault: JsonFault::Value })
        }
    }
}

/// The high bit of the first byte that is a quote, a backslash or a control character, of eight in the order of the text;
/// bits behind the first mean nothing.
const fn ends_of_plain(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = backslashes.wrapping_sub(ONES) & !backslashes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHS
}
