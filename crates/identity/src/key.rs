//! API keys of our own making: `pk_`, 43 base62 digits of 256 random bits, 6 base62 digits of a checksum.
//!
//! The shape serves three ends: a double click selects it whole, a secret scanner finds it
//! (`pk_[0-9A-Za-z]{49}`) and can check it without asking us, and a typing mistake is told apart from a key that is
//! gone. The checksum is CRC-32 (IEEE) over everything before it: no secret is needed to make or to check it, so it
//! proves nothing about who made the key.
//!
//! Keys are never stored: [`hash`] is.

pub mod hash;

use std::fmt;

pub use hash::{HashError, HashSecret, KeyHash, SecretError};

/// What every key of ours begins with.
pub const PREFIX: &str = "pk_";
/// Bytes of a whole key.
pub const LENGTH: usize = PREFIX.len() + BODY + CHECKSUM;

/// Base62 digits of 256 bits.
const BODY: usize = 43;
/// Base62 digits of 32 bits.
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key in clear: shown once to who asked for it, then forgotten. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// What a text is, by its shape alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyShape {
    /// A key of ours whose checksum is right.
    Ours,
    /// A key of ours with a typing mistake, cut off or run on.
    Mistyped,
    /// Not made here. It may still be a key: consumers may bring theirs.
    Foreign,
}

/// The text is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not begin with `pk_`.
    #[error("a key begins with `{PREFIX}`")]
    Foreign,
    /// It begins so, but length, digits or checksum are wrong.
    #[error("a key is `{PREFIX}` and 49 letters and digits, and the checksum at its end is wrong: is it whole?")]
    Mistyped,
}

impl ApiKey {
    /// The key of these 32 random bytes.
    #[must_use]
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        text.extend(base62::<BODY>(entropy));
        let sum = checksum(text.as_bytes());
        text.extend(sum.map(char::from));
        Self(text)
    }

    /// Reads a key of ours.
    ///
    /// # Errors
    /// [`KeyError`] by what [`shape`] says.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match shape(text.as_bytes()) {
            KeyShape::Ours => Ok(Self(text.to_owned())),
            KeyShape::Mistyped => Err(KeyError::Mistyped),
            KeyShape::Foreign => Err(KeyError::Foreign),
        }
    }

    /// The key in clear.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(pk_...)")
    }
}

/// Tells a key of ours from a mistyped one and from a foreign one. Costs tens of nanoseconds; asked after a key was
/// not found, to say why.
#[must_use]
pub fn shape(text: &[u8]) -> KeyShape {
    if !text.starts_with(PREFIX.as_bytes()) {
        return KeyShape::Foreign;
    }
    let digits = text.iter().skip(PREFIX.len()).all(u8::is_ascii_alphanumeric);
    let Some((body, sum)) = text.split_last_chunk::<CHECKSUM>().filter(|_| digits && text.len() == LENGTH) else {
        return KeyShape::Mistyped;
    };
    if checksum(body) == *sum { KeyShape::Ours } else { KeyShape::Mistyped }
}

/// Every stretch of a text that has the shape of a key of ours, its checksum right or not: `pk_[0-9A-Za-z]{49}`, and
/// more if it runs on.
pub fn within(text: &str) -> impl Iterator<Item = &str> {
    let digits = |at: usize| {
        let rest = text.get(at + PREFIX.len()..)?;
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        text.get(at..at + PREFIX.len() + length).filter(|key| key.len() >= LENGTH)
    };
    memchr::memmem::find_iter(text.as_bytes(), PREFIX).filter_map(digits)
}

fn checksum(text: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(text);
    let mut sum = [b'0'; CHECKSUM];
    for place in sum.iter_mut().rev() {
        *place = digit(rest % 62);
        rest /= 62;
    }
    sum
}

fn digit(value: u32) -> u8 {
    DIGITS.get(value as usize).copied().unwrap_or(b'0')
}

/// The `N` base62 digits of a number, most significant first.
fn base62<const N: usize>(number: [u8; 32]) -> [char; N] {
    let mut number = number;
    let mut digits = ['0'; N];
    for place in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            // 61 * 256 + 255 divided by 62 fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *place = char::from(digit(rest));
    }
    digits
}

#[cfg(test)]
mod tests;
