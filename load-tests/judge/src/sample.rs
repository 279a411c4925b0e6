//! The numbers of a window that decide.

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::window::{Failure, Side, Window};

/// One side of one window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, beyond the objective.
    pub beyond: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of these, failed, in the order of [`Failure::ALL`].
    pub failed: [u64; Failure::ALL.len()],
    /// CPU time per request in nanoseconds.
    pub cpu: Option<f64>,
    /// Memory of the process in bytes.
    pub memory: Option<f64>,
    /// What a held connection adds to it, in bytes.
    pub rss: Option<f64>,
}

impl Sample {
    /// Of a window.
    #[must_use]
    pub fn of(window: &Window) -> Self {
        Self {
            requests: window.requests,
            beyond: window.beyond_slo,
            refused: window.refused,
            failed: Failure::ALL.map(|kind| window.failed.get(&kind).copied().unwrap_or_default()),
            cpu: window.cpu_per_request(),
            memory: window.rss(),
            rss: window.rss_per_connection(),
        }
    }

    /// Those that failed in one way.
    #[must_use]
    pub fn failed_by(&self, kind: Failure) -> u64 {
        Failure::ALL.into_iter().zip(self.failed).find_map(|(one, count)| (one == kind).then_some(count)).unwrap_or(0)
    }

    /// Those that failed in any way.
    #[must_use]
    pub fn failed_in_all(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// A count as a share of the requests; `None` where there were none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
    pub fn share(&self, count: u64) -> Option<f64> {
        (self.requests > 0).then(|| count as f64 / self.requests as f64)
    }

    /// As if only this many of its requests had been looked at, drawn without replacement. Two sides that are given
    /// different shares of the traffic are compared by equally many requests: of the larger one more windows have a rare event in them.
    #[must_use]
    pub fn thinned(&self, to: u64, random: &mut Random) -> Self {
        if to >= self.requests {
            return *self;
        }
        let mut draw = |count: u64| hypergeometric(count, self.requests, to, random);
        Self {
            requests: to,
            beyond: draw(self.beyond),
            refused: draw(self.refused),
            failed: self.failed.map(&mut draw),
            ..*self
        }
    }
}

/// How many of `marked` among `all` are among `drawn`.
#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn hypergeometric(marked: u64, all: u64, drawn: u64, random: &mut Random) -> u64 {
    let mut taken = 0;
    for gone in 0..marked.min(all) {
        let chance = drawn.saturating_sub(taken) as f64 / all.saturating_sub(gone) as f64;
        taken += u64::from(random.unit() < chance);
    }
    taken
}

/// A window of each side, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pair {
    /// Of what is known.
    pub baseline: Sample,
    /// Of what is judged; in an A/A leg of the baseline as well.
    pub canary: Sample,
}

impl Pair {
    /// With the sides exchanged: as likely as it is where they do not differ, since their order is random.
    #[must_use]
    pub const fn exchanged(self) -> Self {
        Self { baseline: self.canary, canary: self.baseline }
    }

    /// One of the sides.
    #[must_use]
    pub const fn side(&self, side: Side) -> &Sample {
        match side {
            Side::Baseline => &self.baseline,
            Side::Canary => &self.canary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_shares_on_average_and_never_exceeds() {
        let sample = Sample { requests: 1000, beyond: 300, refused: 1000, ..Sample::default() };
        let mut random = Random::new(3);
        let thinned: Vec<Sample> = (0..500).map(|_| sample.thinned(100, &mut random)).collect();
        assert!(thinned.iter().all(|one| one.requests == 100 && one.beyond <= 100 && one.refused == 100));
        let mean = thinned.iter().map(|one| one.beyond).sum::<u64>() as f64 / 500.0;
        // Standard error 0.19.
        assert!((mean - 30.0).abs() < 0.8, "{mean}");
        assert_eq!(sample.thinned(1000, &mut random), sample);
    }
}
