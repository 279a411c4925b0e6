//! The tool proves itself before it judges others: a stall that it must show, and the rate that it holds.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::open_loop::{self, Arrivals, Load, Method, Tally};
use crate::replicas::{Fleet, Mode, Plan, Work};
use crate::report::{Table, progress};

use super::scene::OBJECTIVE;

/// The stall, and the load around it. Of two seconds the worst hundredth is 20 ms long, so p99 is 20 ms below the stall.
const STALL: Duration = Duration::from_millis(50);
const LENGTH: Duration = Duration::from_secs(2);
const P99: Duration = Duration::from_millis(30);

/// Times that the proof may be tried: a busy machine is no fault of the tool.
const TRIES: usize = 3;

/// Rates that are tried, in requests a second.
const RATES: [u32; 7] = [5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000];

/// Proves that a stall shows, and finds the rate that generator and origin hold together on their core.
pub(super) fn prove() -> Result<Table, Failure> {
    let (longest, p99) = stall()?;
    let held = rate()?;
    let mut table = Table::new(&["the tool itself", "expected", "measured"]);
    let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
    table.row([&"longest latency with a stall of 50 ms", &ms(STALL), &ms(longest)]);
    table.row([&"p99 with it, 2 s at a constant rate", &ms(P99), &ms(p99)]);
    table.row([&"requests/s that it holds beside its origin, on one core", &"at least 10000", &held]);
    Ok(table)
}

fn stall() -> Result<(Duration, Duration), Failure> {
    let second = Duration::from_secs(1);
    let script = vec![(second, Mode::Hanging), (second + STALL, Mode::Serving)];
    let plan = Plan::even(1, Work::None, usize::MAX, 0).with(0, |replica| replica.script = script);
    let mut found = Vec::new();
    for _ in 0..TRIES {
        let tally = direct(plan.clone(), 1000, LENGTH)?;
        let (longest, p99) = (tally.longest(), tally.quantile(0.99).unwrap_or(Duration::MAX));
        if near(longest, STALL) && near(p99, P99) && tally.failed.is_empty() {
            return Ok((longest, p99));
        }
        progress(&format!("the tool shows a stall of {STALL:?} as {longest:?}, p99 {p99:?} in place of {P99:?}"));
        found.push((longest, p99));
    }
    Err(format!("the tool does not show a known stall of {STALL:?}: {found:?}; nothing it says would be valid").into())
}

/// Within 5 %.
fn near(found: Duration, expected: Duration) -> bool {
    found.abs_diff(expected) <= expected / 20
}

/// The highest rate before the first that is not held.
fn rate() -> Result<u32, Failure> {
    let mut best = 0;
    for rate in RATES {
        let mut held = false;
        for _ in 0..TRIES {
            let tally = direct(Plan::even(1, Work::None, usize::MAX, 0), rate, Duration::from_secs(1))?;
            held = tally.lag().held() && tally.failed.is_empty();
            if held {
                break;
            }
            progress(&format!("{rate} requests/s: {:?}, failed {}", tally.lag(), tally.failed.len()));
        }
        if !held {
            break;
        }
        best = rate;
    }
    Ok(best)
}

/// A load on the first of a fleet with nobody between.
fn direct(plan: Plan, rate: u32, length: Duration) -> Result<Tally, Failure> {
    let fleet = Fleet::start(plan)?;
    let to = *fleet.addresses().first().ok_or("a fleet of nobody")?;
    let load = Load {
        to,
        method: Method::Get,
        rate: rate.into(),
        arrivals: Arrivals::Constant,
        length,
        warm_up: Duration::ZERO,
        objective: OBJECTIVE,
        in_flight: 4000,
        seed: 1,
    };
    let begin = Instant::now() + Duration::from_millis(100);
    fleet.begin(begin);
    let tally = open_loop::run(&load, begin)?;
    fleet.stop()?;
    Ok(tally)
}
