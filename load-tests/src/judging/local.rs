//! Both sides on this machine, measured through `/proc`; or somewhere else, measured from outside alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use portcullis_engine::machine::{Machine as Seen, Reading};
use portcullis_engine::origin::Origin;
use portcullis_judge::window::{Invalid, Machine, Side, Window};

use crate::Failure;
use crate::client::Client;

use super::conduct::{Measure, NotStarted};
use super::load::Load;
use super::subject::{self, Addresses, Running, Subject};

/// Measures two subjects.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) baseline: Subject,
    pub(super) canary: Subject,
    pub(super) load: Load,
    /// Connections that each side holds open besides those of the load.
    pub(super) hold: usize,
    /// What a GET that is not of the plan asks for.
    pub(super) path: String,
    pub(super) core: u32,
    pub(super) folder: PathBuf,
    /// The server behind both.
    pub(super) origin: SocketAddr,
    /// Whether it is the tool's own, which ends with this.
    pub(super) _own: Option<Origin>,
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

    fn launch(&self, place: Side, side: Side) -> Result<Running, Failure> {
        let folder = self.folder.join(format!("{place}-place"));
        std::fs::create_dir_all(&folder)?;
        let at = Addresses::draw(self.origin, &folder)?;
        let mut running = subject::start(self.subject(side), &self.load, at, self.core)?;
        for _ in 0..if self.load.is_plain() { self.hold } else { 0 } {
            let mut client = Client::connect(running.address)?;
            client.get(&self.path)?;
            running.held.push(client);
        }
        Ok(running)
    }

    fn measure(&self, running: &Running, seed: u64) -> Result<Window, Failure> {
        let began = self.begin.elapsed().as_secs_f64();
        let ids: Vec<u32> = running.process.iter().map(crate::process::Process::id).collect();
        let before = Reading::now(&ids)?;
        let mut readings = self.load.send(running.address, seed)?;
        // A process that ended meanwhile has failed its requests; its CPU is not known, the rest is.
        let (seen, alive) = match Reading::now(&ids) {
            Ok(after) => (after.since(&before), !ids.is_empty()),
            Err(_) => (Reading::now(&[])?.since(&before), false),
        };
        readings.began = began;
        // How many connections the load opens is luck; those that are held are always as many.
        if !running.held.is_empty() {
            readings.connections = u64::try_from(running.held.len())?;
        }
        readings.cpu_ns = alive.then_some(seen.subject_cpu_ns);
        readings.rss_bytes = alive.then_some(seen.resident);
        readings.machine = machine(&seen);
        Ok(Window::new(readings)?)
    }
}

fn machine(seen: &Seen) -> Machine {
    Machine {
        steal: seen.steal,
        neighbour_cpu: seen.neighbour_cpu / f64::from(seen.cores.max(1)),
        run_queue_wait_ns: seen.subject_wait_ns,
    }
}

impl Measure for Local {
    fn start(&mut self, places: [Side; 2]) -> Result<(), NotStarted> {
        self.running.clear();
        for (place, side) in Side::BOTH.into_iter().zip(places) {
            let running = self.launch(place, side).map_err(|failure| NotStarted { side, why: failure.to_string() })?;
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
