//! The lines of a comparison.

use super::{Change, Count, Gate, Measured, Random, Report, Row, Sample, Side, Window, bootstrap, estimate};

/// The chance on either side of an interval of 95 %, and the resamples that it is told from.
const LEVEL: f64 = 0.025;
const RESAMPLES: u32 = 2000;

/// Shares that differ by less are the same, as for the judge.
const POINTS: f64 = 0.001;

/// What is compared with what.
pub(super) struct Sides<'a> {
    pub(super) before: &'a Report,
    pub(super) now: &'a Report,
    pub(super) side: Side,
    pub(super) margin: f64,
}

impl Sides<'_> {
    /// Ratios to the rulers that both have.
    pub(super) fn ruled(&self) -> Vec<Row> {
        let of = |gate: Gate| {
            self.before.rulers.iter().filter_map(move |ruler| {
                let later = self.now.rulers.iter().find(|later| later.name == ruler.name)?;
                let (before, now) = (ruler.ratio(Side::Baseline, gate)?.ratio, later.ratio(self.side, gate)?.ratio);
                let change = self.change(gate, before, now);
                let (metric, judged) = (gate.as_str().to_owned(), change != Change::Unknown);
                Some(Row { metric, ruler: Some(ruler.name.clone()), before, now, change, judged })
            })
        };
        [Gate::Cpu, Gate::Rss].into_iter().flat_map(of).collect()
    }

    /// Numbers; which of them count is asked. In a duet only CPU means something.
    pub(super) fn direct(&self, judged: &dyn Fn(Gate) -> bool) -> Vec<Row> {
        let duet = self.before.duet || self.now.duet;
        let gates = Gate::all().into_iter().filter(|gate| *gate != Gate::SloTotal);
        let row = |gate: Gate| {
            let before = measured(gate, &self.before.windows(Side::Baseline))?;
            let now = measured(gate, &self.now.windows(self.side))?;
            let change = self.change(gate, before, now);
            let judged = judged(gate) && (gate == Gate::Cpu || !duet) && change != Change::Unknown;
            Some(Row { metric: gate.as_str().to_owned(), ruler: None, before, now, change, judged })
        };
        gates.filter_map(row).collect()
    }

    fn change(&self, gate: Gate, before: Measured, now: Measured) -> Change {
        let (
            Measured { low: Some(low), high: Some(high), .. },
            Measured { low: Some(low_now), high: Some(high_now), .. },
        ) = (before, now)
        else {
            return Change::Unknown;
        };
        let beyond = |less: f64, more: f64| match gate {
            Gate::Cpu | Gate::Rss => more > less * self.margin,
            Gate::Slo | Gate::SloTotal => more > less + POINTS,
            Gate::Refused | Gate::Failed(_) => more > less,
        };
        if low_now > high && beyond(before.value, now.value) {
            Change::Worse
        } else if high_now < low && beyond(now.value, before.value) {
            Change::Better
        } else {
            Change::Same
        }
    }
}

fn measured(gate: Gate, windows: &[&Window]) -> Option<Measured> {
    let samples: Vec<Sample> = windows.iter().map(|window| Sample::of(window)).collect();
    if gate.is_ratio() {
        let values: Vec<f64> = samples.iter().filter_map(|sample| gate.value(sample)).collect();
        return estimate(&values);
    }
    let part = |sample: &Sample| match gate {
        Gate::Failed(kind) => sample.failed_by(kind),
        Gate::Refused => sample.refused,
        Gate::Cpu | Gate::Rss | Gate::Slo | Gate::SloTotal => sample.beyond,
    };
    let counts: Vec<Count> =
        samples.iter().map(|sample| Count { part: part(sample), whole: sample.requests }).collect();
    let bounds = bootstrap::total(&counts, LEVEL, RESAMPLES, &mut Random::new(7))?;
    Some(Measured { value: bounds.estimate, low: Some(bounds.low), high: Some(bounds.high) })
}
