//! What a window must exceed to be beyond.

/// How many windows from before count at most, the first ones.
const MOST: usize = 512;

/// Shares from before the change, as what comes after is held against them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    /// How many.
    count: usize,
    /// What nearly all of them did not exceed.
    usual: f64,
    /// What most of them did not exceed.
    mostly: f64,
    /// How many of the first so many exceeded that by the margin.
    beyond: Vec<usize>,
}

/// The share of windows from before that the usual share lies above.
const USUAL: f64 = 0.95;
/// The same for what lasts.
const MOSTLY: f64 = 0.75;

impl Before {
    /// Of the shares in the order they came, and the margin above them.
    pub(crate) fn new(shares: &[f64], margin: f64) -> Self {
        let shares = shares.get(..MOST).unwrap_or(shares);
        let mut sorted = shares.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let [usual, mostly] = [USUAL, MOSTLY].map(|share| quantile(&sorted, share));
        let count = |so_far: &mut usize, share: &f64| {
            *so_far += usize::from(*share > mostly + margin);
            Some(*so_far)
        };
        let beyond = [0].into_iter().chain(shares.iter().scan(0, count)).collect();
        Self { count: shares.len(), usual, mostly, beyond }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// What 95 of 100 windows did not exceed, and what 75 did not.
    pub(crate) const fn limits(&self) -> [f64; 2] {
        [self.usual, self.mostly]
    }

    /// How many of `length` windows that follow each other were beyond what was so mostly, at most, in any stretch. Where
    /// there are fewer than `length`, as many more as their share of all is.
    pub(crate) fn most_beyond(&self, length: usize) -> usize {
        let all = self.beyond.last().copied().unwrap_or(0);
        if self.count < length {
            return (all * length).div_ceil(self.count.max(1));
        }
        let ends = self.beyond.iter().skip(length);
        ends.zip(&self.beyond).map(|(end, start)| end - start).max().unwrap_or(0)
    }
}

/// The smallest of sorted numbers that at least this share of them does not exceed; 0 where there are none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among at most 512"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
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
        assert!((quantile(&[], 0.5) - 0.0).abs() < 1e-12);
        for (share, expected) in [(0.0, 1.0), (0.25, 1.0), (0.26, 2.0), (0.5, 2.0), (0.95, 4.0), (1.0, 4.0)] {
            assert!((quantile(&[1.0, 2.0, 3.0, 4.0], share) - expected).abs() < 1e-12, "{share}");
        }
    }

    #[test]
    fn the_worst_stretch_is_told_in_the_order_of_time() {
        let before = Before::new(&[0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], 0.02);
        assert_eq!(before.limits(), [1.0, 0.0]);
        for (length, expected) in [(0, 0), (1, 1), (2, 2), (8, 2), (9, 3), (12, 3), (24, 6), (25, 7)] {
            assert_eq!(before.most_beyond(length), expected, "{length}");
        }
        assert_eq!(Before::new(&[0.5; 9], 0.02).most_beyond(5), 0);
        assert_eq!(Before::default().most_beyond(5), 0);
    }
}
