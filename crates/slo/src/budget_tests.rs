//! Budgets: what is left, what fires, clocks that jump, restarts.

use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);

fn budget(target: f64) -> Budget {
    Budget::new(Objective::new(target, 30 * DAY).unwrap())
}

#[test]
fn what_leaves_no_budget_is_no_objective() {
    for (target, days, expected) in [
        (1.0, 30, Err(ObjectiveError::Target)),
        (0.0, 30, Err(ObjectiveError::Target)),
        (f64::NAN, 30, Err(ObjectiveError::Target)),
        (0.999, 0, Err(ObjectiveError::Window)),
        (0.999, 93, Err(ObjectiveError::Window)),
        (0.999, 28, Ok(())),
    ] {
        assert_eq!(Objective::new(target, DAY * days).map(drop), expected, "{target} {days}");
    }
}

#[test]
fn a_burn_of_one_uses_the_budget_up_in_the_window() {
    let mut budget = budget(0.99);
    (0..30 * 24).for_each(|hour| budget.add(NOW - hour * 3600, 0, 0));
    for hour in (0..30 * 24).rev() {
        budget.add(NOW - hour * 3600, 99, 1);
    }
    assert!((budget.burn(NOW, 30 * DAY).unwrap() - 1.0).abs() < 1e-9);
    assert!(budget.left(NOW).abs() < 1e-9);
    assert_eq!(budget.counted(NOW, 30 * DAY), (30 * 24 * 99, 30 * 24));
}

#[test]
fn a_page_needs_both_windows() {
    let mut budget = budget(0.999);
    // An hour ago half of all failed, for ten minutes.
    (0..10).for_each(|minute| budget.add(NOW - 3000 + minute * 60, 500, 500));
    budget.add(NOW - 60, 1000, 0);
    let words = |budget: &Budget| budget.firing(NOW).iter().map(|firing| firing.alert.factor).collect::<Vec<_>>();
    assert!(!words(&budget).contains(&14.4), "it is over");
    budget.add(NOW, 500, 500);
    assert!(words(&budget).contains(&14.4), "it goes on");
}

#[test]
fn nothing_fires_without_requests() {
    assert!(budget(0.999).firing(NOW).is_empty());
    assert!((budget(0.999).left(NOW) - 1.0).abs() < 1e-12);
}

#[test]
fn a_clock_that_jumps_loses_nothing_that_counts() {
    let mut budget = budget(0.9);
    budget.add(NOW, 10, 10);
    budget.add(NOW - 7 * 86_400, 5, 5);
    assert_eq!(budget.counted(NOW, DAY), (15, 15), "back: it is of the newest minute");
    budget.add(NOW + 40 * 86_400, 1, 0);
    assert_eq!(budget.counted(NOW + 40 * 86_400, 30 * DAY), (1, 0), "ahead: what was is too old");
}

#[test]
fn what_was_kept_counts_after_a_restart() {
    let mut before = budget(0.99);
    (0..5).for_each(|hour| before.add(NOW - 3600 * (4 - hour), 90, 10));
    let mut after = budget(0.99);
    before.keep().for_each(|kept| after.restore(NOW, kept));
    for window in [30 * DAY, DAY, Duration::from_secs(6 * 3600)] {
        assert_eq!(after.counted(NOW, window), before.counted(NOW, window), "{window:?}");
    }
    after.restore(NOW, Kept { at: NOW + 3600, good: 1, bad: 1 });
    after.restore(NOW, Kept { at: NOW - 40 * 86_400, good: 1, bad: 1 });
    assert_eq!(after.counted(NOW, 30 * DAY), before.counted(NOW, 30 * DAY));
}

proptest! {
    /// Against a list of all that came.
    #[test]
    fn a_window_is_the_sum_of_its_minutes(
        steps in prop::collection::vec((0_u64..4000, 0_u64..5, 0_u64..5), 1..60),
        minutes in 1_u64..4320,
    ) {
        let mut budget = budget(0.5);
        let (mut now, mut all) = (NOW, Vec::new());
        for (seconds, good, bad) in steps {
            now += seconds;
            budget.add(now, good, bad);
            all.push((now / 60, good, bad));
        }
        let first = now / 60 - (minutes - 1);
        let expected = all.iter().filter(|(minute, ..)| *minute >= first).fold((0, 0), |sum, (_, good, bad)| (sum.0 + good, sum.1 + bad));
        prop_assert_eq!(budget.counted(now, Duration::from_secs(minutes * 60)), expected);
    }
}
