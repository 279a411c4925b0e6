//! CPU per request: contenders in turns, ratios within a round.

use crate::Failure;
use crate::contenders::{Entrant, Gateway, PATH, Place};
use crate::random::Random;
use crate::report::{Table, progress};
use crate::stats::Estimate;
use crate::wrk::Window;

/// What is compared, and for how long.
#[derive(Debug, Clone)]
pub struct Plan<E> {
    /// The contenders. The first is the one that the others are compared with.
    pub contenders: Vec<E>,
    /// Rounds; in each, every contender has a window.
    pub rounds: usize,
    /// Seconds of a window.
    pub seconds: u32,
    /// Connections of the load tool.
    pub connections: Vec<u32>,
    /// Rounds after which all are started anew: where memory lies is luck that stays as long as a process.
    pub restart_every: usize,
}

/// What one window brought.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Microseconds of CPU per request.
    cost: f64,
    rate: f64,
    p99: f64,
}

/// Runs a plan and writes a row per contender and number of connections.
///
/// # Errors
///
/// When a contender is missing or a request failed.
pub fn run<E: Entrant>(plan: &Plan<E>, place: &Place) -> Result<Table, Failure> {
    let mut table = Table::new(&[
        "",
        "connections",
        "CPU µs per request, median [95 %]",
        "ratio to the first, median of rounds [95 %]",
        "requests/s, median",
        "p99 ms, median",
        "rounds",
    ]);
    for &connections in &plan.connections {
        let samples = measure(plan, place, connections)?;
        write_rows(plan, connections, &samples, &mut table)?;
    }
    Ok(table)
}

/// Samples by round, then by contender in the plan's order.
fn measure<E: Entrant>(plan: &Plan<E>, place: &Place, connections: u32) -> Result<Vec<Vec<Sample>>, Failure> {
    let mut random = Random::new(u64::from(connections));
    let mut rounds = Vec::with_capacity(plan.rounds);
    let mut running: Vec<Gateway> = Vec::new();
    let mut order: Vec<usize> = (0..plan.contenders.len()).collect();
    for round in 0..plan.rounds {
        if round.is_multiple_of(plan.restart_every.max(1)) {
            running.clear();
            for contender in &plan.contenders {
                running.push(contender.start(place, &[])?);
            }
            for (contender, gateway) in plan.contenders.iter().zip(&running) {
                sample(contender, gateway, place, [connections, 1])?;
            }
        }
        random.shuffle(&mut order);
        let mut samples = vec![None; running.len()];
        for &turn in &order {
            let pair = plan.contenders.get(turn).zip(running.get(turn));
            let (contender, gateway) = pair.ok_or("a turn of nobody")?;
            let slot = samples.get_mut(turn).ok_or("a turn of nobody")?;
            *slot = Some(sample(contender, gateway, place, [connections, plan.seconds])?);
        }
        rounds.push(samples.into_iter().flatten().collect());
        progress(&format!("{connections} connections, round {} of {}", round + 1, plan.rounds));
    }
    Ok(rounds)
}

fn sample(
    contender: &impl Entrant,
    gateway: &Gateway,
    place: &Place,
    [connections, seconds]: [u32; 2],
) -> Result<Sample, Failure> {
    let script = contender.script();
    let handshakes = contender.handshakes();
    let window =
        Window { to: gateway.address, path: PATH, script, connections, handshakes, seconds, core: place.other };
    let before = gateway.process.cpu()?;
    let load = contender.load(&window).map_err(|failure| format!("{contender}: {failure}"))?;
    let after = gateway.process.cpu()?;
    gateway.empty_log()?;
    let nanoseconds = after.nanoseconds.saturating_sub(before.nanoseconds);
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a window are far below 2^52")]
    let cost = nanoseconds as f64 / 1000.0 / load.requests as f64;
    Ok(Sample { cost, rate: load.rate, p99: load.p99 })
}

fn write_rows<E: Entrant>(
    plan: &Plan<E>,
    connections: u32,
    rounds: &[Vec<Sample>],
    table: &mut Table,
) -> Result<(), Failure> {
    for (turn, contender) in plan.contenders.iter().enumerate() {
        let estimate = |value: &dyn Fn(&[Sample]) -> Option<f64>| {
            let values: Vec<f64> = rounds.iter().filter_map(|round| value(round)).collect();
            Estimate::of(&values).ok_or("no rounds")
        };
        let cost = estimate(&|round| Some(round.get(turn)?.cost))?;
        let ratio = estimate(&|round| Some(round.get(turn)?.cost / round.first()?.cost))?;
        let rate = estimate(&|round| Some(round.get(turn)?.rate))?;
        let p99 = estimate(&|round| Some(round.get(turn)?.p99))?;
        let rate = format!("{:.0}", rate.median);
        let p99 = format!("{:.2}", p99.median);
        table.row([contender, &connections, &cost, &format!("{ratio:.3}"), &rate, &p99, &rounds.len()]);
    }
    Ok(())
}
