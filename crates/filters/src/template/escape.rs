//! How a value is written so that it stays in its place.

use super::variable::{Form, Variable};
use std::fmt::Write as _;

/// What a template is rendered into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// A field value (RFC 9110 section 5.5): all but printable ASCII is percent-encoded.
    Field,
    /// A URL (RFC 3986): what is not unreserved is percent-encoded, unless the value has the form of a URL already.
    Url,
    /// The inside of a JSON string (RFC 8259 section 7).
    Json,
    /// The text or an attribute of an HTML or XML page.
    Html,
    /// Plain text: as it is.
    Plain,
}

impl Escape {
    /// How values stand in a body of this media type.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Self {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is = |word: &str| essence.ends_with(&format!("/{word}")) || essence.ends_with(&format!("+{word}"));
        if is("json") || is("javascript") {
            Self::Json
        } else if is("html") || is("xml") {
            Self::Html
        } else {
            Self::Plain
        }
    }

    pub(super) fn push(self, variable: &Variable, value: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Field => percent(value, out, |byte| matches!(byte, b' '..=b'~')),
            Self::Url => url(variable.form(), value, out),
            Self::Json => json(&String::from_utf8_lossy(value), out),
            Self::Html => html(&String::from_utf8_lossy(value), out),
            Self::Plain => out.extend_from_slice(value),
        }
    }
}

fn url(form: Form, value: &[u8], out: &mut Vec<u8>) {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    match form {
        Form::Target => {
            if !value.starts_with(b"/") {
                // `*` of OPTIONS, or an empty path: it must not become part of an authority before it.
                out.push(b'/');
            }
            percent(value, out, |byte| unreserved(byte) || b"!$&'()*+,;=:@/?%".contains(&byte));
        }
        Form::Query => percent(value, out, |byte| unreserved(byte) || b"!$&'()*+,;=:@/?%".contains(&byte)),
        Form::Component => percent(value, out, |byte| unreserved(byte) || b"+%".contains(&byte)),
        Form::Authority => percent(value, out, |byte| unreserved(byte) || b":[]".contains(&byte)),
        Form::Text => percent(value, out, unreserved),
    }
}

fn percent(value: &[u8], out: &mut Vec<u8>, keep: impl Fn(u8) -> bool) {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    for &byte in value {
        if keep(byte) {
            out.push(byte);
        } else {
            out.extend([b'%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

fn json(value: &str, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            // Beside what JSON asks for, what would end a script or a line of one.
            c if c.is_control() || matches!(c, '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}') => {
                // Writing into a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    out.extend_from_slice(text.as_bytes());
}

fn html(value: &str, out: &mut Vec<u8>) {
    for c in value.chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
