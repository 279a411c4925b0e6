//! The text of a credential: borrowed from the request, or decoded into a small array.

use subtle::ConstantTimeEq;

use super::MOST_KEY;

/// A credential's text. Compared in constant time; its `Debug` hides it.
#[derive(Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "it lies on the stack of one request, and must not be allocated")]
pub enum Text<'a> {
    /// As it stands in the request.
    Borrowed(&'a [u8]),
    /// Decoded: so many bytes of the array.
    Decoded([u8; MOST_KEY], usize),
}

impl<'a> Text<'a> {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Decoded(bytes, length) => bytes.get(..*length).unwrap_or_default(),
        }
    }

    /// A form-encoded value (`%` and `+`); `None` when it is not encoded rightly or longer than `most`.
    pub(super) fn decoded(value: &'a str, most: usize) -> Option<Self> {
        if value.bytes().any(|b| matches!(b, b'%' | b'+')) {
            Self::collect(form(value), most)
        } else {
            Some(Self::Borrowed(value.as_bytes()))
        }
    }

    /// The same for a segment of a path, where `+` is itself.
    pub(super) fn percent_decoded(value: &'a str, most: usize) -> Option<Self> {
        if value.contains('%') { Self::collect(percent(value), most) } else { Some(Self::Borrowed(value.as_bytes())) }
    }

    /// Gathers bytes into the array.
    pub(super) fn collect(bytes: impl Iterator<Item = Option<u8>>, most: usize) -> Option<Self> {
        let mut array = [0; MOST_KEY];
        let mut length = 0;
        for byte in bytes {
            if length == most {
                return None;
            }
            *array.get_mut(length)? = byte?;
            length += 1;
        }
        Some(Self::Decoded(array, length))
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Text<'_> {}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text(..)")
    }
}

/// The bytes of a percent-encoded text (RFC 3986 section 2.1); `None` for a `%` without two hex digits after it.
pub(super) fn percent(text: &str) -> impl Iterator<Item = Option<u8>> {
    unescaped(text, b'+')
}

/// The bytes of a form-encoded text: percent-encoded, with `+` for a space.
pub(super) fn form(text: &str) -> impl Iterator<Item = Option<u8>> {
    unescaped(text, b' ')
}

fn unescaped(text: &str, plus: u8) -> impl Iterator<Item = Option<u8>> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        let escaped = if first == b'%' { after.split_first_chunk().and_then(hex) } else { None };
        match escaped {
            Some((byte, after)) => {
                rest = after;
                Some(Some(byte))
            }
            None => {
                rest = after;
                Some(match first {
                    b'%' => None,
                    b'+' => Some(plus),
                    byte => Some(byte),
                })
            }
        }
    })
}

fn hex<'a>((&[high, low], after): (&[u8; 2], &'a [u8])) -> Option<(u8, &'a [u8])> {
    let digit = |byte| char::from(byte).to_digit(16);
    Some((u8::try_from(digit(high)? << 4 | digit(low)?).ok()?, after))
}
