//! Both sides at the same moment, each with half the requests: what a neighbour does falls on both.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portcullis_judge::window::{Side, Window};

use crate::Failure;
use crate::process::move_to;

use super::load::LEAD;
use super::local::{Local, Watched};
use super::subject::Running;

/// How long each side keeps a core until both exchange them. A neighbour sits on one core at a time, and longer than that: a side
/// that kept its core would bear alone what is there.
const TURN: Duration = Duration::from_millis(100);

impl Local {
    /// Both sides at once. Each has its core, where there are two; the first begins on the first.
    pub(super) fn duet(&self, first: Side, seed: u64) -> Result<[Window; 2], Failure> {
        let sides = [self.side(Side::Baseline)?, self.side(Side::Canary)?];
        let [core, other] = if first == Side::Baseline { [self.core, self.other] } else { [self.other, self.core] };
        let ids = sides.map(Running::ids);
        seat(&ids, [core, other])?;
        let [baseline, canary] = sides.map(|running| Watched::new(running, self.begin));
        let (baseline, canary) = (baseline?, canary?);
        let start = Instant::now() + LEAD;
        let send = |running: &Running| self.load.send_half(running.address, seed, start).map_err(|why| why.to_string());
        let [here, there] = sides;
        let ([one, two], exchanged) = std::thread::scope(|scope| {
            let (running, ended) = channel();
            let exchange = scope.spawn(|| exchange(&ids, [core, other], ended));
            let two = scope.spawn(move || send(there));
            let sent = [send(here), two.join().unwrap_or_else(|_| Err("the canary's load panicked".to_owned()))];
            drop(running);
            (sent, exchange.join().unwrap_or_else(|_| Err("what exchanges their cores panicked".to_owned())))
        });
        // A side that kept its core bore alone what is there.
        exchanged?;
        // To each of them the other is no neighbour.
        let [of_baseline, of_canary] = [baseline.cpu_so_far()?, canary.cpu_so_far()?];
        Ok([baseline.window(one?, of_canary)?, canary.window(two?, of_baseline)?])
    }
}

/// Gives the processes of each side a core.
fn seat(sides: &[Vec<u32>; 2], cores: [u32; 2]) -> Result<(), Failure> {
    sides.iter().zip(cores).try_for_each(|(ids, core)| move_to(ids, core))
}

/// Lets both exchange cores until the window is over.
fn exchange(sides: &[Vec<u32>; 2], [mut core, mut other]: [u32; 2], ended: Receiver<()>) -> Result<(), String> {
    while core != other && ended.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
        std::mem::swap(&mut core, &mut other);
        seat(sides, [core, other]).map_err(|failure| format!("the sides did not exchange their cores: {failure}"))?;
    }
    Ok(())
}
