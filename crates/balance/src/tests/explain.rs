//! The words an operator reads.

use super::*;
use crate::{EndpointStanding, Place};
use portcullis_types::Reason;

fn told(set: &EndpointSet, now: Instant) -> Vec<String> {
    set.explain(now).iter().map(EndpointStanding::to_string).collect()
}

#[test]
fn says_why_each_endpoint_is_in_or_out_since_when_and_what_would_change_it() {
    let start = Instant::now();
    let set =
        EndpointSet::build(specs(&[(1, 0), (1, 0), (0, 0), (1, 1)]), checked(Algorithm::LeastLoaded), start).unwrap();
    machine(&set, 0).on_result(start + SECOND, Ok(()));
    machine(&set, 1).on_result(start + 2 * SECOND, Err(CheckFailure::Status(503)));
    assert_eq!(
        told(&set, start + 10 * SECOND),
        [
            "a (10.0.0.0:80) takes requests, for 9.0 s. 3 more failing health checks in a row, one every 2.0 s, would take it out.",
            "b (10.0.0.1:80) takes no requests: health checks fail, the status was 503, for 8.0 s. 2 more passing health checks in a row, one every 2.0 s, would bring it back.",
            "c (10.0.0.2:80) takes no requests: its weight is 0, for 10.0 s. A weight above 0 in the config brings it back.",
            "d (10.0.0.3:80) stands by: requests go to priority 0, for 10.0 s. It takes requests when priority 0 has too few available endpoints, or none that was not tried.",
        ]
    );
}

#[test]
fn counts_down_to_the_next_edge() {
    let set = built(equal(1), checked(Algorithm::LeastLoaded));
    let now = Instant::now();
    for (result, expected) in [
        (Ok(()), "3 more failing"),
        (Err(CheckFailure::Timeout), "2 more failing"),
        (Err(CheckFailure::Timeout), "1 more failing"),
        (Err(CheckFailure::Timeout), "2 more passing"),
        (Ok(()), "1 more passing"),
        (Ok(()), "3 more failing"),
    ] {
        machine(&set, 0).on_result(now, result);
        let standing = set.explain(now).remove(0);
        assert!(standing.would_change.starts_with(expected), "{expected}: {}", standing.would_change);
    }
}

#[test]
fn tells_standby_panic_and_unchecked_apart() {
    let strict = HealthPolicy { before_first_check: BeforeFirstCheck::Unavailable, ..policy() };
    let options = SetOptions { health: Some(strict), ..SetOptions::default() };
    let places = |set: &EndpointSet| -> Vec<Place> {
        set.explain(Instant::now()).iter().map(|standing| standing.place).collect()
    };
    let set = built(specs(&[(1, 0), (1, 0), (1, 1)]), options.clone());
    assert_eq!(places(&set), [Place::Unchecked; 3]);
    make(&set, 2, true);
    assert_eq!(places(&set), [Place::Unchecked, Place::Unchecked, Place::InUse]);
    make(&set, 0, true);
    assert_eq!(places(&set), [Place::InUse, Place::Unchecked, Place::Standby { using: 0 }]);
    let options = SetOptions { panic_threshold: "60%".parse().unwrap(), ..options };
    let set = set.rebuild(specs(&[(1, 0), (1, 0)]), options, Instant::now()).unwrap();
    assert_eq!(places(&set), [Place::InUse, Place::Panic]);
}

#[test]
fn standby_counts_from_the_change_of_priority() {
    let start = Instant::now();
    let set = EndpointSet::build(specs(&[(1, 0), (1, 1)]), checked(Algorithm::Random), start).unwrap();
    let lasted = |at| set.explain(start + at).iter().map(|standing| standing.lasted).collect::<Vec<_>>();
    machine(&set, 0).on_result(start + SECOND, Err(CheckFailure::Reset));
    assert_eq!(lasted(5 * SECOND), [4 * SECOND, 4 * SECOND]);
    machine(&set, 0).on_result(start + 6 * SECOND, Ok(()));
    machine(&set, 0).on_result(start + 7 * SECOND, Ok(()));
    assert_eq!(lasted(10 * SECOND), [3 * SECOND, 3 * SECOND]);
}

#[test]
fn shows_counters_and_the_last_failure() {
    let start = Instant::now();
    let set = EndpointSet::build(equal(1), SetOptions::default(), start).unwrap();
    let _held = choose(&set, 0);
    choose(&set, 0).failure(start + SECOND, Reason::UpstreamReset);
    let standing = set.explain(start + 3 * SECOND).remove(0);
    assert_eq!((standing.in_flight, standing.totals.requests, standing.totals.failures), (1, 2, 1));
    assert_eq!(standing.last_failure, Some((Reason::UpstreamReset, 2 * SECOND)));
    assert_eq!(standing.would_change, "A weight of 0 or its removal takes it out; it is not checked.");
}
