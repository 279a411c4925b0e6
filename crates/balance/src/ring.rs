//! A consistent hash ring: each endpoint owns points in proportion to its weight, a key belongs to the next point.
//!
//! Points depend on the endpoint's identity and weight alone, so that an endpoint that comes or goes moves its own
//! share of the keys and no others. Health does not change the ring: the caller goes on to the points that follow.

use crate::random::mix;

/// Points per unit of weight. The share of an endpoint of weight 1 is then off by 6 % (one standard deviation).
const POINTS: u64 = 256;
/// Most points of a ring, about 12 bytes each. Past it all endpoints own half (a quarter, …) as many.
const MOST: u64 = 1 << 20;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Sorted.
    points: Box<[u64]>,
    owners: Box<[u32]>,
    /// For each value of the leading bits of a key, the first point that is not before it.
    starts: Box<[u32]>,
    /// How far a key is shifted to leave those leading bits.
    shift: u32,
}

/// What a ring needs to know of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) index: u32,
    pub(crate) weight: u32,
    pub(crate) identity: u64,
}

impl Ring {
    pub(crate) fn new(owners: &[Owner]) -> Self {
        let mut ring: Vec<(u64, u64, u32)> = Vec::new();
        let wanted: u64 = owners.iter().map(|owner| u64::from(owner.weight) * POINTS).sum();
        let halvings = (0..64).find(|halvings| wanted >> halvings <= MOST).unwrap_or(0);
        for owner in owners {
            let count = ((u64::from(owner.weight) * POINTS) >> halvings).max(1);
            // The identity breaks the tie of two equal points, so that the order of the endpoints does not matter.
            ring.extend((0..count).map(|nth| (point(owner.identity, nth), owner.identity, owner.index)));
        }
        ring.sort_unstable();
        let points: Box<[u64]> = ring.iter().map(|(point, _, _)| *point).collect();
        let bits = (points.len() / 4).max(2).next_power_of_two().trailing_zeros();
        let shift = 64 - bits;
        let starts = (0..1_u64 << bits).map(|leading| {
            let first = points.partition_point(|point| *point < leading << shift);
            u32::try_from(first).unwrap_or(u32::MAX)
        });
        let starts = starts.collect();
        Self { starts, shift, points, owners: ring.iter().map(|(_, _, index)| *index).collect() }
    }

    /// The endpoints that own the points from a well-mixed key on, round the ring: it belongs to the first of them.
    pub(crate) fn owners(&self, key: u64) -> impl Iterator<Item = u32> {
        let (before, from) = self.owners.split_at_checked(self.first(key)).unwrap_or_default();
        from.iter().chain(before).copied()
    }

    /// The place of the first point that is not before the key.
    fn first(&self, key: u64) -> usize {
        let leading = usize::try_from(key >> self.shift).unwrap_or(0);
        let start = self.starts.get(leading).map_or(0, |start| *start as usize);
        let after = self.points.get(start..).unwrap_or_default();
        // Past the last point the ring closes.
        after.iter().position(|point| *point >= key).map_or(0, |next| start + next)
    }
}

const fn point(identity: u64, nth: u64) -> u64 {
    mix(identity ^ mix(nth.wrapping_add(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owners(weights: &[u32]) -> Vec<Owner> {
        (0..)
            .zip(weights)
            .map(|(index, weight)| Owner { index, weight: *weight, identity: mix(u64::from(index) + 9) })
            .collect()
    }

    fn owner(ring: &Ring, key: u64) -> Option<u32> {
        ring.owners(key).next()
    }

    fn shares(ring: &Ring, n: usize, keys: u64) -> Vec<u64> {
        let mut counts = vec![0; n];
        for key in 0..keys {
            counts[owner(ring, mix(key)).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn an_empty_ring_has_no_owner() {
        assert_eq!(owner(&Ring::new(&[]), 7), None);
    }

    #[test]
    fn keys_spread_by_weight() {
        for weights in [&[1, 1][..], &[1, 2, 5], &[100; 16], &[1; 40]] {
            let total: u32 = weights.iter().sum();
            let got = shares(&Ring::new(&owners(weights)), weights.len(), 100_000);
            for (count, weight) in got.iter().zip(weights) {
                let due = 100_000.0 * f64::from(*weight) / f64::from(total);
                assert!((*count as f64 / due - 1.0).abs() < 0.25, "{weights:?}: {count} of {due}");
            }
        }
    }

    #[test]
    fn the_number_of_points_is_bounded() {
        assert!(Ring::new(&owners(&[1_000_000; 40])).points.len() as u64 <= MOST);
        assert_eq!(Ring::new(&owners(&[1; 40])).points.len(), 40 * 256);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_search(weights in prop::collection::vec(1_u32..5, 1..9), keys in prop::collection::vec(any::<u64>(), 50)) {
            let ring = Ring::new(&owners(&weights));
            for key in keys.into_iter().chain([0, u64::MAX]).chain(ring.points.iter().copied().step_by(29)) {
                let plain = ring.points.iter().position(|point| *point >= key).unwrap_or(0);
                let expected: Vec<u32> = [&ring.owners[plain..], &ring.owners[..plain]].concat();
                prop_assert!(ring.owners(key).eq(expected));
            }
        }

        #[test]
        fn removal_moves_the_keys_of_the_removed_alone(weights in prop::collection::vec(1_u32..5, 2..12), gone: prop::sample::Index) {
            let all = owners(&weights);
            let gone = gone.get(&all).index;
            let rest: Vec<Owner> = all.iter().copied().filter(|owner| owner.index != gone).collect();
            let (before, after) = (Ring::new(&all), Ring::new(&rest));
            for key in (0..500).map(mix) {
                let left = before.owners(key).find(|owner| *owner != gone);
                prop_assert_eq!(owner(&after, key), left, "its keys go where the ring goes on");
            }
        }
    }
}
