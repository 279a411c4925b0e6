//! What a rebuild keeps, and how choices are counted.

use super::*;
use crate::{Health, Totals};
use portcullis_types::Reason;

fn rebuilt(set: &EndpointSet, specs: Vec<EndpointSpec>) -> Arc<EndpointSet> {
    set.rebuild(specs, checked(Algorithm::RoundRobin), Instant::now()).unwrap()
}

#[test]
fn endpoints_keep_health_counters_and_in_flight_when_other_things_change() {
    let one = built(equal(3), checked(Algorithm::RoundRobin));
    make(&one, 1, false);
    let held = one.claim(EndpointIdx(0)).unwrap();
    // Endpoint a gets another weight, c goes, d is new, and the order changes.
    let wanted =
        [specs(&[(1, 0), (1, 0), (1, 0), (1, 0)])[3].clone(), equal(2)[1].clone(), specs(&[(9, 0)])[0].clone()];
    let two = rebuilt(&one, wanted.to_vec());
    let health: Vec<Health> = two.endpoints().iter().map(|endpoint| endpoint.state().health()).collect();
    assert_eq!(health, [Health::Unknown, Health::Unhealthy, Health::Unknown]);
    assert!(Arc::ptr_eq(one.endpoints()[0].state(), two.endpoints()[2].state()));
    assert!(Arc::ptr_eq(&one.endpoints()[1], &two.endpoints()[1]), "what did not change is shared whole");
    assert_eq!((two.endpoints()[2].state().in_flight(), two.cluster_in_flight()), (1, 1));
    drop(one);
    drop(held);
    assert_eq!((two.endpoints()[2].state().in_flight(), two.cluster_in_flight()), (0, 0));
    assert_eq!(two.endpoints()[2].state().totals().requests, 1);
}

#[test]
fn another_address_or_name_is_another_endpoint() {
    let one = built(equal(2), checked(Algorithm::RoundRobin));
    let mut wanted = equal(2);
    wanted[0].address.set_port(81);
    wanted[1].name = "z".into();
    let two = rebuilt(&one, wanted);
    for nth in 0..2 {
        assert!(!Arc::ptr_eq(one.endpoints()[nth].state(), two.endpoints()[nth].state()));
    }
}

#[test]
fn an_edge_of_health_reaches_every_generation() {
    let one = built(equal(2), checked(Algorithm::RoundRobin));
    let two = rebuilt(&one, specs(&[(1, 0), (5, 0)]));
    make(&two, 0, false);
    assert_eq!((one.available(), two.available()), (1, 1));
    make(&one, 0, true);
    assert_eq!((one.available(), two.available()), (2, 2));
}

#[test]
fn round_robin_goes_on_where_it_was() {
    let one = built(equal(4), checked(Algorithm::RoundRobin));
    let mut reached = vec![choose(&one, 0).index().get(), choose(&one, 0).index().get()];
    let two = rebuilt(&one, equal(4));
    reached.extend([choose(&two, 0).index().get(), choose(&two, 0).index().get()]);
    reached.sort_unstable();
    assert_eq!(reached, [0, 1, 2, 3]);
}

#[test]
fn a_cluster_that_is_no_longer_checked_forgets_what_checks_said() {
    let one = built(equal(2), checked(Algorithm::RoundRobin));
    make(&one, 0, false);
    let two = one.rebuild(equal(2), SetOptions::default(), Instant::now()).unwrap();
    assert_eq!(two.available(), 2);
    assert_eq!(one.available(), 2, "the old generation is not left with a verdict nobody renews");
    let three = rebuilt(&two, equal(2));
    assert_eq!(three.available(), 2);
}

#[test]
fn a_failed_rebuild_changes_nothing() {
    let one = built(equal(2), checked(Algorithm::RoundRobin));
    make(&one, 0, false);
    assert!(one.rebuild(specs(&[(0, 0)]), SetOptions::default(), Instant::now()).is_err());
    assert_eq!((one.available(), one.endpoints()[0].state().health()), (1, Health::Unhealthy));
}

#[test]
fn outcomes_are_counted_once() {
    type Report = fn(&mut Choice);
    let (good, bad): (Report, Report) = (
        |choice| choice.success(Instant::now(), Duration::from_millis(5)),
        |choice| choice.failure(Instant::now(), Reason::UpstreamReset),
    );
    for (reports, failures, abandoned) in [
        (&[][..], 0, 1),
        (&[good], 0, 0),
        (&[good, good], 0, 0),
        (&[bad], 1, 0),
        (&[bad, bad], 1, 0),
        (&[good, bad], 1, 0),
        (&[bad, good], 1, 0),
    ] {
        let set = built(equal(1), SetOptions::default());
        let mut choice = choose(&set, 0);
        reports.iter().for_each(|report| report(&mut choice));
        drop(choice);
        assert_eq!(set.endpoints()[0].state().totals(), Totals { requests: 1, failures, abandoned });
    }
}

#[test]
fn a_choice_survives_its_set_and_a_panic_ends_it() {
    let set = built(equal(1), SetOptions::default());
    let state = Arc::clone(set.endpoints()[0].state());
    let choice = choose(&set, 0);
    drop(set);
    assert_eq!(state.in_flight(), 1);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = choice;
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    assert_eq!((state.in_flight(), state.totals().abandoned), (0, 1));
}

#[test]
fn latency_and_the_last_failure_are_remembered() {
    let set = built(equal(1), SetOptions::default());
    let state = Arc::clone(set.endpoints()[0].state());
    assert_eq!((state.latency(), state.last_failure()), (None, None));
    let now = Instant::now() + SECOND;
    choose(&set, 0).success(now, Duration::from_millis(5));
    choose(&set, 0).failure(now, Reason::UpstreamFirstByteTimeout);
    assert_eq!(state.latency(), Some(Duration::from_millis(5)));
    assert_eq!(state.last_failure(), Some((Reason::UpstreamFirstByteTimeout, now)));
}

#[test]
fn workers_checks_and_reloads_that_race_leave_true_counts_and_a_true_rotation() {
    let first = built(equal(8), checked(Algorithm::LeastLoaded));
    let newest = parking_lot::Mutex::new(Arc::clone(&first));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let newest = &newest;
            scope.spawn(move || {
                let mut draws = Draws::new(worker);
                for _ in 0..2_000 {
                    let set = Arc::clone(&newest.lock());
                    drop(set.choose(&Ask::new(Instant::now(), draws.next())));
                }
            });
        }
        for checker in 0..2 {
            let first = &first;
            scope.spawn(move || (0..301).for_each(|nth| make(first, checker + 2 * (nth % 4), nth % 7 != 0)));
        }
        for weight in 1..50 {
            let mut newest = newest.lock();
            *newest =
                newest.rebuild(specs(&[(weight, 0); 8]), checked(Algorithm::LeastLoaded), Instant::now()).unwrap();
        }
    });
    let healthy = first.endpoints().iter().filter(|endpoint| endpoint.state().health() != Health::Unhealthy).count();
    for set in [&first, &*newest.lock()] {
        assert_eq!((set.available(), set.cluster_in_flight()), (healthy, 0));
        assert!(set.endpoints().iter().all(|endpoint| endpoint.state().in_flight() == 0));
    }
}
