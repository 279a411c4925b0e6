//! Draws for shares: a seedable sequence that threads share without a lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 over an atomic counter: each draw is uniform over `u64`, and a seed fixes the sequence.
#[derive(Debug)]
pub struct Draws(AtomicU64);

impl Draws {
    /// The sequence of a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A sequence nobody can foresee.
    #[must_use]
    pub fn random() -> Self {
        Self::seeded(RandomState::new().hash_one(0u8))
    }

    /// The next draw.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
