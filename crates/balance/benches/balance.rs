//! What a choice costs, by algorithm, size and state of the fleet; and what an edge of health costs.

#![expect(clippy::unwrap_used, reason = "a bench whose set-up fails must stop")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_balance::{
    AdaptivePolicy, Algorithm, Answer, Ask, BeforeFirstCheck, Budget, BudgetPolicy, CapacityReport, CheckFailure,
    Choice, Draws, EndpointSet, EndpointSpec, HealthMachine, HealthPolicy, Hedge, HedgePolicy, LimitPolicy, Limiter,
    LoadBound, Priority, SetOptions, Tuning, ZonePreference,
};
use portcullis_types::Percent;

const POLICY: HealthPolicy = HealthPolicy {
    interval: Duration::from_secs(2),
    timeout: Duration::from_secs(1),
    unhealthy_after: NonZeroU32::MIN,
    healthy_after: NonZeroU32::MIN,
    jitter: Percent::ALL,
    before_first_check: BeforeFirstCheck::Available,
};

fn set(n: u32, algorithm: Algorithm, weight: impl Fn(u32) -> u32) -> Arc<EndpointSet> {
    let spec = |nth: u32| EndpointSpec {
        weight: weight(nth),
        ..EndpointSpec::new(format!("n{nth}").into(), (nth.to_be_bytes(), 80).into())
    };
    let options = SetOptions { algorithm, health: Some(POLICY), ..SetOptions::default() };
    EndpointSet::build((0..n).map(spec).collect(), options, Instant::now()).unwrap()
}

fn fail(set: &EndpointSet, every: usize) {
    for endpoint in set.endpoints().iter().step_by(every) {
        let _ = HealthMachine::new(POLICY, Arc::clone(endpoint.state()))
            .on_result(Instant::now(), Err(CheckFailure::Timeout));
    }
}

/// Chooses with 1,000 requests in flight all the time, as a busy gateway does.
fn measure(c: &mut Criterion, name: &str, set: &EndpointSet) {
    let now = Instant::now();
    let mut draws = Draws::new(1);
    let mut held: Vec<Choice> = Vec::new();
    for _ in 0..1_000 {
        held.push(set.choose(&Ask { key: Some(draws.next()), ..Ask::new(now, draws.next()) }).unwrap());
    }
    let mut next = 0;
    c.bench_function(name, |b| {
        b.iter(|| {
            let ask = Ask { key: Some(draws.next()), ..Ask::new(now, draws.next()) };
            if let Some(slot) = held.get_mut(next) {
                *slot = set.choose(black_box(&ask)).unwrap();
            }
            next = (next + 1) % 1_000;
        });
    });
}

fn choose(c: &mut Criterion) {
    let hash = Algorithm::Hash(LoadBound::default());
    for algorithm in [Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastLoaded, hash] {
        for n in [2, 16, 5_000] {
            let equal = set(n, algorithm.clone(), |_| 1);
            measure(c, &format!("choose/{}/{n}", algorithm.as_str()), &equal);
        }
        let weighted = set(5_000, algorithm.clone(), |nth| nth % 7 + 1);
        measure(c, &format!("choose/{}/5000/weighted", algorithm.as_str()), &weighted);
        fail(&weighted, 2);
        measure(c, &format!("choose/{}/5000/half_down", algorithm.as_str()), &weighted);
    }
}

/// Half of the endpoints are in the gateway's zone, and so full that some requests leave it.
fn zones(c: &mut Criterion) {
    let zone = Some(ZonePreference { zone: "z0".into(), traffic: None, per_endpoint: Some(1_000) });
    let spec = |nth: u32| EndpointSpec {
        zone: Some(format!("z{}", nth % 2).into()),
        ..EndpointSpec::new(format!("n{nth}").into(), (nth.to_be_bytes(), 80).into())
    };
    for n in [16, 5_000] {
        let options = SetOptions { health: Some(POLICY), ..SetOptions::default() };
        let tuned = options.tuned(Tuning { zone: zone.clone(), ..Tuning::recommended() });
        let set = EndpointSet::build((0..n).map(spec).collect(), tuned, Instant::now()).unwrap();
        measure(c, &format!("choose/least_loaded/{n}/zones"), &set);
        let report = CapacityReport { utilisation: Some(0.9), ..CapacityReport::default() };
        set.endpoints().iter().step_by(2).for_each(|endpoint| endpoint.state().report(Instant::now(), &report));
        measure(c, &format!("choose/least_loaded/{n}/zones_full"), &set);
    }
}

fn edge(c: &mut Criterion) {
    for n in [16, 5_000] {
        let set = set(n, Algorithm::LeastLoaded, |nth| nth % 7 + 1);
        let mut machine = HealthMachine::new(POLICY, Arc::clone(set.endpoints().first().unwrap().state()));
        let mut passes = false;
        c.bench_function(&format!("edge_of_health/{n}"), |b| {
            b.iter(|| {
                passes = !passes;
                machine.on_result(Instant::now(), if passes { Ok(()) } else { Err(CheckFailure::Timeout) })
            });
        });
    }
}

/// All that a request may ask of this crate: a place, the budgets, the choice, what the answer says.
fn request(c: &mut Criterion) {
    let options = SetOptions { health: Some(POLICY), ..SetOptions::default() }.tuned(Tuning::recommended());
    let spec = |nth: u32| EndpointSpec::new(format!("n{nth}").into(), (nth.to_be_bytes(), 80).into());
    let now = Instant::now();
    let set = EndpointSet::build((0..5_000).map(spec).collect(), options, now).unwrap();
    let limiter = Limiter::new(LimitPolicy::Adaptive(AdaptivePolicy::default()), now);
    let (retries, hedge) = (Budget::new(BudgetPolicy::retries(), now), Hedge::new(HedgePolicy::default(), now));
    let mut draws = Draws::new(1);
    c.bench_function("request/5000", |b| {
        b.iter(|| {
            let permit = limiter.admit(Priority::Normal).unwrap();
            retries.request(now);
            let wait = hedge.request(now);
            let mut choice = set.choose(&Ask::new(now, draws.next())).unwrap();
            choice.answered(now, Duration::from_millis(3), Answer::Good);
            hedge.record(now, Duration::from_millis(3));
            permit.finish(now, Duration::from_millis(3), Answer::Good);
            wait
        });
    });
}

criterion_group!(benches, choose, zones, edge, request);
criterion_main!(benches);
