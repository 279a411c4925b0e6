//! What workers share, under a scheduler that tries their interleavings (shuttle). See [`super::interleaved`].

use shuttle::thread;

use super::*;
use crate::limit::{AdaptivePolicy, LimitPolicy, Limiter, Priority};
use crate::outlier::OutlierPolicy;
use crate::tuning::percent;
use crate::{Answer, Budget, BudgetPolicy, Tuning};
use portcullis_types::Reason;

/// Tries so many interleavings: half of them with a turn by chance at each step, half with few changes of turns, which
/// finds what takes one worker to stand still for long.
fn explore(tries: usize, run: impl Fn(Instant) + Send + Sync + 'static) {
    let (start, run) = (Instant::now(), Arc::new(run));
    let again = Arc::clone(&run);
    shuttle::check_random(move || run(start), tries / 2);
    shuttle::check_pct(move || again(start), tries / 2, 3);
}

/// Runs each of these as a worker, and gives what they end with.
fn workers<T: Send + 'static, const N: usize>(works: [Box<dyn FnOnce() -> T + Send>; N]) -> [T; N] {
    works.map(thread::spawn).map(|worker| worker.join().unwrap())
}

#[test]
fn workers_that_race_for_the_last_of_a_budget_never_all_get_it() {
    explore(4_000, |start| {
        let policy = BudgetPolicy { share: percent(500_000), floor: 0, window: SECOND };
        let budget = Arc::new(Budget::new(policy, start));
        (0..4).for_each(|_| budget.request(start));
        // Two are allowed; three workers ask, one of them a moment later, in the next slot.
        let granted: usize = workers([0, 0, 100].map(|millis| {
            let budget = Arc::clone(&budget);
            Box::new(move || {
                let now = start + Duration::from_millis(millis);
                usize::from(budget.grant(now)) + usize::from(budget.grant(now))
            }) as _
        }))
        .into_iter()
        .sum();
        assert!(granted <= 2, "{granted} granted");
        let spent = budget.spent(start + Duration::from_millis(100));
        assert_eq!(spent.granted, granted as u64, "refusals are given back");
    });
}

#[test]
fn requests_that_are_counted_while_others_are_granted_are_not_lost() {
    explore(4_000, |start| {
        let budget = Arc::new(Budget::new(BudgetPolicy::retries(), start));
        let granted: u64 = workers([0, 1].map(|_| {
            let budget = Arc::clone(&budget);
            Box::new(move || {
                budget.request(start);
                let granted = budget.grant(start);
                budget.request(start);
                u64::from(granted)
            }) as _
        }))
        .into_iter()
        .sum();
        let spent = budget.spent(start);
        assert_eq!((spent.requests, spent.granted, spent.asked), (4, granted, 2));
    });
}

#[test]
fn racing_workers_take_no_more_places_than_there_are_and_leave_none_taken() {
    explore(4_000, |start| {
        let limiter = Limiter::new(LimitPolicy::Fixed(2), start);
        let held = Arc::new(crate::atomics::AtomicU32::new(0));
        workers([0, 1, 2].map(|_| {
            let (limiter, held) = (Arc::clone(&limiter), Arc::clone(&held));
            Box::new(move || {
                for _ in 0..2 {
                    if let Some(permit) = limiter.admit(Priority::Normal) {
                        let with_me = held.fetch_add(1, crate::atomics::Ordering::SeqCst) + 1;
                        assert!(with_me <= 2, "{with_me} hold a place");
                        held.fetch_sub(1, crate::atomics::Ordering::SeqCst);
                        drop(permit);
                    }
                }
            }) as _
        }));
        assert_eq!(limiter.in_flight(), 0);
    });
}

#[test]
fn a_limit_that_shrinks_meanwhile_is_kept_by_whoever_comes_after() {
    explore(4_000, |start| {
        let limiter = Limiter::new(LimitPolicy::Fixed(4), start);
        let taker = Arc::clone(&limiter);
        let taker = thread::spawn(move || (0..4).filter_map(|_| taker.admit(Priority::Normal)).collect::<Vec<_>>());
        let limiter = limiter.with_policy(LimitPolicy::Fixed(1), start);
        let held = taker.join().unwrap();
        assert!((1..=4).contains(&held.len()) && usize::try_from(limiter.in_flight()).unwrap() == held.len());
        assert!(limiter.admit(Priority::Normal).is_none() && limiter.limit() == 1);
        drop(held);
        assert_eq!(limiter.in_flight(), 0);
    });
}

/// An adaptive limit whose every answer may end a window.
fn adaptive() -> AdaptivePolicy {
    AdaptivePolicy { initial: 4, max: 8, window: Duration::from_millis(1), samples: 1, ..AdaptivePolicy::default() }
}

#[test]
fn answers_that_end_a_window_at_once_move_the_limit_within_its_bounds_and_leak_nothing() {
    explore(4_000, |start| {
        let limiter = Limiter::new(LimitPolicy::Adaptive(adaptive()), start);
        workers([2, 3, 400].map(|millis| {
            let limiter = Arc::clone(&limiter);
            Box::new(move || {
                for nth in 1..=2 {
                    let Some(permit) = limiter.admit(Priority::Normal) else { continue };
                    let (in_flight, limit) = (limiter.in_flight(), limiter.limit());
                    assert!((1..=8).contains(&in_flight) && (1..=8).contains(&limit), "{in_flight} of {limit}");
                    let took = Duration::from_millis(millis);
                    permit.finish(start + nth * took, took, if nth == 1 { Answer::Good } else { Answer::Overloaded });
                }
            }) as _
        }));
        assert!((1..=8).contains(&limiter.limit()));
        assert_eq!(limiter.in_flight(), 0);
        // Whatever was lost between two windows, the next ones go on.
        for nth in 1..20 {
            let permit = limiter.admit(Priority::Normal).unwrap();
            permit.finish(start + SECOND + nth * Duration::from_millis(2), Duration::from_millis(1), Answer::Good);
        }
        assert!((1..=8).contains(&limiter.limit()) && limiter.in_flight() == 0);
    });
}

#[test]
fn a_window_is_closed_once_by_answers_that_come_at_its_end_together() {
    explore(4_000, |start| {
        let limiter =
            Limiter::new(LimitPolicy::Adaptive(AdaptivePolicy { initial: 64, max: 100, ..adaptive() }), start);
        let answer = move |limiter: &Arc<Limiter>, millis: u32| {
            let permit = limiter.admit(Priority::Normal).unwrap();
            permit.finish(start + millis * Duration::from_millis(1), Duration::from_millis(10), Answer::Good);
        };
        workers([0, 1].map(|_| {
            let limiter = Arc::clone(&limiter);
            Box::new(move || answer(&limiter, 10)) as _
        }));
        // A window without an answer has no latency. To take that for none at all would make every answer a late one.
        (20..22).for_each(|millis| answer(&limiter, millis));
        assert_eq!(limiter.limit(), 64, "answers take as long as ever");
    });
}

#[test]
fn a_limit_that_was_replaced_moves_no_more() {
    explore(4_000, |start| {
        let limiter = Limiter::new(LimitPolicy::Adaptive(adaptive()), start);
        let permit = limiter.admit(Priority::Normal).unwrap();
        let finishes = thread::spawn(move || permit.finish(start + SECOND, SECOND, Answer::Good));
        let fixed = limiter.with_policy(LimitPolicy::Fixed(100), start + SECOND);
        finishes.join().unwrap();
        assert_eq!((fixed.limit(), fixed.in_flight()), (100, 0));
    });
}

/// A cluster whose endpoints are taken out after one failure, half of them at most.
fn strict(n: usize, start: Instant) -> Arc<EndpointSet> {
    EndpointSet::build(equal(n), strict_options(), start).unwrap()
}

fn strict_options() -> crate::TunedOptions {
    let outliers = OutlierPolicy { consecutive_failures: NonZeroU32::MIN, ..OutlierPolicy::default() };
    checked(Algorithm::LeastLoaded).tuned(Tuning { outliers: Some(outliers), ..Tuning::default() })
}

fn fail(set: &EndpointSet, nth: u32, now: Instant) {
    set.claim(EndpointIdx(nth)).unwrap().failure(now, Reason::UpstreamReset);
}

/// What may be chosen is what nobody has taken out, however the decisions met.
fn is_compiled(set: &EndpointSet) {
    let well = |state: &crate::EndpointState| !state.is_ejected() && state.health() != crate::Health::Unhealthy;
    let expected = set.endpoints().iter().filter(|endpoint| well(endpoint.state())).count();
    assert_eq!(set.available(), expected);
}

#[test]
fn decisions_that_meet_eject_no_more_than_the_cap() {
    explore(2_000, |start| {
        let set = strict(6, start);
        workers([[0, 1], [2, 3], [4, 5]].map(|nths| {
            let set = Arc::clone(&set);
            Box::new(move || {
                for nth in nths {
                    fail(&set, nth, start + SECOND);
                    assert!(set.ejected() <= 3, "{} are out", set.ejected());
                }
            }) as _
        }));
        assert_eq!((set.ejected(), set.max_ejected()), (3, 3));
        is_compiled(&set);
    });
}

#[test]
fn ejections_checks_returns_and_reloads_that_meet_keep_the_cap_and_are_all_seen() {
    explore(2_000, |start| {
        let set = strict(5, start);
        fail(&set, 0, start);
        let back = start + 40 * SECOND;
        let (ejects, checks, sweeps, reloads) =
            (Arc::clone(&set), machine(&set, 3), Arc::clone(&set), Arc::clone(&set));
        let next = workers::<Option<Arc<EndpointSet>>, 4>([
            Box::new(move || {
                (1..3).for_each(|nth| fail(&ejects, nth, back));
                None
            }),
            Box::new(move || {
                let mut checks = checks;
                (0..3).for_each(|_| drop(checks.on_result(back, Err(CheckFailure::Timeout))));
                None
            }),
            Box::new(move || {
                drop(sweeps.sweep(back));
                None
            }),
            Box::new(move || Some(reloads.rebuild(equal(4), strict_options(), back).unwrap())),
        ]);
        let next = next.into_iter().flatten().next().unwrap();
        assert!(next.ejected() <= next.max_ejected() && next.max_ejected() == 2, "{} are out", next.ejected());
        is_compiled(&next);
        is_compiled(&set);
        assert!(next.choose(&Ask::new(back, 7)).is_ok());
    });
}

#[test]
fn choices_that_meet_leave_nothing_in_flight_and_count_each_request_once() {
    explore(2_000, |start| {
        let set = built(equal(2), SetOptions::default());
        workers([0, 1, 2].map(|nth| {
            let set = Arc::clone(&set);
            Box::new(move || {
                let now = start + SECOND;
                let mut choice = set.choose(&Ask::new(now, nth)).unwrap();
                let in_flight = choice.endpoint().state().in_flight();
                assert!((1..=3).contains(&in_flight) && set.cluster_in_flight() <= 3, "{in_flight} in flight");
                match nth {
                    0 => choice.success(now, SECOND),
                    1 => choice.failure(now, Reason::UpstreamReset),
                    _ => {}
                }
                drop(choice);
                drop(set.claim_at(EndpointIdx(0), now).unwrap());
            }) as _
        }));
        let totals = set.endpoints().iter().map(|endpoint| endpoint.state().totals());
        let (requests, failures, abandoned) =
            totals.fold((0, 0, 0), |sum, one| (sum.0 + one.requests, sum.1 + one.failures, sum.2 + one.abandoned));
        assert_eq!((requests, failures, abandoned), (6, 1, 4));
        assert_eq!(set.cluster_in_flight(), 0);
        assert!(set.endpoints().iter().all(|endpoint| endpoint.state().in_flight() == 0));
    });
}

#[test]
fn choices_meet_a_reload_and_all_of_them_are_counted_in_both_generations() {
    explore(2_000, |start| {
        let set = built(equal(2), SetOptions::default());
        let (chooses, reloads) = (Arc::clone(&set), Arc::clone(&set));
        let choosing = thread::spawn(move || {
            let held = chooses.choose(&Ask::new(start, 1)).unwrap();
            drop(chooses.choose(&Ask::new(start, 2)).unwrap());
            held
        });
        let next = reloads.rebuild(equal(3), SetOptions::default(), start).unwrap();
        let held = choosing.join().unwrap();
        assert_eq!((set.cluster_in_flight(), next.cluster_in_flight()), (1, 1));
        assert_eq!(next.endpoints()[held.index().get()].state().in_flight(), 1);
        drop(held);
        assert_eq!(next.cluster_in_flight(), 0);
        is_compiled(&next);
    });
}

#[test]
fn workers_that_look_at_a_full_zone_at_once_agree_on_what_leaves_it() {
    explore(500, |start| {
        let zones = ["a", "a", "b"].map(|zone| Some(Arc::from(zone)));
        let specs = equal(3).into_iter().zip(zones).map(|(spec, zone)| crate::EndpointSpec { zone, ..spec }).collect();
        let zone = Some(crate::ZonePreference { zone: "a".into(), traffic: None, per_endpoint: None });
        let options = SetOptions { algorithm: Algorithm::Random, ..SetOptions::default() };
        let set = EndpointSet::build(specs, options.tuned(Tuning { zone, ..Tuning::default() }), start).unwrap();
        let full = crate::CapacityReport { utilisation: Some(1.0), ..Default::default() };
        let now = start + 100 * SECOND;
        (0..2).for_each(|nth| set.endpoints()[nth].state().report(now, &full));
        workers([0_u64, 1].map(|nth| {
            let set = Arc::clone(&set);
            Box::new(move || (0..2).for_each(|more| drop(set.choose(&Ask::new(now, nth * 2 + more)).unwrap()))) as _
        }));
        // One look, with all of the time that was over: nearly the whole share, and not that of several looks.
        let mut draws = Draws::new(1);
        let away = (0..400).filter(|_| set.choose(&Ask::new(now, draws.next())).unwrap().index().get() == 2).count();
        assert!((350..400).contains(&away), "{away}");
    });
}

/// That the code really is interleaved, on which all of the above rests: in some runs an update made of two steps is lost,
/// and in some it is not.
#[test]
fn an_update_that_is_made_of_two_steps_is_lost_in_some_runs() {
    use crate::atomics::{AtomicU32, Ordering::SeqCst};
    let (lost, kept) = (Arc::new(std::sync::atomic::AtomicU32::new(0)), Arc::new(std::sync::atomic::AtomicU32::new(0)));
    let counts = [Arc::clone(&lost), Arc::clone(&kept)];
    explore(2_000, move |_| {
        let cell = Arc::new(AtomicU32::new(0));
        workers([0, 1].map(|_| {
            let cell = Arc::clone(&cell);
            Box::new(move || cell.store(cell.load(SeqCst) + 1, SeqCst)) as _
        }));
        counts[cell.load(SeqCst) as usize - 1].fetch_add(1, SeqCst);
    });
    let (lost, kept) = (lost.load(SeqCst), kept.load(SeqCst));
    assert!(lost > 10 && kept > 10, "{lost} lost, {kept} kept");
}
