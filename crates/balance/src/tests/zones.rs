//! Zones, overprovisioning, subsets: where requests begin, and where they spill over to.

use std::collections::BTreeMap;

use super::*;
use crate::{Overprovisioning, Place, SlowStart, Tuning, ZonePreference};

/// Endpoints in these zones, of these priorities.
fn zoned(wanted: &[(&str, u8)]) -> Vec<EndpointSpec> {
    let fleet: Vec<(u32, u8)> = wanted.iter().map(|(_, priority)| (1, *priority)).collect();
    let zones = wanted.iter().map(|(zone, _)| (!zone.is_empty()).then(|| Arc::from(*zone)));
    specs(&fleet).into_iter().zip(zones).map(|(spec, zone)| EndpointSpec { zone, ..spec }).collect()
}

fn tuned(specs: Vec<EndpointSpec>, algorithm: Algorithm, tuning: Tuning) -> Arc<EndpointSet> {
    EndpointSet::build(specs, checked(algorithm).tuned(tuning), Instant::now()).unwrap()
}

fn overprovisioned() -> Tuning {
    Tuning { overprovisioning: Some(Overprovisioning::default()), ..Tuning::default() }
}

/// The shares in per cent, rounded to five.
fn percents(set: &EndpointSet) -> Vec<usize> {
    shares(set, 20_000).into_iter().map(|count| (count * 20 + 10_000) / 20_000 * 5).collect()
}

#[test]
fn a_priority_hands_on_what_it_cannot_carry() {
    // Ten of priority 0, one of priority 1: so many down, the share that priority 1 gets.
    for (down, expected) in [(0, 0), (2, 0), (3, 0), (4, 16), (5, 30), (8, 72), (10, 100)] {
        let fleet: Vec<(u32, u8)> = (0..11).map(|nth| (1, u8::from(nth == 10))).collect();
        let set = tuned(specs(&fleet), Algorithm::Random, overprovisioned());
        (0..down).for_each(|nth| make(&set, nth, false));
        let got = shares(&set, 10_000)[10] / 100;
        assert!(got.abs_diff(expected) <= 2, "{down} down: {got} %, not {expected} %");
    }
}

#[test]
fn priorities_that_are_all_short_share_what_there_is() {
    let set = tuned(
        specs(&[(1, 0); 10].iter().chain(&[(1, 1); 10]).copied().collect::<Vec<_>>()),
        Algorithm::Random,
        overprovisioned(),
    );
    (0..8).chain(10..18).for_each(|nth| make(&set, nth, false));
    let got = shares(&set, 20_000);
    let first: usize = got[..10].iter().sum();
    assert!(first.abs_diff(10_000) < 500, "{got:?}");
}

#[test]
fn a_zone_keeps_what_it_can_carry() {
    let prefer = |traffic: Option<&str>| Tuning {
        zone: Some(ZonePreference {
            zone: "a".into(),
            traffic: traffic.map(|text| text.parse().unwrap()),
            per_endpoint: None,
        }),
        ..overprovisioned()
    };
    let even = [("a", 0), ("a", 0), ("b", 0), ("b", 0)];
    for algorithm in every_algorithm() {
        let set = tuned(zoned(&even), algorithm.clone(), prefer(None));
        assert_eq!(percents(&set)[2..], [0, 0], "{algorithm:?}: all stays at home");
        assert_eq!(set.explain(Instant::now())[2].place, Place::OtherZone);
        make(&set, 0, false);
        let away: usize = percents(&set)[2..].iter().sum();
        assert!((25..=35).contains(&away), "{algorithm:?}: one of two at home carries 70 %, {away}");
        make(&set, 1, false);
        assert_eq!(percents(&set)[..2], [0, 0], "{algorithm:?}");
    }
    // One of four endpoints is at home, and half of the traffic comes in there: it carries 1.4 / 2 of that.
    let set = tuned(zoned(&[("a", 0), ("b", 0), ("b", 0), ("b", 0)]), Algorithm::Random, prefer(Some("50%")));
    assert_eq!(percents(&set)[0], 70);
    assert!((set.leaving_zone() - 0.3).abs() < 1e-6);
    // No endpoint at home: nothing is preferred.
    let set = tuned(zoned(&[("b", 0), ("c", 0)]), Algorithm::Random, prefer(None));
    assert_eq!(percents(&set), [50, 50]);
    assert_eq!(set.leaving_zone(), 0.0);
}

#[test]
fn a_retry_leaves_the_zone_when_all_at_home_were_tried() {
    let zone = Some(ZonePreference { zone: "a".into(), traffic: None, per_endpoint: None });
    let set =
        tuned(zoned(&[("a", 0), ("b", 0), ("b", 1)]), Algorithm::LeastLoaded, Tuning { zone, ..overprovisioned() });
    for (skip, expected) in [(&[][..], 0), (&[0], 1), (&[0, 1], 2)] {
        let skip = places(skip);
        let choice = set.choose(&Ask { skip: &skip, ..Ask::new(Instant::now(), 7) }).unwrap();
        assert_eq!(choice.index().get(), expected);
    }
}

fn labelled() -> Vec<EndpointSpec> {
    let label = |spec: EndpointSpec, pairs: &[(&str, &str)]| EndpointSpec {
        labels: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..spec
    };
    let mut specs = equal(4).into_iter();
    vec![
        label(specs.next().unwrap(), &[("version", "1")]),
        label(specs.next().unwrap(), &[("version", "2"), ("canary", "yes")]),
        label(specs.next().unwrap(), &[("version", "2")]),
        specs.next().unwrap(),
    ]
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_subset_chooses_among_its_own_by_the_indices_of_the_whole() {
    for algorithm in every_algorithm() {
        let whole = built(labelled(), checked(algorithm.clone()));
        for (wanted, expected) in [
            (&[("version", "2")][..], &[1, 2][..]),
            (&[("version", "2"), ("canary", "yes")], &[1]),
            (&[("version", "1")], &[0]),
            (&[], &[0, 1, 2, 3]),
            (&[("version", "3")], &[]),
        ] {
            let part = whole.select(&labels(wanted), Instant::now());
            assert_eq!(part.available(), expected.len());
            assert_eq!(part.explain(Instant::now()).len(), expected.len());
            for random in 0..100 {
                match part.choose(&Ask::new(Instant::now(), random)) {
                    Ok(choice) => {
                        assert!(expected.contains(&choice.index().get()), "{algorithm:?} {wanted:?}");
                        assert_eq!(whole.endpoint(choice.index()).unwrap().spec().name, choice.endpoint().spec().name);
                        assert_eq!(whole.cluster_in_flight(), 1);
                    }
                    Err(none) => assert_eq!((none, expected.len()), (crate::NoEndpoint::Empty, 0)),
                }
            }
        }
    }
}

#[test]
fn a_subset_follows_health() {
    let whole = built(labelled(), checked(Algorithm::LeastLoaded));
    let part = whole.select(&labels(&[("version", "2")]), Instant::now());
    make(&whole, 1, false);
    assert_eq!((part.available(), choose(&part, 3).index().get()), (1, 2));
    make(&whole, 2, false);
    assert_eq!(
        part.choose(&Ask::new(Instant::now(), 1)).unwrap_err(),
        crate::NoEndpoint::NoneAvailable { endpoints: 2 }
    );
}

#[test]
fn an_endpoint_that_joins_or_recovers_is_led_up_to_its_share() {
    let slow = Tuning { slow_start: Some(SlowStart::default()), ..Tuning::default() };
    for algorithm in every_algorithm() {
        let start = Instant::now();
        let options = || checked(algorithm.clone()).tuned(slow.clone());
        let one = EndpointSet::build(equal(9), options(), start).unwrap();
        let two = one.rebuild(equal(10), options(), start).unwrap();
        let share = |seconds: u32, nth: usize| {
            let mut draws = Draws::new(5);
            let mut hits = 0;
            for _ in 0..4_000 {
                let (random, key) = (draws.next(), Some(draws.next()));
                let choice = two.choose(&Ask { key, ..Ask::new(start + seconds * SECOND, random) }).unwrap();
                hits += usize::from(choice.index().get() == nth);
            }
            hits
        };
        let course: Vec<usize> = [0, 5, 10].into_iter().map(|seconds| share(seconds, 9)).collect();
        assert!(course[0] < 100 && (120..320).contains(&course[1]) && course[2] > 320, "{algorithm:?}: {course:?}");
        assert!(share(0, 0) > 320, "what was there before has its full share");
        assert!((two.explain(start + 20 * SECOND)[9].ramp - 1.0).abs() < 1e-6);
        let mut checker = machine(&two, 3);
        for (second, result) in [(20, Err(CheckFailure::Timeout)), (21, Ok(())), (22, Ok(()))] {
            (0..3).for_each(|_| drop(checker.on_result(start + second * SECOND, result)));
        }
        assert!(share(22, 3) < 120, "{algorithm:?}");
        assert_eq!(two.explain(start + 22 * SECOND)[3].place, Place::InUse);
    }
}

#[test]
fn an_endpoint_that_wants_to_be_left_alone_gets_what_no_other_can_take() {
    for algorithm in every_algorithm() {
        let set = built(equal(3), checked(algorithm.clone()));
        let now = Instant::now();
        set.endpoints()[1].state().report(now, &crate::CapacityReport { drain: true, ..Default::default() });
        assert_eq!(shares(&set, 500)[1], 0, "{algorithm:?}");
        let skip = places(&[0, 2]);
        assert_eq!(set.choose(&Ask { skip: &skip, ..Ask::new(now, 1) }).unwrap().index().get(), 1);
        let told = set.explain(now).remove(1);
        assert_eq!(told.place, Place::Away);
        assert_eq!(told.would_change, "In 60.0 s it is asked again, or when it says so.");
        set.endpoints()[1].state().come_back();
        assert!(shares(&set, 500)[1] > 100, "{algorithm:?}");
    }
}

#[test]
fn a_full_endpoint_takes_fewer_requests_and_never_none() {
    for algorithm in [Algorithm::RoundRobin, Algorithm::Random] {
        let set = built(equal(4), checked(algorithm.clone()));
        let report = crate::CapacityReport { utilisation: Some(1.5), ..Default::default() };
        set.endpoints()[0].state().report(Instant::now(), &report);
        let full = shares(&set, 4_000)[0];
        assert!((20..300).contains(&full), "{algorithm:?}: {full}");
    }
    let set = built(equal(4), checked(Algorithm::LeastLoaded));
    let report = crate::CapacityReport { utilisation: Some(0.95), ..Default::default() };
    set.endpoints()[0].state().report(Instant::now(), &report);
    assert!(shares(&set, 4_000)[0] < 100);
}

/// Who takes each of a thousand keys.
fn owners(set: &EndpointSet, now: Instant) -> Vec<usize> {
    let ask = |key| Ask { key: Some(crate::key_of(&u16::to_be_bytes(key))), ..Ask::new(now, 0) };
    (0..1_000_u16).map(|key| set.choose(&ask(key)).unwrap().index().get()).collect()
}

#[test]
fn a_key_moves_once_to_an_endpoint_that_is_led_up_and_no_other_key_moves() {
    let tuning = Tuning { slow_start: Some(SlowStart::default()), ..Tuning::default() };
    let options = || checked(Algorithm::Hash(LoadBound::default())).tuned(tuning.clone());
    for n in [2, 9] {
        let start = Instant::now();
        let before = EndpointSet::build(equal(n), options(), start).unwrap();
        let after = before.rebuild(equal(n + 1), options(), start).unwrap();
        let mut was = owners(&before, start);
        let mut taken = Vec::new();
        for half in 0..22 {
            let now = owners(&after, start + half * SECOND / 2);
            assert!(was.iter().zip(&now).all(|(was, now)| was == now || *now == n), "{half}");
            taken.push(now.iter().filter(|owner| **owner == n).count());
            was = now;
        }
        let all = 1_000 / (n + 1);
        assert!(taken[0] < all / 5 && taken[10].abs_diff(all * 55 / 100) < all / 4, "{taken:?}");
        assert!(taken[21].abs_diff(all) < all / 4, "{taken:?}");
    }
}

#[test]
fn an_endpoint_that_is_fuller_than_others_gives_up_keys_of_its_own_and_as_full_as_they_are_none() {
    let set = built(equal(4), checked(Algorithm::Hash(LoadBound::default())));
    let now = Instant::now();
    let report = |nth: usize, full| {
        let report = crate::CapacityReport { utilisation: Some(full), ..Default::default() };
        set.endpoints()[nth].state().report(now, &report);
    };
    let before = owners(&set, now);
    report(0, 1.0);
    let after = owners(&set, now);
    let count = |owners: &[usize]| owners.iter().filter(|owner| **owner == 0).count();
    assert!(count(&after).abs_diff(count(&before) / 2) < 40, "{} of {}", count(&after), count(&before));
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == 0));
    (1..4).for_each(|nth| report(nth, 1.0));
    assert_eq!(owners(&set, now), before, "there is nowhere to go");
}

#[test]
fn a_request_without_a_key_spares_an_endpoint_that_is_full() {
    let set = built(equal(4), checked(Algorithm::Hash(LoadBound::default())));
    let report = crate::CapacityReport { utilisation: Some(1.5), ..Default::default() };
    set.endpoints()[0].state().report(Instant::now(), &report);
    let taken =
        (0..4_000_u16).filter(|random| choose(&set, crate::key_of(&u16::to_be_bytes(*random))).index().get() == 0);
    let taken = taken.count();
    assert!((20..300).contains(&taken), "{taken}");
}
