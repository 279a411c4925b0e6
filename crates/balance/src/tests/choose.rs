//! Choosing: shares, priorities, skipped endpoints, panic, keys, refusals.

use super::*;
use crate::{Candidates, ChoicePolicy, NoEndpoint, SetError};
use portcullis_types::{EndpointName, ProxyError, Reason};

#[test]
fn every_algorithm_respects_weights() {
    for algorithm in every_algorithm() {
        let set = built(specs(&[(1, 0), (2, 0), (0, 0), (5, 0)]), checked(algorithm.clone()));
        let got = shares(&set, 8_000);
        for (count, due) in got.iter().zip([1_000.0, 2_000.0, 0.0, 5_000.0]) {
            assert!((*count as f64 - due).abs() <= 0.25 * due, "{algorithm:?}: {got:?}");
        }
    }
}

#[test]
fn a_fleet_of_one_or_two_is_served_whole() {
    for algorithm in every_algorithm() {
        assert_eq!(shares(&built(equal(1), checked(algorithm.clone())), 100), [100], "{algorithm:?}");
        let two = shares(&built(equal(2), checked(algorithm.clone())), 1_000);
        assert!(two.iter().all(|count| *count > 400), "{algorithm:?}: {two:?}");
    }
}

#[test]
fn round_robin_spreads_the_share_of_an_unhealthy_endpoint_evenly() {
    let set = built(equal(4), checked(Algorithm::RoundRobin));
    make(&set, 1, false);
    assert_eq!(shares(&set, 300), [100, 0, 100, 100]);
}

#[test]
fn round_robin_starts_where_the_seed_says() {
    let firsts: Vec<usize> = (0..8)
        .map(|seed| built(equal(8), SetOptions { seed, ..checked(Algorithm::RoundRobin) }))
        .map(|set| choose(&set, 0).index().get())
        .collect();
    let mut sorted = firsts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7], "{firsts:?}");
}

#[test]
fn least_loaded_of_two_takes_the_less_loaded() {
    for (weights, busy, expected) in [
        ([1, 1], [1, 0], 1),
        ([1, 1], [0, 1], 0),
        ([1, 1], [3, 2], 1),
        ([3, 1], [1, 0], 0),
        ([3, 1], [3, 0], 1),
        ([1, 3], [0, 1], 1),
        ([1, u32::MAX - 1], [0, 1000], 1),
    ] {
        let set = built(specs(&weights.map(|weight| (weight, 0))), checked(Algorithm::LeastLoaded));
        let held: Vec<Choice> = (0..2_u32)
            .flat_map(|nth| (0..busy[nth as usize]).map(move |_| EndpointIdx(nth)))
            .map(|index| set.claim(index).unwrap())
            .collect();
        for random in 0..20 {
            assert_eq!(choose(&set, random).index().get(), expected, "{weights:?} {busy:?}");
        }
        drop(held);
    }
}

#[test]
fn the_lowest_priority_number_with_an_available_endpoint_is_used() {
    for algorithm in every_algorithm() {
        let set = built(specs(&[(1, 2), (1, 0), (1, 0), (0, 0), (1, 1)]), checked(algorithm));
        let used = |set: &EndpointSet| shares(set, 100).iter().map(|count| *count > 0).collect::<Vec<_>>();
        assert_eq!(used(&set), [false, true, true, false, false]);
        make(&set, 1, false);
        assert_eq!(used(&set), [false, false, true, false, false]);
        make(&set, 2, false);
        assert_eq!(used(&set), [false, false, false, false, true]);
        make(&set, 4, false);
        assert_eq!(used(&set), [true, false, false, false, false]);
        make(&set, 1, true);
        assert_eq!(used(&set), [false, true, false, false, false]);
    }
}

#[test]
fn a_retry_goes_to_another_endpoint_while_one_is_left() {
    for algorithm in every_algorithm() {
        let set = built(specs(&[(1000, 0), (1, 0), (1, 1), (1, 1)]), checked(algorithm));
        make(&set, 3, false);
        for (skip, expected, again) in [
            (&[][..], &[0, 1][..], false),
            (&[0], &[1], false),
            (&[1], &[0], false),
            (&[0, 1], &[2], false),
            (&[0, 1, 2], &[0, 1], true),
            (&[0, 1, 2, 3], &[0, 1], true),
        ] {
            let skip = places(skip);
            for random in 0..50 {
                let ask = Ask { skip: &skip, key: Some(random), ..Ask::new(Instant::now(), random) };
                let choice = set.choose(&ask).unwrap();
                assert!(expected.contains(&choice.index().0), "{skip:?}: {choice:?}");
                assert_eq!(choice.is_again(), again, "{skip:?}");
            }
        }
    }
}

#[test]
fn nothing_is_chosen_when_none_is_available() {
    let set = built(specs(&[(1, 0), (1, 1), (0, 0)]), checked(Algorithm::LeastLoaded));
    make(&set, 0, false);
    make(&set, 1, false);
    let error = set.choose(&Ask::new(Instant::now(), 1)).unwrap_err();
    assert_eq!(error, NoEndpoint::NoneAvailable { endpoints: 3 });
    assert_eq!(ProxyError::from(error).reason, Reason::NoHealthyUpstream);
    assert_eq!(set.available(), 0);
}

#[test]
fn an_empty_set_waits_for_its_endpoints() {
    let set = built(Vec::new(), checked(Algorithm::RoundRobin));
    assert_eq!(set.choose(&Ask::new(Instant::now(), 1)).unwrap_err(), NoEndpoint::Empty);
    let set = set.rebuild(equal(1), checked(Algorithm::RoundRobin), Instant::now()).unwrap();
    assert_eq!(choose(&set, 1).index().get(), 0);
}

#[test]
fn sets_that_cannot_work_are_refused() {
    let twice = [equal(2), equal(1)].concat();
    let same = SetError::Duplicate { name: EndpointName::from("a"), address: ([10, 0, 0, 0], 80).into() };
    let heavy = SetError::TooHeavy { priority: 1, sum: u64::from(u32::MAX) + 1 };
    for (specs, expected) in
        [(specs(&[(0, 0), (0, 1)]), SetError::AllDrained), (twice, same), (specs(&[(u32::MAX, 1), (1, 1)]), heavy)]
    {
        let got = EndpointSet::build(specs, SetOptions::default(), Instant::now());
        assert_eq!(got.unwrap_err(), expected);
    }
    assert!(EndpointSet::build(specs(&[(u32::MAX, 0), (1, 1)]), SetOptions::default(), Instant::now()).is_ok());
}

#[test]
fn unchecked_endpoints_are_available_unless_the_cluster_wants_a_check_first() {
    let strict = HealthPolicy { before_first_check: BeforeFirstCheck::Unavailable, ..policy() };
    for (health, expected) in [(None, 2), (Some(policy()), 2), (Some(strict), 0)] {
        let set = built(equal(2), SetOptions { health, ..SetOptions::default() });
        assert_eq!(set.available(), expected, "{health:?}");
        make(&set, 0, true);
        assert_eq!(set.available(), expected.max(1), "{health:?}");
    }
}

#[test]
fn a_panic_uses_the_priority_with_most_left_whole() {
    let options =
        |threshold: &str| SetOptions { panic_threshold: threshold.parse().unwrap(), ..checked(Algorithm::RoundRobin) };
    // Priority 0: a, b, c, and d which is drained. Priority 1: e, f.
    let wanted = [(1, 0), (1, 0), (1, 0), (0, 0), (1, 1), (1, 1)];
    for (threshold, down, panics, expected) in [
        ("50%", &[][..], false, "abc"),
        ("50%", &[0], false, "bc"),
        ("50%", &[0, 1], false, "ef"),
        ("50%", &[0, 1, 4], false, "f"),
        ("60%", &[0, 1, 4], true, "ef"),
        ("60%", &[0, 1, 4, 5], true, "abc"),
        ("1%", &[0, 1, 2, 4, 5], true, "abc"),
        ("0%", &[0, 1, 4], false, "c"),
    ] {
        let set = built(specs(&wanted), options(threshold));
        for nth in down {
            make(&set, *nth, false);
        }
        let used = shares(&set, 60).into_iter().enumerate().filter(|(_, count)| *count > 0);
        let used: String = used.map(|(nth, _)| ["a", "b", "c", "d", "e", "f"][nth]).collect();
        assert_eq!((used.as_str(), set.is_panicking()), (expected, panics), "{threshold} {down:?}");
    }
}

#[test]
fn equal_keys_meet_on_one_endpoint_in_every_gateway() {
    let options = || checked(Algorithm::Hash(LoadBound::default()));
    let one = built(equal(9), options());
    let mut turned = equal(9);
    turned.reverse();
    let other = built(turned, SetOptions { seed: 99, ..options() });
    for key in 0..500 {
        let by = |set: &EndpointSet, random| {
            set.choose(&Ask { key: Some(key), ..Ask::new(Instant::now(), random) }).unwrap().address()
        };
        assert_eq!(by(&one, 1), by(&one, 2));
        assert_eq!(by(&one, 1), by(&other, 3));
    }
}

#[test]
fn tells_where_a_key_goes_without_sending_anything_there() {
    let set = built(equal(9), checked(Algorithm::Hash(LoadBound::default())));
    make(&set, 4, false);
    let held = set.claim(EndpointIdx(2)).unwrap();
    for key in 0..300 {
        let owner = set.owner(key, Instant::now()).unwrap();
        let choice = set.choose(&Ask { key: Some(key), ..Ask::new(Instant::now(), key) }).unwrap();
        assert_eq!(choice.index(), owner);
    }
    assert_eq!(set.cluster_in_flight(), 1);
    drop(held);
    assert_eq!(built(equal(2), checked(Algorithm::LeastLoaded)).owner(1, Instant::now()), None);
    assert_eq!(built(Vec::new(), checked(Algorithm::Hash(LoadBound::default()))).owner(1, Instant::now()), None);
}

#[test]
fn a_key_spills_over_at_the_load_bound() {
    let set = built(equal(10), checked(Algorithm::Hash(LoadBound::default())));
    let held: Vec<Choice> = (0..1000)
        .map(|random| set.choose(&Ask { key: Some(42), ..Ask::new(Instant::now(), random) }).unwrap())
        .collect();
    let most = set.endpoints().iter().map(|endpoint| endpoint.state().in_flight()).max();
    assert_eq!(most, Some(125), "125 % of a tenth of 1,000");
    drop(held);
}

#[test]
fn hash_without_a_key_is_left_to_chance() {
    let set = built(equal(4), checked(Algorithm::Hash(LoadBound::default())));
    let reached: std::collections::HashSet<_> = (0..200).map(|random| choose(&set, random).index()).collect();
    assert_eq!(reached.len(), 4);
}

/// Always the last candidate.
struct Last;

impl ChoicePolicy for Last {
    fn choose(&self, candidates: &Candidates<'_>, _: &Ask<'_>) -> Option<EndpointIdx> {
        candidates.get(candidates.len() - 1)
    }
}

/// Always an endpoint that does not exist.
struct Astray;

impl ChoicePolicy for Astray {
    fn choose(&self, _: &Candidates<'_>, _: &Ask<'_>) -> Option<EndpointIdx> {
        Some(EndpointIdx(77))
    }
}

#[test]
fn a_custom_policy_chooses_among_what_is_available() {
    let set = built(equal(4), checked(Algorithm::Custom(Arc::new(Last))));
    assert_eq!(shares(&set, 10), [0, 0, 0, 10]);
    make(&set, 3, false);
    assert_eq!(shares(&set, 10), [0, 0, 10, 0]);
    let skip = places(&[2]);
    let choice = set.choose(&Ask { skip: &skip, ..Ask::new(Instant::now(), 5) }).unwrap();
    assert!([0, 1].contains(&choice.index().get()));
}

#[test]
fn a_custom_policy_that_goes_astray_leaves_it_to_chance() {
    let set = built(equal(2), checked(Algorithm::Custom(Arc::new(Astray))));
    assert!(shares(&set, 200).iter().all(|count| *count > 50));
}
