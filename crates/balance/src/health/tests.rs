//! Edges of health, their words, and the spread of checks.

use super::*;
use crate::state::Health::{Healthy, Unhealthy, Unknown};
use crate::{EndpointSet, EndpointSpec, SetOptions};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> HealthPolicy {
    HealthPolicy {
        interval: 2 * SECOND,
        timeout: SECOND,
        unhealthy_after: NonZeroU32::new(3).unwrap(),
        healthy_after: NonZeroU32::new(2).unwrap(),
        jitter: "20%".parse().unwrap(),
        before_first_check: BeforeFirstCheck::Available,
    }
}

fn machine(name: &str, start: Instant) -> HealthMachine {
    let spec = EndpointSpec::new(name.into(), ([127, 0, 0, 1], 80).into());
    let options = SetOptions { health: Some(policy()), ..SetOptions::default() };
    let set = EndpointSet::build(vec![spec], options, start).unwrap();
    HealthMachine::new(policy(), Arc::clone(set.endpoints()[0].state()))
}

#[test]
fn changes_on_edges_alone() {
    // `+` is a passing check, `-` a failing one; the edges are written after the check that made them.
    for (checks, expected) in [
        ("+", "+H"),
        ("-", "-U"),
        ("+++", "+H++"),
        ("+--+--+", "+H--+--+"),
        ("+---", "+H---U"),
        ("+-----", "+H---U--"),
        ("-+-++", "-U+-++H"),
        ("-++---", "-U++H---U"),
        ("---++++", "-U--++H++"),
    ] {
        let start = Instant::now();
        let mut machine = machine("a", start);
        let mut got = String::new();
        for (nth, check) in (1..).zip(checks.chars()) {
            let result = if check == '+' { Ok(()) } else { Err(CheckFailure::Timeout) };
            let edge = machine.on_result(start + nth * SECOND, result);
            got.push(check);
            got.push_str(match edge.as_ref().map(|edge| edge.to) {
                Some(Healthy) => "H",
                Some(Unhealthy) => "U",
                Some(Unknown) => "?",
                None => "",
            });
            assert_eq!(edge.map_or(machine.state().health(), |edge| edge.to), machine.state().health());
        }
        assert_eq!(got, expected);
    }
}

#[test]
fn a_transition_tells_the_whole_story() {
    let start = Instant::now();
    let mut machine = machine("rpc-1:80", start);
    let first = machine.on_result(start + SECOND, Ok(())).unwrap();
    assert_eq!(
        first.to_string(),
        "endpoint rpc-1:80 (127.0.0.1:80) is healthy after 1 passing check; it was unknown for 1.0 s"
    );
    for nth in 2..4 {
        assert_eq!(machine.on_result(start + nth * SECOND, Err(CheckFailure::Timeout)), None);
    }
    let second = machine.on_result(start + 4 * SECOND, Err(CheckFailure::Status(500))).unwrap();
    assert_eq!(
        second.to_string(),
        "endpoint rpc-1:80 (127.0.0.1:80) is unhealthy after 3 failing checks in a row: the status was 500; \
         it was healthy for 3.0 s"
    );
    assert_eq!((second.from, second.to, second.failure), (Healthy, Unhealthy, Some(CheckFailure::Status(500))));
}

#[test]
fn the_latest_failure_is_the_one_told_and_success_forgets_it() {
    let start = Instant::now();
    let mut machine = machine("a", start);
    for (result, expected) in [
        (Err(CheckFailure::Timeout), Some(CheckFailure::Timeout)),
        (Err(CheckFailure::Reset), Some(CheckFailure::Reset)),
        (Ok(()), Some(CheckFailure::Reset)),
        (Ok(()), None),
        (Err(CheckFailure::TlsFailed), Some(CheckFailure::TlsFailed)),
        (Ok(()), None),
    ] {
        machine.on_result(start, result);
        assert_eq!(machine.state().record().failure, expected);
    }
}

#[test]
fn a_machine_made_anew_goes_on_with_the_streak() {
    let start = Instant::now();
    let mut machine = machine("a", start);
    machine.on_result(start, Ok(()));
    for expected in [None, None, Some(Unhealthy)] {
        let mut next = HealthMachine::new(policy(), Arc::clone(machine.state()));
        assert_eq!(next.on_result(start, Err(CheckFailure::Reset)).map(|edge| edge.to), expected);
    }
}

#[test]
fn first_checks_of_a_large_fleet_are_spread() {
    let start = Instant::now();
    let mut buckets = [0_u32; 20];
    for nth in 0..5_000 {
        let at = machine(&format!("n{nth}"), start).first_check(start, 5_000) - start;
        assert!(at < 2 * SECOND);
        buckets[(at.as_millis() / 100) as usize] += 1;
    }
    assert!(buckets.iter().all(|count| (150..350).contains(count)), "{buckets:?}");
}

#[test]
fn a_small_fleet_is_checked_at_once() {
    let start = Instant::now();
    for endpoints in [0, 1, 16] {
        let at = machine("a", start).first_check(start, endpoints) - start;
        assert!(at <= Duration::from_millis(endpoints as u64), "{endpoints}: {at:?}");
    }
}

#[test]
fn jitter_takes_both_sides() {
    let start = Instant::now();
    let machine = machine("a", start);
    let after = |random| (machine.next_check(start, random) - start).as_millis();
    assert_eq!((after(0), after(1 << 63), after(u64::MAX)), (1600, 1999, 2399));
}

proptest! {
    #[test]
    fn the_next_check_is_an_interval_away_give_or_take_the_jitter(
        nanos: u64,
        millionths in 0_u32..=1_000_000,
        random: u64,
    ) {
        let interval = Duration::from_nanos(nanos);
        let jitter = Percent::from_millionths(millionths).unwrap();
        let start = Instant::now();
        let machine = HealthMachine { policy: HealthPolicy { interval, jitter, ..policy() }, ..machine("a", start) };
        let after = (machine.next_check(start, random) - start).as_nanos() as f64;
        let (interval, share) = (nanos as f64, f64::from(millionths) / 1e6);
        let slack = 3.0 + interval * 1e-9;
        prop_assert!(after >= interval * (1.0 - share) - slack && after <= interval * (1.0 + share) + slack);
    }
}
