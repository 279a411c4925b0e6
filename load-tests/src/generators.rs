//! What a request costs the load tool itself, beside `wrk`: both ask one nginx, in turns, each as a process of its own.
//!
//! What is measured is the one that asks, so it has the core that else is the proxy's, and nginx the other one. CPU time of a
//! process counts all of its threads, those that have ended too.

mod process;
mod tool;

use std::fmt;
use std::net::SocketAddr;

use crate::Failure;
use crate::contenders::{self, PATH, Place};
use crate::process::find;
use crate::random::Random;
use crate::report::{Table, progress};
use crate::stats::Estimate;
use crate::wrk::{self, Window};

/// What a request may cost the tool at most, in what it costs `wrk`, and the requests a second that this is promised for.
const BAR: f64 = 1.3;
const AT: f64 = 100_000.0;

/// What is compared, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds; in each, both have a window.
    pub rounds: usize,
    /// Seconds of a window.
    pub seconds: u32,
    /// Connections of a closed loop.
    pub connections: u32,
    /// The tool sends in an open loop of so many requests a second in place of its closed one; `wrk` has none.
    pub rate: Option<u32>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Generator {
    Wrk,
    Tool(Plan),
}

/// What one window brought.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Microseconds of CPU per request, of the load alone where the process says what that took.
    cost: f64,
    /// The same of all that the process did.
    whole: f64,
    /// Requests a second.
    rate: f64,
    /// Whether the tool says that its run cannot be believed.
    invalid: bool,
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrk => f.write_str("wrk, closed loop"),
            Self::Tool(Plan { rate: None, .. }) => f.write_str("portcullis-load, closed loop"),
            Self::Tool(Plan { rate: Some(rate), .. }) => write!(f, "portcullis-load, open loop of {rate}/s"),
        }
    }
}

/// Runs a plan and writes a row for each.
///
/// # Errors
///
/// When wrk, nginx or the tool is missing, or a request was not answered.
pub fn run(plan: &Plan, place: &Place) -> Result<Table, Failure> {
    find("wrk").ok_or("wrk is not installed: scripts/setup bench")?;
    let origin = contenders::origin(place)?;
    let generators = [Generator::Wrk, Generator::Tool(*plan)];
    for generator in generators {
        generator.sample(origin.address, Plan { seconds: 1, ..*plan }, place)?;
    }
    let mut random = Random::new(1);
    let mut order = [0, 1];
    let mut rounds = Vec::with_capacity(plan.rounds);
    for round in 0..plan.rounds {
        random.shuffle(&mut order);
        let mut samples = [None; 2];
        for turn in order {
            let generator = generators.get(turn).ok_or("a turn of nobody")?;
            *samples.get_mut(turn).ok_or("a turn of nobody")? = Some(generator.sample(origin.address, *plan, place)?);
        }
        let [Some(wrk), Some(tool)] = samples else { return Err("a turn of nobody".into()) };
        rounds.push([wrk, tool]);
        progress(&format!("round {} of {}", round + 1, plan.rounds));
    }
    table(generators, &rounds)
}

impl Generator {
    fn sample(self, to: SocketAddr, plan: Plan, place: &Place) -> Result<Sample, Failure> {
        let sample = match self {
            Self::Wrk => ask_with_wrk(to, plan, place),
            Self::Tool(Plan { rate, .. }) => tool::ask(to, Plan { rate, ..plan }, place),
        };
        sample.map_err(|failure| format!("{self}: {failure}").into())
    }
}

fn ask_with_wrk(to: SocketAddr, plan: Plan, place: &Place) -> Result<Sample, Failure> {
    let Plan { connections, seconds, .. } = plan;
    let window = Window { to, path: PATH, script: None, connections, handshakes: false, seconds, core: place.core };
    let ended = process::run(wrk::words(&window), place, seconds)?;
    if !ended.status.success() {
        return Err(ended.said.into());
    }
    let load = wrk::parse(&ended.said)?;
    let cost = process::micros_each(ended.cpu, load.requests);
    Ok(Sample { cost, whole: cost, rate: load.rate, invalid: false })
}

fn table(generators: [Generator; 2], rounds: &[[Sample; 2]]) -> Result<Table, Failure> {
    let mut table = Table::new(&[
        "",
        "CPU µs per request, median [95 %]",
        "ratio to wrk, median of rounds [95 %]",
        "with the start, the proof and the reports: ratio",
        "requests/s, median",
        "rounds, of them INVALID",
        "bar",
    ]);
    for (turn, generator) in generators.into_iter().enumerate() {
        let estimate = |value: &dyn Fn([Sample; 2], Sample) -> f64| {
            let value = |round: &[Sample; 2]| Some(value(*round, *round.get(turn)?));
            Estimate::of(&rounds.iter().filter_map(value).collect::<Vec<f64>>()).ok_or("no rounds")
        };
        let cost = estimate(&|_, own| own.cost)?;
        let ratio = estimate(&|[wrk, _], own| own.cost / wrk.cost)?;
        let whole = estimate(&|[wrk, _], own| own.whole / wrk.whole)?;
        let rate = estimate(&|_, own| own.rate)?;
        let invalid = rounds.iter().filter_map(|round| round.get(turn)).filter(|own| own.invalid).count();
        let bar = match generator {
            Generator::Wrk => String::new(),
            Generator::Tool(_) => bar(ratio.median, rate.median),
        };
        let counts = format!("{}, {invalid}", rounds.len());
        let [ratio, whole] = [ratio, whole].map(|ratio| format!("{ratio:.3}"));
        table.row([&generator, &cost, &ratio, &whole, &format!("{:.0}", rate.median), &counts, &bar]);
    }
    Ok(table)
}

fn bar(ratio: f64, rate: f64) -> String {
    let met = if ratio <= BAR && rate >= AT { "met" } else { "missed" };
    format!("{BAR} at {AT:.0}/s: {met}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_asks_for_the_rate_too() {
        for (ratio, rate, expected) in [
            (1.3, 100_000.0, "1.3 at 100000/s: met"),
            (1.31, 160_000.0, "1.3 at 100000/s: missed"),
            (0.9, 99_999.0, "1.3 at 100000/s: missed"),
        ] {
            assert_eq!(bar(ratio, rate), expected, "{ratio} {rate}");
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let sample = |cost| Sample { cost, whole: cost * 2.0, rate: 1.0, invalid: cost > 5.0 };
        let plan = Plan { rounds: 2, seconds: 1, connections: 1, rate: Some(7) };
        let rounds = [[sample(2.0), sample(1.0)], [sample(20.0), sample(10.0)]];
        let table = table([Generator::Wrk, Generator::Tool(plan)], &rounds).unwrap().to_string();
        let row = table.lines().last().unwrap();
        let expected = "| portcullis-load, open loop of 7/s | 5.50 [1.00, 10.00] | 0.500 [0.500, 0.500] | \
                        0.500 [0.500, 0.500] | 1 | 2, 1 | 1.3 at 100000/s: missed |";
        assert_eq!(row, expected);
    }
}
