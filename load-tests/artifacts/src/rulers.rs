//! Rulers: other programs that did the same work in the same rounds. What a request costs, as a ratio to what it cost a ruler a moment
//! before or after, carries over to another machine; microseconds do not.

use portcullis_judge::stats::Estimate;
use portcullis_judge::window::{Side, Window};
use portcullis_judge::{Gate, Sample};
use serde::{Deserialize, Serialize};

use crate::report::{Measured, WindowPair};

/// Rounds from which on a bootstrap of the median means something: of fewer not even their whole range holds it in 95 of 100 cases.
pub const LEAST_ROUNDS: usize = 6;

/// A ruler.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruler {
    /// Its name; its windows are under it in each pair that was a round.
    pub name: String,
    /// Its version, where it tells one.
    #[serde(default)]
    pub version: Option<String>,
    /// Why it was not measured, if it was not.
    #[serde(default)]
    pub left_out: Option<String>,
    /// Rounds in which its window said nothing.
    #[serde(default)]
    pub missed: u32,
    /// Why, the last time.
    #[serde(default)]
    pub missed_last: Option<String>,
    /// What each side costs, as a ratio to what it costs this ruler.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
}

/// A side's value over a ruler's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Whose.
    pub side: Side,
    /// Of what: CPU per request, or memory per connection.
    pub gate: Gate,
    /// Rounds that it rests on.
    pub rounds: u32,
    /// The median over rounds, with its interval where there are enough of them.
    pub ratio: Measured,
}

impl Ruler {
    /// A ruler with what its rounds say.
    #[must_use]
    pub fn measured(name: &str, version: Option<String>, twins: &[WindowPair], pairs: &[WindowPair]) -> Self {
        let rounds = Rounds { name, twins, pairs };
        let of = |gate: Gate| Side::BOTH.into_iter().filter_map(move |side| rounds.ratio(side, gate));
        let ratios = [Gate::Cpu, Gate::Rss].into_iter().flat_map(of).collect();
        Self { name: name.to_owned(), version, ratios, ..Self::default() }
    }

    /// A ruler that was not measured, and why.
    #[must_use]
    pub fn left_out(name: &str, version: Option<String>, why: &str) -> Self {
        Self { name: name.to_owned(), version, left_out: Some(why.to_owned()), ..Self::default() }
    }

    /// The ratio of a side, with an interval.
    #[must_use]
    pub fn ratio(&self, side: Side, gate: Gate) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.side == side && ratio.gate == gate)
    }

    /// Its own values over all rounds.
    #[must_use]
    pub fn value(&self, gate: Gate, twins: &[WindowPair], pairs: &[WindowPair]) -> Option<Measured> {
        let windows = twins.iter().chain(pairs).filter_map(|pair| pair.rulers.get(&self.name));
        let values: Vec<f64> = windows.filter_map(|window| value(gate, window)).collect();
        estimate(&values)
    }
}

/// The rounds of one ruler.
#[derive(Debug, Clone, Copy)]
struct Rounds<'a> {
    name: &'a str,
    twins: &'a [WindowPair],
    pairs: &'a [WindowPair],
}

impl Rounds<'_> {
    /// A round of twins tells of the baseline twice: the geometric mean is its value there.
    fn ratio(self, side: Side, gate: Gate) -> Option<Ratio> {
        let over = |pair: &WindowPair, sides: &[&Window]| {
            let ruler = value(gate, pair.rulers.get(self.name)?)?;
            let logarithms: Option<Vec<f64>> = sides.iter().map(|window| Some(value(gate, window)?.ln())).collect();
            let logarithms = logarithms?;
            #[expect(clippy::cast_precision_loss, reason = "one or two")]
            let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
            Some(mean.exp() / ruler).filter(|ratio| ratio.is_finite())
        };
        let values: Vec<f64> = match side {
            Side::Baseline => {
                let twins = self.twins.iter().filter_map(|pair| over(pair, &[&pair.baseline, &pair.canary]));
                twins.chain(self.pairs.iter().filter_map(|pair| over(pair, &[&pair.baseline]))).collect()
            }
            Side::Canary => self.pairs.iter().filter_map(|pair| over(pair, &[&pair.canary])).collect(),
        };
        Some(Ratio { side, gate, rounds: u32::try_from(values.len()).ok()?, ratio: estimate(&values)? })
    }
}

/// None of a window in which not all was done: what a refusal costs is not what an answer costs.
fn value(gate: Gate, window: &Window) -> Option<f64> {
    if window.failed_requests() + window.refused > 0 {
        return None;
    }
    gate.value(&Sample::of(window)).filter(|value| *value > 0.0)
}

/// The median, with an interval where there are enough values.
pub(crate) fn estimate(values: &[f64]) -> Option<Measured> {
    let Estimate { median, low, high } = Estimate::of(values)?;
    let enough = values.len() >= LEAST_ROUNDS;
    Some(Measured { value: median, low: enough.then_some(low), high: enough.then_some(high) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::report;
    use portcullis_judge::window::Readings;

    fn ruled() -> (Vec<WindowPair>, Vec<WindowPair>) {
        let report = report();
        (report.twins, report.pairs)
    }

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        let (twins, pairs) = ruled();
        let ruler = Ruler::measured("nginx", None, &twins, &pairs);
        // The fixture's baseline needs twice the ruler's CPU and its canary a quarter more, whatever the round adds to all of them.
        for (side, expected) in [(Side::Baseline, 2.0), (Side::Canary, 2.5)] {
            let ratio = ruler.ratio(side, Gate::Cpu).unwrap();
            let Measured { value, low: Some(low), high: Some(high) } = ratio.ratio else { panic!("{ratio:?}") };
            assert!((value / expected - 1.0).abs() < 0.03 && low <= value && value <= high, "{ratio:?}");
        }
        let rounds = |list: &[WindowPair]| list.iter().filter(|pair| pair.rulers.contains_key("nginx")).count();
        let baseline = ruler.ratio(Side::Baseline, Gate::Cpu).unwrap();
        assert_eq!(baseline.rounds as usize, rounds(&twins) + rounds(&pairs));
    }

    #[test]
    fn a_window_in_which_not_all_was_done_is_in_no_ratio() {
        let (twins, mut pairs) = ruled();
        let rounds = |pairs: &[WindowPair], side| {
            let ruler = Ruler::measured("nginx", None, &twins, pairs);
            ruler.ratio(side, Gate::Cpu).unwrap().rounds
        };
        let [baseline, canary] = Side::BOTH.map(|side| rounds(&pairs, side));
        let refusing = |window: &mut Window| {
            let mut readings = Readings::from(window.clone());
            (readings.succeeded, readings.refused) = (readings.succeeded - 1, 1);
            *window = Window::new(readings).unwrap();
        };
        let mut of_ruler = pairs.iter_mut().filter(|pair| pair.rulers.contains_key("nginx"));
        refusing(&mut of_ruler.next().unwrap().canary);
        refusing(of_ruler.next().unwrap().rulers.get_mut("nginx").unwrap());
        assert_eq!(Side::BOTH.map(|side| rounds(&pairs, side)), [baseline - 1, canary - 2]);
    }

    #[test]
    fn a_few_rounds_have_no_interval_and_none_have_no_ratio() {
        let (twins, pairs) = ruled();
        let few = Ruler::measured("nginx", None, &twins[..6], &[]);
        let ratio = few.ratio(Side::Baseline, Gate::Cpu).unwrap();
        assert_eq!((ratio.rounds, ratio.ratio.low, ratio.ratio.high), (3, None, None));
        assert!(few.ratio(Side::Canary, Gate::Cpu).is_none());
        assert!(Ruler::measured("HAProxy", None, &twins, &pairs).ratios.is_empty());
    }
}
