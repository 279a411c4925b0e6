//! One contender in one scene, once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::contenders::Place;
use crate::open_loop::{self, Arrivals, Lag, Load, Tally};
use crate::replicas::{Fleet, Observed};

use super::Player;
use super::scene::{OBJECTIVE, Scene, WARM_UP};

/// Requests in flight at most. A scene that needs more says so in its table.
const IN_FLIGHT: usize = 4000;

/// From the fleet's and the proxy's start to the load's: the proxies' first health checks are over.
const SETTLE: Duration = Duration::from_millis(1500);

/// The share of a window that the proxy may wait for its core until the window says nothing.
const WAITED: f64 = 0.05;

/// What one window brought.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// p50, p90, p99 and p99.9 in milliseconds; infinite where they lie among failed requests.
    pub(super) quantiles: [f64; 4],
    pub(super) requests: u64,
    /// Requests that failed or took longer than the objective.
    pub(super) beyond: u64,
    pub(super) failed: u64,
    /// Of the failed ones, those that a replica held when it was killed.
    pub(super) held: u64,
    /// What failed requests were answered with, in words.
    pub(super) answers: String,
    /// The share of the attempts that each replica got.
    pub(super) shares: Vec<f64>,
    /// The same for all marked ones together.
    pub(super) marked: f64,
    /// Attempts a second during the fault, over those before it; not a number when there is no before.
    pub(super) pressure: f64,
    /// Seconds from the fault's end until all was well.
    pub(super) recovery: f64,
    /// Requests that waited because too many were in flight.
    pub(super) delayed: u64,
    pub(super) most_in_flight: usize,
    pub(super) lag: Lag,
    /// The share of the window that the proxy waited for its core.
    pub(super) waited: f64,
}

impl Window {
    /// Why it says nothing, if it does not.
    pub(super) fn flaw(&self) -> Option<String> {
        if !self.lag.held() {
            return Some(format!("the load was late: {:?}", self.lag));
        }
        (self.waited > WAITED)
            .then(|| format!("the proxy waited for its core {:.1} % of the time", self.waited * 100.0))
    }
}

/// Plays a scene. The seed decides the moments of the requests; their work follows from the scene.
pub(super) fn play(
    scene: &Scene,
    player: Player,
    place: &Place,
    knobs: &[String],
    seed: u64,
) -> Result<Window, Failure> {
    let fleet = Fleet::start(scene.fleet.clone())?;
    let gateway = player.start(place, fleet.addresses(), scene.patience, knobs)?;
    let load = Load {
        to: gateway.address,
        method: scene.method,
        rate: scene.rate,
        arrivals: Arrivals::Poisson,
        length: scene.length,
        warm_up: WARM_UP,
        objective: OBJECTIVE,
        in_flight: IN_FLIGHT,
        seed,
    };
    let begin = Instant::now() + SETTLE;
    fleet.begin(begin);
    let turns = gateway.process.turns()?;
    let tally = open_loop::run(&load, begin)?;
    let waited = gateway.process.turns()?.kept_out_since(&turns);
    let observed = fleet.stop()?;
    let waited = waited.as_secs_f64() / begin.elapsed().as_secs_f64();
    Ok(window(scene, &tally, &observed, waited))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn window(scene: &Scene, tally: &Tally, observed: &Observed, waited: f64) -> Window {
    let attempts = |from, to| -> Vec<f64> {
        let each = 0..scene.fleet.replicas.len();
        each.map(|replica| observed.attempts(replica, from, to) as f64).collect()
    };
    let got = attempts(scene.shares.start, scene.shares.end);
    let all = got.iter().sum::<f64>().max(1.0);
    let shares: Vec<f64> = got.iter().map(|count| count / all).collect();
    let rate =
        |from: Duration, to: Duration| attempts(from, to).iter().sum::<f64>() / to.saturating_sub(from).as_secs_f64();
    let fault = &scene.fault;
    Window {
        quantiles: quantiles(tally),
        requests: tally.requests(),
        beyond: tally.beyond,
        failed: tally.failed.len() as u64,
        held: tally.failed.iter().filter(|failed| observed.held.contains(&failed.id)).count() as u64,
        answers: answers(tally),
        marked: scene.marked.iter().filter_map(|index| shares.get(*index)).sum(),
        shares,
        pressure: rate(fault.start, fault.end) / rate(WARM_UP, fault.start),
        recovery: tally.recovered_after(fault.end).as_secs_f64(),
        delayed: tally.delayed,
        most_in_flight: tally.most_in_flight,
        lag: tally.lag(),
        waited,
    }
}

/// p50, p90, p99 and p99.9 in milliseconds; infinite where they lie among failed requests.
pub(super) fn quantiles(tally: &Tally) -> [f64; 4] {
    [0.5, 0.9, 0.99, 0.999]
        .map(|share| tally.quantile(share).map_or(f64::INFINITY, |duration| duration.as_secs_f64() * 1e3))
}

fn answers(tally: &Tally) -> String {
    let mut counts = BTreeMap::new();
    for failed in &tally.failed {
        *counts.entry(failed.status).or_insert(0_u64) += 1;
    }
    let word = |(status, count): (Option<u16>, u64)| match status {
        Some(status) => format!(", {count} times {status}"),
        None => format!(", {count} times nothing"),
    };
    counts.into_iter().map(word).collect()
}
