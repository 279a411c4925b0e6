//! Byte classes by table, and the word-at-a-time search for control bytes that every line is scanned with.
//!
//! The searches look at eight bytes per step in safe code; this is where the time of a head check goes.

/// A `tchar` of RFC 9110 section 5.6.2.
pub(crate) const TOKEN: u8 = 1;
/// A byte accepted in a request target: see [`crate::head`] for what is left out and why.
pub(crate) const TARGET: u8 = 1 << 1;
/// A byte of a registered name as we accept it: letters, digits, `-`, `.`, `_`, `~`.
pub(crate) const HOST: u8 = 1 << 2;
/// A hexadecimal digit of either case.
pub(crate) const HEX: u8 = 1 << 3;
/// A byte of a path that needs no second look where it stands: `TARGET` without `%`, `\` and `?`.
pub(crate) const SIMPLE_PATH: u8 = 1 << 4;
/// `unreserved` of RFC 3986 section 2.3. Equal to [`HOST`] today, for other reasons.
pub(crate) const UNRESERVED: u8 = 1 << 5;

/// Carriage return.
pub(crate) const CR: u8 = b'\r';
/// Line feed.
pub(crate) const LF: u8 = b'\n';

const fn class_of(byte: u8) -> u8 {
    let mut class = 0;
    if byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
    {
        class |= TOKEN;
    }
    let target = byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'`');
    if target {
        class |= TARGET;
    }
    if target && !matches!(byte, b'%' | b'\\' | b'?') {
        class |= SIMPLE_PATH;
    }
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        class |= HOST | UNRESERVED;
    }
    if byte.is_ascii_hexdigit() {
        class |= HEX;
    }
    class
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds would fail the build")]
const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = class_of(byte);
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

static TABLE: [u8; 256] = table();

/// Whether `byte` belongs to any of the classes in `class`.
#[inline]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    TABLE.get(usize::from(byte)).is_some_and(|found| found & class != 0)
}

/// Whether every byte belongs to `class`.
#[inline]
pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|byte| is(*byte, class))
}

/// Whether `bytes` is a token: one `tchar` or more.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// 0x00 to 0x1f and 0x7f: everything a line must not hold, and HTAB, which callers let pass.
#[inline]
pub(crate) const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// The value of a hexadecimal digit.
#[inline]
pub(crate) fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

const ONES: u64 = u64::from_le_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
const SPACES: u64 = u64::from_le_bytes([0x20; 8]);
const DELS: u64 = u64::from_le_bytes([0x7f; 8]);

/// High bits of the bytes of `word` that are controls. Only the lowest set bit is exact: a borrow may set bits
/// above a true one, never below.
#[inline]
const fn control_bits(word: u64) -> u64 {
    let low = word.wrapping_sub(SPACES) & !word;
    let other = word ^ DELS;
    let del = other.wrapping_sub(ONES) & !other;
    (low | del) & HIGHS
}

/// Position of the first control byte (HTAB included) at or after `from`.
#[inline]
pub(crate) fn find_control(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let (words, tail) = rest.as_chunks::<8>();
    let mut at = from;
    for word in words {
        let bits = control_bits(u64::from_le_bytes(*word));
        if bits != 0 {
            return Some(at + (bits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    tail.iter().position(|byte| is_control(*byte)).map(|offset| at + offset)
}

/// `bytes` without the spaces and tabs around it (OWS of RFC 9110 section 5.6.3).
#[inline]
pub(crate) fn trim_ows(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_control_byte_at_each_position() {
        for length in 0..40 {
            for position in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'~'; length];
                    bytes[position] = byte;
                    let expected = is_control(byte).then_some(position);
                    assert_eq!(find_control(&bytes, 0), expected, "{byte:#x} at {position} of {length}");
                }
            }
        }
    }

    #[test]
    fn finds_the_first_of_two_control_bytes() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                let bytes = [b'a', first, second, b'b', b'c', b'd', b'e', b'f'];
                assert_eq!(find_control(&bytes, 0), bytes.iter().position(|b| is_control(*b)));
            }
        }
    }

    #[test]
    fn trims_spaces_and_tabs_only() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
        assert_eq!(trim_ows(b"\x0b"), b"\x0b");
    }

    #[test]
    fn tokens_are_those_of_the_rfc() {
        let tokens: Vec<u8> = (0..=255_u8).filter(|byte| is(*byte, TOKEN)).collect();
        assert_eq!(tokens.len(), 26 + 26 + 10 + 15);
        assert!(!is_token(b"") && !is_token(b"a b") && is_token(b"x-y"));
    }
}
