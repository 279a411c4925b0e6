//! Traffic that goes well and badly in streaks, of callers who are not alike.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::{Counts, Options, Trial, Verdict};

/// What the new side does worse, as a share of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) enum Harm {
    None,
    Failures(f64),
    Refusals(f64),
    Slowness(f64),
}

/// A source of windows.
pub(super) struct Traffic {
    random: StdRng,
    /// Requests of a window on the new side, on average; the known side has nineteen times as many.
    rate: f64,
    /// How bad the present streak is: 1 is usual.
    streak: f64,
    /// By how much the new side's callers are worse anyway.
    bias: f64,
}

impl Traffic {
    /// 1 % fail, 3 % are refused, 5 % are slow, times a streak that wanders between a third and three; the groups differ.
    pub(super) fn lively(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let rate = 30.0 + 170.0 * random.random::<f64>();
        let bias = 0.6 + 0.8 * random.random::<f64>();
        Self { random, rate, streak: 1.0, bias }
    }

    pub(super) fn beside(mut self, harm: Harm, windows: usize) -> Verdict {
        let mut trial = Trial::beside(Options::default());
        for _ in 0..12 {
            let (known, new) = self.pair(Harm::None);
            trial.lead(known, new);
        }
        for _ in 0..windows {
            let (known, new) = self.pair(harm);
            if let Some(verdict) = trial.push(known, new) {
                return verdict;
            }
        }
        trial.finish()
    }

    pub(super) fn after(mut self, harm: Harm, windows: usize) -> Verdict {
        let before: Vec<Counts> = (0..120).map(|_| self.pair(Harm::None).0).collect();
        let mut trial = Trial::after(Options::default(), &before);
        for _ in 0..windows {
            self.wander();
            let new = self.window(self.rate * 19.0, 1.0, harm);
            if let Some(verdict) = trial.push(Counts::default(), new) {
                return verdict;
            }
        }
        trial.finish()
    }

    fn pair(&mut self, harm: Harm) -> (Counts, Counts) {
        self.wander();
        (self.window(self.rate * 19.0, 1.0, Harm::None), self.window(self.rate, self.bias, harm))
    }

    fn wander(&mut self) {
        let step = 0.8 + 0.4 * self.random.random::<f64>();
        self.streak = (self.streak.powf(0.9) * step).clamp(1.0 / 3.0, 3.0);
    }

    fn window(&mut self, mean: f64, bias: f64, harm: Harm) -> Counts {
        let more = |share: f64, extra: f64| share + (1.0 - share) * extra;
        let bad = self.streak * bias;
        let (mut failed, mut refused, mut slow) = (0.01 * bad, 0.03 * bad, 0.05 * bad);
        match harm {
            Harm::None => {}
            Harm::Failures(extra) => failed = more(failed, extra),
            Harm::Refusals(extra) => refused = more(refused, extra),
            Harm::Slowness(extra) => slow = more(slow, extra),
        }
        let requests = self.poisson(mean);
        let mut counts = Counts { requests, ..Counts::default() };
        for (share, count) in [(failed, &mut counts.failed), (refused, &mut counts.refused), (slow, &mut counts.slow)] {
            *count = self.poisson(requests as f64 * share).min(requests);
        }
        counts
    }

    /// By products for small means (Knuth), else by a normal approximation.
    #[expect(clippy::cast_possible_truncation, reason = "a mean of a few thousand")]
    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            let normal: f64 = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
            return (mean + normal * mean.sqrt()).max(0.0).round() as u64;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.random.random::<f64>(), 0);
        while product > limit {
            product *= self.random.random::<f64>();
            count += 1;
        }
        count
    }
}
