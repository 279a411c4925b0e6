//! Shares over many windows, and how sure one can be of them: windows are resampled whole, since the requests of a window go
//! well or badly together.

use crate::random::Random;

/// A count and what it is a share of, for one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Those that are counted.
    pub part: u64,
    /// All of them.
    pub whole: u64,
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Over the windows as they are.
    pub estimate: f64,
    /// Of the resamples the share that was asked for lies below this.
    pub low: f64,
    /// And above this.
    pub high: f64,
}

/// How much of the resamples lies outside, on either side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Below.
    pub low: f64,
    /// Above.
    pub high: f64,
}

/// The excess of the second side's share over the first's, from pairs of windows. `None` without requests on both sides.
#[must_use]
pub fn excess(pairs: &[(Count, Count)], levels: Levels, resamples: u32, random: &mut Random) -> Option<Bounds> {
    bounds(pairs, levels, resamples, random, |sums| Some(share(sums.1)? - share(sums.0)?))
}

/// The share over all windows of one side.
#[must_use]
pub fn total(windows: &[Count], level: f64, resamples: u32, random: &mut Random) -> Option<Bounds> {
    let pairs: Vec<(Count, Count)> = windows.iter().map(|count| (*count, Count::default())).collect();
    let levels = Levels { low: level, high: level };
    bounds(&pairs, levels, resamples, random, |sums| share(sums.0))
}

/// The chance that the second run's share exceeds the first's by as much as it does when all their windows are dealt out between both
/// at random, as many to each as it had: the permutation test of two samples. 1 without requests in both.
#[must_use]
pub fn dealt_out(one: &[Count], other: &[Count], deals: u32, random: &mut Random) -> f64 {
    let plus = |sum, count: &Count| add((sum, Count::default()), &(*count, Count::default())).0;
    let sum = |windows: &[Count]| windows.iter().fold(Count::default(), plus);
    let excess = |one: &[Count], other: &[Count]| Some(share(sum(other))? - share(sum(one))?);
    let Some(seen) = excess(one, other) else { return 1.0 };
    let mut windows = [one, other].concat();
    let as_much = (0..deals).filter(|_| {
        random.shuffle(&mut windows);
        let (one, other) = windows.split_at(one.len());
        // Equal sums in another order are equal.
        excess(one, other).is_some_and(|excess| excess >= seen - 1e-12)
    });
    let as_much = u32::try_from(as_much.count()).unwrap_or(u32::MAX);
    f64::from(as_much.saturating_add(1)) / f64::from(deals.saturating_add(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among the resamples")]
fn bounds(
    pairs: &[(Count, Count)],
    levels: Levels,
    resamples: u32,
    random: &mut Random,
    of: impl Fn(&(Count, Count)) -> Option<f64>,
) -> Option<Bounds> {
    let estimate = of(&pairs.iter().fold(Default::default(), add))?;
    let draw = |_| {
        let drawn = (0..pairs.len()).filter_map(|_| pairs.get(random.below(pairs.len())));
        of(&drawn.fold(Default::default(), add))
    };
    let mut values: Vec<f64> = (0..resamples).filter_map(draw).collect();
    values.sort_by(f64::total_cmp);
    let beyond = |level: f64| (level.clamp(0.0, 0.5) * f64::from(resamples)).floor() as usize;
    let low = values.get(beyond(levels.low)).copied()?;
    let high = values.len().checked_sub(1 + beyond(levels.high)).and_then(|place| values.get(place)).copied()?;
    Some(Bounds { estimate, low, high })
}

fn add(sums: (Count, Count), pair: &(Count, Count)) -> (Count, Count) {
    let plus = |one: Count, other: Count| Count { part: one.part + other.part, whole: one.whole + other.whole };
    (plus(sums.0, pair.0), plus(sums.1, pair.1))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn share(count: Count) -> Option<f64> {
    (count.whole > 0).then(|| count.part as f64 / count.whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Levels = Levels { low: 0.01, high: 0.01 };

    fn of(parts: &[(u64, u64)]) -> Vec<(Count, Count)> {
        let count = |part| Count { part, whole: 1000 };
        parts.iter().map(|(one, other)| (count(*one), count(*other))).collect()
    }

    #[test]
    fn a_steady_excess_is_told_exactly() {
        let bounds = excess(&of(&[(10, 20); 20]), ONE, 2000, &mut Random::new(1)).unwrap();
        for value in [bounds.estimate, bounds.low, bounds.high] {
            assert!((value - 0.01).abs() < 1e-12, "{bounds:?}");
        }
    }

    #[test]
    fn windows_that_are_dealt_out_tell_how_often_chance_does_as_much() {
        let failing = |count: usize| -> Vec<Count> {
            (0..60).map(|place| Count { part: u64::from(place < count), whole: 1000 }).collect()
        };
        // Of 2k failing windows in 120 all are in one half: the chance is that of k heads, less what leaves the urn.
        for (count, least, most) in [(0, 1.0, 1.0), (1, 0.45, 0.55), (4, 0.045, 0.07), (8, 0.0015, 0.0045)] {
            let chance = dealt_out(&failing(0), &failing(count), 8000, &mut Random::new(1));
            assert!((least..=most).contains(&chance), "{chance} of {count}");
        }
        assert!(dealt_out(&failing(30), &failing(10), 1000, &mut Random::new(1)) > 0.99);
        assert!((dealt_out(&[], &failing(10), 1000, &mut Random::new(1)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_bad_window_is_no_proof() {
        let mut pairs = of(&[(0, 0); 19]);
        pairs.extend(of(&[(0, 900)]));
        let bounds = excess(&pairs, ONE, 2000, &mut Random::new(1)).unwrap();
        assert!(bounds.low <= 0.0 && bounds.high > 0.045, "{bounds:?}");
    }

    #[test]
    fn a_window_weighs_as_many_requests_as_it_had() {
        let counts = [Count { part: 0, whole: 300 }, Count { part: 100, whole: 100 }];
        let bounds = total(&counts, 0.01, 1000, &mut Random::new(1)).unwrap();
        assert!(
            (bounds.estimate - 0.25).abs() < 1e-12 && bounds.low.abs() < 1e-12 && (bounds.high - 1.0).abs() < 1e-12
        );
        assert_eq!(total(&[], 0.01, 1000, &mut Random::new(1)), None);
        assert_eq!(excess(&[(Count::default(), Count::default())], ONE, 1000, &mut Random::new(1)), None);
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let mut random = Random::new(5);
        let held = (0..400).filter(|_| {
            let parts: Vec<(u64, u64)> =
                (0..30).map(|_| (random.below(40) as u64, 10 + random.below(40) as u64)).collect();
            let bounds = excess(&of(&parts), Levels { low: 0.025, high: 0.025 }, 1000, &mut random).unwrap();
            (bounds.low..=bounds.high).contains(&0.01)
        });
        let share = held.count() as f64 / 400.0;
        assert!((0.9..0.99).contains(&share), "{share}");
    }
}
