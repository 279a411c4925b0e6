//! The seed of the tables that requests are looked up in.
//!
//! A client chooses hosts and paths, so a table keyed by them must not have predictable collisions. Each builder
//! takes a random seed unless a test gives one. Hashes made with a seed never leave the process and are never
//! compared across processes; for those see [`mod@crate::stable_hash`].

use std::hash::{BuildHasher, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

/// A seed and its hash functions.
#[derive(Debug, Clone)]
pub struct Seed(SeedableRandomState);

impl Seed {
    /// A seed that nobody outside the process can know.
    #[must_use]
    pub fn random() -> Self {
        Self(SeedableRandomState::random())
    }

    /// A known seed, for tests.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }

    /// The hash of some bytes.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// The hash of one more part after what `before` stands for.
    pub(crate) fn step(&self, before: u64, part: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u64(before);
        hasher.write(part);
        hasher.finish()
    }
}
