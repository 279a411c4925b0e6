//! The bars of the simulation, in runs that are shorter than those of the example.

use crate::sim::policy::Policy;
use crate::sim::scene::Scene;
use crate::sim::scenes;
use crate::sim::server::Mode;
use crate::sim::stats::Stats;
use crate::sim::world::run;

/// The scene, and how the default rule did in it.
fn default_rule(scene: Scene) -> (Scene, Stats) {
    let stats = run(&scene, Policy::LeastLoaded);
    (scene, stats)
}

#[test]
fn two_of_sixteen_slow_cost_a_quarter_of_round_robin_and_less_than_least_request() {
    // At little load, where the slow ones keep up, and at much, where they do not; and as one of many gateways.
    for (load, gateways) in [(0.1, 1), (0.6, 1), (0.6, 8)] {
        let scene = Scene { load, gateways, seconds: 7.0, ..scenes::slow(16, 2) };
        let p99 = |policy| run(&scene, policy).summary(&scene).p99;
        let (own, turns, request) = (p99(Policy::LeastLoaded), p99(Policy::RoundRobin), p99(Policy::LeastRequest));
        assert!(own <= 0.25 * turns, "{load} {gateways}: {own} against {turns} of round robin");
        assert!(own <= 0.7 * request, "{load} {gateways}: {own} against {request} of least request of two");
    }
}

#[test]
fn a_fast_failing_endpoint_takes_under_two_per_cent_after_a_second() {
    for (fleet, load, seconds) in [(2, 0.3, 8.0), (2, 0.03, 12.0), (16, 0.6, 6.0), (16, 0.05, 10.0), (200, 0.6, 4.6)] {
        let (scene, stats) = default_rule(Scene { load, seconds, ..scenes::failing(fleet) });
        let share = stats.watched(scene.measure_from, scene.seconds);
        assert!(share < 0.02, "{fleet} at {load}: {share}");
    }
}

#[test]
fn a_hanging_endpoint_is_left_within_a_second() {
    for fleet in [2, 16] {
        let (scene, stats) = default_rule(scenes::hanging(fleet));
        let reacts = stats.summary(&scene).reacts;
        assert!(reacts.is_some_and(|seconds| seconds <= 1.0), "{fleet}: {reacts:?}");
    }
}

#[test]
fn an_endpoint_that_recovers_is_used_again_within_seconds() {
    for (fleet, mode) in [(2, Mode::Serving(10.0)), (2, Mode::Failing), (16, Mode::Serving(10.0)), (16, Mode::Failing)]
    {
        let scene = Scene { load: 0.3, seconds: 11.0, ..Scene::healthy("recovery", fleet) };
        let (_, stats) = default_rule(scene.watching([0]).then(2.0, mode).then(5.0, Mode::Serving(1.0)));
        let (fair, share) = (1.0 / fleet as f64, stats.watched(9.0, 11.0));
        assert!(share > 0.5 * fair, "{fleet} {mode:?}: {share}");
    }
}

#[test]
fn equal_endpoints_get_equal_shares_and_weights_their_due() {
    for (fleet, gateways) in [(2, 1), (16, 1), (16, 4)] {
        let (scene, stats) = default_rule(Scene { gateways, seconds: 6.0, ..Scene::healthy("shares", fleet) });
        assert!(stats.summary(&scene).most < 1.15, "{fleet}: {:?}", stats.by_server);
    }
    // Servers that are equal although their weights are not: weights still count for most.
    let (_, stats) = default_rule(Scene { weights: 2, load: 0.3, ..Scene::healthy("weights", 8) });
    let of = |odd: usize| stats.by_server.iter().skip(odd).step_by(2).sum::<u64>() as f64;
    assert!((1.5..2.5).contains(&(of(1) / of(0))), "{:?}", stats.by_server);
}

#[test]
fn a_cold_endpoint_does_not_set_the_tail() {
    let scene = scenes::cold_start(16);
    let p99 = |policy| run(&scene, policy).summary(&scene).p99;
    let (own, turns) = (p99(Policy::LeastLoaded), p99(Policy::RoundRobin));
    assert!(own < 0.6 * turns, "{own} against {turns}");
}

#[test]
fn a_dead_region_fails_over_at_once_and_comes_back_once() {
    let (scene, stats) = default_rule(scenes::dead_region());
    let course = scenes::failover(&scene, &stats);
    // Two failing checks, half a second apart, are the detection; requests that fail are faster.
    assert!(course.over <= 1.0 && course.back <= 2.5, "{course:?}");
    assert_eq!(course.turns, 2, "{course:?}");
    assert!(course.errors < 0.001, "{course:?}");
}

#[test]
fn an_outage_brings_no_retry_storm_and_ends_with_its_cause() {
    for mode in [Mode::Failing, Mode::Hanging, Mode::Serving(30.0), Mode::Down] {
        let (scene, stats) = default_rule(scenes::outage(mode));
        let course = scenes::storm(&scene, &stats);
        assert!(course.offered <= 1.2, "{mode:?}: {course:?}");
        assert!(course.recovers <= 5.0, "{mode:?}: {course:?}");
    }
}

#[test]
fn round_robin_wins_where_everything_is_equal_and_not_by_much() {
    let scene = scenes::steady();
    let p99 = |policy| run(&scene, policy).summary(&scene).p99;
    let (own, turns) = (p99(Policy::LeastLoaded), p99(Policy::RoundRobin));
    assert!(turns <= own && own <= 1.25 * turns, "{own} against {turns}");
}

#[test]
fn a_run_is_the_same_every_time() {
    let scene = Scene { seconds: 3.0, ..scenes::antagonists(8) };
    let once = run(&scene, Policy::LeastLoaded);
    assert_eq!(once.by_server, run(&scene, Policy::LeastLoaded).by_server);
}
