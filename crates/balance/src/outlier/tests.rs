//! Who is taken out, for how long, and who never is.

use std::sync::Arc;

use portcullis_types::Reason;
use proptest::prelude::*;

use super::judge::judge;
use super::watch::Window;
use super::*;
use crate::{
    Algorithm, Ask, CheckFailure, Choice, Draws, EndpointIdx, EndpointSet, HealthMachine, HealthPolicy, Place,
};
use crate::{SetOptions, TunedOptions, Tuning};

const SECOND: Duration = Duration::from_secs(1);

fn checks() -> HealthPolicy {
    HealthPolicy {
        interval: SECOND,
        timeout: SECOND,
        unhealthy_after: NonZeroU32::MIN,
        healthy_after: NonZeroU32::MIN,
        jitter: Percent::default(),
        before_first_check: crate::BeforeFirstCheck::Available,
    }
}

fn options(policy: OutlierPolicy) -> TunedOptions {
    let options = SetOptions { algorithm: Algorithm::RoundRobin, health: Some(checks()), ..SetOptions::default() };
    options.tuned(Tuning { outliers: Some(policy), ..Tuning::recommended() })
}

fn specs(n: u32) -> Vec<crate::EndpointSpec> {
    (0..n).map(|nth| crate::EndpointSpec::new(format!("e{nth}").into(), (nth.to_be_bytes(), 80).into())).collect()
}

struct Cluster {
    set: Arc<EndpointSet>,
    start: Instant,
}

impl Cluster {
    fn new(n: u32) -> Self {
        let start = Instant::now();
        Self { set: EndpointSet::build(specs(n), options(OutlierPolicy::default()), start).unwrap(), start }
    }

    fn at(&self, seconds: u32) -> Instant {
        self.start + seconds * SECOND
    }

    fn choice(&self, nth: u32) -> Choice {
        self.set.claim(EndpointIdx(nth)).unwrap()
    }

    fn fail(&self, nth: u32, times: u32, seconds: u32) {
        (0..times).for_each(|_| self.choice(nth).failure(self.at(seconds), Reason::UpstreamReset));
    }

    fn succeed(&self, nth: u32, times: u32, seconds: u32) {
        (0..times).for_each(|_| self.choice(nth).success(self.at(seconds), Duration::from_millis(5)));
    }

    fn out(&self) -> Vec<usize> {
        let all = self.set.endpoints().iter().enumerate();
        all.filter(|(_, endpoint)| endpoint.state().is_ejected()).map(|(nth, _)| nth).collect()
    }

    fn told(&self, seconds: u32) -> Vec<String> {
        self.set.sweep(self.at(seconds)).iter().map(OutlierEvent::to_string).collect()
    }
}

#[test]
fn failures_in_a_row_take_out_at_once_and_a_good_answer_breaks_the_row() {
    let cluster = Cluster::new(4);
    cluster.fail(1, 4, 1);
    cluster.succeed(1, 1, 1);
    cluster.fail(1, 4, 1);
    assert_eq!((cluster.out(), cluster.set.available()), (vec![], 4));
    cluster.fail(1, 1, 1);
    assert_eq!((cluster.out(), cluster.set.available()), (vec![1], 3));
    assert_eq!(cluster.told(2), ["endpoint e1 (0.0.0.1:80) is taken out for 30.0 s since 5 requests failed in a row"]);
    let standing = cluster.set.explain(cluster.at(11)).remove(1);
    assert_eq!(standing.place, Place::Ejected(EjectionCause::Consecutive(5)));
    assert_eq!(
        standing.to_string(),
        "e1 (0.0.0.1:80) takes no requests: 5 requests failed in a row, for 10.0 s. \
         In 20.0 s it is tried again, with a small share first; failing then takes it out for longer."
    );
}

#[test]
fn times_out_grow_with_each_and_shrink_with_good_conduct() {
    let cluster = Cluster::new(4);
    let mut now = 1;
    for lasts in [30, 60, 90] {
        cluster.fail(0, 5, now);
        assert_eq!(cluster.out(), [0]);
        assert!(cluster.told(now)[0].contains(&format!("for {lasts}.0 s")));
        assert!(cluster.told(now + lasts - 1).is_empty());
        assert_eq!(cluster.told(now + lasts).len(), 1, "it comes back");
        assert_eq!(cluster.set.available(), 4);
        now += lasts + 1;
    }
    // Two stretches of 30 s without a time out: two of the three are forgotten.
    cluster.fail(0, 5, now + 60);
    assert!(cluster.told(now + 60)[0].contains("for 60.0 s"));
}

#[test]
fn an_endpoint_that_comes_back_is_on_probation() {
    let cluster = Cluster::new(10);
    cluster.fail(3, 5, 1);
    cluster.set.sweep(cluster.at(31));
    assert!(cluster.set.explain(cluster.at(31))[3].ramp < 0.2);
    let mut draws = Draws::new(1);
    let mut hits = |seconds| {
        let choose = |random| cluster.set.choose(&Ask::new(cluster.at(seconds), random)).unwrap().index().get();
        (0..2_000).filter(|_| choose(draws.next()) == 3).count()
    };
    let (early, late) = (hits(31), hits(60));
    assert!(early < 50 && late > 150, "{early} {late}");
}

#[test]
fn no_more_than_the_cap_are_out_and_never_the_last() {
    for (n, share, expected) in [(10, 50, 5), (10, 10, 1), (10, 100, 9), (3, 10, 1), (2, 50, 1), (1, 100, 0)] {
        let policy = OutlierPolicy { max_ejected: percent(share * 10_000), ..OutlierPolicy::default() };
        let start = Instant::now();
        let set = EndpointSet::build(specs(n), options(policy), start).unwrap();
        let cluster = Cluster { set, start };
        assert_eq!(cluster.set.max_ejected(), expected);
        // One after the other, while the others are well.
        for nth in 0..n {
            cluster.fail(nth, 5, nth);
            cluster.succeed(nth, 1, nth);
        }
        assert_eq!(cluster.out().len(), expected, "{n} {share}");
        assert!(cluster.set.available() > 0);
    }
}

#[test]
fn nobody_is_taken_out_while_most_fail_or_soon_after() {
    let cluster = Cluster::new(8);
    for _ in 0..20 {
        (0..8).for_each(|nth| cluster.fail(nth, 1, 1));
    }
    assert!(cluster.out().is_empty());
    (1..8).for_each(|nth| cluster.succeed(nth, 1, 2));
    cluster.fail(0, 5, 2);
    assert!(cluster.out().is_empty(), "answers to requests from before the fault's end come in late");
    cluster.fail(0, 5, 8);
    assert_eq!(cluster.out(), [0]);
}

#[test]
fn those_taken_out_are_used_when_checks_fail_the_rest() {
    let cluster = Cluster::new(2);
    cluster.fail(0, 5, 1);
    let mut checker = HealthMachine::new(checks(), Arc::clone(cluster.set.endpoints()[1].state()));
    checker.on_result(cluster.at(2), Err(CheckFailure::Reset));
    let choice = cluster.set.choose(&Ask::new(cluster.at(2), 1)).unwrap();
    assert_eq!(choice.index().get(), 0);
    assert_eq!(cluster.set.explain(cluster.at(2))[0].place, Place::Panic);
}

#[test]
fn checks_that_pass_again_bring_an_endpoint_back() {
    let cluster = Cluster::new(3);
    cluster.fail(0, 5, 1);
    let mut checker = HealthMachine::new(checks(), Arc::clone(cluster.set.endpoints()[0].state()));
    checker.on_result(cluster.at(2), Err(CheckFailure::Reset));
    assert_eq!(cluster.out(), [0]);
    checker.on_result(cluster.at(3), Ok(()));
    assert!(cluster.out().is_empty());
    assert_eq!(cluster.set.available(), 3);
}

#[test]
fn a_reload_keeps_who_is_out_within_the_new_cap() {
    let cluster = Cluster::new(8);
    for nth in 0..4 {
        cluster.fail(nth, 5, nth);
        cluster.succeed(nth, 1, nth);
    }
    assert_eq!(cluster.out(), [0, 1, 2, 3]);
    let same = cluster.set.rebuild(specs(8), options(OutlierPolicy::default()), cluster.at(5)).unwrap();
    assert_eq!((same.ejected(), same.available()), (4, 4));
    let fewer = same.rebuild(specs(4), options(OutlierPolicy::default()), cluster.at(5)).unwrap();
    assert_eq!((fewer.ejected(), fewer.available()), (2, 2), "the longest out come back");
    assert!(!fewer.endpoints()[0].state().is_ejected());
    let options = SetOptions::default();
    let none = fewer.rebuild(specs(4), options, cluster.at(5)).unwrap();
    assert_eq!((none.ejected(), none.available()), (0, 4));
}

fn window(good: u32, bad: u32, millis: u64) -> Window {
    Window { good, bad, latency: Duration::from_millis(millis) }
}

#[test]
fn judges_windows_by_what_the_others_did() {
    let rate = |own: u32, mean: u32| EjectionCause::FailureRate { own: percent(own), mean: percent(mean) };
    let slow =
        |own, median| EjectionCause::Slow { own: Duration::from_millis(own), median: Duration::from_millis(median) };
    let fine = window(100, 0, 10);
    for (windows, expected) in [
        (vec![], vec![]),
        (vec![window(0, 100, 0)], vec![]),
        (vec![fine; 8], vec![]),
        // One in six fails, the deviation of the fleet tells.
        ([vec![fine; 7], vec![window(60, 40, 10)]].concat(), vec![(7, rate(400_000, 50_000))]),
        // All fail alike.
        (vec![window(60, 40, 10); 8], vec![]),
        // Within the least gap.
        ([vec![fine; 7], vec![window(95, 5, 10)]].concat(), vec![]),
        // Too few requests to be compared.
        ([vec![fine; 7], vec![window(1, 20, 10)]].concat(), vec![]),
        // A fleet too small for a deviation.
        (vec![fine, fine, window(20, 80, 10)], vec![(2, rate(800_000, 267_000))]),
        (vec![fine, fine, window(70, 30, 10)], vec![]),
        (vec![window(10, 90, 10), window(100, 0, 10)], vec![(0, rate(900_000, 450_000))]),
        // Latency.
        ([vec![fine; 3], vec![window(100, 0, 200)]].concat(), vec![(3, slow(200, 10))]),
        ([vec![fine; 3], vec![window(100, 0, 50)]].concat(), vec![]),
        (vec![fine, window(100, 0, 500)], vec![(1, slow(500, 10))]),
        ([vec![fine; 3], vec![window(40, 0, 900)]].concat(), vec![]),
        // Failing goes before slow, and counts once.
        ([vec![fine; 7], vec![window(50, 50, 900)]].concat(), vec![(7, rate(500_000, 63_000))]),
    ] {
        assert_eq!(judge(&OutlierPolicy::default(), &windows), expected, "{windows:?}");
    }
}

#[test]
fn windows_are_judged_when_they_are_over() {
    let cluster = Cluster::new(6);
    (0..5).for_each(|nth| cluster.succeed(nth, 100, 1));
    for _ in 0..25 {
        cluster.fail(5, 3, 1);
        cluster.succeed(5, 1, 1);
    }
    assert!(cluster.told(4).is_empty());
    assert_eq!(
        cluster.told(5),
        ["endpoint e5 (0.0.0.5:80) is taken out for 30.0 s since 75% of its requests failed, and 12.5% in the cluster"]
    );
    assert!(cluster.told(10).is_empty(), "the window begins anew");
}

/// What may happen to a cluster with outlier detection.
#[derive(Debug, Clone)]
enum Event {
    Fail(u8, u8),
    Succeed(u8),
    Check(u8, bool),
    Wait(u16),
    Reload(u8, u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (any::<u8>(), 1_u8..8).prop_map(|(nth, times)| Event::Fail(nth, times)),
        3 => any::<u8>().prop_map(Event::Succeed),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(nth, passes)| Event::Check(nth, passes)),
        2 => (0_u16..600).prop_map(Event::Wait),
        1 => (1_u8..9, 0_u8..=100).prop_map(|(n, share)| Event::Reload(n, share)),
    ]
}

proptest! {
    #[test]
    fn no_schedule_ejects_more_than_the_cap_or_leaves_none_to_choose(
        n in 1_u8..9,
        share in 0_u8..=100,
        events in prop::collection::vec(event(), 1..120),
    ) {
        let policy = |share: u8| OutlierPolicy { max_ejected: percent(u32::from(share) * 10_000), ..OutlierPolicy::default() };
        let start = Instant::now();
        let set = EndpointSet::build(specs(n.into()), options(policy(share)), start).unwrap();
        let (mut cluster, mut tenths) = (Cluster { set, start }, 0_u32);
        for event in events {
            let now = start + tenths * SECOND / 10;
            let nth = |nth: u8| u32::try_from(usize::from(nth) % cluster.set.endpoints().len()).unwrap();
            match event {
                Event::Fail(at, times) => {
                    (0..times).for_each(|_| cluster.choice(nth(at)).failure(now, Reason::UpstreamReset));
                }
                Event::Succeed(at) => cluster.choice(nth(at)).success(now, SECOND),
                Event::Check(at, passes) => {
                    let state = Arc::clone(cluster.set.endpoints()[nth(at) as usize].state());
                    let result = if passes { Ok(()) } else { Err(CheckFailure::Timeout) };
                    HealthMachine::new(checks(), state).on_result(now, result);
                }
                Event::Wait(more) => {
                    tenths += u32::from(more);
                    cluster.set.sweep(start + tenths * SECOND / 10);
                }
                Event::Reload(n, share) => {
                    cluster.set = cluster.set.rebuild(specs(n.into()), options(policy(share)), now).unwrap();
                }
            }
            prop_assert!(cluster.set.ejected() <= cluster.set.max_ejected());
            prop_assert!(cluster.set.max_ejected() < cluster.set.endpoints().len().max(2));
            let well = cluster.set.endpoints().iter().any(|endpoint| endpoint.state().health() != crate::Health::Unhealthy);
            prop_assert_eq!(cluster.set.choose(&Ask::new(now, 1)).is_ok(), well);
        }
    }
}
