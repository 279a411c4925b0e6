//! Medians, and how sure one can be of them.

use std::fmt;

use crate::random::Random;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 4000;

/// A median with the interval that holds it in 95 of 100 resamples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// Of these values; `None` when there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut random = Random::new(7);
        let mut medians = Vec::with_capacity(RESAMPLES);
        let mut sample = Vec::with_capacity(values.len());
        for _ in 0..RESAMPLES {
            sample.clear();
            sample.extend((0..values.len()).filter_map(|_| values.get(random.below(values.len())).copied()));
            medians.push(median(&mut sample)?);
        }
        medians.sort_by(f64::total_cmp);
        let at = |per_mille: usize| medians.get(medians.len() * per_mille / 1000).copied();
        Some(Self { median: median(&mut values.to_vec())?, low: at(25)?, high: at(975)? })
    }
}

impl fmt::Display for Estimate {
    /// As `25.41 [25.20, 25.77]`, with the precision that the format asks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.median, self.low, self.high)
    }
}

/// The median; the values are sorted on the way.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values.get(values.len() / 2 - 1).map(|lower| f64::midpoint(*lower, upper))
}

/// The largest value.
#[must_use]
pub fn largest(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        for (values, expected) in
            [(vec![], None), (vec![3.0], Some(3.0)), (vec![9.0, 1.0, 2.0], Some(2.0)), (vec![4.0, 1.0], Some(2.5))]
        {
            assert_eq!(median(&mut values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_more_values() {
        let spread = |count: u32| -> Vec<f64> { (0..count).map(|n| f64::from(n * 7919 % 101)).collect() };
        let (few, many) = (Estimate::of(&spread(10)).unwrap(), Estimate::of(&spread(1000)).unwrap());
        for estimate in [few, many] {
            assert!(estimate.low <= estimate.median && estimate.median <= estimate.high, "{estimate:?}");
        }
        assert!(many.high - many.low < (few.high - few.low) / 2.0, "{few:?} {many:?}");
        assert_eq!(Estimate::of(&[]), None);
    }
}
