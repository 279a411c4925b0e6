//! Latencies as counts of values, so that windows can be put together.

use serde::{Deserialize, Serialize};

/// How many requests took how long: pairs of nanoseconds and a count, ascending. Who measures decides how fine it is; two
/// digits (an `hdrhistogram` of two, by `iter_recorded`) are enough for curves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Histogram(Vec<(u64, u64)>);

impl Histogram {
    /// Of values in nanoseconds with their counts, in any order.
    pub fn new(values: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut values: Vec<(u64, u64)> = values.into_iter().filter(|(_, count)| *count > 0).collect();
        values.sort_unstable();
        values.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(later.1);
            }
            same
        });
        Self(values)
    }

    /// All of several.
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::new(parts.into_iter().flat_map(|part| part.0.iter().copied()))
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest value, in nanoseconds, that at least this share of them does not exceed; `None` where there are none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among at most as many as there are"
    )]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((share.clamp(0.0, 1.0) * self.len() as f64).ceil() as u64).max(1);
        let mut below = 0_u64;
        for (value, count) in &self.0 {
            below = below.saturating_add(*count);
            if below >= rank {
                return Some(*value);
            }
        }
        self.0.last().map(|(value, _)| *value)
    }

    /// Values with their counts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl From<Vec<(u64, u64)>> for Histogram {
    fn from(values: Vec<(u64, u64)>) -> Self {
        Self::new(values)
    }
}

impl From<Histogram> for Vec<(u64, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_value_of_its_rank() {
        let histogram = Histogram::new([(30, 1), (10, 2), (20, 6), (10, 1), (99, 0)]);
        assert_eq!(histogram.len(), 10);
        for (share, expected) in [(0.0, 10), (0.3, 10), (0.31, 20), (0.9, 20), (0.91, 30), (1.0, 30)] {
            assert_eq!(histogram.quantile(share), Some(expected), "{share}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn parts_add_up() {
        let (one, other) = (Histogram::new([(1, 2), (3, 1)]), Histogram::new([(3, 4)]));
        assert_eq!(Histogram::merged([&one, &other]), Histogram::new([(1, 2), (3, 5)]));
    }
}
