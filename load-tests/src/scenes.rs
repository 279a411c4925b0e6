//! Scenes: what a client sees while replicas are slow, killed, failing, hanging or all down, beside other proxies.
//!
//! The load is open-loop and the same for all: equal seeds, equal moments, equal work of the request of a number. In a
//! round every player has a window, in random order, with a process and a fleet of its own. A window that the machine
//! did not hold says nothing: it is played again, and left out when it cannot be had.
//!
//! Invariants: the tool proves itself before it judges; a bar that is missed is printed, it never ends the run.

mod bars;
mod configs;
mod contender;
mod ideal;
mod proof;
mod scene;
mod tables;
mod window;

use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Failure;
use crate::contenders::Place;
use crate::process;
use crate::random::Random;
use crate::report::{Table, progress};

pub use contender::Player;
pub use scene::{OBJECTIVE, SceneName};

use bars::Bar;
use window::Window;

/// Times that a window may be played until it counts.
const TRIES: usize = 3;

/// What is played.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenes.
    pub scenes: Vec<SceneName>,
    /// Who plays. Bars need the gateway and another.
    pub players: Vec<Player>,
    /// Rounds; in each, every player has a window.
    pub rounds: usize,
    /// Seconds of a window that count. An outage has its own length.
    pub seconds: u32,
    /// Lines for the gateway's cluster besides its own, as `key: value`.
    pub knobs: Vec<String>,
}

/// What the players did in one round; `None` is a window that could not be had.
type Round = Vec<Option<Window>>;

/// Windows of a scene that were played and said nothing, by player.
type Flaws = Vec<usize>;

/// Plays all scenes and prints a table of each, and of the bars.
///
/// # Errors
///
/// When the tool cannot prove itself, or a player is missing.
pub fn run(plan: &Plan, place: &Place, command: &str) -> Result<(), Failure> {
    process::raise_file_limit()?;
    stay_on(place.other)?;
    proof::prove()?.print("The load tool proves itself", command)?;
    let mut bars = Vec::new();
    for scene in &plan.scenes {
        let (rounds, flaws) = play(*scene, plan, place)?;
        let length = Duration::from_secs(plan.seconds.into());
        let mut table = tables::summary(&plan.players, &rounds, &flaws);
        // Where nobody is well all the time, to wait for the end of that is no aim.
        if !matches!(scene, SceneName::Outage | SceneName::Pausing) {
            let ideal = seeds(plan).map(|seed| ideal::play(&scene.scene(length, seed), seed));
            tables::ideal(&mut table, &ideal.collect::<Result<Vec<_>, _>>()?);
        }
        table.print(scene.title(), command)?;
        tables::shares(&plan.players, &rounds).print(&format!("{}: share of attempts, %", scene.title()), command)?;
        bars.extend(bars::judge(*scene, &plan.players, &rounds));
    }
    let mut table = Table::new(&["bar", "measured", "at most", ""]);
    for Bar { what, measured, at_most, met } in &bars {
        table.row([what, measured, at_most, &if *met { "met" } else { "missed" }]);
    }
    table.print("Bars", command)
}

/// This thread and those that it starts: the load tool and the replicas.
fn stay_on(core: u32) -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    cores.set(usize::try_from(core)?);
    Ok(sched_setaffinity(None, &cores)?)
}

/// A seed for each round.
fn seeds(plan: &Plan) -> impl Iterator<Item = u64> {
    (1..).take(plan.rounds)
}

fn play(name: SceneName, plan: &Plan, place: &Place) -> Result<(Vec<Round>, Flaws), Failure> {
    let mut random = Random::new(11);
    let mut order: Vec<usize> = (0..plan.players.len()).collect();
    let mut flaws = vec![0; plan.players.len()];
    let mut rounds = Vec::with_capacity(plan.rounds);
    for seed in seeds(plan) {
        let scene = name.scene(Duration::from_secs(plan.seconds.into()), seed);
        random.shuffle(&mut order);
        let mut round: Round = vec![None; plan.players.len()];
        for &turn in &order {
            let player = *plan.players.get(turn).ok_or("a turn of nobody")?;
            for _ in 0..TRIES {
                let window = window::play(&scene, player, place, &plan.knobs, seed)?;
                let Some(flaw) = window.flaw() else {
                    progress(&format!("{name:?}, round {seed}, {player}: {}", tables::line(&window)));
                    if let Some(slot) = round.get_mut(turn) {
                        *slot = Some(window);
                    }
                    break;
                };
                progress(&format!("{name:?}, round {seed}, {player}: invalid, {flaw}; {}", tables::line(&window)));
                if let Some(count) = flaws.get_mut(turn) {
                    *count += 1;
                }
            }
        }
        rounds.push(round);
    }
    Ok((rounds, flaws))
}
