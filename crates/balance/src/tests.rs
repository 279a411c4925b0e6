//! Tests of the whole: sets, reloads, health and explanations together. Helpers first.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_types::Percent;

use crate::{
    Algorithm, Ask, BeforeFirstCheck, CheckFailure, Choice, Draws, EndpointIdx, EndpointSet, EndpointSpec,
    HealthMachine, HealthPolicy, LoadBound, SetOptions,
};

mod choose;
mod concurrent;
mod cost;
mod explain;
pub(crate) mod interleaved;
mod properties;
mod reload;
mod simulation;
mod zones;

const SECOND: Duration = Duration::from_secs(1);

/// Endpoints `a`, `b`, … of these weights and priorities.
fn specs(wanted: &[(u32, u8)]) -> Vec<EndpointSpec> {
    (0_u16..)
        .zip(wanted)
        .map(|(nth, (weight, priority))| EndpointSpec {
            weight: *weight,
            priority: *priority,
            ..EndpointSpec::new(
                name(nth).as_str().into(),
                (std::net::Ipv4Addr::from(0x0a00_0000 | u32::from(nth)), 80).into(),
            )
        })
        .collect()
}

fn name(nth: u16) -> String {
    match u8::try_from(nth) {
        Ok(small @ 0..26) => char::from(b'a' + small).to_string(),
        _ => format!("n{nth}"),
    }
}

fn equal(n: usize) -> Vec<EndpointSpec> {
    specs(&vec![(1, 0); n])
}

fn policy() -> HealthPolicy {
    HealthPolicy {
        interval: 2 * SECOND,
        timeout: SECOND,
        unhealthy_after: NonZeroU32::new(3).unwrap(),
        healthy_after: NonZeroU32::new(2).unwrap(),
        jitter: Percent::default(),
        before_first_check: BeforeFirstCheck::Available,
    }
}

fn checked(algorithm: Algorithm) -> SetOptions {
    SetOptions { algorithm, health: Some(policy()), ..SetOptions::default() }
}

fn built(specs: Vec<EndpointSpec>, options: SetOptions) -> Arc<EndpointSet> {
    EndpointSet::build(specs, options, Instant::now()).unwrap()
}

fn machine(set: &EndpointSet, nth: usize) -> HealthMachine {
    HealthMachine::new(policy(), Arc::clone(set.endpoints()[nth].state()))
}

/// Enough failing (or passing) checks to make the endpoint so.
fn make(set: &EndpointSet, nth: usize, healthy: bool) {
    let result = if healthy { Ok(()) } else { Err(CheckFailure::ConnectRefused) };
    for _ in 0..3 {
        machine(set, nth).on_result(Instant::now(), result);
    }
}

fn choose(set: &EndpointSet, random: u64) -> Choice {
    set.choose(&Ask::new(Instant::now(), random)).unwrap()
}

/// How often each endpoint is chosen in so many questions, each ended before the next.
fn shares(set: &EndpointSet, questions: usize) -> Vec<usize> {
    let mut draws = Draws::new(7);
    let mut counts = vec![0; set.endpoints().len()];
    for _ in 0..questions {
        let (random, key) = (draws.next(), Some(draws.next()));
        let choice = set.choose(&Ask { key, ..Ask::new(Instant::now(), random) }).unwrap();
        counts[choice.index().get()] += 1;
    }
    counts
}

fn every_algorithm() -> [Algorithm; 4] {
    [Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastLoaded, Algorithm::Hash(LoadBound::default())]
}

fn places(nths: &[u32]) -> Vec<EndpointIdx> {
    nths.iter().copied().map(EndpointIdx).collect()
}
