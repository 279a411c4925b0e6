//! What the tables of a directory hold.

use std::hash::BuildHasher;
use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};

use super::table::Entry;
use crate::consumer::{Consumer, ConsumerKey, TokenSubject};
use crate::time::Expiry;

/// No slot.
const NONE: u32 = u32::MAX;

/// A key and whose it is: 32 bytes, so that two lie in a cache line and a lookup reads hardly more than one.
///
/// Of the hash there are 128 bits: among a million keys, a guess meets one of them with a chance of 2^-108. The
/// consumer is pointed to rather than numbered, which saves a lookup one more wait for memory and costs a reload the
/// rewriting of the shards of whoever changed.
#[derive(Debug, Clone)]
#[repr(align(32))]
pub(super) struct KeyEntry {
    half: [u64; 2],
    pub(super) consumer: Option<Arc<Consumer>>,
    pub(super) slot: u32,
    pub(super) not_after: Expiry,
}

impl KeyEntry {
    pub(super) fn new(key: &ConsumerKey, slot: u32, consumer: &Arc<Consumer>) -> Self {
        Self { half: key.hash.half(), consumer: Some(Arc::clone(consumer)), slot, not_after: key.not_after }
    }

    /// Whether it is the key of a hash with this half, in constant time.
    #[inline]
    pub(super) fn is(&self, half: &[u64; 2]) -> bool {
        let [ours, theirs] = [self.half, *half];
        let pairs = ours.iter().zip(&theirs);
        pairs.fold(Choice::from(1), |equal, (ours, theirs)| equal & ours.ct_eq(theirs)).into()
    }

    /// Where a key whose hash has this half belongs.
    #[inline]
    pub(super) const fn home_of(half: &[u64; 2]) -> u32 {
        let [first, _] = *half;
        upper(first)
    }

    /// Whether it is the same key.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.is(&other.half)
    }
}

impl PartialEq for KeyEntry {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.same(other)
    }
}

impl Entry for KeyEntry {
    const EMPTY: Self = Self { half: [0; 2], consumer: None, slot: NONE, not_after: Expiry::NEVER };

    #[inline]
    fn is_empty(&self) -> bool {
        self.slot == NONE
    }

    #[inline]
    fn home(&self) -> u32 {
        Self::home_of(&self.half)
    }
}

/// A text by 32 bits of its hash: 8 bytes. Whoever finds one looks into the slot whether it is what was sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    tag: u32,
    pub(super) slot: u32,
}

impl Tag {
    pub(super) const fn new(tag: u32, slot: u32) -> Self {
        Self { tag, slot }
    }

    pub(super) const fn tag(self) -> u32 {
        self.tag
    }
}

impl Entry for Tag {
    const EMPTY: Self = Self { tag: 0, slot: NONE };

    fn is_empty(&self) -> bool {
        self.slot == NONE
    }

    fn home(&self) -> u32 {
        self.tag
    }
}

/// 128 bits of the BLAKE3 hash of a consumer's text: no two texts have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Content([u64; 2]);

impl Content {
    pub(super) fn of(text: &[u8]) -> Self {
        let hash = blake3::hash(text.trim_ascii_end());
        let mut words = [0; 2];
        for (word, bytes) in words.iter_mut().zip(hash.as_bytes().as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Self(words)
    }

    pub(super) const fn home(self) -> u32 {
        let [first, _] = self.0;
        upper(first)
    }
}

/// Hashes texts into tables, with a secret of this process so that nobody can pile them up in one place.
#[derive(Debug, Clone)]
pub(super) struct Hashing(foldhash::quality::FixedState);

impl Hashing {
    pub(super) fn new(seed: u64) -> Self {
        Self(foldhash::quality::FixedState::with_seed(seed))
    }

    pub(super) fn text(&self, text: &str) -> u32 {
        upper(self.0.hash_one(text))
    }

    pub(super) fn subject(&self, issuer: Option<&str>, subject: &str) -> u32 {
        upper(self.0.hash_one((issuer, subject)))
    }

    pub(super) fn token(&self, token: &TokenSubject) -> u32 {
        self.subject(token.issuer.as_deref(), &token.subject)
    }
}

/// The upper half of a hash.
pub(super) const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}
