//! What a window must exceed to be beyond.

/// How many windows a range is told from at most; later ones do not count.
const MOST: usize = 512;

/// Numbers, of which a quantile is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Range(Vec<f64>);

impl Range {
    pub(crate) fn push(&mut self, value: f64) {
        if self.0.len() < MOST {
            let at = self.0.partition_point(|one| *one < value);
            self.0.insert(at, value);
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest number that at least this share of them does not exceed; `None` where there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among at most 512"
    )]
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        let rank = (share.clamp(0.0, 1.0) * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1).min(last)).copied()
    }
}

/// By how much two groups differ although the same is done to them: told from a few differences.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Difference {
    count: u32,
    mean: f64,
    /// Sum of squared distances from the mean (Welford 1962).
    squares: f64,
}

/// Standard errors that a difference is taken to be larger than it looks.
const ERRORS: f64 = 3.0;

impl Difference {
    pub(crate) fn push(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        let from_old = value - self.mean;
        self.mean += from_old / f64::from(self.count);
        self.squares += from_old * (value - self.mean);
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// What the difference is at most, but for bad luck; 0 where nothing was seen.
    pub(crate) fn at_most(&self) -> f64 {
        let count = f64::from(self.count);
        if self.count < 2 {
            return self.mean.max(0.0);
        }
        (self.mean + ERRORS * (self.squares / (count - 1.0) / count).sqrt()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_its_mean_and_three_standard_errors() {
        let of = |values: &[f64]| {
            let mut difference = Difference::default();
            values.iter().for_each(|value| difference.push(*value));
            difference.at_most()
        };
        assert!((of(&[]) - 0.0).abs() < 1e-12);
        assert!((of(&[0.5]) - 0.5).abs() < 1e-12);
        assert!((of(&[0.25; 9]) - 0.25).abs() < 1e-12);
        // Mean 0.2, standard deviation 0.1, of four: a standard error of 0.05.
        let spread = 0.1 * (3.0_f64 / 4.0).sqrt();
        assert!((of(&[0.2 - spread, 0.2 + spread, 0.2 - spread, 0.2 + spread]) - 0.35).abs() < 1e-9);
        assert!(
            (of(&[-0.5; 9]) - 0.0).abs() < 1e-12,
            "the new side's callers may be better, and no margin is below what is asked"
        );
    }

    #[test]
    fn a_quantile_is_one_of_the_numbers() {
        let mut range = Range::default();
        assert_eq!(range.quantile(0.5), None);
        [3.0, 1.0, 2.0, 4.0].into_iter().for_each(|one| range.push(one));
        for (share, expected) in [(0.0, 1.0), (0.25, 1.0), (0.26, 2.0), (0.5, 2.0), (0.95, 4.0), (1.0, 4.0)] {
            assert_eq!(range.quantile(share), Some(expected), "{share}");
        }
    }
}
