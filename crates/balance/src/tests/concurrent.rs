//! What workers share, under a scheduler that tries their interleavings (shuttle).
//!
//! The files are compiled a second time here, with shuttle's atomics in the place of those of std.

use std::time::{Duration, Instant};

use shuttle::sync::Arc;
use shuttle::thread;

use crate::budget::{BudgetPolicy, Spent};
use crate::tuning::percent;

mod atomics {
    pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

#[path = "../budget/account.rs"]
#[expect(clippy::duplicate_mod, reason = "the second copy has other atomics")]
#[expect(dead_code, unreachable_pub, reason = "only what is shared is tried here")]
mod account;
#[path = "../limit/places.rs"]
#[expect(clippy::duplicate_mod, reason = "the second copy has other atomics")]
mod places;

use account::Budget;
use places::Places;

/// Interleavings tried.
const TRIES: usize = 2_000;

#[test]
fn workers_that_race_for_the_last_of_a_budget_never_all_get_it() {
    let start = Instant::now();
    shuttle::check_random(
        move || {
            let policy = BudgetPolicy { share: percent(500_000), floor: 0, window: Duration::from_secs(1) };
            let budget = Arc::new(Budget::new(policy, start));
            (0..4).for_each(|_| budget.request(start));
            // Two are allowed; three workers ask, one of them a moment later, in the next slot.
            let workers = [0, 0, 100].map(|millis| {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    let now = start + Duration::from_millis(millis);
                    usize::from(budget.grant(now)) + usize::from(budget.grant(now))
                })
            });
            let granted: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
            assert!(granted <= 2, "{granted} granted");
            let spent = budget.spent(start + Duration::from_millis(100));
            assert_eq!(spent.granted, granted as u64, "refusals are given back");
        },
        TRIES,
    );
}

#[test]
fn requests_that_are_counted_while_others_are_granted_are_not_lost() {
    let start = Instant::now();
    shuttle::check_random(
        move || {
            let budget = Arc::new(Budget::new(BudgetPolicy::retries(), start));
            let workers = [0, 1].map(|_| {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    budget.request(start);
                    let granted = budget.grant(start);
                    budget.request(start);
                    granted
                })
            });
            let granted = workers.into_iter().map(|worker| u64::from(worker.join().unwrap())).sum();
            let spent = budget.spent(start);
            assert_eq!((spent.requests, spent.granted, spent.asked), (4, granted, 2));
        },
        TRIES,
    );
}

#[test]
fn racing_workers_take_no_more_places_than_there_are_and_leave_none_taken() {
    shuttle::check_random(
        || {
            let places = Arc::new(Places::new(2));
            let held = Arc::new(shuttle::sync::atomic::AtomicU32::new(0));
            let workers = [0, 1, 2].map(|_| {
                let (places, held) = (Arc::clone(&places), Arc::clone(&held));
                thread::spawn(move || {
                    for _ in 0..2 {
                        if places.take_below(100, u32::MAX).is_some() {
                            let with_me = held.fetch_add(1, shuttle::sync::atomic::Ordering::SeqCst) + 1;
                            assert!(with_me <= 2, "{with_me} hold a place");
                            held.fetch_sub(1, shuttle::sync::atomic::Ordering::SeqCst);
                            places.give_back();
                        }
                    }
                })
            });
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            assert_eq!(places.taken(), 0);
        },
        TRIES,
    );
}

#[test]
fn a_limit_that_shrinks_meanwhile_is_kept_by_whoever_comes_after() {
    shuttle::check_random(
        || {
            let places = Arc::new(Places::new(4));
            let taker = {
                let places = Arc::clone(&places);
                thread::spawn(move || (0..4).filter(|_| places.take_below(100, u32::MAX).is_some()).count())
            };
            places.set_limit(1);
            taker.join().unwrap();
            assert!((1..=4).contains(&places.taken()));
            assert!(places.take_below(100, u32::MAX).is_none() && places.limit() == 1);
        },
        TRIES,
    );
}
