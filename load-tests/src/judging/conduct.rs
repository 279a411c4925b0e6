//! The order of things: pairs as the judge asks for them, restarts, second tries.

use std::time::Instant;

use portcullis_artifacts::WindowPair;
use portcullis_judge::random::Random;
use portcullis_judge::window::{Invalid, Side, Window};
use portcullis_judge::{Finding, Judge, Pair, Rules, Sample, Step};

use crate::Failure;

/// How often a pair is tried that the machine spoiled.
const TRIES: u32 = 3;

/// Who measures.
pub(super) trait Measure {
    /// Starts both places anew: what stands in each of them.
    fn start(&mut self, places: [Side; 2]) -> Result<(), NotStarted>;

    /// One window of a place. The seed decides what is sent when; both places of a pair are given the same.
    fn window(&mut self, place: Side, seed: u64) -> Result<Window, Invalid>;
}

/// A side that does not come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotStarted {
    /// Which.
    pub(super) side: Side,
    /// Why.
    pub(super) why: String,
}

/// All that was measured.
#[derive(Debug)]
pub(super) struct Conducted {
    pub(super) judge: Judge,
    pub(super) twins: Vec<WindowPair>,
    pub(super) pairs: Vec<WindowPair>,
    /// What was found on the way.
    pub(super) findings: Vec<Finding>,
}

impl Conducted {
    /// A run that could not begin.
    pub(super) fn invalid(conduct: &Conduct, why: &str) -> Result<Self, Failure> {
        let mut judge = Judge::new(conduct.rules.clone(), conduct.seed)?;
        judge.abandon(why);
        Ok(Self { judge, twins: Vec::new(), pairs: Vec::new(), findings: Vec::new() })
    }
}

/// How a run is to be conducted.
#[derive(Debug, Clone)]
pub(super) struct Conduct {
    pub(super) rules: Rules,
    pub(super) seed: u64,
    /// Pairs after which all processes are started anew: where memory lies is luck that stays as long as a process.
    pub(super) restart_every: u32,
}

/// Runs pairs until the judge has seen enough.
pub(super) fn conduct(
    conduct: &Conduct,
    measure: &mut dyn Measure,
    progress: &mut dyn FnMut(&Judge, f64),
) -> Result<Conducted, Failure> {
    let judge = Judge::new(conduct.rules.clone(), conduct.seed)?;
    let mut run = Conducted { judge, twins: Vec::new(), pairs: Vec::new(), findings: Vec::new() };
    let mut seeds = Random::new(conduct.seed ^ 0x0005_deec_e66d);
    let (mut since_start, mut stage) = (0, None);
    let begin = Instant::now();
    loop {
        let (places, first) = match run.judge.step() {
            Step::Twins(first) => ([Side::Baseline; 2], first),
            Step::Compare(first) => (Side::BOTH, first),
            Step::End => return Ok(run),
        };
        if stage != Some(places) || since_start >= conduct.restart_every.max(1) {
            (stage, since_start) = (Some(places), 0);
            if let Err(missing) = measure.start(places) {
                not_started(&mut run, &missing);
                return Ok(run);
            }
        }
        since_start += 1;
        match pair(measure, first, conduct, &mut seeds) {
            Ok(pair) => {
                let sample = Pair { baseline: Sample::of(&pair.baseline), canary: Sample::of(&pair.canary) };
                if places == Side::BOTH { &mut run.pairs } else { &mut run.twins }.push(pair);
                run.judge.push(sample);
            }
            Err(why) => run.judge.skip(&why.to_string()),
        }
        progress(&run.judge, begin.elapsed().as_secs_f64());
    }
}

/// A canary that does not start has failed; without a baseline nothing can be said.
fn not_started(run: &mut Conducted, missing: &NotStarted) {
    match missing.side {
        Side::Baseline => run.judge.abandon(&format!("the baseline does not start: {}", missing.why)),
        Side::Canary => run.findings.push(Finding::Scene {
            name: "start".to_owned(),
            baseline: Some(true),
            canary: false,
            text: format!("the canary does not start, and the baseline does: {}", missing.why),
        }),
    }
}

/// A pair, tried again when the machine spoiled it. Both windows are thrown away then: what spoiled one was there for the other.
fn pair(measure: &mut dyn Measure, first: Side, conduct: &Conduct, seeds: &mut Random) -> Result<WindowPair, Invalid> {
    let mut last = Invalid::NoRequests;
    for _ in 0..TRIES {
        match try_pair(measure, first, conduct, draw(seeds)) {
            Ok(pair) => return Ok(pair),
            Err(invalid) => last = invalid,
        }
    }
    Err(last)
}

fn draw(seeds: &mut Random) -> u64 {
    // Wide enough that no two pairs are alike, and exact in every format.
    u64::try_from(seeds.below(1 << 40)).unwrap_or_default()
}

fn try_pair(measure: &mut dyn Measure, first: Side, conduct: &Conduct, seed: u64) -> Result<WindowPair, Invalid> {
    let mut sound = |place: Side| {
        let window = measure.window(place, seed)?;
        window.flaw(&conduct.rules.limits).map_or(Ok(window), Err)
    };
    let (baseline, canary) = match first {
        Side::Baseline => {
            let baseline = sound(Side::Baseline)?;
            (baseline, sound(Side::Canary)?)
        }
        Side::Canary => {
            let canary = sound(Side::Canary)?;
            (sound(Side::Baseline)?, canary)
        }
    };
    Ok(WindowPair { first, baseline, canary })
}

#[cfg(test)]
mod tests;
