//! A weighted choice that sticks: the same hash gets the same item, and changed weights move as few as possible.
//!
//! Weighted rendezvous hashing. Each item draws a number from the hash and its own name, and the least of
//! `-ln(draw) / weight` wins. Cumulative weights would be as good for two items, but with more of them a change of
//! the first shifts the borders of all others, and users move between items whose weights did not change. Here
//! whoever moves goes to an item that grew against the one it leaves: 95/5 to 90/10 moves 5 %, and an item that is
//! added takes its share evenly from the others. The order of the items means nothing.

use crate::stable_hash::{mix, stable_hash};

/// Items with names and weights, at least one weight above zero.
#[derive(Debug, Clone)]
pub struct WeightedSplit<T> {
    first: Item<T>,
    others: Box<[Item<T>]>,
}

#[derive(Debug, Clone)]
struct Item<T> {
    value: T,
    weight: u32,
    identity: u64,
}

/// Why items cannot be split over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No item, or no weight above zero.
    #[error("a split needs at least one weight above 0")]
    ZeroTotal,
}

impl<T> WeightedSplit<T> {
    /// A split over items with their names and weights. A name is what an item is known by when the config changes,
    /// so no two items may have the same.
    ///
    /// # Errors
    /// All weights are zero.
    pub fn by_name<'n>(items: impl IntoIterator<Item = (&'n str, T, u32)>) -> Result<Self, SplitError> {
        Self::of(items.into_iter().map(|(name, value, weight)| {
            let identity = stable_hash(0, name.as_bytes());
            Item { value, weight, identity }
        }))
    }

    fn of(mut items: impl Iterator<Item = Item<T>>) -> Result<Self, SplitError> {
        let first = items.next().ok_or(SplitError::ZeroTotal)?;
        let split = Self { first, others: items.collect() };
        if split.items().all(|(_, weight)| weight == 0) { Err(SplitError::ZeroTotal) } else { Ok(split) }
    }

    /// The item for a hash. An item of weight zero is never it.
    #[must_use]
    pub fn pick(&self, hash: u64) -> &T {
        let start = (&self.first, self.first.score(hash));
        let best = self.others.iter().fold(start, |best, item| {
            let score = item.score(hash);
            if score < best.1 { (item, score) } else { best }
        });
        &best.0.value
    }

    /// The items and their weights, in order.
    pub fn items(&self) -> impl Iterator<Item = (&T, u32)> {
        std::iter::once(&self.first).chain(&self.others).map(|item| (&item.value, item.weight))
    }
}

impl<T> Item<T> {
    /// An exponential variable of rate `weight`: the least of several is item i with probability
    /// `weight_i / total`.
    fn score(&self, hash: u64) -> f64 {
        if self.weight == 0 {
            return f64::INFINITY;
        }
        // 32 bits are exact in a double, and the half keeps the logarithm finite.
        let bits = u32::try_from(mix(hash ^ self.identity) >> 32).unwrap_or(u32::MAX);
        let draw = (f64::from(bits) + 0.5) / (f64::from(u32::MAX) + 1.0);
        -draw.ln() / f64::from(self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: u64 = 100_000;

    fn picks(split: &WeightedSplit<&'static str>) -> Vec<&'static str> {
        (0..KEYS).map(|n| *split.pick(stable_hash(1, &n.to_le_bytes()))).collect()
    }

    fn keyed(items: &[(&'static str, u32)]) -> WeightedSplit<&'static str> {
        WeightedSplit::by_name(items.iter().map(|(name, weight)| (*name, *name, *weight))).unwrap()
    }

    /// The share of keys that moved, and whether any moved to an item not in `grown`.
    fn moved(before: &[(&'static str, u32)], after: &[(&'static str, u32)], grown: &[&str]) -> f64 {
        let pairs = picks(&keyed(before)).into_iter().zip(picks(&keyed(after)));
        let moved: Vec<_> = pairs.filter(|(from, to)| from != to).collect();
        assert!(moved.iter().all(|(_, to)| grown.contains(to)), "moved to an item that did not grow");
        moved.len() as f64 / KEYS as f64
    }

    #[test]
    fn shares_follow_the_weights() {
        for items in [vec![("a", 95), ("b", 5)], vec![("a", 1), ("b", 1), ("c", 2)], vec![("a", 0), ("b", 7)]] {
            let total: u32 = items.iter().map(|(_, weight)| weight).sum();
            let picks = picks(&keyed(&items));
            for (name, weight) in items {
                let share = picks.iter().filter(|each| **each == name).count() as f64 / KEYS as f64;
                let expected = f64::from(weight) / f64::from(total);
                assert!((share - expected).abs() < 0.005, "{name}: {share} for {expected}");
            }
        }
    }

    #[test]
    fn few_move_when_weights_move() {
        let share = moved(&[("a", 95), ("b", 5)], &[("a", 90), ("b", 10)], &["b"]);
        assert!((share - 0.05).abs() < 0.003, "{share}");
        let share = moved(&[("a", 80), ("b", 10), ("c", 10)], &[("a", 90), ("b", 5), ("c", 5)], &["a"]);
        assert!((share - 0.10).abs() < 0.004, "{share}");
    }

    #[test]
    fn a_new_item_takes_only_its_share_and_order_does_not_matter() {
        let share = moved(&[("a", 1), ("b", 1)], &[("c", 2), ("b", 1), ("a", 1)], &["c"]);
        assert!((share - 0.5).abs() < 0.01, "{share}");
        assert_eq!(moved(&[("a", 3), ("b", 1)], &[("b", 1), ("a", 3)], &[]), 0.0);
    }

    #[test]
    fn refuses_a_total_of_zero() {
        for items in [vec![], vec![("a", 0)], vec![("a", 0), ("b", 0)]] {
            let split = WeightedSplit::by_name(items.into_iter().map(|(name, weight)| (name, (), weight)));
            assert_eq!(split.err(), Some(SplitError::ZeroTotal));
        }
    }

    #[test]
    fn an_extreme_hash_picks_an_item_with_weight() {
        let split = keyed(&[("a", 0), ("b", u32::MAX), ("c", 0)]);
        for hash in [0, 1, u64::MAX, 1 << 63] {
            assert_eq!(*split.pick(hash), "b");
        }
    }

    /// The split of places in a list, by names made of them.
    fn of_places(weights: &[(usize, u32)]) -> WeightedSplit<usize> {
        let names: Vec<String> = weights.iter().map(|(place, _)| format!("cluster-{place}")).collect();
        WeightedSplit::by_name(names.iter().zip(weights).map(|(name, (place, weight))| (&**name, *place, *weight)))
            .unwrap()
    }

    fn hashes(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|n| stable_hash(3, &n.to_le_bytes()))
    }

    proptest! {
        #[test]
        fn another_order_moves_nobody(
            (before, after) in prop::collection::vec(1u32..100, 1..8).prop_flat_map(|weights| {
                let items: Vec<(usize, u32)> = weights.into_iter().enumerate().collect();
                (Just(items.clone()), Just(items).prop_shuffle())
            })
        ) {
            let (before, after) = (of_places(&before), of_places(&after));
            prop_assert!(hashes(500).all(|hash| before.pick(hash) == after.pick(hash)));
        }

        #[test]
        fn another_weight_moves_only_the_share_that_it_must(
            weights in prop::collection::vec(1u32..100, 2..8), changed in any::<prop::sample::Index>(), to in 0u32..200
        ) {
            const KEYS: u64 = 4_000;
            let before: Vec<(usize, u32)> = weights.into_iter().enumerate().collect();
            let changed = changed.index(before.len());
            let after: Vec<_> = before.iter().map(|(at, weight)| (*at, if *at == changed { to } else { *weight })).collect();
            let share = |items: &[(usize, u32)]| {
                let total: u32 = items.iter().map(|(_, weight)| weight).sum();
                f64::from(items[changed].1) / f64::from(total)
            };
            let (one, other) = (of_places(&before), of_places(&after));
            let moved: Vec<(usize, usize)> =
                hashes(KEYS).map(|hash| (*one.pick(hash), *other.pick(hash))).filter(|(from, to)| from != to).collect();
            let grew = to > before[changed].1;
            for (from, to) in &moved {
                prop_assert_eq!(if grew { *to } else { *from }, changed, "moved from {} to {}", from, to);
            }
            let needed = (share(&after) - share(&before)).abs();
            // Five standard deviations of a share of so many keys.
            prop_assert!((moved.len() as f64 / KEYS as f64 - needed).abs() < 0.04, "{} for {needed}", moved.len());
        }
    }
}
