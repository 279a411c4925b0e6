//! Latency at a share of what the gateway can do: an open-loop load, the same moments for all.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::contenders::{Entrant as _, Gateway, Place};
use crate::open_loop::{self, Arrivals, Load, Method, Tally};
use crate::random::Random;
use crate::report::{Table, progress};
use crate::stats::{Estimate, median};
use crate::wrk::{self, Window};

use super::Keeper;

/// Requests in flight at most.
const IN_FLIGHT: usize = 1000;

/// From the load's start to the first request that counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// The share of a closed loop's rate at which the cost of a request is measured.
const PROBE: f64 = 0.4;

/// Times that a window may be played until it counts.
const TRIES: usize = 3;

/// The share of a window that the proxy may wait for its core until the window says nothing.
const WAITED: f64 = 0.05;

/// What is played.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who. The load is a share of what the first can do.
    pub keepers: Vec<Keeper>,
    /// That share.
    pub share: f64,
    /// Rounds; in each, every keeper has a window.
    pub rounds: usize,
    /// Seconds of a window that count.
    pub seconds: u32,
}

/// p50, p99 and p99.9 in milliseconds.
type Quantiles = [f64; 3];

/// Plays and writes a row for each keeper.
///
/// # Errors
///
/// When a keeper is missing, or a request was refused.
pub fn run(plan: &Plan, place: &Place) -> Result<Table, Failure> {
    crate::process::raise_file_limit()?;
    let first = plan.keepers.first().ok_or("nobody to measure")?;
    let most = saturation(first, place)?;
    let rate = most * plan.share;
    progress(&format!("{first} answers {most:.0} requests/s at most, the load is {rate:.0}"));
    let mut rounds = Vec::with_capacity(plan.rounds);
    let mut flaws = vec![0; plan.keepers.len()];
    let mut random = Random::new(5);
    let mut order: Vec<usize> = (0..plan.keepers.len()).collect();
    for seed in (1..).take(plan.rounds) {
        random.shuffle(&mut order);
        let mut round = vec![None; plan.keepers.len()];
        for &turn in &order {
            let keeper = plan.keepers.get(turn).ok_or("a turn of nobody")?;
            let (slot, flaw) = round.get_mut(turn).zip(flaws.get_mut(turn)).ok_or("a turn of nobody")?;
            *slot = window(keeper, plan, place, (rate, seed), flaw)?;
        }
        rounds.push(round);
    }
    Ok(table(plan, rate, &rounds, &flaws))
}

/// Requests a second at which its core would be full. In a closed loop many are answered at a time, which is cheaper than one
/// after the other; so what a request costs is measured under an open loop at a part of what the closed one holds.
fn saturation(keeper: &Keeper, place: &Place) -> Result<f64, Failure> {
    let gateway = keeper.start(place, &[])?;
    let mut rates = Vec::new();
    for seconds in [1, 2, 2] {
        let window = Window {
            to: gateway.address,
            path: "/",
            script: keeper.script(),
            connections: 64,
            handshakes: false,
            seconds,
            core: place.other,
        };
        rates.push(wrk::run(&window)?.rate);
    }
    let closed = median(&mut rates).ok_or("no rate")?;
    let (rate, length) = (closed * PROBE, Duration::from_secs(4));
    let load = load(&gateway, keeper, (rate, 0), length);
    let before = gateway.process.cpu()?;
    open_loop::run(&load, Instant::now())?;
    let used = Duration::from_nanos(gateway.process.cpu()?.nanoseconds.saturating_sub(before.nanoseconds));
    Ok(closed.min(rate * length.as_secs_f64() / used.as_secs_f64()))
}

fn load<'a>(gateway: &Gateway, keeper: &'a Keeper, (rate, seed): (f64, u64), length: Duration) -> Load<'a> {
    Load {
        to: gateway.address,
        method: Method::These(&keeper.work.requests),
        rate,
        arrivals: Arrivals::Poisson,
        length,
        warm_up: WARM_UP,
        objective: Duration::from_millis(50),
        in_flight: IN_FLIGHT,
        seed,
    }
}

/// A window that counts, if one of a few does.
fn window(
    keeper: &Keeper,
    plan: &Plan,
    place: &Place,
    (rate, seed): (f64, u64),
    flaws: &mut usize,
) -> Result<Option<Quantiles>, Failure> {
    for _ in 0..TRIES {
        let gateway = keeper.start(place, &[])?;
        let length = WARM_UP + Duration::from_secs(plan.seconds.into());
        let load = load(&gateway, keeper, (rate, seed), length);
        let turns = gateway.process.turns()?;
        let tally = open_loop::run(&load, Instant::now())?;
        let waited = gateway.process.turns()?.kept_out_since(&turns).as_secs_f64() / length.as_secs_f64();
        // Who cannot hold the load leaves requests unanswered, and has no bound on its latency. An answer that is not
        // 200 is something else: it was refused.
        if let Some(refused) = tally.failed.iter().find(|failed| failed.status.is_some()) {
            return Err(format!("{keeper} refused a request of the load: {refused:?}").into());
        }
        let quantiles = quantiles(&tally);
        let [p50, p99, p999] = quantiles;
        let sound = tally.lag().held() && waited <= WAITED;
        progress(&format!(
            "round {seed}, {keeper}: p50 {p50:.2} p99 {p99:.2} p99.9 {p999:.2} ms, {} unanswered, the tool was late by {:?} (p99), the \
             proxy waited for its core {:.1} % of the time{}",
            tally.failed.len(),
            tally.lag().p99,
            waited * 100.0,
            if sound { "" } else { ": does not count" }
        ));
        gateway.empty_log()?;
        if sound {
            return Ok(Some(quantiles));
        }
        *flaws += 1;
    }
    Ok(None)
}

fn quantiles(tally: &Tally) -> Quantiles {
    [0.5, 0.99, 0.999].map(|share| tally.quantile(share).map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3))
}

fn table(plan: &Plan, rate: f64, rounds: &[Vec<Option<Quantiles>>], flaws: &[usize]) -> Table {
    let mut table = Table::new(&[
        "medians of rounds",
        "requests/s",
        "p50 ms [95 %]",
        "p99 ms [95 %]",
        "p99.9 ms [95 %]",
        "p99, ratio to the first [95 %]",
        "rounds (windows that did not count)",
    ]);
    for (turn, keeper) in plan.keepers.iter().enumerate() {
        let at =
            |round: &[Option<Quantiles>], turn: usize, index: usize| round.get(turn)?.as_ref()?.get(index).copied();
        let shown = |value: &dyn Fn(&[Option<Quantiles>]) -> Option<f64>| {
            let values: Vec<f64> = rounds.iter().filter_map(|round| value(round)).collect();
            Estimate::of(&values).map_or_else(|| "-".to_owned(), |estimate| estimate.to_string())
        };
        let [p50, p99, p999] = [0, 1, 2].map(|index| shown(&|round| at(round, turn, index)));
        let ratio = shown(&|round| Some(at(round, turn, 1)? / at(round, 0, 1)?));
        let count = rounds.iter().filter(|round| round.get(turn).is_some_and(Option::is_some)).count();
        let flaws = flaws.get(turn).copied().unwrap_or_default();
        table.row([keeper, &format!("{rate:.0}"), &p50, &p99, &p999, &ratio, &format!("{count} ({flaws})")]);
    }
    table
}
