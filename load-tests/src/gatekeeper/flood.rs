//! A flood of bad keys from 10,000 addresses, and what it costs those who call with good ones.
//!
//! In a round the same moments of good calls are played twice, each time against a gateway of its own: alone, and beside the flood. The
//! figure is the ratio of the two p99. The addresses are those of `X-Forwarded-For`, which the gateway believes of the
//! loopback network here, each in a network of its own: nothing of the flood shares its throttling with anything.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::contenders::{Entrant as _, Place};
use crate::open_loop::{self, Arrivals, Load, Method, Tally};
use crate::random::Random;
use crate::report::{Table, progress};
use crate::stats::Estimate;

use super::{Keeper, Who, Work, keys};

/// Addresses of the flood.
const ADDRESSES: u32 = 10_000;
/// From the load's start to the first request that counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// Requests in flight at most, of each load.
const IN_FLIGHT: usize = 1000;
/// Times that a window may be played until it counts.
const TRIES: usize = 3;

/// What is played.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Good calls a second.
    pub rate: f64,
    /// Bad ones.
    pub flood: f64,
    /// Rounds; each has a window alone and a window beside the flood.
    pub rounds: usize,
    /// Seconds of a window that count.
    pub seconds: u32,
}

/// A request of the flood: a key of the right form that nobody has, from an address of its own.
fn bad(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.wrapping_mul(256).to_be_bytes();
    let key = format!("rig-bad-{number:040x}");
    let text = String::from_utf8(keys::request(&key, keys::method(0))).unwrap_or_default();
    text.replacen("\r\n", &format!("\r\nX-Forwarded-For: 11.{a}.{b}.{c}\r\n"), 1).into_bytes()
}

/// Plays, and writes a row for each kind of window and one for the ratio.
///
/// # Errors
///
/// When the gateway is missing, a good call was refused, or a bad one was not.
pub fn run(plan: &Plan, place: &Place) -> Result<Table, Failure> {
    crate::process::raise_file_limit()?;
    let work = Work::new(place)?;
    let keeper = Keeper { who: Who::Portcullis, work };
    let bad: Vec<Vec<u8>> = (0..ADDRESSES).map(bad).collect();
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut random = Random::new(11);
    for seed in (1..).take(plan.rounds) {
        let mut order = [false, true];
        random.shuffle(&mut order);
        let mut found = [None, None];
        for flooded in order {
            let slot = found.get_mut(usize::from(flooded)).ok_or("a turn of nobody")?;
            *slot = window(&keeper, plan, place, (seed, flooded.then_some(&bad)))?;
        }
        if let [Some(quiet), Some(flood)] = found {
            alone.push(quiet);
            beside.push(flood);
            ratios.push(flood / quiet);
        }
    }
    Ok(table(plan, [&alone, &beside, &ratios]))
}

fn window(
    keeper: &Keeper,
    plan: &Plan,
    place: &Place,
    (seed, flood): (u64, Option<&Vec<Vec<u8>>>),
) -> Result<Option<f64>, Failure> {
    for _ in 0..TRIES {
        let gateway = keeper.start(place, &[])?;
        let load = Load {
            to: gateway.address,
            method: Method::These(&keeper.work.requests),
            rate: plan.rate,
            arrivals: Arrivals::Poisson,
            length: WARM_UP + Duration::from_secs(plan.seconds.into()),
            warm_up: WARM_UP,
            objective: Duration::from_millis(50),
            in_flight: IN_FLIGHT,
            seed,
        };
        let start = Instant::now();
        let (tally, flooding) = std::thread::scope(|scope| {
            let flooding = flood.map(|bad| {
                let load = Load { method: Method::These(bad), rate: plan.flood, seed: seed + 1000, ..load };
                scope.spawn(move || open_loop::run(&load, start))
            });
            (open_loop::run(&load, start), flooding.map(std::thread::ScopedJoinHandle::join))
        });
        let tally = tally?;
        let refused = match flooding {
            Some(Ok(flooding)) => refused(&flooding?)?,
            Some(Err(_)) => return Err("the flood broke off".into()),
            None => 0,
        };
        if let Some(failed) = tally.failed.first() {
            return Err(format!("a good call was not answered with 200: {failed:?}").into());
        }
        let p99 = tally.quantile(0.99).ok_or("no calls")?.as_secs_f64() * 1e3;
        let sound = tally.lag().held();
        progress(&format!(
            "round {seed}: p99 {p99:.2} ms beside {refused} bad keys, the tool was late by {:?} (p99){}",
            tally.lag().p99,
            if sound { "" } else { ": does not count" }
        ));
        gateway.empty_log()?;
        if sound {
            return Ok(Some(p99));
        }
    }
    Ok(None)
}

/// How many of the flood were refused: all of it.
fn refused(flood: &Tally) -> Result<usize, Failure> {
    match flood.failed.iter().find(|failed| failed.status != Some(401)) {
        Some(other) => Err(format!("a bad key was not answered with 401: {other:?}").into()),
        None if flood.failed.is_empty() => Err("no bad key was refused".into()),
        None => Ok(flood.failed.len()),
    }
}

fn table(plan: &Plan, [alone, beside, ratios]: [&[f64]; 3]) -> Table {
    let mut table = Table::new(&["medians of rounds", "good calls/s", "bad keys/s", "p99 ms [95 %]", "rounds"]);
    let shown = |values: &[f64]| Estimate::of(values).map_or_else(|| "-".to_owned(), |estimate| estimate.to_string());
    let rate = format!("{:.0}", plan.rate);
    table.row([&"alone", &rate, &0, &shown(alone), &alone.len()]);
    table.row([&"beside the flood", &rate, &format!("{:.0}", plan.flood), &shown(beside), &beside.len()]);
    table.row([&"ratio", &"", &"", &shown(ratios), &ratios.len()]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_key_is_of_a_network_of_its_own() {
        let networks: std::collections::BTreeSet<String> = (0..ADDRESSES)
            .map(|number| {
                let text = String::from_utf8(bad(number)).unwrap();
                let address = text.lines().find_map(|line| line.strip_prefix("X-Forwarded-For: ")).unwrap();
                address.rsplit_once('.').unwrap().0.to_owned()
            })
            .collect();
        assert_eq!(networks.len(), 10_000);
    }
}
