//! The bounds that `lease.rs` states, against an exact oracle: one bucket that sees everything at once.

use proptest::prelude::*;

use super::world::{Scene, Story, play};
use super::*;

fn scene(seed: u64, budget: Budget, load: &[f64]) -> Scene {
    Scene {
        seed,
        budget,
        terms: terms(300, 30),
        outage: Outage::LocalShare,
        load: load.to_vec(),
        moves: Vec::new(),
        millis: 20_000,
        delay: 10,
        lost: 0,
        cut: Vec::new(),
        forgets: Vec::new(),
    }
}

/// How many an oracle admits with so much more burst, of the requests at these times.
fn exact(times: &[u64], rate: &str, burst: u64) -> u64 {
    let bucket = Bucket::new(rate.parse().unwrap(), burst).unwrap();
    let mut state = FullAt::default();
    let mut admitted = 0;
    for time in times {
        if let Ok(after) = bucket.check(state, *time, 1) {
            state = after;
            admitted += 1;
        }
    }
    admitted
}

/// Whether all that was admitted fits into the cap with so much more burst, in every window of time.
fn fits(story: &Story, rate: &str, burst: u64) -> bool {
    exact(&story.admitted, rate, burst) == story.admitted.len() as u64
}

/// Per mille of what the oracle admits of the same requests, after two seconds.
fn share_of_exact(story: &Story, rate: &str, burst: u64) -> u64 {
    let begin = 2_000 * MILLI;
    let exact = exact(&story.came, rate, burst) - exact(&before(&story.came, begin), rate, burst);
    let admitted = story.admitted.len() - before(&story.admitted, begin).len();
    admitted as u64 * 1_000 / exact
}

fn before(times: &[u64], end: u64) -> Vec<u64> {
    times.iter().copied().filter(|time| *time < end).collect()
}

#[test]
fn at_steady_load_no_more_than_two_percent_are_lost() {
    // Requests per second of a cap of 1000, and how they are divided.
    for total in [500.0, 950.0, 1_000.0, 1_200.0, 3_000.0] {
        for skew in [[0.9, 0.09, 0.01], [0.34, 0.33, 0.33], [1.0, 0.0, 0.0], [0.5, 0.49, 0.01]] {
            let load = skew.map(|part| part * total);
            let story = play(scene(7, rate("1000/s", 1_000), &load));
            let share = share_of_exact(&story, "1000/s", 1_000);
            println!("{total} by {skew:?}: {share} per mille");
            assert!((980..=1_010).contains(&share), "{total} by {skew:?}: {share}");
            assert!(fits(&story, "1000/s", 1_000 + 3 * 330), "{total} by {skew:?}");
        }
    }
}

#[test]
fn a_small_cap_is_shared_too() {
    let story = |load: &[f64]| {
        let base = scene(3, rate("10/s", 20), load);
        play(Scene { terms: Terms { most: 3, overdraft: 1, ..base.terms }, millis: 60_000, ..base })
    };
    for load in [[8.0, 0.8, 0.1], [18.0, 1.8, 0.2], [30.0, 30.0, 30.0]] {
        let story = story(&load);
        let share = share_of_exact(&story, "10/s", 20);
        println!("{load:?}: {share} per mille");
        assert!(share >= 980, "{load:?}: {share}");
        assert!(fits(&story, "10/s", 20 + 3 * 4), "{load:?}");
    }
}

#[test]
fn load_that_moves_from_one_gateway_to_another_is_followed() {
    let moves = (1..10).map(|nth| nth * 2_000).collect();
    let story = play(Scene { moves, ..scene(5, rate("1000/s", 500), &[1_500.0, 0.0, 0.0]) });
    let share = share_of_exact(&story, "1000/s", 500);
    println!("moving: {share} per mille");
    assert!(share >= 960, "{share}");
    assert!(fits(&story, "1000/s", 500 + 3 * 330));
}

#[test]
fn a_gateway_that_is_cut_off_serves_its_share_and_the_others_theirs() {
    let cut = vec![(0, 5_000, 15_000)];
    let base = scene(11, rate("900/s", 300), &[2_000.0, 2_000.0, 2_000.0]);
    let story = play(Scene { cut: cut.clone(), ..base.clone() });
    assert!(fits(&story, "900/s", 300 + 3 * 330));
    assert!((2_500..=3_100).contains(&story.locally), "{} of 300/s in nine seconds", story.locally);
    let share = share_of_exact(&story, "900/s", 300);
    assert!(share >= 950, "{share}: what is lost is until the outage is noticed");
    let refusing = play(Scene { cut, outage: Outage::Refuse, ..base });
    assert_eq!(refusing.locally, 0);
    assert!(fits(&refusing, "900/s", 300 + 3 * 330));
}

#[test]
fn a_store_that_is_away_for_all_leaves_each_its_part() {
    let cut = (0..3).map(|gateway| (gateway, 4_000, 14_000)).collect();
    let base = scene(13, rate("900/s", 300), &[2_000.0, 2_000.0, 2_000.0]);
    let story = play(Scene { cut, ..base });
    assert!(fits(&story, "900/s", 300 + 3 * 330));
    let share = share_of_exact(&story, "900/s", 300);
    assert!((930..=1_050).contains(&share), "{share}");
}

#[test]
fn a_quota_is_spent_to_its_end_and_not_beyond_and_all_is_reported() {
    for (outage, cut) in [
        (Outage::Refuse, vec![(1, 3_000, 9_000)]),
        (Outage::LocalShare, vec![(1, 3_000, 9_000)]),
        (Outage::LocalShare, (0..3).map(|gateway| (gateway, 2_000, 8_000)).collect()),
        (Outage::LocalShare, Vec::new()),
    ] {
        let base = scene(17, Budget::Quota(10_000), &[900.0, 200.0, 50.0]);
        let story = play(Scene { outage, cut: cut.clone(), ..base });
        let admitted = story.admitted.len() as u64;
        assert!((9_800..=10_000 + 3 * 330).contains(&admitted), "{outage:?} {cut:?}: {admitted}");
        assert_eq!(story.reported, admitted, "{outage:?} {cut:?}");
    }
}

fn cuts(gateways: usize) -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
    let cut = (0..gateways, 0_u64..8_000, 0_u64..6_000);
    prop::collection::vec(cut.prop_map(|(who, from, long)| (who, from, from + long)), 0..6)
}

prop_compose! {
    fn scenes(budget: Budget)(
        seed in any::<u64>(),
        load in prop::collection::vec(prop_oneof![0.0..100.0_f64, 0.0..2_000.0_f64], 1..6),
        (most, overdraft) in (1_u64..200, 0_u64..30),
        local in any::<bool>(),
        delay in prop_oneof![1_u64..10, 1_u64..200],
        lost in prop_oneof![Just(0_u64), 0_u64..300],
        cut in cuts(5),
    ) -> Scene {
        let outage = if local { Outage::LocalShare } else { Outage::Refuse };
        let (terms, forgets, moves) = (terms(most, overdraft), Vec::new(), vec![3_000, 6_000]);
        Scene { seed, budget, terms, outage, load, moves, millis: 10_000, delay, lost, cut, forgets }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn whatever_is_lost_or_cut_no_more_is_admitted_than_the_bound(scene in scenes(rate("500/s", 200))) {
        let n = scene.load.len() as u64;
        let lease = scene.terms.lease();
        let story = play(scene);
        prop_assert!(fits(&story, "500/s", 200 + n * lease), "{} admitted", story.admitted.len());
    }

    #[test]
    fn at_steady_load_of_any_skew_two_percent_are_lost_at_most(
        seed in any::<u64>(),
        total in 400.0..3_000.0_f64,
        (first, second) in (0.0..1.0_f64, 0.0..1.0_f64),
    ) {
        let skew = [first, (1.0 - first) * second, (1.0 - first) * (1.0 - second)];
        let story = play(scene(seed, rate("1000/s", 1_000), &skew.map(|part| part * total)));
        let share = share_of_exact(&story, "1000/s", 1_000);
        prop_assert!((980..=1_015).contains(&share), "{total} by {skew:?}: {share} per mille");
        prop_assert!(fits(&story, "1000/s", 1_000 + 3 * 330));
    }

    #[test]
    fn of_a_quota_no_more_is_admitted_than_the_bound(scene in scenes(Budget::Quota(3_000))) {
        let most = 3_000 + scene.load.len() as u64 * scene.terms.lease();
        let story = play(scene);
        prop_assert!(story.admitted.len() as u64 <= most, "{} of {most}", story.admitted.len());
        prop_assert!(story.reported <= story.admitted.len() as u64);
    }

    #[test]
    fn a_store_that_forgets_costs_a_burst_each_time(
        scene in scenes(rate("500/s", 200)),
        forgets in prop::collection::vec(0_u64..10_000, 1..4),
    ) {
        let times = forgets.len() as u64;
        let more = 200 * times + scene.load.len() as u64 * scene.terms.lease() * (1 + times);
        let story = play(Scene { forgets, ..scene });
        prop_assert!(fits(&story, "500/s", 200 + more), "{} admitted", story.admitted.len());
    }
}
