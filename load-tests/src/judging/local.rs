//! Both sides on this machine, measured through `/proc`; or somewhere else, measured from outside alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

use portcullis_engine::machine::{Machine as Seen, Reading};
use portcullis_engine::origin::Origin;
use portcullis_judge::window::{Invalid, Machine, Readings, Side, Window};

use crate::Failure;

use super::conduct::{Measure, NotStarted};
use super::load::Load;
use super::progress::note;
use super::rulers::{Place, Rulers};
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
    /// The core of the other side where both run at the same moment; the same where there is but one.
    pub(super) other: u32,
    pub(super) folder: PathBuf,
    /// The server behind both.
    pub(super) origin: SocketAddr,
    /// Whether it is the tool's own, which ends with this.
    pub(super) _own: Option<Origin>,
    pub(super) begin: Instant,
    pub(super) running: Vec<(Side, Running)>,
    pub(super) rulers: Rulers,
}

impl Local {
    pub(super) fn subject(&self, side: Side) -> &Subject {
        match side {
            Side::Baseline => &self.baseline,
            Side::Canary => &self.canary,
        }
    }

    /// Starts a side. A port may be taken by somebody between its choice and its use, and a machine may stand still: who does not come up
    /// is tried again.
    fn launch(&self, place: Side, side: Side) -> Result<Running, Failure> {
        let folder = self.folder.join(format!("{place}-place"));
        std::fs::create_dir_all(&folder)?;
        let start = || {
            let at = Addresses::draw(self.origin, &folder)?;
            let mut running = subject::start(self.subject(side), &self.load, at, self.core)?;
            running.hold(self.hold, &self.path)?;
            Ok(running)
        };
        tried(STARTS, start, |failure| note(&format!("the {side} does not start, and is tried again: {failure}")))
    }

    /// Ends all that was started.
    pub(super) fn stop(&mut self) {
        self.running.clear();
        self.rulers.stop();
    }

    fn start_rulers(&mut self) {
        let Some((_, baseline)) = self.running.first() else { return };
        let place = Place { load: &self.load, folder: &self.folder, core: self.core, origin: self.origin };
        let (held, path) = (self.hold, &self.path);
        self.rulers.start(place, baseline, &|mut running| {
            running.hold(held, path)?;
            Ok(running)
        });
    }

    pub(super) fn side(&self, place: Side) -> Result<&Running, Failure> {
        let running = self.running.iter().find_map(|(at, running)| (*at == place).then_some(running));
        running.ok_or_else(|| "nothing was started".into())
    }

    /// Sees to the connections that a side holds, before a window.
    fn refresh(&mut self, place: Side) {
        self.running.iter_mut().filter(|(at, _)| *at == place).for_each(|(_, running)| running.held.refresh());
    }

    fn measure(&self, running: &Running, seed: u64) -> Result<Window, Failure> {
        let watched = Watched::new(running, self.begin)?;
        let readings = self.load.send(running.address, seed)?;
        watched.window(readings, 0)
    }
}

/// How often a start is tried.
const STARTS: u32 = 3;

/// The first success of so many tries, or the last failure; those before it are told.
fn tried<T>(
    times: u32,
    mut attempt: impl FnMut() -> Result<T, Failure>,
    told: impl Fn(&Failure),
) -> Result<T, Failure> {
    for _ in 1..times {
        match attempt() {
            Ok(success) => return Ok(success),
            Err(failure) => told(&failure),
        }
    }
    attempt()
}

/// Said once in a run.
static CLOSED: Once = Once::new();

/// What is read of a process from before a window to its end.
pub(super) struct Watched<'a> {
    running: &'a Running,
    ids: Vec<u32>,
    began: f64,
    before: Reading,
}

impl<'a> Watched<'a> {
    pub(super) fn new(running: &'a Running, begin: Instant) -> Result<Self, Failure> {
        let ids = running.ids();
        let before = Reading::now(&ids)?;
        Ok(Self { running, ids, began: begin.elapsed().as_secs_f64(), before })
    }

    /// Nanoseconds of CPU since it began; none of a process that ended meanwhile.
    pub(super) fn cpu_so_far(&self) -> Result<u64, Failure> {
        let now = Reading::now(&self.ids).or_else(|_| Reading::now(&[]))?;
        Ok(now.since(&self.before).subject_cpu_ns)
    }

    /// The window that ends now. `beside` are nanoseconds of CPU of who is no neighbour either.
    pub(super) fn window(self, mut readings: Readings, beside: u64) -> Result<Window, Failure> {
        let Self { running, ids, began, before } = self;
        // A process that ended meanwhile has failed its requests; its CPU is not known, the rest is.
        let (mut seen, alive) = match Reading::now(&ids) {
            Ok(after) => (after.since(&before), !ids.is_empty()),
            Err(_) => (Reading::now(&[])?.since(&before), false),
        };
        seen.neighbour_cpu = (seen.neighbour_cpu - Duration::from_nanos(beside).as_secs_f64() / seen.seconds).max(0.0);
        readings.began = began;
        // How many connections the load opens is luck; those that are held are always as many.
        let (held, open) = (running.held.count(), running.held.still_open());
        if held > 0 {
            readings.connections = u64::try_from(open)?;
        }
        if open < held {
            CLOSED.call_once(|| {
                note(&format!(
                    "{} of {held} held connections were closed in a window: of it no memory of one is told",
                    held - open
                ));
            });
        }
        readings.cpu_ns = alive.then_some(seen.subject_cpu_ns);
        readings.rss_bytes = alive.then_some(seen.resident);
        readings.rss_before_bytes = running.held.before().filter(|_| alive && open == held);
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
    /// Who is started first waits for the other with all that it holds, and its memory grows meanwhile by a step that the other's does not:
    /// so each place is the first about as often.
    fn start(&mut self, places: [Side; 2], first: Side) -> Result<(), NotStarted> {
        self.stop();
        let mut sides: Vec<(Side, Side)> = Side::BOTH.into_iter().zip(places).collect();
        sides.sort_by_key(|(place, _)| *place != first);
        let mut missing = None;
        for (place, side) in sides {
            match self.launch(place, side) {
                Ok(running) => self.running.push((place, running)),
                Err(failure) => missing = Some(NotStarted { side, why: failure.to_string() }),
            }
            // Without it nothing can be said of the canary either, whether that starts or not.
            if missing.as_ref().is_some_and(|missing| missing.side == Side::Baseline) {
                break;
            }
        }
        if let Some(missing) = missing {
            return Err(missing);
        }
        self.running.sort_by_key(|(place, _)| *place);
        self.start_rulers();
        Ok(())
    }

    fn window(&mut self, place: Side, seed: u64) -> Result<Window, Invalid> {
        self.refresh(place);
        let measured = self.side(place).and_then(|running| self.measure(running, seed));
        measured.map_err(not_measured)
    }

    fn both(&mut self, first: Side, seed: u64) -> Result<[Window; 2], Invalid> {
        Side::BOTH.into_iter().for_each(|place| self.refresh(place));
        self.duet(first, seed).map_err(not_measured)
    }

    fn rulers(&self) -> Vec<&'static str> {
        self.rulers.names()
    }

    fn ruler(&mut self, name: &str, seed: u64) -> Result<Window, Invalid> {
        self.rulers.refresh(name);
        let running = self.rulers.running(name).ok_or_else(|| Invalid::NotMeasured("it does not run".to_owned()))?;
        self.measure(running, seed).map_err(not_measured)
    }

    fn ended(&mut self) -> Option<(Side, String)> {
        // The canary first: where both have ended, it is not excused by the other.
        self.running.iter_mut().rev().find_map(|(place, running)| {
            let status = running.process.as_mut()?.ended().ok()??;
            Some((*place, status.to_string()))
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what an error is mapped by")]
fn not_measured(failure: Failure) -> Invalid {
    Invalid::NotMeasured(failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn who_comes_up_at_last_has_started_and_who_never_does_fails_with_the_last_reason() {
        for (succeeds_at, expected, failures) in [(1, Ok(1), 0), (3, Ok(3), 2), (4, Err("no 3"), 2)] {
            let (mut tries, told) = (0, RefCell::new(Vec::new()));
            let attempt = || {
                tries += 1;
                if tries >= succeeds_at { Ok(tries) } else { Err(format!("no {tries}").into()) }
            };
            let found = tried(STARTS, attempt, |failure| told.borrow_mut().push(failure.to_string()));
            assert_eq!(found.map_err(|failure| failure.to_string()), expected.map_err(str::to_owned));
            assert_eq!(told.borrow().len(), failures);
        }
    }
}
