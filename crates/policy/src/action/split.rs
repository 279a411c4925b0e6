//! A weighted choice that sticks: the same hash gets the same item, and changed weights move as few as possible.
//!
//! Weighted rendezvous hashing. Each item draws a number from the hash and its own identity, and the least of
//! `-ln(draw) / weight` wins. Cumulative weights would be as good for two items, but with more of them a change of
//! the first shifts the borders of all others, and users move between items whose weights did not change. Here
//! whoever moves goes to an item that grew against the one it leaves: 95/5 to 90/10 moves 5 %, and an item that is
//! added takes its share evenly from the others.

use crate::stable_hash::{mix, stable_hash};

/// Items with weights, at least one of them above zero.
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
    /// A split whose items are known by their place: users stay as long as the order stays.
    ///
    /// # Errors
    /// All weights are zero.
    pub fn new(items: Vec<(T, u32)>) -> Result<Self, SplitError> {
        let item = |(place, (value, weight)): (u64, (T, u32))| Item { value, weight, identity: mix(!place) };
        Self::of((0u64..).zip(items).map(item))
    }

    /// A split whose items are known by a name: users stay also when items are put in another order, added or taken
    /// away.
    ///
    /// # Errors
    /// All weights are zero.
    pub fn keyed(items: Vec<(T, u32)>, name: impl Fn(&T) -> &str) -> Result<Self, SplitError> {
        Self::of(items.into_iter().map(|(value, weight)| {
            let identity = stable_hash(0, name(&value).as_bytes());
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

    const KEYS: u64 = 100_000;

    fn picks(split: &WeightedSplit<&'static str>) -> Vec<&'static str> {
        (0..KEYS).map(|n| *split.pick(stable_hash(1, &n.to_le_bytes()))).collect()
    }

    fn keyed(items: &[(&'static str, u32)]) -> WeightedSplit<&'static str> {
        WeightedSplit::keyed(items.to_vec(), |name| name).unwrap()
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
            let picks = picks(&WeightedSplit::new(items.clone()).unwrap());
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
            assert_eq!(WeightedSplit::new(items).err(), Some(SplitError::ZeroTotal));
        }
    }

    #[test]
    fn an_extreme_hash_picks_an_item_with_weight() {
        let split = WeightedSplit::new(vec![("a", 0), ("b", u32::MAX), ("c", 0)]).unwrap();
        for hash in [0, 1, u64::MAX, 1 << 63] {
            assert_eq!(*split.pick(hash), "b");
        }
    }
}
