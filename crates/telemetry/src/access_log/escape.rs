//! Writing values so that nothing in them can end a string or a line.
//!
//! The strings are JSON's (RFC 8259 section 7). What JSON would let through but a terminal or a line reader acts on
//! is escaped too: DEL, the C1 controls, the Unicode line separators, and the marks that turn the writing direction.

use std::net::IpAddr;
use std::time::Duration;

/// Whether a byte may belong to a character that cannot stand for itself: controls, `"`, `\`, DEL, 0xC2, which leads
/// the C1 controls, and 0xE2, which leads the separators and the direction marks.
const fn is_suspect(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f | 0xc2 | 0xe2)
}

/// [`is_suspect`] of each byte: most texts are short, and a look-up is then cheaper than the comparisons.
#[expect(clippy::indexing_slicing, reason = "the loop ends where the table does, and this runs at compile time")]
const SUSPECT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_suspect(byte.to_le_bytes()[0]);
        byte += 1;
    }
    table
};

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends a JSON string, quotes included.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    inside(out, text);
    out.push(b'"');
}

/// Appends what stands between the quotes of a JSON string.
pub(crate) fn inside(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| SUSPECT.get(usize::from(byte)).is_none_or(|suspect| *suspect)) {
        escaped(out, text);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

#[cold]
fn escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if is_unsafe(c) => unicode(out, c),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// `\uXXXX`: every unsafe character lies below U+10000.
fn unicode(out: &mut Vec<u8>, c: char) {
    let [low, high, ..] = u32::from(c).to_le_bytes();
    out.extend_from_slice(b"\\u");
    out.extend_from_slice(&[hex(high >> 4), hex(high & 0xf), hex(low >> 4), hex(low & 0xf)]);
}

const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Appends a text value: as it is when that cannot be misread, else quoted and escaped.
pub(crate) fn value(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    if !text.is_empty() && text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        string(out, text);
    }
}

/// Appends a whole number.
pub(crate) fn number(out: &mut Vec<u8>, n: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends a duration in milliseconds with three decimals.
pub(crate) fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    let digit = |n: u64| b'0' + (n % 10).to_le_bytes()[0];
    let rest = micros % 1000;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

/// Appends an address. IPv4 is the common case and does not go through `fmt`.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            number(out, a);
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, octet);
            }
        }
        IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}
