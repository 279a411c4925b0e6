//! How sure a judge is to be, and what it lets pass.

use serde::{Deserialize, Serialize};

use crate::gate::Gate;
use crate::sample::{Pair, Sample};
use crate::window::{Limits, Side};

/// What a side must keep by itself, whatever the other does. `None` asks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Criteria {
    /// The share of requests that may fail.
    pub failed: Option<f64>,
    /// The share of requests that may be beyond the objective.
    pub beyond_slo: Option<f64>,
}

/// The rules of a judge. The defaults are those whose false alarms and finds `docs/canary.md` tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// The chance at most of a FAIL where the canary is no worse than the margins.
    pub alpha: f64,
    /// The evidence of soundness that a PASS wants on every gate.
    pub sound: f64,
    /// The evidence of harm from which on there is no PASS.
    pub doubt: f64,
    /// The least δ of CPU per request and memory per connection, as a logarithm of a ratio.
    pub least_margin: f64,
    /// The least δ of memory in all. Where the A/A leg is of one process alone, it does not know by how much two of a build differ.
    pub least_memory_margin: f64,
    /// The largest δ that a PASS may have: above it twins differ too much for a PASS to mean something.
    pub most_margin: f64,
    /// The share of requests that a canary may have beyond the objective more than its baseline, without harm.
    pub slo_margin: f64,
    /// The same as an upper bound that a PASS must prove, over all windows together.
    pub slo_pass: f64,
    /// Pairs of the A/A leg. Of 19 the largest difference is the 95 % range; fewer cannot tell it.
    pub twins: u32,
    /// Pairs of the comparison until a PASS, at least.
    pub pairs_least: u32,
    /// Pairs of the comparison at most.
    pub pairs_max: u32,
    /// Pairs from one look at the totals to the next.
    pub look_every: u32,
    /// Resamples of a bootstrap.
    pub resamples: u32,
    /// What a machine may do wrong until a window is invalid.
    pub limits: Limits,
    /// Share of the pairs that may be invalid until the whole run is.
    pub most_invalid: f64,
    /// Instructions per request that a canary may need, as a ratio to its baseline's.
    pub instructions: f64,
    /// What each side must keep by itself.
    pub criteria: Criteria,
    /// Whether the canary can no longer be taken back: it wrote data that the baseline does not read, say.
    pub irreversible: bool,
    /// Whether CPU per request alone is judged and the rest is only shown: both sides run at the same moment, so latency and
    /// what follows from it are also the other side's doing.
    pub cost_only: bool,
    /// The share of a window's requests that may fail or be refused where cost alone is judged: what a refusal costs is not what an
    /// answer costs.
    pub most_unserved: f64,
    /// Whether CPU and memory can be read of both sides, since both are processes of this machine. What is missing then was lost, and the
    /// run is invalid or has no PASS; else a gate of which no twin has a value is left out.
    pub costs_known: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            sound: 20.0,
            doubt: 3.0,
            least_margin: 0.05,
            least_memory_margin: 0.05,
            most_margin: 0.3,
            slo_margin: 0.001,
            slo_pass: 0.005,
            twins: 20,
            pairs_least: 20,
            pairs_max: 40,
            look_every: 10,
            resamples: 10_000,
            limits: Limits::shared(),
            most_invalid: 1.0 / 3.0,
            instructions: 1.05,
            criteria: Criteria::default(),
            irreversible: false,
            cost_only: false,
            most_unserved: 0.01,
            costs_known: false,
        }
    }
}

/// Why rules are none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadRules(String);

impl Rules {
    /// Checks that the rules can be kept.
    ///
    /// # Errors
    ///
    /// When a chance or a share is none, or the A/A leg is too short to tell a 95 % range.
    pub fn check(&self) -> Result<(), BadRules> {
        let refuse = |text: String| Err(BadRules(text));
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return refuse(format!("alpha is a chance between 0 and 1, not {}", self.alpha));
        }
        if self.twins < 19 {
            return refuse(format!("an A/A leg of {} pairs cannot tell a 95 % range: it wants 19", self.twins));
        }
        if self.pairs_max < self.pairs_least.max(1) {
            return refuse(format!("{} pairs at most, but a PASS wants {}", self.pairs_max, self.pairs_least.max(1)));
        }
        if self.look_every == 0 || self.resamples < 1000 {
            return refuse("the totals are looked at after at least one pair, with at least 1000 resamples".to_owned());
        }
        if !(0.0..1.0).contains(&self.most_unserved) {
            return refuse(format!("the share that may fail is below 1, not {}", self.most_unserved));
        }
        if !(self.least_margin > 0.0
            && self.least_memory_margin > 0.0
            && self.slo_margin >= 0.0
            && self.instructions >= 1.0)
        {
            return refuse("a margin below nothing".to_owned());
        }
        Ok(())
    }

    /// Whether this gate may decide.
    #[must_use]
    pub fn judges(&self, gate: Gate) -> bool {
        !self.cost_only || gate == Gate::Cpu
    }

    /// By how much the canary of a pair is worse; `None` where that is not known, or says nothing of what an answer costs.
    #[must_use]
    pub fn worse_by(&self, gate: Gate, pair: &Pair) -> Option<f64> {
        let answers = |side: Side| !self.is_unserved(pair.side(side));
        let told = !(self.cost_only && gate == Gate::Cpu) || Side::BOTH.into_iter().all(answers);
        if told { gate.worse_by(&pair.baseline, &pair.canary) } else { None }
    }

    /// Whether more of a window's requests failed or were refused than [`Self::most_unserved`].
    #[must_use]
    pub fn is_unserved(&self, sample: &Sample) -> bool {
        let unserved = sample.failed_in_all().saturating_add(sample.refused);
        sample.share(unserved).is_some_and(|share| share > self.most_unserved)
    }

    /// How often the totals are looked at, at most.
    #[must_use]
    pub fn looks(&self) -> u32 {
        (1..=self.pairs_max).filter(|pairs| self.is_look(*pairs)).count().try_into().unwrap_or(u32::MAX).max(1)
    }

    /// Whether the totals are looked at after this many pairs.
    #[must_use]
    pub const fn is_look(&self, pairs: u32) -> bool {
        pairs >= self.pairs_least
            && (pairs == self.pairs_max || (pairs - self.pairs_least).is_multiple_of(self.look_every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_kept() {
        assert_eq!(Rules::default().check(), Ok(()));
        assert_eq!(Rules::default().looks(), 3);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |rules: Rules| rules.check().unwrap_err().to_string();
        assert!(refused(Rules { alpha: 0.0, ..Rules::default() }).starts_with("alpha"));
        assert!(refused(Rules { twins: 18, ..Rules::default() }).starts_with("an A/A leg of 18"));
        assert!(refused(Rules { pairs_max: 19, ..Rules::default() }).starts_with("19 pairs at most"));
        assert!(refused(Rules { most_unserved: 1.0, ..Rules::default() }).starts_with("the share that may fail"));
        assert!(refused(Rules { look_every: 0, ..Rules::default() }).starts_with("the totals"));
        assert!(refused(Rules { least_margin: f64::NAN, ..Rules::default() }).starts_with("a margin"));
    }
}
