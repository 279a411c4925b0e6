//! How much leaves a zone that is full, that it does not swing, and what is said of it.

use super::*;
use crate::sim::policy::Policy;
use crate::sim::scene::Scene;
use crate::sim::scenes;
use crate::sim::world::run;
use crate::{Algorithm, Ask, CapacityReport, Choice, EndpointSpec, Place, SetOptions, Tuning, ZonePreference};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_share_grows_within_seconds_and_shrinks_within_ten() {
    for (share, seconds, full, expected) in [
        (0.0, 1e6, (0.8, 0.0), 0.0),
        (0.0, 1e6, (0.9, 0.0), 0.5),
        (0.0, 1e6, (1.0, 0.0), 0.95),
        (0.0, 1e6, (0.9, 0.85), 0.25),
        (0.0, 1e6, (0.95, 0.95), 0.0),
        (0.0, 1e6, (0.9, 1.0), 0.0),
        (0.0, 2.0, (0.9, 0.0), 0.25),
        (0.5, 2.0, (0.9, 0.0), 0.5),
        (0.6, 2.0, (0.0, 0.0), 0.5),
        (0.6, 10.0, (0.0, 0.0), 0.3),
        (0.006, 10.0, (0.0, 0.0), 0.0),
    ] {
        let got = step(share, seconds, full);
        assert!((got - expected).abs() < 1e-3, "{share} after {seconds} at {full:?}: {got}");
    }
}

#[test]
fn what_leaves_a_zone_follows_its_load_without_swinging_and_bounds_the_tail() {
    let calm = run(&scenes::own_zone(0.5, 0.1), Policy::LeastLoaded).quantile(9.0, 15.0, 0.99);
    for (policy, reports) in [(Policy::LeastLoaded, 0.1), (Policy::LeastLoaded, 1.0), (Policy::RoundRobin, 0.1)] {
        for (load, least, most) in
            [(0.5, 0.0, 0.0), (0.7, 0.0, 0.01), (0.9, 0.05, 0.2), (1.0, 0.12, 0.28), (1.5, 0.36, 0.5), (2.0, 0.5, 0.66)]
        {
            let scene = Scene { seconds: 15.0, measure_from: 9.0, ..scenes::own_zone(load, reports) };
            let stats = run(&scene, policy);
            let each: Vec<f64> =
                (9..15).map(|second| stats.watched(f64::from(second), f64::from(second + 1))).collect();
            let leaves = stats.watched(9.0, 15.0);
            assert!((least..=most).contains(&leaves), "{policy:?} {reports} {load}: {leaves}");
            assert!(each.iter().all(|share| (share - leaves).abs() < 0.12), "{policy:?} {reports} {load}: {each:?}");
            let p99 = stats.quantile(9.0, 15.0, 0.99);
            assert!(p99 < 2.0 * calm, "{policy:?} {reports} {load}: p99 of {p99} ms, {calm} ms at half load");
        }
    }
}

#[test]
fn reports_that_come_late_do_not_make_requests_swing_between_endpoints() {
    for (policy, worst) in [(Policy::LeastLoaded, 1.2), (Policy::RoundRobin, 1.4)] {
        for (fleet, reports) in [(4, 0.1), (4, 1.0), (16, 3.0)] {
            let scene = Scene { load: 0.85, seconds: 10.0, measure_from: 4.0, ..Scene::healthy("reports", fleet) };
            let p99 = |reports| run(&Scene { reports, ..scene.clone() }, policy).quantile(4.0, 10.0, 0.99);
            let (with, without) = (p99(reports), p99(0.0));
            assert!(with < worst * without, "{policy:?} {fleet} {reports}: {with} ms, {without} ms without reports");
        }
    }
}

/// Two endpoints in the gateway's zone, two in another, one of the next priority.
fn zones(per_endpoint: Option<u32>, now: Instant) -> Arc<EndpointSet> {
    EndpointSet::build(specs(), options(per_endpoint), now).unwrap()
}

fn specs() -> Vec<EndpointSpec> {
    let places = [("own", 0), ("own", 0), ("other", 0), ("other", 0), ("other", 1)];
    let spec = |(nth, (zone, priority)): (u8, (&str, u8))| EndpointSpec {
        zone: Some(zone.into()),
        priority,
        ..EndpointSpec::new(format!("e{nth}").into(), ([10, 0, 0, nth], 80).into())
    };
    (0..).zip(places).map(spec).collect()
}

fn options(per_endpoint: Option<u32>) -> crate::TunedOptions {
    let zone = Some(ZonePreference { zone: "own".into(), traffic: None, per_endpoint });
    SetOptions { algorithm: Algorithm::RoundRobin, ..SetOptions::default() }.tuned(Tuning { zone, ..Tuning::default() })
}

fn report(set: &EndpointSet, nth: usize, now: Instant, report: &CapacityReport) {
    set.endpoints()[nth].state().report(now, report);
}

fn full(utilisation: f64) -> CapacityReport {
    CapacityReport { utilisation: Some(utilisation), ..CapacityReport::default() }
}

/// How many of a thousand requests leave the zone, long after what is known came in.
fn leaving(set: &EndpointSet, now: Instant) -> usize {
    let mut draws = Draws::new(3);
    let mut choose = || set.choose(&Ask::new(now, draws.next())).unwrap().index().get();
    (0..1_000).filter(|_| choose() > 1).count()
}

#[test]
fn a_zone_is_full_by_the_word_of_its_endpoints_and_keeps_its_requests_when_the_others_are_as_full() {
    let now = Instant::now() + 1_000 * SECOND;
    for (own, other, expected) in [
        ([0.7, 0.7], [0.0, 0.0], 0..1),
        ([0.9, 0.9], [0.2, 0.2], 400..600),
        ([1.6, 0.6], [0.2, 0.2], 0..1),
        ([1.6, 1.0], [0.2, 0.2], 900..980),
        ([0.9, 0.9], [0.9, 0.95], 0..1),
    ] {
        let set = zones(None, now - 1_000 * SECOND);
        for (nth, utilisation) in own.into_iter().chain(other).enumerate() {
            report(&set, nth, now, &full(utilisation));
        }
        let got = leaving(&set, now);
        assert!(expected.contains(&got), "{own:?} {other:?}: {got}");
    }
    let set = zones(None, now - 1_000 * SECOND);
    let drain = CapacityReport { drain: true, ..CapacityReport::default() };
    (0..2).for_each(|nth| report(&set, nth, now, &drain));
    assert!(leaving(&set, now) > 900, "endpoints that want to be left alone have no room");
}

#[test]
fn a_zone_is_full_when_its_endpoints_hold_as_many_requests_as_they_may() {
    let now = Instant::now() + 1_000 * SECOND;
    for (held, expected) in [(7, 0..1), (9, 400..600), (10, 900..980)] {
        let set = zones(Some(10), now - 1_000 * SECOND);
        let hold = |nth| (0..held).map(move |_| nth);
        let held: Vec<Choice> =
            [0, 1].into_iter().flat_map(hold).filter_map(|nth| set.claim(EndpointIdx(nth))).collect();
        let got = leaving(&set, now);
        assert!(expected.contains(&got), "{} held: {got}", held.len());
    }
}

#[test]
fn tells_of_endpoints_that_take_what_is_too_much_for_the_zone() {
    let start = Instant::now();
    let set = zones(None, start);
    let at = |seconds: u32| start + seconds * SECOND;
    let place = |nth: usize, now| set.explain(now)[nth].place;
    assert_eq!((place(0, at(1)), place(2, at(1)), place(4, at(1))), {
        (Place::InUse, Place::OtherZone, Place::Standby { using: 0 })
    });
    (0..2).for_each(|nth| report(&set, nth, at(2), &full(1.0)));
    assert!(leaving(&set, at(2)) > 0);
    assert_eq!((place(0, at(5)), place(2, at(5))), (Place::InUse, Place::Overflow));
    assert!((0.2..0.95).contains(&set.leaving_zone()), "{}", set.leaving_zone());
    let told = set.explain(at(5)).remove(2);
    assert_eq!(
        told.to_string(),
        "e2 (10.0.0.2:80) takes the requests that are too many for the gateway's zone, for 3.0 s. \
         It takes none when the endpoints of the zone can carry all of them again."
    );
    let ago = set.explain(at(5)).remove(0).lasted;
    assert_eq!(ago, 5 * SECOND, "the zone's own stand as before");
    // Nothing is reported any more: the share comes down to nothing.
    (3..120).for_each(|second| {
        let _ = leaving(&set, at(second));
    });
    assert_eq!(place(2, at(120)), Place::OtherZone);
    assert_eq!(set.leaving_zone(), 0.0);
    assert!(set.explain(at(120))[2].lasted < 100 * SECOND);
}

#[test]
fn what_leaves_goes_on_leaving_after_a_reload_and_in_subsets() {
    let start = Instant::now();
    let now = start + 10 * SECOND;
    let set = zones(None, start);
    (0..2).for_each(|nth| report(&set, nth, now, &full(1.0)));
    assert!(leaving(&set, now) > 500);
    let next = set.rebuild(specs(), options(None), now).unwrap();
    assert!(leaving(&next, now) > 500);
    assert!(leaving(&next.select(&std::collections::BTreeMap::new(), now), now) > 500);
}

#[test]
fn a_retry_comes_back_to_the_zone_before_it_goes_to_another_priority() {
    let start = Instant::now();
    let now = start + 1_000 * SECOND;
    let set = zones(None, start);
    (0..2).for_each(|nth| report(&set, nth, now, &full(1.0)));
    let skip = [EndpointIdx(2), EndpointIdx(3)];
    for random in 0..200 {
        let choice = set.choose(&Ask { skip: &skip, ..Ask::new(now, random) }).unwrap();
        assert!(choice.index().get() < 2, "{choice:?}");
    }
}

#[test]
fn equal_keys_leave_together() {
    let start = Instant::now();
    let now = start + 1_000 * SECOND;
    let zone = Some(ZonePreference { zone: "own".into(), traffic: None, per_endpoint: None });
    let options = SetOptions { algorithm: Algorithm::Hash(crate::LoadBound::default()), ..SetOptions::default() };
    let options = options.tuned(Tuning { zone, ..Tuning::default() });
    let set = EndpointSet::build(specs(), options, start).unwrap();
    (0..2).for_each(|nth| report(&set, nth, now, &full(0.9)));
    let mut left = 0;
    for key in 0..1_000_u16 {
        let key = crate::key_of(&key.to_be_bytes());
        let meets = |random| set.choose(&Ask { key: Some(key), ..Ask::new(now, random) }).unwrap().index();
        let owner = meets(1);
        assert!((2..9).all(|random| meets(random) == owner) && set.owner(key, now) == Some(owner), "{key}");
        left += usize::from(owner.get() > 1);
    }
    assert!((400..600).contains(&left), "{left}");
}

#[test]
fn leaving_allocates_nothing() {
    let start = Instant::now();
    let set = zones(Some(10), start);
    (0..2).for_each(|nth| report(&set, nth, start + SECOND, &full(1.0)));
    drop(set.choose(&Ask::new(start, 1)).unwrap());
    let cost = allocation_counter::measure(|| {
        for nth in 0..100 {
            drop(set.choose(&Ask::new(start + nth * SECOND / 10, u64::from(nth))).unwrap());
        }
    });
    assert_eq!(cost.count_total, 0);
    assert!(leaving(&set, start + 10 * SECOND) > 0);
}
