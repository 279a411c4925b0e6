//! Numbers out of 64 random bits, and stable hashes for affinity.
//!
//! The hashes are part of what gateways must agree on: two gateways with the same endpoints send the same key to the
//! same endpoint. They do not change between releases.

use std::time::Duration;

/// The finaliser of SplitMix64: a bijection whose every output bit depends on every input bit.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of 64-bit numbers out of one seed (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The stream of this seed; any seed is good.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all of `u64`.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }
}

/// Maps uniform random bits to `0..bound` without a division; 0 when the bound is 0.
pub(crate) fn below(random: u64, bound: u32) -> u32 {
    // The product of 32 bits with 32 bits, shifted by 32, is less than the bound: the conversion cannot fail.
    u32::try_from(((random >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
}

/// This share of a duration, the share written as random bits: 0 is nothing, all ones all but a nanosecond. What it
/// answers with is under 585 years, so that an `Instant` can always take it.
pub(crate) fn fraction(of: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(of.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(nanos) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(part).unwrap_or(nanos))
}

/// FNV-1a, to be passed through [`mix`] because its high bits are weak on short input.
pub(crate) const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        hash = (hash ^ *first as u64).wrapping_mul(0x0100_0000_01b3);
        rest = tail;
    }
    hash
}

pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The affinity key of some bytes (a field's value, a cookie, a consumer's name), for [`crate::Ask::key`].
///
/// Stable across processes and releases. Not keyed: whoever can choose the bytes can aim at one endpoint, which the
/// load bound of [`crate::Algorithm::Hash`] makes harmless.
#[must_use]
pub const fn key_of(bytes: &[u8]) -> u64 {
    mix(fnv(FNV_START, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_in_every_release() {
        assert_eq!(fnv(FNV_START, b"a"), 0xaf63_dc4c_8601_ec8c, "the published FNV-1a vector");
        assert_eq!(Draws::new(0).next(), 0xe220_a839_7b1d_cdaf, "the published SplitMix64 vector");
        assert_eq!(key_of(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn stays_below_the_bound() {
        for (random, bound, expected) in
            [(0, 7, 0), (u64::MAX, 7, 6), (u64::MAX, 1, 0), (u64::MAX, 0, 0), (1 << 63, 2, 1)]
        {
            assert_eq!(below(random, bound), expected);
        }
        assert_eq!(below(u64::MAX, u32::MAX), u32::MAX - 1);
    }
}
