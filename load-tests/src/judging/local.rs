//! Both sides on this machine, measured through `/proc`; or somewhere else, measured from outside alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis_judge::window::{Invalid, Machine, Side, Window};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;
use crate::client::Client;
use crate::process::{Process, Turns};

use super::conduct::{Measure, NotStarted};
use super::load::Load;
use super::machine::Cores;
use super::subject::{self, Running, Subject};

/// What warms up a side that was just started: it is sent and not counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures two subjects.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) baseline: Subject,
    pub(super) canary: Subject,
    pub(super) load: Load,
    /// Connections that each side holds open besides those of the load.
    pub(super) hold: usize,
    pub(super) core: u32,
    pub(super) folder: PathBuf,
    pub(super) origin: SocketAddr,
    pub(super) begin: Instant,
    pub(super) running: Vec<(Side, Running)>,
}

impl Local {
    pub(super) fn subject(&self, side: Side) -> &Subject {
        match side {
            Side::Baseline => &self.baseline,
            Side::Canary => &self.canary,
        }
    }

    fn launch(&self, side: Side) -> Result<Running, Failure> {
        let log = self.folder.join(format!("{side}.log"));
        let mut running = subject::start(self.subject(side), self.origin, self.core, &log, &self.load.path)?;
        let warm = self.load.send(running.address, 0, WARM_UP)?;
        if warm.succeeded == 0 {
            return Err(format!("none of the first {} requests was answered with 200", warm.requests).into());
        }
        for _ in 0..self.hold {
            let mut client = Client::connect(running.address)?;
            client.get(&self.load.path)?;
            running.held.push(client);
        }
        Ok(running)
    }

    fn measure(&self, running: &Running, seed: u64) -> Result<Window, Failure> {
        let began = self.begin.elapsed().as_secs_f64();
        let before = Reading::now(running.process.as_ref())?;
        let mut readings = self.load.send(running.address, seed, self.load.length)?;
        let after = Reading::now(running.process.as_ref())?;
        readings.began = began;
        readings.connections = readings.connections.saturating_add(u64::try_from(running.held.len())?);
        readings.cpu_ns = after.cpu.zip(before.cpu).map(|(now, then)| now.saturating_sub(then));
        readings.rss_bytes = running.process.as_ref().and_then(|process| process.resident().ok());
        readings.machine = after.since(&before);
        Ok(Window::new(readings)?)
    }
}

impl Measure for Local {
    fn start(&mut self, places: [Side; 2]) -> Result<(), NotStarted> {
        self.running.clear();
        for (place, side) in Side::BOTH.into_iter().zip(places) {
            let running = self.launch(side).map_err(|failure| NotStarted { side, why: failure.to_string() })?;
            self.running.push((place, running));
        }
        Ok(())
    }

    fn window(&mut self, place: Side, seed: u64) -> Result<Window, Invalid> {
        let running = self.running.iter().find_map(|(at, running)| (*at == place).then_some(running));
        let running = running.ok_or_else(|| Invalid::NotMeasured("nothing was started".to_owned()))?;
        self.measure(running, seed).map_err(|failure| Invalid::NotMeasured(failure.to_string()))
    }
}

/// What was counted at a moment.
#[derive(Debug)]
struct Reading {
    cores: Cores,
    /// CPU time of the process under test; `None` where it is not ours, or has ended.
    cpu: Option<u64>,
    turns: Option<Turns>,
    /// CPU time of this process.
    own: u64,
}

impl Reading {
    fn now(process: Option<&Process>) -> Result<Self, Failure> {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let own = Duration::new(u64::try_from(own.tv_sec)?, u32::try_from(own.tv_nsec)?);
        Ok(Self {
            cores: Cores::now()?,
            cpu: process.and_then(|process| process.cpu().ok()).map(|cpu| cpu.nanoseconds),
            turns: process.and_then(|process| process.turns().ok()),
            own: u64::try_from(own.as_nanos())?,
        })
    }

    fn since(&self, before: &Self) -> Machine {
        let subject = self.cpu.zip(before.cpu).map_or(0, |(now, then)| now.saturating_sub(then));
        let own = self.own.saturating_sub(before.own);
        let waited = self.turns.as_ref().zip(before.turns.as_ref()).map(|(now, then)| now.kept_out_since(then));
        let waited = u64::try_from(waited.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        self.cores.since(before.cores, subject.saturating_add(own), waited)
    }
}
