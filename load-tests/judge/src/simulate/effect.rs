//! What a canary does worse, put into a measured pair.

use crate::random::Random;
use crate::sample::{Pair, Sample};
use crate::window::Failure;

/// A regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// None: twins.
    None,
    /// So many times δ more CPU per request.
    CpuByDelta(f64),
    /// So many times the CPU per request.
    Cpu(f64),
    /// So many times the memory.
    Memory(f64),
    /// So many times the memory that a connection adds.
    Rss(f64),
    /// This share of the requests takes so much longer that it is beyond the objective.
    Tail(f64),
    /// This share of the requests fails in this way.
    Failed(f64, Failure),
}

impl Effect {
    /// The pair with its canary worse. `delta` is that of CPU per request.
    #[must_use]
    pub fn on(self, pair: Pair, delta: f64, random: &mut Random) -> Pair {
        let Pair { baseline, mut canary } = pair;
        let times = |value: Option<f64>, ratio: f64| value.map(|value| value * ratio);
        match self {
            Self::None => {}
            Self::CpuByDelta(times_delta) => canary.cpu = times(canary.cpu, (times_delta * delta).exp()),
            Self::Cpu(ratio) => canary.cpu = times(canary.cpu, ratio),
            Self::Memory(ratio) => canary.memory = times(canary.memory, ratio),
            Self::Rss(ratio) => canary.rss = times(canary.rss, ratio),
            Self::Tail(share) => {
                let hit = hit(canary.requests.saturating_sub(canary.beyond), share, random);
                canary.beyond += hit;
            }
            Self::Failed(share, kind) => fail(&mut canary, share, kind, random),
        }
        Pair { baseline, canary }
    }
}

fn fail(canary: &mut Sample, share: f64, kind: Failure, random: &mut Random) {
    let sound = canary.requests.saturating_sub(canary.failed_in_all() + canary.refused);
    let hit = hit(sound, share, random);
    for (one, count) in Failure::ALL.into_iter().zip(&mut canary.failed) {
        *count += if one == kind { hit } else { 0 };
    }
    canary.beyond = canary.beyond.saturating_add(hit).min(canary.requests);
}

/// How many of so many are hit, each with the same chance.
fn hit(of: u64, share: f64, random: &mut Random) -> u64 {
    let mut hit = 0;
    // Between two that are hit, a geometric number is not.
    let mut at = 0.0;
    let scale = -(1.0 - share.clamp(0.0, 1.0 - 1e-12)).ln();
    if scale <= 0.0 {
        return 0;
    }
    loop {
        at += (random.exponential() / scale).floor() + 1.0;
        if at > of as f64 {
            return hit;
        }
        hit += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_hit_as_the_share_says() {
        let mut random = Random::new(1);
        let total: u64 = (0..1000).map(|_| hit(1000, 0.01, &mut random)).sum();
        // 10,000 expected, standard deviation 99.5.
        assert!((9_700..10_300).contains(&total), "{total}");
        assert_eq!(hit(1000, 0.0, &mut random), 0);
        assert!(hit(1000, 1.0, &mut random) >= 999);
    }

    #[test]
    fn only_the_canary_gets_worse_and_it_still_adds_up() {
        let side = Sample { requests: 1000, cpu: Some(10.0), memory: Some(50.0), rss: Some(5.0), ..Sample::default() };
        let pair = Pair { baseline: side, canary: side };
        let mut random = Random::new(2);
        for effect in [
            Effect::CpuByDelta(2.0),
            Effect::Cpu(1.1),
            Effect::Memory(1.1),
            Effect::Rss(1.1),
            Effect::Tail(0.5),
            Effect::Failed(0.5, Failure::Cut),
        ] {
            let worse = effect.on(pair, 0.1, &mut random);
            assert_eq!(worse.baseline, side);
            assert_ne!(worse.canary, side, "{effect:?}");
            assert!(worse.canary.failed_in_all() <= worse.canary.beyond && worse.canary.beyond <= 1000);
        }
        assert_eq!(Effect::None.on(pair, 0.1, &mut random), pair);
    }
}
