//! Reloads: under load, and how long one takes with many routes.
//!
//! The gateway is watched from outside. One of its routes answers with the config's number: the first answer with the
//! new number says that the new config is in force. A probe on a connection of its own asks without a pause; its
//! slowest answer says how long the one worker was away, if it was the reload that kept it and not the machine. What the
//! reload costs the worker at all, in CPU time while nobody asks anything, bounds every stall that is the reload's.

pub(crate) mod load;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Client;
use crate::contenders::{Gateway, Place, Portcullis};
use crate::process::free_address;
use crate::report::{Table, progress};
use crate::stats::{largest, median};

/// How long a config may take to come into force.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a reload has when nobody asks: its end, and that of the generation before, are well inside.
const QUIET: Duration = Duration::from_secs(2);

/// The route that answers with the config's number.
const NUMBER: &str = "/rig/number";

/// A gateway whose config changes.
struct Subject {
    gateway: Gateway,
    config: Portcullis,
    file: PathBuf,
    number: u32,
}

impl Subject {
    fn start(place: &Place, origin: SocketAddr, routes: usize) -> Result<Self, Failure> {
        let address = free_address()?;
        let mut config = Portcullis::new(address, origin);
        config.add_routes(routes)?;
        let file = place.folder.join(format!("reload-{routes}.yaml"));
        fs::write(&file, with_number(&config, 0))?;
        let gateway = Gateway::start(place, &file, address)?;
        Ok(Self { gateway, config, file, number: 0 })
    }

    /// Writes the next config; nobody has read it yet.
    fn write(&mut self) -> Result<(), Failure> {
        self.number += 1;
        // A rename, so that no half-written file is ever read.
        let next = self.file.with_extension("next");
        fs::write(&next, with_number(&self.config, self.number))?;
        fs::rename(&next, &self.file)?;
        Ok(())
    }

    /// Changes the config while nobody asks anything. Says how much CPU time the worker spent meanwhile, and how much in
    /// as long a time without a change: it has timers of its own.
    fn quiet_reload(&mut self, watcher: &mut Client) -> Result<(Duration, Duration), Failure> {
        self.write()?;
        let worker = || self.gateway.process.main_thread_cpu();
        let before = worker()?;
        std::thread::sleep(QUIET);
        let between = worker()?;
        self.gateway.process.hang_up()?;
        std::thread::sleep(QUIET);
        let spent = [worker()?.saturating_sub(between), between.saturating_sub(before)].map(Duration::from_nanos);
        if watcher.get(NUMBER)?.body != self.number.to_string().as_bytes() {
            return Err(format!("config {} is not in force after {QUIET:?}", self.number).into());
        }
        Ok(spent.into())
    }

    /// Changes the config and waits until it is in force. Says how long that took.
    fn reload(&mut self, watcher: &mut Client) -> Result<Duration, Failure> {
        self.write()?;
        let start = Instant::now();
        self.gateway.process.hang_up()?;
        let wanted = self.number.to_string();
        while watcher.get(NUMBER)?.body != wanted.as_bytes() {
            if start.elapsed() > PATIENCE {
                return Err(format!("config {wanted} is not in force after {PATIENCE:?}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(start.elapsed())
    }
}

fn with_number(config: &Portcullis, number: u32) -> String {
    let route =
        format!("      - {{ name: number, match: {{ exact: {NUMBER} }}, respond: {{ body: \"{number}\" }} }}\n");
    Portcullis { routes: format!("{route}{}", config.routes), ..config.clone() }.yaml()
}

/// Reloads a number of times under load and counts what broke.
///
/// # Errors
///
/// When the gateway does not take a config.
pub fn under_load(reloads: u32, place: &Place, origin: SocketAddr) -> Result<Table, Failure> {
    let mut subject = Subject::start(place, origin, 100)?;
    let mut watcher = Client::connect(subject.gateway.address)?;
    let stop = AtomicBool::new(false);
    let (address, stop_ref) = (subject.gateway.address, &stop);
    let counted = std::thread::scope(|scope| {
        let load = scope.spawn(move || load::run(address, stop_ref));
        let reloaded = (0..reloads).try_for_each(|_| {
            std::thread::sleep(Duration::from_millis(50));
            subject.reload(&mut watcher).map(drop)
        });
        stop.store(true, Ordering::Relaxed);
        let counted = load.join().map_err(|_| "the load panicked")?;
        reloaded.and(counted)
    })?;
    let mut table =
        Table::new(&["reloads", "requests", "failed", "closed politely", "WebSockets", "dropped", "echoes"]);
    table.row([
        &reloads,
        &counted.requests,
        &counted.failed,
        &counted.closed,
        &counted.sockets,
        &counted.dropped,
        &counted.echoes,
    ]);
    Ok(table)
}

/// Reloads a config of many routes, and says how long it took and how long the worker was away.
///
/// # Errors
///
/// When the gateway does not take a config.
pub fn apply_time(reloads: u32, routes: usize, place: &Place, origin: SocketAddr) -> Result<Table, Failure> {
    let mut subject = Subject::start(place, origin, routes)?;
    let mut watcher = Client::connect(subject.gateway.address)?;
    let (mut took, mut stalls, mut quiet) = (Vec::new(), Vec::new(), Vec::new());
    let (mut spent, mut idle_spent) = (Vec::new(), Vec::new());
    for n in 0..reloads {
        let address = subject.gateway.address;
        let (duration, worst) = probed(address, || subject.reload(&mut watcher))?;
        let (_, idle) = probed(address, || {
            std::thread::sleep(duration);
            Ok(duration)
        })?;
        took.push(duration.as_secs_f64() * 1e3);
        stalls.push(worst.as_secs_f64() * 1e3);
        quiet.push(idle.as_secs_f64() * 1e3);
        let (with, without) = subject.quiet_reload(&mut watcher)?;
        spent.push(with.as_secs_f64() * 1e3);
        idle_spent.push(without.as_secs_f64() * 1e3);
        progress(&format!("reload {} of {reloads}: {duration:?}, stall {worst:?}, quiet {idle:?}", n + 1));
    }
    let mut table = Table::new(&[
        "with {routes} routes, ms".replace("{routes}", &routes.to_string()).as_str(),
        "median",
        "largest",
    ]);
    for (what, values) in [
        ("from the signal to the first request on the new generation, YAML included", &mut took),
        ("longest answer meanwhile", &mut stalls),
        ("longest answer in as long a time without a reload", &mut quiet),
        ("CPU time of the worker in 2 s with a reload, nobody asks", &mut spent),
        ("the same without a reload: the difference bounds every stall", &mut idle_spent),
    ] {
        let most = largest(values).ok_or("no reloads")?;
        let middle = median(values).ok_or("no reloads")?;
        table.row([&what, &format!("{middle:.2}"), &format!("{most:.2}")]);
    }
    Ok(table)
}

/// Runs something while a probe asks without a pause. Says what the slowest answer took.
fn probed(
    address: SocketAddr,
    run: impl FnOnce() -> Result<Duration, Failure>,
) -> Result<(Duration, Duration), Failure> {
    let mut probe = Client::connect(address)?;
    probe.get(NUMBER)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let slowest = scope.spawn(|| -> Result<Duration, Failure> {
            let mut slowest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                probe.get(NUMBER)?;
                slowest = slowest.max(start.elapsed());
            }
            Ok(slowest)
        });
        let ran = run();
        stop.store(true, Ordering::Relaxed);
        let slowest = slowest.join().map_err(|_| "the probe panicked")??;
        Ok((ran?, slowest))
    })
}
