//! What workers share, under a scheduler that tries their interleavings (shuttle).
//!
//! The ledger is compiled a second time here, with shuttle's lock in the place of the one it runs with.

use shuttle::thread;

use super::{at, at_once, plan, quota, rate, rule};
use crate::*;

use std::sync::Arc;

mod sync {
    pub(crate) use shuttle::sync::MutexGuard;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

#[path = "../ledger.rs"]
#[expect(clippy::duplicate_mod, reason = "the second copy has another lock")]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "only what is shared is tried here")]
mod ledger;

use ledger::{Admission, BoundSet, Ledger, LedgerOptions, Request, Scopes};

/// Interleavings tried.
const TRIES: usize = 1_500;

struct World {
    ledger: Ledger,
    sets: Vec<Arc<BoundSet>>,
}

impl World {
    fn new(specs: Vec<CapSetSpec>) -> Arc<Self> {
        let ledger = Ledger::new(LedgerOptions { shards: 2, ..LedgerOptions::default() });
        let sets = specs.into_iter().map(|spec| CapSet::build(spec).unwrap());
        let methods = Methods::default().with(&["a".parse().unwrap()]).unwrap();
        let sets = sets.map(|set| ledger.bind(&set, &methods).unwrap()).collect();
        Arc::new(Self { ledger, sets })
    }

    fn ask(&self, millis: u64, id: &str, calls: usize) -> Result<Admission, Refusal> {
        let scopes = self.sets.iter().fold(Scopes::default(), |scopes, set| scopes.with(set));
        let calls = vec![MethodId::OTHER; calls];
        let id = Arc::from(id);
        self.ledger.decide(at(millis), &Request { scopes, consumer: Some(&id), holds: Held::Requests, calls: &calls })
    }
}

fn route(shared: Vec<Cap>) -> CapSetSpec {
    CapSetSpec { shared, ..CapSetSpec::new(Scope::Route, "r") }
}

#[test]
fn racing_workers_get_exactly_what_there_is() {
    shuttle::check_random(
        || {
            let plan = CapSetSpec { shared: vec![quota(Unit::Requests, "4/d")], ..plan(vec![rate("1/s", 3)]) };
            let world = World::new(vec![route(vec![rate("1/s", 5)]), plan]);
            let workers = ["x", "y", "x"].map(|id| {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..2).filter(|_| world.ask(0, id, 1).is_ok()).count())
            });
            let [x, y, more_x] = workers.map(|worker| worker.join().unwrap());
            assert!(x + more_x <= 3, "{x} and {more_x}");
            assert_eq!(x + y + more_x, 4, "no more, and no less");
        },
        TRIES,
    );
}

#[test]
fn what_is_refused_is_never_seen_to_be_spent() {
    shuttle::check_random(
        || {
            // The greedy one is refused by its own cap; what the route has left is enough for the other.
            let world =
                World::new(vec![route(vec![rate("1/s", 2), at_once(Held::Requests, 1)]), plan(vec![rate("1/s", 1)])]);
            assert!(world.ask(0, "greedy", 1).is_ok());
            let greedy = {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..3).all(|_| world.ask(0, "greedy", 1).is_err()))
            };
            assert!(world.ask(0, "modest", 1).is_ok());
            assert!(greedy.join().unwrap());
        },
        TRIES,
    );
}

#[test]
fn no_more_are_held_than_may_be_and_all_are_given_back() {
    shuttle::check_random(
        || {
            let world =
                World::new(vec![route(vec![at_once(Held::Requests, 3)]), plan(vec![at_once(Held::Requests, 2)])]);
            let held = Arc::new(shuttle::sync::atomic::AtomicU32::new(0));
            let workers = ["x", "x", "y"].map(|id| {
                let (world, held) = (Arc::clone(&world), Arc::clone(&held));
                thread::spawn(move || {
                    for _ in 0..2 {
                        if let Ok(admission) = world.ask(0, id, 1) {
                            let with_me = held.fetch_add(1, shuttle::sync::atomic::Ordering::SeqCst) + 1;
                            assert!(with_me <= 3, "{with_me} are held");
                            held.fetch_sub(1, shuttle::sync::atomic::Ordering::SeqCst);
                            drop(admission);
                        }
                    }
                })
            });
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            let all: Vec<_> = ["x", "x", "y"].iter().map(|id| world.ask(0, id, 1)).collect();
            assert!(all.iter().all(Result::is_ok) && world.ask(0, "y", 1).is_err());
        },
        TRIES,
    );
}

#[test]
fn usage_that_is_taken_meanwhile_is_taken_once_and_nobody_is_dropped_too_early() {
    shuttle::check_random(
        || {
            let world = World::new(vec![plan(vec![rate("1000/s", 1_000), quota(Unit::Requests, "5/d")])]);
            let workers = ["x", "y"].map(|id| {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..2).filter(|nth| world.ask(nth * 10, id, 2).is_ok()).count() as u64)
            });
            let mut taken = Amount::default();
            let mut quotas = Vec::new();
            let mut take = || {
                let changes = world.ledger.take_changes();
                changes.usage.into_iter().for_each(|delta| taken += delta.amount);
                quotas.extend(changes.quotas);
            };
            take();
            let _ = world.ledger.sweep(at(5), 100);
            take();
            let _ = world.ledger.sweep(at(500), 100);
            let admitted: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
            take();
            assert_eq!((admitted, taken.requests, taken.credits), (4, 8, 8));
            let newest = |id: &str| {
                quotas.iter().rev().find(|quota| quota.consumer.as_deref() == Some(id)).map(|quota| quota.spent)
            };
            assert_eq!((newest("x"), newest("y")), (Some(4), Some(4)));
            assert!(world.ask(1_000, "x", 2).is_err() && world.ask(1_000, "x", 1).is_ok());
        },
        TRIES,
    );
}

#[test]
fn leases_and_edits_meanwhile_neither_block_nor_leak() {
    shuttle::check_random(
        || {
            let terms = Terms { most: 4, overdraft: 2, ahead: Terms::AHEAD, ttl: Terms::TTL };
            let leased = rate("1/s", 10).shared_by_gateways(terms).unwrap();
            let methods = vec![rule("a", None, Vec::new())];
            let world = World::new(vec![route(vec![leased.clone()]), CapSetSpec { methods, ..plan(vec![leased]) }]);
            world.ledger.link_heard(0, std::time::Duration::from_secs(3600), 2);
            let workers = ["x", "y"].map(|id| {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..2).filter(|_| world.ask(0, id, 1).is_ok()).count())
            });
            let mut pool = Pool::default();
            let full = Budget::Rate(Bucket::new("1/s".parse().unwrap(), 10).unwrap());
            for ask in world.ledger.lease_asks(at(1), GatewayId(1)) {
                let grant =
                    pool.ask(1_000_000, &ask.ask, &Stake { budget: full, terms: ask.terms, present: Present::ALONE });
                world.ledger.lease_answer(&ask.key, grant.as_ref().filter(|_| ask.key.consumer.is_some()));
            }
            let one = Override {
                target: Target::Consumer("x".into()),
                cap: None,
                effect: Effect::Lift,
                until: u64::MAX,
                reason: "".into(),
            };
            world.ledger.set_override(one, 0);
            let admitted: Vec<usize> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            // The route's share has its overdraft of two for both.
            assert_eq!(admitted.iter().sum::<usize>(), 2, "{admitted:?}");
        },
        TRIES,
    );
}
