//! The lines of a comparison.

use super::{Change, Count, Gate, Measured, Random, Report, Row, Sample, Side, Window, bootstrap, estimate};

/// The chance on either side of an interval of 95 %, and the resamples that it is told from.
const LEVEL: f64 = 0.025;
const RESAMPLES: u32 = 2000;

/// Shares that are compared: each may be called worse by chance in so much less of all cases.
const SHARES: f64 = 10.0;

/// How often windows are dealt out: often enough to tell a chance of one in 400.
const DEALS: u32 = 8000;

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
                let change = self.change(before, now);
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
            let windows = [self.before.windows(Side::Baseline), self.now.windows(self.side)];
            let [before, now] = [measured(gate, &windows[0])?, measured(gate, &windows[1])?];
            let change = if gate.is_ratio() {
                self.change(before, now)
            } else {
                change_of_share(gate, [before.value, now.value], windows.map(|windows| counts(gate, &windows)))
            };
            let judged = judged(gate) && (gate == Gate::Cpu || !duet) && change != Change::Unknown;
            Some(Row { metric: gate.as_str().to_owned(), ruler: None, before, now, change, judged })
        };
        gates.filter_map(row).collect()
    }

    fn change(&self, before: Measured, now: Measured) -> Change {
        let (
            Measured { low: Some(low), high: Some(high), .. },
            Measured { low: Some(low_now), high: Some(high_now), .. },
        ) = (before, now)
        else {
            return Change::Unknown;
        };
        let beyond = |less: f64, more: f64| more > less * self.margin;
        if low_now > high && beyond(before.value, now.value) {
            Change::Worse
        } else if high_now < low && beyond(now.value, before.value) {
            Change::Better
        } else {
            Change::Same
        }
    }
}

/// Whether a share changed: intervals say little of what hardly ever happens, since of none in sixty windows they say none.
fn change_of_share(gate: Gate, [before, now]: [f64; 2], [then, later]: [Vec<Count>; 2]) -> Change {
    let margin = if gate == Gate::Slo { POINTS } else { 0.0 };
    let chance = |less: &[Count], more: &[Count]| bootstrap::dealt_out(less, more, DEALS, &mut Random::new(7));
    if now > before + margin && chance(&then, &later) <= LEVEL / SHARES {
        Change::Worse
    } else if before > now + margin && chance(&later, &then) <= LEVEL / SHARES {
        Change::Better
    } else {
        Change::Same
    }
}

fn measured(gate: Gate, windows: &[&Window]) -> Option<Measured> {
    if gate.is_ratio() {
        let values: Vec<f64> = windows.iter().filter_map(|window| gate.value(&Sample::of(window))).collect();
        return estimate(&values);
    }
    let bounds = bootstrap::total(&counts(gate, windows), LEVEL, RESAMPLES, &mut Random::new(7))?;
    Some(Measured { value: bounds.estimate, low: Some(bounds.low), high: Some(bounds.high) })
}

/// What a share counts, by window.
fn counts(gate: Gate, windows: &[&Window]) -> Vec<Count> {
    let part = |sample: &Sample| match gate {
        Gate::Failed(kind) => sample.failed_by(kind),
        Gate::Refused => sample.refused,
        Gate::Cpu | Gate::Memory | Gate::Rss | Gate::Slo | Gate::SloTotal => sample.beyond,
    };
    let samples = windows.iter().map(|window| Sample::of(window));
    samples.map(|sample| Count { part: part(&sample), whole: sample.requests }).collect()
}
