//! Instructions per request: a rule of its own, without a test. Each side is counted twice instead.
//!
//! On a quiet machine counts repeat to 0.3 %. What a process does by time rather than by request is in them too, so where its cores
//! are taken several times over those of one build may differ by 8 %.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The share by which the two counts of a baseline may differ. It is a few times what they differ by on a quiet machine, and less than
/// half of the 5 % that a canary may need more: what moves a count by so little neither makes a FAIL nor hides a tenth.
pub const TWINS: f64 = 0.02;

/// How often both are counted until something is told.
pub const TRIES: u32 = 3;

/// What a request costs in instructions on both sides, as callgrind counts them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instructions {
    /// Of the baseline, per request: the mean of its counts.
    pub baseline: f64,
    /// Of the canary, per request: the mean of its counts.
    pub canary: f64,
    /// The ratio that is allowed: 1.05 finds 10 % always.
    pub allowed: f64,
    /// The counts themselves; `None` in results of a tool that counted each side once.
    #[serde(default)]
    pub twins: Option<Twins>,
}

/// Two counts of each side, per request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twins {
    /// Of the baseline: before both of the canary, and after them.
    pub baseline: [f64; 2],
    /// Of the canary.
    pub canary: [f64; 2],
}

impl Instructions {
    /// Of two counts of each side.
    #[must_use]
    pub const fn of(twins: Twins, allowed: f64) -> Self {
        let Twins { baseline: [first, last], canary: [one, other] } = twins;
        Self { baseline: f64::midpoint(first, last), canary: f64::midpoint(one, other), allowed, twins: Some(twins) }
    }

    /// The canary's over the baseline's; infinite without a baseline.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.over_baseline(self.canary)
    }

    /// The share by which the two counts of the baseline differ; `None` where it was counted once.
    #[must_use]
    pub fn twins_differ_by(&self) -> Option<f64> {
        self.twins.map(|twins| differ(twins.baseline))
    }

    fn over_baseline(&self, count: f64) -> f64 {
        if self.baseline > 0.0 { count / self.baseline } else { f64::INFINITY }
    }

    /// Whether the canary needs more than is allowed, by both of its counts. `None` where that cannot be told: the baseline's differ by
    /// more than [`TWINS`], or one of the canary's exceeds it and one does not.
    #[must_use]
    pub fn fails(&self) -> Option<bool> {
        let exceeds = |count: f64| self.over_baseline(count) > self.allowed;
        let Some(Twins { baseline, canary: [one, other] }) = self.twins else { return Some(exceeds(self.canary)) };
        let told = differ(baseline) <= TWINS && exceeds(one) == exceeds(other);
        told.then(|| exceeds(one))
    }
}

/// The share by which the larger of two counts exceeds the smaller. None of a request is below one instruction.
fn differ([one, other]: [f64; 2]) -> f64 {
    (one - other).abs() / one.min(other).max(1.0)
}

/// Counts both sides until something is told, at most [`TRIES`] times. The last counts.
///
/// # Errors
///
/// That of a count, which is not tried again.
pub fn until_told<E>(count: &mut dyn FnMut() -> Result<Instructions, E>) -> Result<Instructions, E> {
    let mut counted = count()?;
    for _ in 1..TRIES {
        if counted.fails().is_some() {
            break;
        }
        counted = count()?;
    }
    Ok(counted)
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { baseline, canary, allowed, twins } = self;
        let ratio = self.ratio();
        write!(
            f,
            "{canary:.0} instructions per request against {baseline:.0}: a ratio of {ratio:.3}, {allowed:.3} allowed"
        )?;
        let Some(twins) = twins else { return Ok(()) };
        let [of_baseline, of_canary] = [twins.baseline, twins.canary].map(|counts| differ(counts) * 100.0);
        write!(f, "; two counts of the baseline differ by {of_baseline:.1} %, of the canary by {of_canary:.1} %")?;
        match self.fails() {
            Some(_) => Ok(()),
            None if differ(twins.baseline) > TWINS => {
                write!(f, "; nothing can be told: the baseline's may differ by {:.1} %", TWINS * 100.0)
            }
            None => {
                f.write_str("; nothing can be told: one count of the canary exceeds what is allowed and one does not")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(baseline: [f64; 2], canary: [f64; 2]) -> Instructions {
        Instructions::of(Twins { baseline, canary }, 1.05)
    }

    #[test]
    fn a_tenth_more_is_found_and_a_hundredth_is_not() {
        for (canary, fails) in [(90_000.0, false), (101_000.0, false), (104_900.0, false), (110_000.0, true)] {
            let once = Instructions { baseline: 100_000.0, canary, allowed: 1.05, twins: None };
            assert_eq!(once.fails(), Some(fails), "{once}");
            let twice = counted([99_800.0, 100_200.0], [canary, canary]);
            assert_eq!(twice.fails(), Some(fails), "{twice}");
        }
        // At the most that twins may differ by, either way.
        for baseline in [[100_000.0, 102_000.0], [98_039.3, 100_000.0]] {
            assert_eq!(counted(baseline, [110_000.0, 110_000.0]).fails(), Some(true));
            assert_eq!(counted(baseline, [100_000.0, 100_000.0]).fails(), Some(false));
        }
        assert_eq!(counted([0.0; 2], [1.0; 2]).fails(), Some(true));
    }

    #[test]
    fn where_counts_of_one_build_differ_nothing_is_told() {
        for (baseline, canary, said) in [
            ([100_000.0, 108_000.0], [100_000.0, 101_000.0], "the baseline's may differ by 2.0 %"),
            // Identical builds, of which one was counted while the cores were taken.
            ([108_000.0, 100_000.0], [112_000.0, 112_000.0], "the baseline's may differ by 2.0 %"),
            ([100_000.0, 100_000.0], [108_000.0, 100_000.0], "one count of the canary exceeds what is allowed"),
        ] {
            let counted = counted(baseline, canary);
            assert_eq!(counted.fails(), None, "{counted}");
            assert!(counted.to_string().contains(said), "{counted}");
        }
        // One that scatters and needs far more is found for all that.
        assert_eq!(counted([100_000.0; 2], [300_000.0, 380_000.0]).fails(), Some(true));
    }

    #[test]
    fn how_much_twins_differ_is_said() {
        let said = counted([100_000.0, 100_300.0], [100_000.0, 101_000.0]).to_string();
        let expected = "100500 instructions per request against 100150: a ratio of 1.003, 1.050 allowed; two counts of the baseline \
                        differ by 0.3 %, of the canary by 1.0 %";
        assert_eq!(said, expected);
    }

    #[test]
    fn they_are_counted_again_until_something_is_told_and_not_for_ever() {
        let (apart, alike) = ([100.0, 108.0], [100.0, 100.0]);
        for (counts, times, fails) in [
            (&[alike, apart][..], 1, Some(false)),
            (&[apart, alike], 2, Some(false)),
            (&[apart, apart, alike], 3, Some(false)),
            (&[apart, apart, apart, alike], 3, None),
        ] {
            let mut left = counts.iter();
            let last = until_told(&mut || left.next().map(|count| counted(*count, [100.0; 2])).ok_or("none")).unwrap();
            assert_eq!((counts.len() - left.len(), last.fails()), (times, fails), "{counts:?}");
        }
        assert_eq!(until_told(&mut || Err("it does not start")), Err("it does not start"));
    }
}
