//! The judge is judged: runs drawn from measured noise, with and without a regression put in.

mod effect;
mod noise;

pub use effect::Effect;
pub use noise::{BadNoise, Draw, Noise};

use crate::judge::{Judge, Step};
use crate::random::Random;
use crate::rules::{BadRules, Rules};
use crate::sample::Pair;
use crate::verdict::Verdict;

/// How many of so many runs ended how.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcomes {
    /// Runs.
    pub runs: u32,
    /// With FAIL.
    pub failed: u32,
    /// With PASS.
    pub passed: u32,
    /// With INCONCLUSIVE.
    pub inconclusive: u32,
    /// With INVALID.
    pub invalid: u32,
    /// The median of δ of CPU per request, as a logarithm of a ratio.
    pub delta: Option<f64>,
    /// The median of the pairs that a FAIL took.
    pub pairs: Option<f64>,
    /// The mean of all pairs of a run, those of its A/A leg too: what it costs in time.
    pub pairs_in_all: f64,
}

/// Whole runs, A/A leg and comparison, of a canary with this effect.
///
/// # Errors
///
/// When the rules cannot be kept.
pub fn runs(rules: &Rules, noise: &Noise, effect: Effect, count: u32, seed: u64) -> Result<Outcomes, BadRules> {
    let mut outcomes = Outcomes { runs: count, ..Outcomes::default() };
    let (mut deltas, mut pairs) = (Vec::new(), Vec::new());
    for number in 0..u64::from(count) {
        let seed = seed.wrapping_add(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let judge = run(rules, noise.draw(), effect, seed)?;
        let (verdict, delta) = judge.outcome();
        deltas.extend(delta);
        outcomes.pairs_in_all += (judge.twins.len() + judge.pairs.len()) as f64 / f64::from(count.max(1));
        match verdict {
            Verdict::Pass => outcomes.passed += 1,
            Verdict::Fail(_) => {
                outcomes.failed += 1;
                pairs.push(judge.pairs.len() as f64);
            }
            Verdict::Inconclusive => outcomes.inconclusive += 1,
            Verdict::Invalid => outcomes.invalid += 1,
        }
    }
    outcomes.delta = crate::stats::median(&mut deltas);
    outcomes.pairs = crate::stats::median(&mut pairs);
    Ok(outcomes)
}

/// One run to its end.
fn run(rules: &Rules, mut twins: Draw<'_>, effect: Effect, seed: u64) -> Result<Judge, BadRules> {
    let mut judge = Judge::new(rules.clone(), seed)?;
    let mut random = Random::new(seed ^ 0x5851_f42d_4c95_7f2d);
    // What a doubling of δ comes to is known when the A/A leg is over.
    let mut delta = 0.0;
    loop {
        let pair = twins.next_pair(&mut random);
        match judge.step() {
            Step::Twins(_) => judge.push(pair),
            Step::Compare(_) => {
                if delta == 0.0 {
                    delta = judge.outcome().1.unwrap_or(rules.least_margin);
                }
                judge.push(effect.on(pair, delta, &mut random));
            }
            Step::End => return Ok(judge),
        }
    }
}

/// Runs of twins that end with FAIL, of so many: whole runs, drawn in blocks from an A/A leg. Each draws an A/A leg of its own, which
/// sets its margins; were the measured ones used, none of the pairs that set them could ever lie beyond.
pub(crate) fn false_alarms(rules: &Rules, twins: &[Pair], runs: u32, seed: u64) -> u32 {
    let rules = Rules { resamples: rules.resamples.min(4000), ..rules.clone() };
    let alarm = |number: &u32| {
        let ended = run(&rules, Draw::of(twins), Effect::None, seed ^ (u64::from(*number) << 32));
        ended.is_ok_and(|judge| matches!(judge.outcome().0, Verdict::Fail(_)))
    };
    u32::try_from((0..runs).filter(alarm).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
