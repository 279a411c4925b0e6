//! The order of things: pairs as the judge asks for them, restarts, second tries.

use std::collections::BTreeMap;
use std::time::Instant;

use portcullis_artifacts::{Ruler, WindowPair};
use portcullis_judge::random::Random;
use portcullis_judge::window::{Invalid, Side, Window};
use portcullis_judge::{Finding, Judge, Pair, Rules, Sample, Step};

use crate::Failure;

/// How often a pair is tried that the machine spoiled.
const TRIES: u32 = 3;

/// Who measures.
pub(super) trait Measure {
    /// Starts both places anew: what stands in each of them, and which of them is started first.
    fn start(&mut self, places: [Side; 2], first: Side) -> Result<(), NotStarted>;

    /// One window of a place. The seed decides what is sent when; both places of a pair are given the same.
    fn window(&mut self, place: Side, seed: u64) -> Result<Window, Invalid>;

    /// A window of both places at the same moment, each at half the rate. The first has the first of two cores.
    fn both(&mut self, first: Side, seed: u64) -> Result<[Window; 2], Invalid>;

    /// The rulers that stand beside the two places.
    fn rulers(&self) -> Vec<&'static str>;

    /// One window of a ruler.
    fn ruler(&mut self, name: &str, seed: u64) -> Result<Window, Invalid>;

    /// A place whose process has ended by itself, and how.
    fn ended(&mut self) -> Option<(Side, String)>;
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
    /// Of rulers by name: windows that said nothing, and why the last of them did not.
    pub(super) missed: BTreeMap<&'static str, (u32, String)>,
    /// What the rulers measured.
    pub(super) rulers: Vec<Ruler>,
    /// What was sent, hashed.
    pub(super) plan_digest: Option<String>,
}

impl Conducted {
    /// A run that could not begin.
    pub(super) fn invalid(conduct: &Conduct, why: &str) -> Result<Self, Failure> {
        let mut judge = Judge::new(conduct.rules.clone(), conduct.seed)?;
        judge.abandon(why);
        Ok(Self::with(judge))
    }

    /// Whether more can be told of both sides: not where one does not start or has ended by itself, nor where nothing was compared.
    pub(super) fn can_go_on(&self, findings: &[Finding]) -> bool {
        !self.pairs.is_empty() && !findings.iter().any(|finding| matches!(finding, Finding::Scene { .. }))
    }

    /// Nothing yet.
    pub(super) const fn with(judge: Judge) -> Self {
        Self {
            judge,
            twins: Vec::new(),
            pairs: Vec::new(),
            findings: Vec::new(),
            missed: BTreeMap::new(),
            rulers: Vec::new(),
            plan_digest: None,
        }
    }
}

/// How a run is to be conducted.
#[derive(Debug, Clone)]
pub(super) struct Conduct {
    pub(super) rules: Rules,
    pub(super) seed: u64,
    /// Pairs after which all processes are started anew: where memory lies is luck that stays as long as a process.
    pub(super) restart_every: u32,
    /// Every so many pairs are a round of the rulers.
    pub(super) rulers_every: u32,
    /// Whether both sides run at the same moment.
    pub(super) duet: bool,
}

/// What is drawn at random: what a pair sends, and the order of the rulers, which is to change nothing of that.
struct Draws {
    seeds: Random,
    order: Random,
}

/// A pair that is asked for, with the rulers that have a window before it and after it.
struct Asked<'a> {
    first: Side,
    before: &'a [&'static str],
    after: &'a [&'static str],
}

/// Runs pairs until the judge has seen enough.
pub(super) fn conduct(
    conduct: &Conduct,
    measure: &mut dyn Measure,
    progress: &mut dyn FnMut(&Judge, f64),
) -> Result<Conducted, Failure> {
    let judge = Judge::new(conduct.rules.clone(), conduct.seed)?;
    let mut run = Conducted::with(judge);
    let order = Random::new(conduct.seed ^ 0x0bad_5eed);
    let mut draws = Draws { seeds: Random::new(conduct.seed ^ 0x0005_deec_e66d), order };
    let (mut since_start, mut stage) = (0, None);
    let begin = Instant::now();
    progress(&run.judge, 0.0);
    loop {
        let (places, first) = match run.judge.step() {
            Step::Twins(first) => ([Side::Baseline; 2], first),
            Step::Compare(first) => (Side::BOTH, first),
            Step::End => return Ok(run),
        };
        if stage != Some(places) || since_start >= conduct.restart_every.max(1) {
            (stage, since_start) = (Some(places), 0);
            if let Err(missing) = measure.start(places, first) {
                not_started(&mut run, &missing);
                return Ok(run);
            }
        }
        since_start += 1;
        let done = if places == Side::BOTH { run.pairs.len() } else { run.twins.len() };
        let is_round = u32::try_from(done)?.is_multiple_of(conduct.rulers_every.max(1));
        let mut rulers = if is_round { measure.rulers() } else { Vec::new() };
        draws.order.shuffle(&mut rulers);
        // Never between the two sides: what is near in time is alike.
        let (before, after) = rulers.split_at(draws.order.below(rulers.len() + 1));
        match pair(measure, &Asked { first, before, after }, conduct, &mut draws.seeds) {
            Ok((pair, missed)) => {
                for (name, why) in missed {
                    let (count, last) = run.missed.entry(name).or_default();
                    (*count, *last) = (*count + 1, why.to_string());
                }
                let sample = Pair { baseline: Sample::of(&pair.baseline), canary: Sample::of(&pair.canary) };
                if places == Side::BOTH { &mut run.pairs } else { &mut run.twins }.push(pair);
                run.judge.push(sample);
            }
            Err(why) => run.judge.skip(&why.to_string()),
        }
        if let Some((place, how)) = measure.ended() {
            let side = if place == Side::Baseline { places[0] } else { places[1] };
            ended(&mut run, side, &how);
            return Ok(run);
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

/// A canary that ends by itself has failed, whatever was measured; without a baseline nothing can be said.
fn ended(run: &mut Conducted, side: Side, how: &str) {
    match side {
        Side::Baseline => run.judge.abandon(&format!("the baseline ended by itself: {how}")),
        Side::Canary => run.findings.push(Finding::Scene {
            name: "lives".to_owned(),
            baseline: Some(true),
            canary: false,
            text: format!("the canary ended by itself, and the baseline did not: {how}"),
        }),
    }
}

/// A pair, and the rulers that missed it.
type Measured = (WindowPair, Vec<(&'static str, Invalid)>);

/// A pair, tried again when the machine spoiled it. Both windows are thrown away then: what spoiled one was there for the other.
fn pair(
    measure: &mut dyn Measure,
    asked: &Asked<'_>,
    conduct: &Conduct,
    seeds: &mut Random,
) -> Result<Measured, Invalid> {
    let mut last = Invalid::NoRequests;
    for _ in 0..TRIES {
        match try_pair(measure, asked, conduct, draw(seeds)) {
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

/// A ruler is one while it does all of the work, and while its work is known.
fn complete(window: Window) -> Result<Window, Invalid> {
    let unserved = window.failed_requests() + window.refused;
    let why = if unserved > 0 {
        format!("{unserved} of its {} requests failed or were refused", window.requests)
    } else if window.cpu_per_request().is_none() {
        "its CPU time is not known".to_owned()
    } else {
        return Ok(window);
    };
    Err(Invalid::NotMeasured(why))
}

fn try_pair(measure: &mut dyn Measure, asked: &Asked<'_>, conduct: &Conduct, seed: u64) -> Result<Measured, Invalid> {
    let sound = |window: Window| window.flaw(&conduct.rules.limits).map_or(Ok(window), Err);
    let (mut rulers, mut missed) = (BTreeMap::new(), Vec::new());
    let mut ruled = |measure: &mut dyn Measure, names: &[&'static str]| {
        for name in names {
            match measure.ruler(name, seed).and_then(sound).and_then(complete) {
                Ok(window) => drop(rulers.insert((*name).to_owned(), window)),
                Err(invalid) => missed.push((*name, invalid)),
            }
        }
    };
    ruled(measure, asked.before);
    let [baseline, canary] = if conduct.duet {
        let [baseline, canary] = measure.both(asked.first, seed)?;
        [sound(baseline)?, sound(canary)?]
    } else {
        let mut one = |place: Side| measure.window(place, seed).and_then(sound);
        if asked.first == Side::Baseline {
            let baseline = one(Side::Baseline)?;
            [baseline, one(Side::Canary)?]
        } else {
            let canary = one(Side::Canary)?;
            [one(Side::Baseline)?, canary]
        }
    };
    ruled(measure, asked.after);
    Ok((WindowPair { first: asked.first, baseline, canary, rulers }, missed))
}

#[cfg(test)]
mod tests;
