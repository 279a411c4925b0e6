//! Frames of HTTP/2 and literals of HPACK, as an attacker writes them.

use std::io::Read as _;
use std::net::TcpStream;

/// Frames of HTTP/2 and their flags (RFC 9113 section 6).
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// The connection's preface, with settings of nothing.
pub(super) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, b"");
    bytes
}

pub(super) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(length.get(1..).unwrap_or_default());
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A field as a literal, which goes into the dynamic table or not (RFC 7541 section 6.2), without Huffman coding.
pub(super) fn literal(name: &str, value: &str, indexed: bool) -> Vec<u8> {
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

/// The next frame: its type and its payload.
pub(super) fn next(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
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
