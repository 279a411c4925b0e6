//! The judge: an A/A leg, then the comparison.

use crate::comparison::{Comparison, Decision, Margin};
use crate::gate::Gate;
use crate::judgement::{self, Finding, Judgement};
use crate::margin::{LEAST_TWINS, usual_distance};
use crate::random::Random;
use crate::rules::{BadRules, Rules};
use crate::sample::Pair;
use crate::tally::Tally;
use crate::verdict::{Remedy, Verdict};
use crate::window::Side;

/// What is to be measured next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A pair of the A/A leg: the baseline in both places, this place first.
    Twins(Side),
    /// A pair of the comparison, this side first.
    Compare(Side),
    /// Nothing.
    End,
}

/// Why a run ended as it did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Decided(Decision),
    /// All pairs are used.
    Cap,
    Invalid(String),
}

/// A run under way. See the crate's text.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(crate) rules: Rules,
    pub(crate) seed: u64,
    order: Random,
    first: Side,
    pub(crate) twins: Vec<Pair>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) invalid: u32,
    pub(crate) ending: Option<Ending>,
    /// Why something that was asked for besides cannot be told.
    pub(crate) untold: Option<String>,
}

impl Judge {
    /// A judge that has seen nothing.
    ///
    /// # Errors
    ///
    /// When the rules cannot be kept.
    pub fn new(rules: Rules, seed: u64) -> Result<Self, BadRules> {
        rules.check()?;
        let mut judge = Self {
            rules,
            seed,
            order: Random::new(seed),
            first: Side::Baseline,
            twins: Vec::new(),
            pairs: Vec::new(),
            comparison: None,
            invalid: 0,
            ending: None,
            untold: None,
        };
        judge.draw();
        Ok(judge)
    }

    fn draw(&mut self) {
        self.first = if self.order.unit() < 0.5 { Side::Baseline } else { Side::Canary };
    }

    /// What is to be measured next.
    #[must_use]
    pub const fn step(&self) -> Step {
        match (&self.ending, &self.comparison) {
            (Some(_), _) => Step::End,
            (None, None) => Step::Twins(self.first),
            (None, Some(_)) => Step::Compare(self.first),
        }
    }

    /// How many valid pairs are still to come, at most.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        match self.ending {
            Some(_) => 0,
            None => (self.rules.twins + self.rules.pairs_max).saturating_sub(self.twins_seen() + self.pairs_seen()),
        }
    }

    /// Pairs of the A/A leg so far.
    #[must_use]
    pub fn twins_seen(&self) -> u32 {
        u32::try_from(self.twins.len()).unwrap_or(u32::MAX)
    }

    /// Pairs of the comparison so far.
    #[must_use]
    pub fn pairs_seen(&self) -> u32 {
        u32::try_from(self.pairs.len()).unwrap_or(u32::MAX)
    }

    /// Pairs that could not be measured so far.
    #[must_use]
    pub const fn skipped(&self) -> u32 {
        self.invalid
    }

    /// A pair that was asked for by [`Self::step`]. Nothing is done with one that comes after the end.
    pub fn push(&mut self, pair: Pair) {
        self.draw();
        if self.ending.is_some() {
            return;
        }
        let Some(comparison) = &mut self.comparison else {
            self.twins.push(pair);
            if self.twins.len() >= self.rules.twins as usize {
                self.begin();
            }
            return;
        };
        self.pairs.push(pair);
        let decision = comparison.push(&pair).map(Ending::Decided);
        let cap = comparison.pairs() >= self.rules.pairs_max;
        self.ending = decision.or_else(|| cap.then_some(Ending::Cap));
    }

    /// A pair was asked for and could not be measured, even after trying again.
    pub fn skip(&mut self, why: &str) {
        self.draw();
        self.invalid = self.invalid.saturating_add(1);
        let planned = f64::from(self.rules.twins + self.rules.pairs_max);
        if self.ending.is_none() && f64::from(self.invalid) > self.rules.most_invalid * planned {
            self.ending =
                Some(Ending::Invalid(format!("{} pairs could not be measured; the last: {why}", self.invalid)));
        }
    }

    /// The run cannot go on.
    pub fn abandon(&mut self, why: &str) {
        self.ending.get_or_insert_with(|| Ending::Invalid(why.to_owned()));
    }

    /// What was asked for besides could not be measured: harm that is shown by anything else stands, and what is no harm is invalid.
    pub fn cannot_tell(&mut self, why: &str) {
        self.untold.get_or_insert_with(|| why.to_owned());
    }

    /// Sets the margins, unless twins differ.
    fn begin(&mut self) {
        let margins = margins(&self.rules, &self.twins);
        if let Some(why) = Gate::all().into_iter().find_map(|gate| unknown(&self.rules, &self.twins, gate)) {
            self.ending = Some(Ending::Invalid(why));
        } else if let Some(gate) = differing(&self.rules, &margins, &self.twins) {
            self.ending = Some(Ending::Invalid(format!(
                "the baseline differs from itself in {gate}: something else than the build tells the two places apart"
            )));
        }
        self.comparison = Some(Comparison::new(self.rules.clone(), &margins, self.seed ^ 0x9e37_79b9));
    }

    /// The verdict alone, and δ of CPU per request once it is known: what a simulation asks for.
    pub(crate) fn outcome(&self) -> (Verdict, Option<f64>) {
        let verdict = match &self.ending {
            Some(Ending::Decided(Decision::Harm(_) | Decision::Unserved)) => Verdict::Fail(Remedy::Rollback),
            Some(Ending::Decided(Decision::Sound)) => Verdict::Pass,
            Some(Ending::Invalid(_)) => Verdict::Invalid,
            Some(Ending::Cap) | None => Verdict::Inconclusive,
        };
        let gates = self.comparison.as_ref().map(Comparison::gates).unwrap_or_default();
        let delta = gates.iter().find_map(|(margin, _)| (margin.gate == Gate::Cpu).then_some(margin.delta));
        (verdict, delta)
    }

    /// The verdict on what was seen so far, with what was found without windows.
    #[must_use]
    pub fn judgement(&self, findings: Vec<Finding>) -> Judgement {
        judgement::of(self, findings)
    }
}

/// The margins of what is judged.
pub(crate) fn margins(rules: &Rules, twins: &[Pair]) -> Vec<Margin> {
    Gate::all().into_iter().filter(|gate| rules.judges(*gate)).filter_map(|gate| margin(rules, twins, gate)).collect()
}

/// The margins of what is only shown.
pub(crate) fn shown(rules: &Rules, twins: &[Pair]) -> Vec<Margin> {
    Gate::all().into_iter().filter(|gate| !rules.judges(*gate)).filter_map(|gate| margin(rules, twins, gate)).collect()
}

/// By how much twins differ, of those that tell.
fn differences(rules: &Rules, twins: &[Pair], gate: Gate) -> Vec<f64> {
    twins.iter().filter_map(|pair| rules.worse_by(gate, pair)).collect()
}

/// Why the A/A leg does not say enough of a gate that decides. One of which no twin has a value is left out instead, unless its values
/// can be read.
fn unknown(rules: &Rules, twins: &[Pair], gate: Gate) -> Option<String> {
    if !gate.is_ratio() || !rules.judges(gate) {
        return None;
    }
    let told = differences(rules, twins, gate).len();
    // A server that keeps no connection has no memory for one, whatever can be read of it.
    let expected = rules.cost_only || (rules.costs_known && gate != Gate::Rss);
    if told >= LEAST_TWINS || (told == 0 && !expected) {
        return None;
    }
    let unserved = twins.iter().filter(|pair| rules.is_unserved(&pair.baseline) || rules.is_unserved(&pair.canary));
    let unserved = unserved.count();
    let mut why = format!("only {told} of {} twins say something of {gate}, and {LEAST_TWINS} are needed", twins.len());
    if rules.cost_only && unserved > 0 {
        let most = rules.most_unserved * 100.0;
        why.push_str(&format!("; in {unserved} of them more than {most:.1} % of the requests failed or were refused"));
    }
    if gate == Gate::Rss {
        why.push_str(
            "; in the others held connections were closed, or added nothing: without any this gate is left out",
        );
    }
    Some(why)
}

/// The margin that twins set; `None` where too few of them tell.
fn margin(rules: &Rules, twins: &[Pair], gate: Gate) -> Option<Margin> {
    let delta = match gate {
        Gate::Cpu | Gate::Memory | Gate::Rss => {
            let differences = differences(rules, twins, gate);
            let enough = differences.len() >= LEAST_TWINS;
            let least = if gate == Gate::Memory { rules.least_memory_margin } else { rules.least_margin };
            enough.then(|| usual_distance(&differences).max(least))?
        }
        Gate::Slo | Gate::SloTotal => rules.slo_margin,
        Gate::Refused | Gate::Failed(_) => 0.0,
    };
    Some(Margin { gate, delta })
}

/// A gate in which one of the twins is the worse one too often for chance.
fn differing(rules: &Rules, margins: &[Margin], twins: &[Pair]) -> Option<Gate> {
    // Two sides of each gate.
    let enough = 2.0 * margins.len() as f64 / rules.alpha;
    margins.iter().map(|margin| margin.gate).find(|gate| {
        let delta = match gate {
            Gate::Cpu | Gate::Memory | Gate::Rss => rules.least_margin,
            Gate::Slo | Gate::SloTotal => rules.slo_margin,
            Gate::Refused | Gate::Failed(_) => 0.0,
        };
        let (mut ahead, mut behind) = (Tally::default(), Tally::default());
        for worse_by in differences(rules, twins, *gate) {
            ahead.push(worse_by, delta);
            behind.push(-worse_by, delta);
        }
        let harm = |tally: &Tally| if gate.is_ratio() { tally.harm_by_ratio() } else { tally.harm_by_share() };
        harm(&ahead).max(harm(&behind)) >= enough
    })
}

#[cfg(test)]
mod tests;
