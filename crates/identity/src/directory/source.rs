//! A file of consumers as entries: the text of one consumer each, with the line it begins at.
//!
//! Nothing is parsed here, so that the text of a consumer that did not change costs no more than finding its end.
//! A text longer than allowed is skipped to its end and reported; it is never held whole.

use std::io::{BufRead, ErrorKind};

use crate::consumer::Format;

/// What a reader found.
pub(super) enum Entry<'a> {
    /// A consumer's text.
    Text(&'a [u8]),
    /// A text over the limit, left out.
    TooLong,
    /// A line that belongs to no consumer.
    Stray,
}

/// Hands out every entry with its line, counted from 1.
///
/// # Errors
/// What reading failed with.
pub(super) fn read(
    format: Format,
    reader: &mut dyn BufRead,
    most: usize,
    take: &mut dyn FnMut(u32, Entry<'_>),
) -> std::io::Result<()> {
    match format {
        Format::Ndjson => lines(reader, most, &mut |line, text| match text {
            Some(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            Some(text) => take(line, Entry::Text(text)),
            None => take(line, Entry::TooLong),
        }),
        Format::Yaml => {
            let mut items = Items { text: Vec::new(), begun: None, too_long: false, most };
            lines(reader, most, &mut |line, text| items.line(line, text, take))?;
            items.end(take);
            Ok(())
        }
    }
}

/// Hands out every line without its end, borrowed from the reader's buffer where it lies in it whole; `None` for one
/// over the limit.
fn lines(reader: &mut dyn BufRead, most: usize, take: &mut dyn FnMut(u32, Option<&[u8]>)) -> std::io::Result<()> {
    let mut line = Line { held: Vec::new(), too_long: false, most, number: 0 };
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            break;
        }
        let length = buffer.len();
        let mut rest = buffer;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (text, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            line.end(text, take);
            rest = after.get(1..).unwrap_or_default();
        }
        line.hold(rest);
        reader.consume(length);
    }
    if !line.held.is_empty() || line.too_long {
        line.end(&[], take);
    }
    Ok(())
}

/// The line that is being read.
struct Line {
    held: Vec<u8>,
    too_long: bool,
    most: usize,
    number: u32,
}

impl Line {
    fn hold(&mut self, text: &[u8]) {
        self.too_long |= self.held.len() + text.len() > self.most;
        if self.too_long { self.held.clear() } else { self.held.extend_from_slice(text) }
    }

    fn end(&mut self, text: &[u8], take: &mut dyn FnMut(u32, Option<&[u8]>)) {
        self.number = self.number.saturating_add(1);
        let whole = if self.held.is_empty() && !self.too_long && text.len() <= self.most {
            Some(text)
        } else {
            self.hold(text);
            (!self.too_long).then_some(&*self.held)
        };
        let mark = if self.number == 1 { "\u{feff}" } else { "" };
        let whole = whole.map(|text| text.strip_prefix(mark.as_bytes()).unwrap_or(text));
        take(self.number, whole.map(|text| text.strip_suffix(b"\r").unwrap_or(text)));
        self.held.clear();
        self.too_long = false;
    }
}

/// The items of a YAML list, told apart by their `-` at the left edge: whatever belongs to an item stands further in.
struct Items {
    text: Vec<u8>,
    begun: Option<u32>,
    too_long: bool,
    most: usize,
}

impl Items {
    fn line(&mut self, number: u32, text: Option<&[u8]>, take: &mut dyn FnMut(u32, Entry<'_>)) {
        let begins = text.is_some_and(|text| text == b"-" || text.starts_with(b"- "));
        if begins {
            self.end(take);
            self.begun = Some(number);
        }
        let empty = text.is_some_and(|text| {
            let text = text.trim_ascii_start();
            text.is_empty() || text.starts_with(b"#")
        });
        match (text, self.begun) {
            (Some(b"---"), None) => {}
            (Some(_), None) if empty => {}
            (_, None) => take(number, Entry::Stray),
            (None, Some(_)) => self.too_long = true,
            (Some(text), Some(_)) => {
                self.too_long |= self.text.len() + text.len() > self.most;
                if !self.too_long {
                    self.text.extend_from_slice(text);
                    self.text.push(b'\n');
                }
            }
        }
    }

    fn end(&mut self, take: &mut dyn FnMut(u32, Entry<'_>)) {
        if let Some(line) = self.begun.take() {
            take(line, if self.too_long { Entry::TooLong } else { Entry::Text(&self.text) });
        }
        self.text.clear();
        self.too_long = false;
    }
}
