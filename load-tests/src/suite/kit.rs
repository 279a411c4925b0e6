//! What every scene needs: the gateway as a process, and loads before it.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::client::Client;
use portcullis_engine::drive::{self, Load, Pace, Source, Watch};
use portcullis_engine::origin::Origin;
use portcullis_engine::process::{Process, Program, free_address};
use portcullis_engine::proof;
use portcullis_engine::schedule::{Arrivals, Schedule};
use portcullis_engine::tally::{Lag, Tally};
use portcullis_mutants::{Mutant, VARIABLE};

use crate::Failure;

use super::books::Books;
use super::outcome::Notes;
use super::part::{Part, answered, watched};
use super::started::{Living, Started};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long the admin API may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Times that a gateway is started whose port somebody else has taken since it was free.
const STARTS: usize = 3;

/// Where a scene is played.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// A folder of its own, for configs and logs.
    pub(super) folder: PathBuf,
    gateway: PathBuf,
    /// The gateway's own core; `None` where there is one core for all.
    core: Option<u32>,
    /// Whether it is played short and small.
    pub(super) small: bool,
    /// The length of the soak's load, in place of its own.
    pub(super) soak: Option<Duration>,
    /// What is drawn at random follows from it.
    pub(super) seed: u64,
    /// The fault that the gateway is given.
    mutant: Option<Mutant>,
    /// The gateways that were started.
    pub(super) started: Started,
}

impl Stage {
    /// In a folder that is emptied first.
    pub(super) fn new(folder: &Path, gateway: &Path, small: bool, seed: u64) -> Result<Self, Failure> {
        if folder.is_dir() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            gateway: gateway.to_owned(),
            core: None,
            small,
            soak: None,
            seed,
            mutant: None,
            started: Started::default(),
        })
    }

    /// With a gateway that has a fault. Its binary must know it.
    pub(super) fn with(self, mutant: Option<Mutant>) -> Self {
        Self { mutant, ..self }
    }

    /// With a soak of another length.
    pub(super) fn soaking(self, soak: Option<Duration>) -> Self {
        Self { soak, ..self }
    }

    /// With a core for the gateway that nothing else of the suite runs on.
    pub(super) fn on(self, core: Option<u32>) -> Self {
        Self { core, ..self }
    }

    /// The one of two that the size says.
    pub(super) fn size<T>(&self, small: T, full: T) -> T {
        if self.small { small } else { full }
    }

    /// The gateway's binary.
    pub(super) fn binary(&self) -> &Path {
        &self.gateway
    }

    /// The gateway before an origin, with one cluster `origin` and one route to it.
    pub(super) fn plain(&self, origin: SocketAddr) -> Result<Edge, Failure> {
        Edge::start(self, "edge", &Config::to(origin))
    }
}

/// A config in the making. Its listener `edge` takes many connections from one address: all load comes from one.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The only endpoint of the cluster `origin`.
    pub(super) origin: SocketAddr,
    /// Lines at the top.
    pub(super) top: String,
    /// More lines of the listener, indented by four.
    pub(super) listener: String,
    /// Neither records nor metrics nor a log, for what these cost.
    pub(super) bare: bool,
    /// More of the listener's limits, each behind a comma.
    pub(super) limits: String,
    /// More keys of the cluster, each behind a comma.
    pub(super) cluster: String,
    /// More clusters, indented by two.
    pub(super) clusters: String,
    /// Lines of the host, indented by four.
    pub(super) host: String,
    /// Routes before the one for everything, indented by six.
    pub(super) routes: String,
}

impl Config {
    pub(super) fn to(origin: SocketAddr) -> Self {
        let [top, listener, limits, cluster, clusters, host, routes] = [const { String::new() }; 7];
        Self { origin, top, listener, bare: false, limits, cluster, clusters, host, routes }
    }

    pub(super) fn yaml(&self, address: SocketAddr, admin: SocketAddr) -> String {
        let Self { origin, top, listener, bare, limits, cluster, clusters, host, routes } = self;
        let watched = if *bare { "observe: false\nrecent_requests: 0\n" } else { "access_log: { path: access.log }\n" };
        let store = if top.contains("store:") { "" } else { "store: off\n" };
        format!(
            "version: 1
threads: 1
admin: {{ bind: \"{admin}\" }}
{watched}{store}{top}listeners:
  edge:
    bind: \"{address}\"
    limits: {{ connections: 20000, connections_per_network: 20000{limits} }}
{listener}clusters:
  origin: {{ endpoints: [\"{origin}\"]{cluster} }}
{clusters}hosts:
  - names: [\"*\"]
{host}    routes:
{routes}      - {{ name: all, to: origin }}
"
        )
    }
}

/// A running gateway.
#[derive(Debug)]
pub(super) struct Edge {
    /// Its process.
    pub(super) process: Living,
    /// Where it accepts.
    pub(super) address: SocketAddr,
    admin: SocketAddr,
    /// Its config's file.
    pub(super) file: PathBuf,
    /// The core that is its own, if any.
    pub(super) core: Option<u32>,
    started: Started,
}

impl Edge {
    /// Starts it on a config, and waits until it is ready.
    pub(super) fn start(stage: &Stage, name: &str, config: &Config) -> Result<Self, Failure> {
        Self::start_under(stage, name, config, &[])
    }

    /// The same by a program that becomes the gateway, with other limits, say.
    pub(super) fn start_under(stage: &Stage, name: &str, config: &Config, under: &[OsString]) -> Result<Self, Failure> {
        let folder = stage.folder.join(name);
        fs::create_dir_all(&folder)?;
        let file = folder.join("gateway.yaml");
        let own = [stage.gateway.clone().into(), "run".into(), "-c".into(), file.clone().into()];
        let mut words: Vec<OsString> = under.iter().cloned().chain(own).collect();
        if let Some(mutant) = stage.mutant {
            words.splice(0..0, ["env".into(), format!("{VARIABLE}={}", mutant.name()).into()]);
        }
        let program = Program { words, core: stage.core, log: folder.join("gateway.out") };
        for turn in 1.. {
            let (address, admin) = (free_address()?, free_address()?);
            fs::write(&file, config.yaml(address, admin))?;
            let mut process = Process::start(&program)?;
            let Err(failure) = process.ready_when(&|| Client::connect(admin)?.get("/readyz")) else {
                let process = stage.started.add(process, name, stage.core, [admin, address]);
                let (core, started) = (stage.core, stage.started.clone());
                return Ok(Self { process, address, admin, file, core, started });
            };
            let said = fs::read_to_string(&program.log).unwrap_or_default();
            if turn == STARTS || !said.to_lowercase().contains("already in use") {
                stage.started.wrong(format!("{name} did not start: {failure}"));
                return Err(format!("the gateway did not start: {failure}\n{said}").into());
            }
        }
        Err("the gateway was not started".into())
    }

    /// What it has said to its log.
    pub(super) fn said(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.file.with_file_name("gateway.out"))?)
    }

    /// Plays something before it, and says what the machine took meanwhile: see [`watched`].
    pub(super) fn watched<T>(
        &self,
        outcome: &Notes,
        name: &str,
        play: impl FnOnce() -> Result<(T, Option<Lag>), Failure>,
    ) -> Result<(T, Part), Failure> {
        watched(&[self], outcome, name, play)
    }

    /// The same of one load of GETs.
    pub(super) fn play(&self, outcome: &Notes, name: &str, load: &Load<'_>) -> Result<(Tally, Part), Failure> {
        self.play_of(outcome, name, load, &mut proof::get("/"))
    }

    /// The same of one load of anything.
    pub(super) fn play_of(
        &self,
        outcome: &Notes,
        name: &str,
        load: &Load<'_>,
        source: &mut dyn Source,
    ) -> Result<(Tally, Part), Failure> {
        let (tally, part) = self.watched(outcome, name, || play_of(load, source).map(with_lag(load)))?;
        part.keep(outcome, &tally);
        Ok((tally, part))
    }

    /// Writes another config for it, in one step. Nobody has read it yet.
    pub(super) fn write(&self, config: &Config) -> Result<(), Failure> {
        let next = self.file.with_extension("next");
        fs::write(&next, config.yaml(self.address, self.admin))?;
        Ok(fs::rename(&next, &self.file)?)
    }

    /// The sum of all samples of a metric whose labels contain a text. A gateway that does not say it has failed.
    pub(super) fn metric(&self, name: &str, labels: &str) -> Result<f64, Failure> {
        if let Ok(page) = self.page() {
            return Ok(sum(&page, name, labels));
        }
        let (page, excused) = answered(self.process.id(), self.core, PATIENCE, || self.page())?;
        if let Err(failure) = &page
            && !excused
            && !is_own(failure)
        {
            self.started.wrong(format!("the admin API does not tell its metrics: {failure}"));
        }
        Ok(sum(&page?, name, labels))
    }

    fn page(&self) -> Result<String, Failure> {
        // The admin API answers nobody who calls it by another name.
        let mut client = Client::patient(self.admin, PATIENCE)?;
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let answer = client.answer()?;
        if answer.status != 200 {
            return Err(format!("/metrics was answered {}", answer.status).into());
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Requests that it has records of.
    pub(super) fn requests(&self) -> Result<u64, Failure> {
        count(self.metric("portcullis_route_requests_total", "")?)
    }

    /// Those of a route.
    pub(super) fn requests_of(&self, route: &str) -> Result<u64, Failure> {
        count(self.metric("portcullis_route_requests_total", &format!("route=\"{route}\""))?)
    }

    /// A counter of the cluster `origin`.
    pub(super) fn count_of(&self, name: &str) -> Result<u64, Failure> {
        count(self.metric(name, "cluster=\"origin\"")?)
    }

    /// What it has refused or failed for a reason, as `reason="overloaded"`.
    pub(super) fn refused_for(&self, reason: &str) -> Result<u64, Failure> {
        count(self.metric("portcullis_failures_total", reason)?)
    }
}

/// Whether it is the tool that has no descriptors or ports.
fn is_own(failure: &Failure) -> bool {
    let errno = failure.downcast_ref::<std::io::Error>().and_then(rustix::io::Errno::from_io_error);
    use rustix::io::Errno;
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS | Errno::NOMEM))
}

/// Of a load that followed a schedule, how late the tool was.
fn with_lag(load: &Load<'_>) -> impl FnOnce(Tally) -> (Tally, Option<Lag>) {
    let open = matches!(load.pace, Pace::Open(_));
    move |tally| {
        let lag = open.then(|| tally.lag());
        (tally, lag)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of requests")]
fn count(value: f64) -> Result<u64, Failure> {
    if (0.0..1e15).contains(&value) { Ok(value.round() as u64) } else { Err(format!("{value} is no count").into()) }
}

fn sum(page: &str, name: &str, labels: &str) -> f64 {
    let sample = |line: &str| {
        let (key, value) = line.rsplit_once(' ')?;
        let (family, given) = key.split_once('{').unwrap_or((key, ""));
        (family == name && given.contains(labels)).then(|| value.parse::<f64>().ok())?
    };
    // From 0: the sum of nothing is -0 otherwise.
    page.lines().filter(|line| !line.starts_with('#')).filter_map(sample).fold(0.0, |sum, value| sum + value)
}

/// Waits until a condition holds; false when it does not in time. What cannot be looked at does not hold.
pub(super) fn until(limit: Duration, mut holds: impl FnMut() -> Result<bool, Failure>) -> bool {
    let start = Instant::now();
    loop {
        if holds().unwrap_or(false) {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// An open loop of GETs to an address.
pub(super) fn open(to: SocketAddr, rate: f64, length: Duration, seed: u64) -> Load<'static> {
    Load::new(to, Pace::Open(Schedule::new(Arrivals::Poisson, rate, length, seed)))
}

/// A closed loop.
pub(super) fn closed(to: SocketAddr, connections: usize, length: Duration) -> Load<'static> {
    Load::new(to, Pace::Closed { connections, length })
}

/// Plays a load of GETs.
pub(super) fn play(load: &Load<'_>) -> Result<Tally, Failure> {
    play_of(load, &mut proof::get("/"))
}

/// Plays a load of anything.
pub(super) fn play_of(load: &Load<'_>, source: &mut dyn Source) -> Result<Tally, Failure> {
    drive::run(load, source, Instant::now() + Duration::from_millis(5), &Watch::default())
}

/// Requests per second that a gateway answers in a closed loop of which nothing may fail, and CPU per request in seconds.
pub(super) fn capacity(
    outcome: &Notes,
    (edge, origin): (&Edge, &Origin),
    connections: usize,
    length: Duration,
) -> Result<(f64, f64), Failure> {
    let name = format!("closed loop of {connections}");
    let books = Books::open(edge, origin)?;
    let ((warm, tally, spent), part) = edge.watched(outcome, &name, || {
        // Connections and pools are made before it counts.
        let warm = play(&closed(edge.address, connections, length / 4))?;
        let before = edge.process.cpu()?;
        let tally = play(&closed(edge.address, connections, length))?;
        let spent = edge.process.cpu()?.nanoseconds.saturating_sub(before.nanoseconds);
        Ok(((warm, tally, Duration::from_nanos(spent)), None))
    })?;
    part.expect_served(outcome, &warm);
    part.expect_served(outcome, &tally);
    part.keep(outcome, &tally);
    books.close_even(outcome, &name, &[&warm, &tally])?;
    let sent = tally.all.sent().max(1) as f64;
    Ok((sent / length.as_secs_f64(), spent.as_secs_f64() / sent))
}

/// Runs something, and says the most memory that the gateway held meanwhile: an error when it has ended.
pub(super) fn most_held<T>(edge: &Edge, run: impl FnOnce() -> T) -> (T, Result<u64, Failure>) {
    let (stop, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| -> Result<(), Failure> {
            while !stop.load(Ordering::SeqCst) {
                most.fetch_max(edge.process.resident()?, Ordering::SeqCst);
                std::thread::sleep(LOOK);
            }
            Ok(())
        });
        let brought = run();
        stop.store(true, Ordering::SeqCst);
        let looked = looking.join().unwrap_or_else(|_| Err("the look at the gateway's memory panicked".into()));
        (brought, looked.map(|()| most.load(Ordering::SeqCst)))
    })
}

/// Milliseconds, for people. What has no end is a quantile that lies among failed requests.
pub(super) fn ms(time: Duration) -> String {
    if time == Duration::MAX { "among failed".to_owned() } else { format!("{:.1} ms", time.as_secs_f64() * 1e3) }
}

/// Mebibytes, for people.
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_samples_by_name_and_label() {
        let page = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"2\"} 4\nab{x=\"1\"} 5\na 6\n";
        assert_eq!(
            [sum(page, "a", ""), sum(page, "a", "x=\"1\""), sum(page, "b", "")].map(count).map(Result::unwrap),
            [13, 3, 0]
        );
    }

    #[test]
    fn a_config_says_what_it_is_told() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let config = Config { top: "store: { path: x }\n".to_owned(), ..Config::to(address) };
        let yaml = config.yaml(address, address);
        assert!(!yaml.contains("store: off") && yaml.contains("store: { path: x }"), "{yaml}");
    }
}
