//! What is stored of a key: its BLAKE3 hash, keyed with a secret of the gateway, written `b3:` and 64 hex digits.
//!
//! Keyed, so that a stolen file of consumers is of no use for guessing weak keys that consumers brought, and so that
//! nobody outside can choose keys that fall into one place of the table. Not a slow password hash: keys have 256
//! random bits, and each request hashes one.
//!
//! Hashes are compared in constant time wherever they are compared.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use subtle::{Choice, ConstantTimeEq};

/// What stands before the hex digits.
const MARK: &str = "b3:";

/// The secret that keys are hashed with: 32 bytes, the same on every gateway that shares a file of consumers. Its
/// `Debug` hides it.
#[derive(Clone)]
pub struct HashSecret([u8; 32]);

/// The text is no secret. It is not repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits (32 random bytes)")]
pub struct SecretError;

impl HashSecret {
    /// The secret of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash of a key as presented. About 100 ns for 52 bytes; no allocation.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::from_bytes(*blake3::keyed_hash(&self.0, key).as_bytes())
    }
}

impl PartialEq for HashSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for HashSecret {}

impl FromStr for HashSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        read_hex(text.trim_end()).map(Self).ok_or(SecretError)
    }
}

impl fmt::Debug for HashSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSecret(..)")
    }
}

/// The keyed hash of a key.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u64; 4]);

/// The text is no hash of a key. It is not repeated here, since it may be a key in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the hash of a key: `b3:` and 64 hex digits, as `portcullis key hash` writes it")]
pub struct HashError;

impl KeyHash {
    /// From the 32 bytes of the hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*chunk);
        }
        Self(words)
    }

    /// The first 128 bits of it.
    pub(crate) const fn half(&self) -> [u64; 2] {
        let [first, second, ..] = self.0;
        [first, second]
    }
}

impl ConstantTimeEq for KeyHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(Choice::from(1), |equal, (ours, theirs)| equal & ours.ct_eq(theirs))
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, ..] = self.0;
        state.write_u64(first);
    }
}

impl FromStr for KeyHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        text.strip_prefix(MARK).and_then(read_hex).map(Self::from_bytes).ok_or(HashError)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARK)?;
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?).ok()?;
    }
    Some(bytes)
}
