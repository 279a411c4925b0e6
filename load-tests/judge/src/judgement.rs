//! The verdict with all that it rests on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{self, Count};
use crate::comparison::{self, Comparison, Decision, Margin, beyond};
use crate::gate::Gate;
use crate::growth::{Growth, Outlook};
use crate::instructions::Instructions;
use crate::judge::{Ending, Judge};
use crate::random::Random;
use crate::sample::{Pair, Sample};
use crate::simulate;
use crate::tally::Tally;
use crate::verdict::{Remedy, Verdict};
use crate::window::Side;

/// Runs that the false-alarm rate beside a verdict is told from.
const SIMULATED: u32 = 200;

/// The chance that a side is said to break a criterion that it keeps.
const CRITERION_LEVEL: f64 = 0.01;

/// How one gate stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub gate: Gate,
    /// δ: the logarithm of a ratio, or a difference of shares.
    pub margin: f64,
    /// Pairs that were compared.
    pub pairs: u32,
    /// Of these, those in which the canary was worse by more than δ.
    pub worse: u32,
    /// Of these, those in which it was better by more than δ.
    pub better: u32,
    /// The baseline's median over windows; of a share, over all windows together.
    pub baseline: Option<f64>,
    /// The canary's.
    pub canary: Option<f64>,
    /// The evidence of harm; `None` for what is judged by totals. Infinity is written as `null`.
    pub harm: Option<f64>,
    /// The evidence of soundness.
    pub soundness: Option<f64>,
    /// Bounds of the excess over all windows, for what is judged by totals.
    pub bounds: Option<(f64, f64)>,
}

/// Something that was found without windows in pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Instructions per request of both.
    Instructions(Instructions),
    /// Growth of each side over a soak.
    Growth {
        /// Of the baseline, where it was soaked too.
        baseline: Option<Growth>,
        /// Of the canary.
        canary: Growth,
    },
    /// A scene that has criteria of its own, such as streams without a loss or reloads without a failure.
    Scene {
        /// Its name.
        name: String,
        /// Whether the baseline kept its criteria, where it was asked.
        baseline: Option<bool>,
        /// Whether the canary did.
        canary: bool,
        /// What was seen.
        text: String,
    },
}

impl Finding {
    /// The word of results and reports.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Instructions(_) => "instructions_per_request",
            Self::Growth { canary, .. } => &canary.what,
            Self::Scene { name, .. } => name,
        }
    }

    /// Whether a side fails by it; `None` where that is not known.
    #[must_use]
    pub fn fails(&self, side: Side) -> Option<bool> {
        let exceeds = |growth: &Growth| growth.outlook() == Outlook::Exceeds;
        match (self, side) {
            (Self::Instructions(_), Side::Baseline) => Some(false),
            (Self::Instructions(instructions), Side::Canary) => instructions.fails(),
            (Self::Growth { baseline, .. }, Side::Baseline) => baseline.as_ref().map(exceeds),
            (Self::Growth { canary, .. }, Side::Canary) => Some(exceeds(canary)),
            (Self::Scene { baseline, .. }, Side::Baseline) => baseline.map(|kept| !kept),
            (Self::Scene { canary, .. }, Side::Canary) => Some(!canary),
        }
    }

    /// Whether it allows a PASS.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Growth { canary, .. } => canary.outlook() == Outlook::Kept,
            Self::Instructions(_) | Self::Scene { .. } => self.fails(Side::Canary) == Some(false),
        }
    }

    /// Whether the machine did not let anybody tell.
    fn is_untold(&self) -> bool {
        matches!(self, Self::Instructions(_)) && self.fails(Side::Canary).is_none()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instructions(instructions) => instructions.fmt(f),
            Self::Growth { canary, .. } => canary.fmt(f),
            Self::Scene { name, text, .. } => write!(f, "{name}: {text}"),
        }
    }
}

/// How often these rules cry wolf: runs of twins, drawn from the A/A leg that was just measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalseAlarms {
    /// Runs that ended with FAIL.
    pub alarms: u32,
    /// Runs.
    pub runs: u32,
}

impl fmt::Display for FalseAlarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} simulated runs of twins, drawn from this run's A/A leg, ended with FAIL",
            self.alarms, self.runs
        )
    }
}

/// The verdict with all that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The gate, finding or criterion that decided, by its word.
    pub decided_by: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// The seed of the order and of the resampling.
    pub seed: u64,
    /// The chance of a FAIL without harm, at most.
    pub alpha: f64,
    /// How many gates share it.
    pub gates: u32,
    /// The evidence of harm that was asked for on each.
    pub enough: f64,
    /// The rate of false alarms that was measured; `None` when the A/A leg was not finished.
    pub false_alarms: Option<FalseAlarms>,
    /// Pairs of the A/A leg.
    pub twins: u32,
    /// Pairs of the comparison.
    pub pairs: u32,
    /// Pairs that could not be measured.
    pub invalid_pairs: u32,
    /// How each gate stands.
    pub standings: Vec<Standing>,
    /// How what decides nothing stands.
    #[serde(default)]
    pub shown: Vec<Standing>,
    /// What was found without windows.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// Whether another run may tell what this one does not: neither harm nor soundness is shown, or counts of one build differ. What could
    /// not be measured at all would not be the next time either.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self.verdict {
            Verdict::Inconclusive => true,
            Verdict::Invalid => self.decided_by.is_some(),
            Verdict::Pass | Verdict::Fail(_) => false,
        }
    }
}

/// A verdict, by what, and why.
type Reasoned = (Verdict, Option<String>, String);

pub(crate) fn of(judge: &Judge, findings: Vec<Finding>) -> Judgement {
    let standings = standings(judge);
    let (verdict, decided_by, reason) = verdict(judge, &standings, &findings);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let gates = count(standings.len());
    let false_alarms = judge.comparison.as_ref().map(|_| {
        let alarms = simulate::false_alarms(&judge.rules, &judge.twins, SIMULATED, judge.seed);
        FalseAlarms { alarms, runs: SIMULATED }
    });
    Judgement {
        verdict,
        decided_by,
        reason,
        seed: judge.seed,
        alpha: judge.rules.alpha,
        gates,
        enough: f64::from(gates) / judge.rules.alpha,
        false_alarms,
        twins: count(judge.twins.len()),
        pairs: count(judge.pairs.len()),
        invalid_pairs: judge.invalid,
        standings,
        shown: shown(judge),
        findings,
    }
}

fn verdict(judge: &Judge, standings: &[Standing], findings: &[Finding]) -> Reasoned {
    let fail = |remedy: Remedy| Verdict::Fail(if judge.rules.irreversible { Remedy::Hotfix } else { remedy });
    if let Some(Ending::Invalid(why)) = &judge.ending {
        return (Verdict::Invalid, None, why.clone());
    }
    if let Some(Ending::Decided(Decision::Harm(gate))) = judge.ending {
        let standing = standings.iter().find(|standing| standing.gate == gate);
        let text = standing.map(ToString::to_string).unwrap_or_default();
        let enough = standings.len() as f64 / judge.rules.alpha;
        let also = standings.iter().filter(|one| one.gate != gate && one.harm.is_some_and(|harm| harm >= enough));
        let also: String = also.map(|one| format!("; and by {one}")).collect();
        return (fail(Remedy::Rollback), Some(gate.to_string()), format!("the canary is worse: {text}{also}"));
    }
    if let (Some(Ending::Decided(Decision::Unserved)), Some(comparison)) = (&judge.ending, &judge.comparison) {
        return (fail(Remedy::Rollback), Some("unserved".to_owned()), unserved(judge, comparison));
    }
    let mut failing = findings.iter().filter(|finding| finding.fails(Side::Canary) == Some(true));
    if let Some(finding) = failing.clone().find(|finding| finding.fails(Side::Baseline) != Some(true)) {
        return (fail(Remedy::Rollback), Some(finding.name().to_owned()), format!("the canary fails: {finding}"));
    }
    if let Some(finding) = failing.next() {
        let text = format!("the canary fails, and the baseline does too: {finding}");
        return (fail(Remedy::Hotfix), Some(finding.name().to_owned()), text);
    }
    let criteria = broken(judge);
    if let Some((name, text)) =
        criteria.iter().find(|(_, broken)| broken.both).map(|(name, broken)| (name, &broken.text))
    {
        let text = format!("the canary is no worse, but both sides break what each must keep: {text}");
        return (fail(Remedy::Hotfix), Some((*name).to_owned()), text);
    }
    if let Some(untold) = untold(judge, findings) {
        return untold;
    }
    match (&judge.ending, criteria.first(), findings.iter().find(|finding| !finding.passes())) {
        (Some(Ending::Decided(Decision::Sound)), None, None) => {
            (Verdict::Pass, None, "the canary is no worse than the margins on every gate".to_owned())
        }
        (_, Some((name, broken)), _) => (Verdict::Inconclusive, Some((*name).to_owned()), broken.text.clone()),
        (_, _, Some(finding)) => (Verdict::Inconclusive, Some(finding.name().to_owned()), finding.to_string()),
        _ => inconclusive(judge, standings),
    }
}

/// What was asked for besides and cannot be told. Counts that tell nothing decide by their word: another run may tell more of them.
fn untold(judge: &Judge, findings: &[Finding]) -> Option<Reasoned> {
    let of_counts = |finding: &Finding| {
        (Verdict::Invalid, Some(finding.name().to_owned()), format!("instructions cannot be compared: {finding}"))
    };
    let counts = findings.iter().find(|finding| finding.is_untold()).map(of_counts);
    counts.or_else(|| Some((Verdict::Invalid, None, judge.untold.clone()?)))
}

/// What is said of a canary that alone fails or refuses requests, where cost alone is judged.
fn unserved(judge: &Judge, comparison: &Comparison) -> String {
    let Tally { worse, better, .. } = comparison.unserved;
    format!(
        "the canary fails or refuses more than {:.1} % of its requests in {worse} pairs in which its baseline does not, and the \
         baseline in {better} in which the canary does not",
        judge.rules.most_unserved * 100.0
    )
}

/// A gate of which too few pairs say something.
fn missed(judge: &Judge) -> Option<Reasoned> {
    let comparison = judge.comparison.as_ref()?;
    let gates = comparison.gates().iter().filter(|(margin, _)| margin.gate.is_ratio());
    let (Margin { gate, .. }, tally) = gates.clone().find(|(_, tally)| comparison.is_missed(tally))?;
    let mut text = format!("only {} of {} pairs say something of {gate}", tally.pairs, comparison.pairs());
    if comparison.unserved.pairs > 0 {
        text.push_str(": in the others requests failed or were refused, which is to be judged in turns");
    }
    Some((Verdict::Inconclusive, Some(gate.to_string()), text))
}

fn inconclusive(judge: &Judge, standings: &[Standing]) -> Reasoned {
    if let Some(missed) = missed(judge) {
        return missed;
    }
    let wide = standings.iter().find(|one| one.gate.is_ratio() && one.margin > judge.rules.most_margin);
    if let Some(standing) = wide {
        let text = format!("twins differ too much for a PASS, and no harm is proven: {standing}");
        return (Verdict::Inconclusive, Some(standing.gate.to_string()), text);
    }
    let least = standings.iter().min_by(|one, other| one.certainty().total_cmp(&other.certainty()));
    let (word, text) = least.map(|one| (one.gate.to_string(), one.to_string())).unzip();
    let text = text.unwrap_or_else(|| "the run was ended before anything was compared".to_owned());
    (Verdict::Inconclusive, word, format!("neither harm nor soundness is proven; furthest from it: {text}"))
}

/// A criterion that the canary does not keep.
struct Broken {
    /// Whether both sides certainly break it.
    both: bool,
    text: String,
}

/// Its word, the share that is allowed, and what is counted.
type Criterion<'a> = (&'static str, Option<f64>, &'a dyn Fn(&Sample) -> Count);

/// The criteria that the canary does not keep.
fn broken(judge: &Judge) -> Vec<(&'static str, Broken)> {
    let failed = |sample: &Sample| Count { part: sample.failed_in_all(), whole: sample.requests };
    let criteria = judge.rules.criteria;
    let asked: [Criterion<'_>; 2] =
        [("criterion_failed", criteria.failed, &failed), ("criterion_beyond_slo", criteria.beyond_slo, &beyond)];
    let check = |(name, most, of): Criterion<'_>| {
        let most = most?;
        let [baseline, canary] = Side::BOTH.map(|side| {
            let counts: Vec<Count> = judge.pairs.iter().map(|pair| of(pair.side(side))).collect();
            let random = &mut Random::new(judge.seed);
            bootstrap::total(&counts, CRITERION_LEVEL, judge.rules.resamples, random)
        });
        let (baseline, canary) = (baseline?, canary?);
        let text = format!(
            "{name}: {:.3} % of the baseline's requests and {:.3} % of the canary's, {:.3} % allowed",
            baseline.estimate * 100.0,
            canary.estimate * 100.0,
            most * 100.0
        );
        let both = baseline.low > most && canary.low > most;
        (canary.estimate > most).then_some((name, Broken { both, text }))
    };
    asked.into_iter().filter_map(check).collect()
}

fn standings(judge: &Judge) -> Vec<Standing> {
    let Some(comparison) = &judge.comparison else { return Vec::new() };
    let standing = |one: &(Margin, Tally)| {
        let (margin, tally) = *one;
        let by_totals = margin.gate == Gate::SloTotal;
        Standing {
            harm: (!by_totals).then(|| comparison::harm(one)),
            soundness: (!by_totals).then(|| tally.soundness()),
            bounds: comparison.excess.filter(|_| by_totals).map(|bounds| (bounds.low, bounds.high)),
            ..seen(judge, margin, tally)
        }
    };
    comparison.gates().iter().map(standing).collect()
}

/// What was seen of a gate, without evidence.
fn seen(judge: &Judge, Margin { gate, delta }: Margin, tally: Tally) -> Standing {
    Standing {
        gate,
        margin: delta,
        pairs: tally.pairs,
        worse: tally.worse,
        better: tally.better,
        baseline: typical(gate, &judge.pairs, Side::Baseline),
        canary: typical(gate, &judge.pairs, Side::Canary),
        harm: None,
        soundness: None,
        bounds: None,
    }
}

/// What decides nothing: no evidence is told of it, since it was not asked to be any.
fn shown(judge: &Judge) -> Vec<Standing> {
    if judge.comparison.is_none() {
        return Vec::new();
    }
    let standing = |margin: Margin| {
        let mut tally = Tally::default();
        let worse_by = judge.pairs.iter().filter_map(|pair| judge.rules.worse_by(margin.gate, pair));
        worse_by.for_each(|worse_by| tally.push(worse_by, margin.delta));
        seen(judge, margin, tally)
    };
    let margins = crate::judge::shown(&judge.rules, &judge.twins);
    // The same numbers as `beyond_slo`, whose totals nobody looked at.
    margins.into_iter().filter(|margin| margin.gate != Gate::SloTotal).map(standing).collect()
}

/// The median of a ratio's sides; the share over all windows of the others.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn typical(gate: Gate, pairs: &[Pair], side: Side) -> Option<f64> {
    let samples = || pairs.iter().map(|pair| pair.side(side));
    if gate.is_ratio() {
        let mut values: Vec<f64> = samples().filter_map(|sample| gate.value(sample)).collect();
        return crate::stats::median(&mut values);
    }
    let whole: f64 = samples().map(|sample| sample.requests as f64).sum();
    let part: f64 = samples().filter_map(|sample| Some(gate.value(sample)? * sample.requests as f64)).sum();
    (whole > 0.0).then(|| part / whole)
}

impl Standing {
    /// How near a gate is to being told, either way.
    fn certainty(&self) -> f64 {
        match (self.harm, self.soundness, self.bounds) {
            (Some(harm), Some(soundness), _) => harm.max(soundness),
            // Totals that were looked at and decided nothing.
            (_, _, Some(_)) => 1.0,
            _ => 0.0,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, pairs, worse, .. } = self;
        let shown = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| gate.shown(value));
        let (baseline, canary) = (shown(self.baseline), shown(self.canary));
        write!(f, "{gate}: {baseline} before and {canary} now; ")?;
        if gate.is_ratio() {
            let percent = (self.margin.exp() - 1.0) * 100.0;
            write!(f, "worse by more than {percent:.1} % in {worse} of {pairs} pairs")
        } else if let Some((low, high)) = self.bounds {
            let [low, high, margin] = [low, high, self.margin].map(|share| share * 100.0);
            write!(f, "an excess between {low:.3} and {high:.3} points, {margin:.3} allowed")
        } else {
            let (differ, margin) = (worse + self.better, self.margin * 100.0);
            write!(f, "worse in {worse} of the {differ} pairs that differ by more than {margin:.2} points")
        }
    }
}
