//! A change that is watched: a canary beside the generation that serves, or a probation of one that serves already.
//!
//! [`Underway`] is told every half second what became of requests on both sides ([`portcullis_telemetry::timeline`]) and says
//! what is to be done: let the canary begin, or end the trial by a verdict. It does nothing by itself and knows no clock but the
//! steps it is given.

use std::time::Duration;

use portcullis_admin::Watch;
use portcullis_telemetry::Step;
use portcullis_telemetry::timeline::{Latencies, TICK};
use portcullis_trial::{Counts, Options, Standing, Trial, Verdict};
use serde_json::{Value, json};

/// Ticks in which the two groups of a canary are compared while nothing differs yet: three seconds.
const LEAD: u32 = 6;
/// The share of requests that is quicker than what counts as slow.
const QUICK: f64 = 0.9;
/// What is slow where nothing was seen before.
const SLOW: Duration = Duration::from_secs(1);
/// Points of the two curves that are kept: a trial of an hour in steps of half a minute.
const POINTS: usize = 120;

/// Where a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The groups are told apart and served alike.
    Lead { ticks: u32 },
    /// The new generation serves.
    Watching { ticks: u32 },
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    /// The new generation begins to serve its share.
    Begin,
    /// The trial is over.
    End(Verdict),
}

/// One moment of the two curves, in shares and milliseconds.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: u32,
    sides: [(u64, u64, Option<Duration>); 2],
}

/// A trial under way.
pub(crate) struct Underway {
    watch: Watch,
    phase: Phase,
    trial: Trial,
    /// What counts as slow.
    slow: Duration,
    led: Vec<[Step; 2]>,
    curve: Vec<Point>,
    pending: ([Step; 2], u32),
}

impl Underway {
    /// Begins. `before` is what became of requests until now, for a probation; a canary looks for itself.
    pub(crate) fn new(watch: Watch, before: &[[Step; 2]]) -> Self {
        let whole: Vec<Step> = before.iter().map(both).collect();
        let (phase, slow, trial) = match watch {
            Watch::Canary { .. } => (Phase::Lead { ticks: 0 }, SLOW, Trial::beside(Options::default())),
            Watch::Probation { .. } => {
                let slow = slow(&whole);
                let windows: Vec<Counts> = whole.iter().map(|step| counts(step, slow)).collect();
                (Phase::Watching { ticks: 0 }, slow, Trial::after(Options::default(), &windows))
            }
        };
        Self { watch, phase, trial, slow, led: Vec::new(), curve: Vec::new(), pending: Default::default() }
    }

    pub(crate) const fn watch(&self) -> Watch {
        self.watch
    }

    /// Whether the new generation serves anybody.
    #[cfg(test)]
    pub(crate) const fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Watching { .. })
    }

    /// What became of requests in the last half second.
    pub(crate) fn feed(&mut self, steps: [Step; 2]) -> Option<Turn> {
        match self.phase {
            Phase::Lead { ticks } => {
                self.led.push(steps);
                self.phase = Phase::Lead { ticks: ticks + 1 };
                (ticks + 1 >= LEAD).then(|| self.begin())
            }
            Phase::Watching { ticks } => {
                self.phase = Phase::Watching { ticks: ticks + 1 };
                self.draw(ticks, &steps);
                let [usual, on_trial] = steps.each_ref().map(|step| counts(step, self.slow));
                let found = match self.watch {
                    Watch::Canary { .. } => self.trial.push(usual, on_trial),
                    Watch::Probation { .. } => {
                        let mut all = usual;
                        all += on_trial;
                        self.trial.push(Counts::default(), all)
                    }
                };
                let over = TICK * (ticks + 1) >= self.watch.lasts();
                found.or_else(|| over.then(|| self.trial.finish())).map(Turn::End)
            }
        }
    }

    fn begin(&mut self) -> Turn {
        let whole: Vec<Step> = self.led.iter().map(both).collect();
        self.slow = slow(&whole);
        for steps in std::mem::take(&mut self.led) {
            let [usual, on_trial] = steps.each_ref().map(|step| counts(step, self.slow));
            self.trial.lead(usual, on_trial);
        }
        self.phase = Phase::Watching { ticks: 0 };
        Turn::Begin
    }

    /// Adds to the curves; a point stands for a whole share of the trial's time.
    fn draw(&mut self, ticks: u32, steps: &[Step; 2]) {
        let (sum, together) = &mut self.pending;
        sum.iter_mut().zip(steps).for_each(|(sum, step)| sum.add(step));
        *together += 1;
        let all = self.watch.lasts().as_millis().div_ceil(TICK.as_millis()).max(1);
        let each = all.div_ceil(POINTS as u128);
        if u128::from(*together) >= each && self.curve.len() < POINTS {
            let sides = sum.each_ref().map(|step| (step.requests, step.failed, step.latencies.quantile(0.99)));
            self.curve.push(Point { at: ticks + 1, sides });
            self.pending = Default::default();
        }
    }

    /// How it stands, for answers.
    pub(crate) fn shown(&self) -> Value {
        let (phase, ticks) = match self.phase {
            Phase::Lead { ticks } => ("lead", ticks),
            Phase::Watching { ticks } => ("watching", ticks),
        };
        let share = match self.watch {
            Watch::Canary { share, .. } => json!(share),
            Watch::Probation { .. } => Value::Null,
        };
        json!({
            "kind": self.watch.as_str(),
            "share": share,
            "phase": phase,
            "seconds": f64::from(ticks) * TICK.as_secs_f64(),
            "lasts_seconds": self.watch.lasts().as_secs_f64(),
            "slow_after_ms": self.slow.as_secs_f64() * 1e3,
            "windows_before": self.trial.led(),
            "standings": self.trial.standings().iter().map(standing).collect::<Vec<_>>(),
            "curve": self.curve.iter().map(point).collect::<Vec<_>>(),
        })
    }
}

/// A metric of a trial, for answers.
pub(crate) fn standing(standing: &Standing) -> Value {
    json!({
        "metric": standing.metric.as_str(),
        "windows": standing.windows,
        "beyond": standing.beyond,
        "margin": standing.margin,
        "known": standing.known,
        "new": standing.new,
        // Infinite evidence is no JSON number.
        "evidence_of_harm": standing.harm.min(1e12),
        "evidence_of_soundness": standing.soundness.min(1e12),
        "says": standing.to_string(),
    })
}

fn point(point: &Point) -> Value {
    let side = |(requests, failed, p99): &(u64, u64, Option<Duration>)| json!({ "requests": requests, "failed": failed, "p99_ms": p99.map(|p99| p99.as_secs_f64() * 1e3) });
    let [usual, on_trial] = point.sides.each_ref().map(side);
    json!({ "seconds": f64::from(point.at) * TICK.as_secs_f64(), "usual": usual, "on_trial": on_trial })
}

fn both([usual, on_trial]: &[Step; 2]) -> Step {
    let mut sum = usual.clone();
    sum.add(on_trial);
    sum
}

/// What a tenth of requests takes at least.
fn slow(steps: &[Step]) -> Duration {
    let mut sum = Step::default();
    steps.iter().for_each(|step| sum.add(step));
    Latencies::quantile(&sum.latencies, QUICK).unwrap_or(SLOW)
}

fn counts(step: &Step, slow: Duration) -> Counts {
    Counts { requests: step.requests, failed: step.failed, refused: step.refused, slow: step.latencies.at_least(slow) }
}

#[cfg(test)]
mod tests;
