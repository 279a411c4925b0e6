//! What a decision costs: alone, among a hundred thousand consumers, refused, and with two workers at once.
//!
//! Every decision is that of a rich plan: rate, credits, concurrency, quotas by day and month, and a method's rate; the
//! guard is dropped in the same turn, as each request does sooner or later.

#![expect(clippy::unwrap_used, reason = "a bench whose set-up fails must stop")]

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_caps::{
    BoundSet, Bucket, Cap, CapSet, CapSetSpec, FullAt, Held, Ledger, LedgerOptions, MethodId, MethodRule, Methods,
    Moment, Request, Scope, Scopes, Unit, Zone, write_limit, write_policy,
};

const CONSUMERS: usize = 100_000;

fn rate(text: &str, burst: u64) -> Cap {
    Cap::rate(Unit::Requests, text.parse().unwrap(), burst).unwrap()
}

fn rich() -> CapSetSpec {
    let quota =
        |unit, text: &str| Cap::quota(unit, text.parse().unwrap(), Zone::named("Europe/Berlin").unwrap()).unwrap();
    let rule = |name: &str, cap| MethodRule {
        pattern: name.parse().unwrap(),
        credits: Some(10),
        each: vec![cap],
        shared: Vec::new(),
    };
    CapSetSpec {
        each: vec![
            rate("1000000000/s", 1_000_000_000),
            Cap::rate(Unit::Credits, "1000000000/s".parse().unwrap(), 1_000_000_000).unwrap(),
            Cap::at_once(Held::Requests, 1_000).unwrap(),
            quota(Unit::Requests, "1000000000000000/d"),
            quota(Unit::Credits, "10000000000000000/month"),
        ],
        methods: vec![
            rule("getProgramAccounts", rate("1000000000/s", 1_000_000_000)),
            rule("sendTransaction", rate("1000000000/s", 1_000_000_000)),
        ],
        ..CapSetSpec::new(Scope::Plan, "rich")
    }
}

/// A ledger with a plan, a route whose rate all share, and consumers that have been there.
struct World {
    ledger: Ledger,
    plan: Arc<BoundSet>,
    route: Arc<BoundSet>,
    ids: Vec<Arc<str>>,
    calls: [MethodId; 1],
    began: Instant,
}

impl World {
    fn new(consumers: usize) -> Self {
        let ledger = Ledger::new(LedgerOptions { seed: 7, ..LedgerOptions::default() });
        let plan = CapSet::build(rich()).unwrap();
        let shared = vec![rate("1000000000/s", 1_000_000_000)];
        let route = CapSet::build(CapSetSpec { shared, ..CapSetSpec::new(Scope::Route, "archive") }).unwrap();
        let methods = Methods::default().with(plan.patterns()).unwrap();
        let calls = [methods.find("getProgramAccounts")];
        let (plan, route) = (ledger.bind(&plan, &methods).unwrap(), ledger.bind(&route, &methods).unwrap());
        let ids = (0..consumers).map(|nth| Arc::from(format!("consumer-{nth}"))).collect();
        let world = Self { ledger, plan, route, ids, calls, began: Instant::now() };
        world.ids.iter().for_each(|id| world.ask(id, false));
        world
    }

    fn now(&self) -> Moment {
        Moment::new(self.began.elapsed(), Duration::from_secs(1_772_323_200))
    }

    fn request<'a>(&'a self, id: &'a Arc<str>, with_route: bool) -> Request<'a> {
        let scopes = Scopes::default().with(&self.plan);
        let scopes = if with_route { scopes.with(&self.route) } else { scopes };
        Request { scopes, consumer: Some(id), holds: Held::Requests, calls: &self.calls }
    }

    fn ask(&self, id: &Arc<str>, with_route: bool) {
        drop(black_box(self.ledger.decide(self.now(), &self.request(id, with_route)).unwrap()));
    }

    /// As many decisions in each of so many threads, each on consumers of its own; the time of the slowest.
    fn race(&self, threads: usize, times: u64, with_route: bool) -> Duration {
        let barrier = Barrier::new(threads);
        std::thread::scope(|scope| {
            let race = |nth: usize| {
                let barrier = &barrier;
                scope.spawn(move || {
                    // Of consumers that came one after another the state lies side by side, which is not what is measured.
                    let mine: Vec<&Arc<str>> = self.ids.iter().skip(nth * CONSUMERS / threads).take(64).collect();
                    barrier.wait();
                    let begin = Instant::now();
                    (0..times).zip(mine.iter().cycle()).for_each(|(_, id)| self.ask(id, with_route));
                    begin.elapsed()
                })
            };
            let racers: Vec<_> = (0..threads).map(race).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).max().unwrap_or_default()
        })
    }
}

fn decide(c: &mut Criterion) {
    let world = World::new(CONSUMERS);
    let one = world.ids.first().unwrap();
    c.bench_function("now", |b| b.iter(|| world.now()));
    c.bench_function("decide/one_consumer", |b| b.iter(|| world.ask(one, false)));
    c.bench_function("decide/one_consumer/with_route", |b| b.iter(|| world.ask(one, true)));
    let mut at = 0;
    c.bench_function("decide/100000_consumers", |b| {
        b.iter(|| {
            // A step that visits all in an order that no cache likes.
            at = (at + 38_197) % CONSUMERS;
            world.ask(world.ids.get(at).unwrap(), false);
        });
    });
    let batch = [world.calls[0]; 20];
    c.bench_function("decide/batch_of_20", |b| {
        b.iter(|| {
            let request = Request { calls: &batch, ..world.request(one, false) };
            drop(black_box(world.ledger.decide(world.now(), &request).unwrap()));
        });
    });
    // What the machine itself loses with two busy threads: nothing is shared.
    let other = World::new(CONSUMERS);
    c.bench_function("threads/2/two_ledgers", |b| {
        b.iter_custom(|times| {
            std::thread::scope(|scope| {
                let racers = [&world, &other].map(|world| scope.spawn(move || world.race(1, times, false)));
                racers.map(|racer| racer.join().unwrap()).into_iter().max().unwrap_or_default()
            })
        });
    });
    for threads in [1, 2] {
        c.bench_function(&format!("threads/{threads}/own_consumers"), |b| {
            b.iter_custom(|times| world.race(threads, times, false));
        });
        c.bench_function(&format!("threads/{threads}/one_route"), |b| {
            b.iter_custom(|times| world.race(threads, times, true));
        });
    }
}

fn around(c: &mut Criterion) {
    let world = World::new(CONSUMERS);
    let one = world.ids.first().unwrap();
    let request = world.request(one, true);
    let admission = world.ledger.decide(world.now(), &request).unwrap();
    c.bench_function("charge_bytes", |b| {
        b.iter(|| world.ledger.charge_bytes(world.now(), &admission, request.scopes, black_box(1_000)));
    });
    let mut text = String::new();
    c.bench_function("fields", |b| {
        b.iter(|| {
            let standings = world.ledger.standings(world.now(), &request);
            text.clear();
            write_policy(&standings, &mut text);
            write_limit(&standings, &mut text);
            text.len()
        });
    });
    let tight =
        CapSet::build(CapSetSpec { each: vec![rate("1/d", 1)], ..CapSetSpec::new(Scope::Plan, "tight") }).unwrap();
    let tight = world.ledger.bind(&tight, &Methods::default()).unwrap();
    let scopes = Scopes::default().with(&tight);
    let refused = Request { scopes, ..world.request(one, false) };
    drop(world.ledger.decide(world.now(), &refused));
    c.bench_function("refusal", |b| b.iter(|| black_box(world.ledger.decide(world.now(), &refused).is_err())));
    c.bench_function("take_changes/100000", |b| {
        b.iter_custom(|times| {
            (0..times).fold(Duration::ZERO, |sum, _| {
                world.ids.iter().for_each(|id| world.ask(id, false));
                let begin = Instant::now();
                black_box(world.ledger.take_changes());
                sum + begin.elapsed()
            })
        });
    });
    c.bench_function("sweep/100000", |b| b.iter(|| world.ledger.sweep(world.now(), CONSUMERS * 2)));
    let bucket = Bucket::new("3/s".parse().unwrap(), u64::from(u32::MAX)).unwrap();
    let mut state = FullAt::default();
    let mut now = 0;
    c.bench_function("bucket", |b| {
        b.iter(|| {
            now += 333_333_333;
            state = bucket.check(black_box(state), now, 1).unwrap();
        });
    });
}

criterion_group!(benches, decide, around);
criterion_main!(benches);
