//! A hash that means the same in every process, on every machine and in every release.
//!
//! Percentages and splits promise that a user stays where they are. So the function is written out here: FNV-1a
//! over the bytes, then the 64-bit finaliser of MurmurHash3, which makes all bits uniform. It is no defence against
//! a client that chooses its own key: whoever picks a cookie's value picks a side of the split.

use std::net::IpAddr;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Hashes `key` under `seed`. Uniform over `u64`; different seeds are independent.
#[must_use]
pub fn stable_hash(seed: u64, key: &[u8]) -> u64 {
    let start = mix(FNV_OFFSET ^ seed);
    mix(key.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)))
}

/// Hashes a client address. An IPv4 address and its IPv6-mapped form are the same client.
#[must_use]
pub fn stable_hash_of_ip(seed: u64, ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => stable_hash(seed, &v4.octets()),
        IpAddr::V6(v6) => stable_hash(seed, &v6.octets()),
    }
}

/// A bijection of `u64` in which every input bit moves every output bit.
pub(crate) const fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_what_it_was_in_earlier_releases() {
        for (seed, key, expected) in GOLDEN {
            assert_eq!(stable_hash(*seed, key.as_bytes()), *expected, "{seed} {key}");
        }
    }

    /// Changing one of these moves every sticky user of every installation.
    const GOLDEN: &[(u64, &str, u64)] =
        &[(0, "", 0xc70b_7d31_7e33_bf45), (0, "alice", 0x86e0_a508_51ec_513d), (1, "alice", 0xeea0_50a7_53c5_bfa3)];

    #[test]
    fn is_even_over_its_buckets() {
        let mut buckets = [0u32; 16];
        for n in 0..16_000u32 {
            buckets[usize::try_from(stable_hash(7, &n.to_le_bytes()) >> 60).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1150).contains(count)), "{buckets:?}");
    }

    #[test]
    fn a_mapped_ipv4_address_is_the_ipv4_address() {
        let hash = |text: &str| stable_hash_of_ip(0, text.parse().unwrap());
        assert_eq!(hash("::ffff:10.0.0.1"), hash("10.0.0.1"));
        assert_ne!(hash("10.0.0.2"), hash("10.0.0.1"));
    }
}
