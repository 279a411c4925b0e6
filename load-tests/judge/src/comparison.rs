//! The canary against its baseline, with margins that are known.

use crate::bootstrap::{self, Bounds, Count, Levels};
use crate::gate::Gate;
use crate::random::Random;
use crate::rules::Rules;
use crate::sample::{Pair, Sample};
use crate::tally::Tally;

/// The chance that the true excess lies above the bound that a PASS must prove.
const PASS_LEVEL: f64 = 0.05;

/// The evidence that a canary alone leaves requests unserved, where cost alone is judged. It adds a thousandth to the chance of a false
/// alarm.
const UNSERVED: f64 = 1000.0;

/// Of so many pairs a gate may miss one for a PASS: what is known of too few says nothing of the rest.
const MAY_MISS: u32 = 10;

/// A gate with its δ: a logarithm of a ratio, or a difference of shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Margin {
    pub(crate) gate: Gate,
    pub(crate) delta: f64,
}

/// How a comparison ends before its cap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Decision {
    /// This gate found harm.
    Harm(Gate),
    /// Cost alone is judged, and it is the canary that fails or refuses requests.
    Unserved,
    /// No gate did, and all prove the contrary.
    Sound,
}

/// A comparison under way.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    rules: Rules,
    gates: Vec<(Margin, Tally)>,
    beyond: Vec<(Count, Count)>,
    random: Random,
    pairs: u32,
    /// Pairs in which one side alone left requests unserved, where cost alone is judged.
    pub(crate) unserved: Tally,
    /// The excess beyond the objective, as of the last look at the totals.
    pub(crate) excess: Option<Bounds>,
}

impl Comparison {
    pub(crate) fn new(rules: Rules, margins: &[Margin], seed: u64) -> Self {
        let gates = margins.iter().map(|margin| (*margin, Tally::default())).collect();
        Self {
            rules,
            gates,
            beyond: Vec::new(),
            random: Random::new(seed),
            pairs: 0,
            unserved: Tally::default(),
            excess: None,
        }
    }

    /// How many pairs were compared.
    pub(crate) const fn pairs(&self) -> u32 {
        self.pairs
    }

    /// The gates with their margins and how they stand.
    pub(crate) fn gates(&self) -> &[(Margin, Tally)] {
        &self.gates
    }

    /// The evidence of harm that is asked for.
    pub(crate) fn enough(&self) -> f64 {
        self.gates.len() as f64 / self.rules.alpha
    }

    /// A pair. Answers when nothing more needs to be measured.
    pub(crate) fn push(&mut self, pair: &Pair) -> Option<Decision> {
        self.pairs = self.pairs.saturating_add(1);
        self.beyond.push((beyond(&pair.baseline), beyond(&pair.canary)));
        for (Margin { gate, delta }, tally) in &mut self.gates {
            if let Some(worse_by) = self.rules.worse_by(*gate, pair) {
                tally.push(worse_by, *delta);
            }
        }
        if self.rules.cost_only {
            let unserved = |sample: &Sample| f64::from(u8::from(self.rules.is_unserved(sample)));
            self.unserved.push(unserved(&pair.canary) - unserved(&pair.baseline), 0.0);
        }
        let enough = self.enough();
        let harmed = self.gates.iter().filter(|(margin, _)| margin.gate != Gate::SloTotal);
        let worst = harmed.max_by(|one, other| harm(one).total_cmp(&harm(other)));
        if let Some((margin, _)) = worst.filter(|one| harm(one) >= enough) {
            return Some(Decision::Harm(margin.gate));
        }
        if self.unserved.harm_by_share() >= UNSERVED {
            return Some(Decision::Unserved);
        }
        if !self.rules.is_look(self.pairs) {
            return None;
        }
        if self.rules.judges(Gate::SloTotal) {
            self.look();
        }
        if self.excess.is_some_and(|bounds| bounds.low > self.rules.slo_margin) {
            return Some(Decision::Harm(Gate::SloTotal));
        }
        self.is_sound().then_some(Decision::Sound)
    }

    /// Looks at the totals: the chance of each look adds up to what the gate may spend.
    fn look(&mut self) {
        let levels = Levels { low: 1.0 / self.enough() / f64::from(self.rules.looks()), high: PASS_LEVEL };
        self.excess = bootstrap::excess(&self.beyond, levels, self.rules.resamples, &mut self.random);
    }

    /// Whether too many pairs say nothing of a gate.
    pub(crate) const fn is_missed(&self, tally: &Tally) -> bool {
        self.pairs.saturating_sub(tally.pairs) > self.pairs / MAY_MISS
    }

    fn is_sound(&self) -> bool {
        let gates = self.gates.iter().all(|one| {
            let (Margin { gate, delta }, tally) = one;
            match gate {
                Gate::SloTotal => self.excess.is_some_and(|bounds| bounds.high <= self.rules.slo_pass),
                Gate::Cpu | Gate::Memory | Gate::Rss if *delta > self.rules.most_margin => false,
                Gate::Cpu | Gate::Memory | Gate::Rss if self.is_missed(tally) => false,
                Gate::Cpu | Gate::Memory | Gate::Rss | Gate::Slo | Gate::Refused | Gate::Failed(_) => {
                    tally.soundness() >= self.rules.sound && harm(one) < self.rules.doubt
                }
            }
        });
        gates && self.pairs >= self.rules.pairs_least
    }
}

/// The evidence of harm of a gate.
pub(crate) fn harm((margin, tally): &(Margin, Tally)) -> f64 {
    if margin.gate.is_ratio() { tally.harm_by_ratio() } else { tally.harm_by_share() }
}

pub(crate) const fn beyond(sample: &Sample) -> Count {
    Count { part: sample.beyond, whole: sample.requests }
}
