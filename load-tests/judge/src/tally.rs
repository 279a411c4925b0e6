//! One gate so far.

use portcullis_trial::evidence;

/// How often the canary was worse than δ, how often better, and how often neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) pairs: u32,
    pub(crate) worse: u32,
    pub(crate) better: u32,
}

impl Tally {
    pub(crate) fn push(&mut self, worse_by: f64, margin: f64) {
        self.pairs = self.pairs.saturating_add(1);
        self.worse = self.worse.saturating_add(u32::from(worse_by > margin));
        self.better = self.better.saturating_add(u32::from(worse_by < -margin));
    }

    /// The evidence that a ratio exceeds its margin in more than half of all pairs.
    pub(crate) fn harm_by_ratio(&self) -> f64 {
        evidence(self.pairs, self.worse)
    }

    /// The evidence that, of the pairs that differ at all, the canary is worse in more than half. Most pairs have no failure on either
    /// side; were they counted as not worse, a canary that alone fails in a third of the windows would never be found. Of twins each
    /// is as likely the worse one of a pair that differs, whatever was seen before, so pairs that do not differ leave the test as it is.
    pub(crate) fn harm_by_share(&self) -> f64 {
        evidence(self.worse.saturating_add(self.better), self.worse)
    }

    /// The evidence that the canary is not worse in more than half of all pairs.
    pub(crate) fn soundness(&self) -> f64 {
        evidence(self.pairs, self.pairs.saturating_sub(self.worse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_without_a_difference_leave_shares_as_they_are() {
        let mut tally = Tally::default();
        (0..14).for_each(|_| tally.push(0.5, 0.0));
        let before = tally.harm_by_share();
        (0..100).for_each(|_| tally.push(0.0, 0.0));
        assert!((tally.harm_by_share() - before).abs() < 1e-9);
        assert!(tally.harm_by_ratio() < 1.0);
        assert!(tally.soundness() > 1e6);
        (0..14).for_each(|_| tally.push(-0.5, 0.0));
        assert!(tally.harm_by_share() < 1.0);
    }
}
