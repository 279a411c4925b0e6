//! A budget never grants more than its share, and forgets what is old.

use std::time::Instant;

use super::*;
use proptest::prelude::*;

fn budget(share: u32, floor: u32, now: Instant) -> Budget {
    Budget::new(BudgetPolicy { share: percent(share * 10_000), floor, window: Duration::from_secs(10) }, now)
}

#[test]
fn grants_a_share_of_the_requests_or_the_floor() {
    for (requests, share, floor, expected) in
        [(1000, 20, 3, 200), (0, 20, 3, 30), (100, 20, 3, 30), (0, 20, 0, 0), (1000, 5, 0, 50), (10, 5, 0, 0)]
    {
        let now = Instant::now();
        let budget = budget(share, floor, now);
        (0..requests).for_each(|_| budget.request(now));
        let granted = (0..2_000).filter(|_| budget.grant(now)).count();
        assert_eq!(granted, expected, "{requests} {share} {floor}");
        assert_eq!(budget.spent(now).granted, expected as u64, "refusals cost nothing");
    }
}

#[test]
fn forgets_step_by_step_what_leaves_the_window() {
    let start = Instant::now();
    let budget = budget(20, 0, start);
    (0..100).for_each(|_| budget.request(start));
    assert_eq!((0..50).filter(|_| budget.grant(start)).count(), 20);
    let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
    assert!(!budget.grant(at(99)));
    (0..50).for_each(|_| budget.request(at(99)));
    assert_eq!(budget.spent(at(99)), Spent { requests: 150, asked: 51, granted: 20, allowed: 30 });
    assert_eq!(budget.spent(at(100)), Spent { requests: 50, asked: 1, granted: 0, allowed: 10 });
    assert_eq!(budget.spent(at(1_000_000)), Spent::default());
}

#[test]
fn grants_half_when_much_more_is_asked_for() {
    let start = Instant::now();
    let budget = budget(20, 0, start);
    let at = |second: u64| start + Duration::from_secs(second);
    let mut granted = Vec::new();
    for second in 0..30 {
        (0..100).for_each(|_| budget.request(at(second)));
        granted.push((0..100).filter(|_| budget.grant(at(second))).count());
    }
    assert_eq!(granted[0], 20, "what comes first is granted");
    assert!(granted[20..].iter().sum::<usize>() <= 110, "{granted:?}");
    assert!(granted.iter().sum::<usize>() >= 250, "{granted:?}");
}

#[test]
fn survives_clocks_that_disagree_and_slots_that_are_full() {
    let start = Instant::now();
    let budget = budget(20, 0, start);
    let later = start + Duration::from_secs(10);
    (0..100).for_each(|_| budget.request(later));
    budget.request(start);
    assert_eq!(budget.spent(later).requests, 101, "a late count does not wipe the newer lap");
}

proptest! {
    #[test]
    fn no_schedule_exceeds_the_budget(
        share in 0_u32..=100,
        floor in 0_u32..5,
        steps in prop::collection::vec((0_u64..3_000, 0_usize..60, 0_usize..60), 1..60),
    ) {
        let mut now = Instant::now();
        let budget = budget(share, floor, now);
        // A plain account: everything with its moment.
        let (mut requests, mut granted): (Vec<Instant>, Vec<Instant>) = (Vec::new(), Vec::new());
        for (pause, asked, wanted) in steps {
            now += Duration::from_millis(pause);
            (0..asked).for_each(|_| budget.request(now));
            requests.extend(vec![now; asked]);
            let before = granted.len();
            granted.extend((0..wanted).filter(|_| budget.grant(now)).map(|_| now));
            // The window ends with a slot, so it is up to a step shorter than its name.
            let within = |list: &[Instant], window: Duration| list.iter().filter(|at| now.duration_since(**at) < window).count();
            let most = (within(&requests, Duration::from_secs(10)) * share as usize / 100).max(floor as usize * 10);
            prop_assert!(granted.len() == before || within(&granted, Duration::from_secs(9)) <= most);
        }
    }
}
