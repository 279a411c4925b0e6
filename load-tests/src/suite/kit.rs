//! What every scene needs: the gateway as a process, the origin, loads between, and their books reconciled.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::client::Client;
use portcullis_engine::drive::{self, Load, Pace, Source, Watch};
use portcullis_engine::machine::Sampler;
use portcullis_engine::origin::Origin;
use portcullis_engine::process::{Process, Program, Turns, free_address};
use portcullis_engine::proof;
use portcullis_engine::schedule::{Arrivals, Schedule};
use portcullis_engine::tally::Tally;
use portcullis_mutants::{Mutant, VARIABLE};

use crate::Failure;

use super::outcome::Outcome;
use super::starved::Started;

/// How long what is on its way may take to show in counters.
const SETTLE: Duration = Duration::from_secs(5);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The share of the cores that the hypervisor may take.
const STEAL: f64 = 0.1;

/// The share of the time that others may keep the gateway from its own core.
const KEPT_OUT: f64 = 0.05;

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
            seed,
            mutant: None,
            started: Started::default(),
        })
    }

    /// With a gateway that has a fault. Its binary must know it.
    pub(super) fn with(self, mutant: Option<Mutant>) -> Self {
        Self { mutant, ..self }
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
    /// Lines of the host, indented by four.
    pub(super) host: String,
    /// Routes before the one for everything, indented by six.
    pub(super) routes: String,
}

impl Config {
    pub(super) fn to(origin: SocketAddr) -> Self {
        let [top, listener, limits, cluster, host, routes] = [const { String::new() }; 6];
        Self { origin, top, listener, bare: false, limits, cluster, host, routes }
    }

    pub(super) fn yaml(&self, address: SocketAddr, admin: SocketAddr) -> String {
        let Self { origin, top, listener, bare, limits, cluster, host, routes } = self;
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
hosts:
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
    pub(super) process: Process,
    /// Where it accepts.
    pub(super) address: SocketAddr,
    admin: SocketAddr,
    /// Its config's file.
    pub(super) file: PathBuf,
    /// Whether it has a core of its own.
    alone: bool,
}

impl Edge {
    /// Starts it on a config, and waits until it is ready.
    pub(super) fn start(stage: &Stage, name: &str, config: &Config) -> Result<Self, Failure> {
        Self::start_under(stage, name, config, &[])
    }

    /// The same by a program that becomes the gateway, with other limits, say.
    pub(super) fn start_under(stage: &Stage, name: &str, config: &Config, under: &[OsString]) -> Result<Self, Failure> {
        let (address, admin) = (free_address()?, free_address()?);
        let folder = stage.folder.join(name);
        fs::create_dir_all(&folder)?;
        let file = folder.join("gateway.yaml");
        fs::write(&file, config.yaml(address, admin))?;
        let own = [stage.gateway.clone().into(), "run".into(), "-c".into(), file.clone().into()];
        let mut words: Vec<OsString> = under.iter().cloned().chain(own).collect();
        if let Some(mutant) = stage.mutant {
            words.splice(0..0, ["env".into(), format!("{VARIABLE}={}", mutant.name()).into()]);
        }
        let log = folder.join("gateway.out");
        let mut process = Process::start(&Program { words, core: stage.core, log: log.clone() })?;
        stage.started.add(process.id());
        process.ready_when(&|| Client::connect(admin)?.get("/readyz")).map_err(|failure| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("the gateway did not start: {failure}\n{said}")
        })?;
        Ok(Self { process, address, admin, file, alone: stage.core.is_some() })
    }

    /// What it has said to its log.
    pub(super) fn said(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.file.with_file_name("gateway.out"))?)
    }

    /// What its threads have run and waited, to be compared with later.
    pub(super) fn turns(&self) -> Result<Turns, Failure> {
        self.process.turns()
    }

    /// Why a window that began with these turns says nothing of it: others had the core that is its own. Where it has none,
    /// the tool's own lateness must tell.
    pub(super) fn kept_out(&self, since: &Turns, window: Duration) -> Result<Option<String>, Failure> {
        let share = self.turns()?.kept_out_since(since).as_secs_f64() / window.as_secs_f64().max(1e-9);
        let told = self.alone && share > KEPT_OUT;
        Ok(told.then(|| format!("others kept the gateway from its core for {:.0} % of the time", share * 100.0)))
    }

    /// Writes another config for it, in one step. Nobody has read it yet.
    pub(super) fn write(&self, config: &Config) -> Result<(), Failure> {
        let next = self.file.with_extension("next");
        fs::write(&next, config.yaml(self.address, self.admin))?;
        Ok(fs::rename(&next, &self.file)?)
    }

    /// The sum of all samples of a metric whose labels contain a text.
    pub(super) fn metric(&self, name: &str, labels: &str) -> Result<f64, Failure> {
        // The admin API answers nobody who calls it by another name.
        let mut client = Client::connect(self.admin)?;
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let answer = client.answer()?;
        if answer.status != 200 {
            return Err(format!("/metrics was answered {}", answer.status).into());
        }
        Ok(sum(&String::from_utf8_lossy(&answer.body), name, labels))
    }

    /// Requests that it has records of.
    pub(super) fn requests(&self) -> Result<u64, Failure> {
        count(self.metric("portcullis_route_requests_total", "")?)
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

/// Waits until a condition holds; false when it does not in time.
pub(super) fn until(limit: Duration, mut holds: impl FnMut() -> Result<bool, Failure>) -> Result<bool, Failure> {
    let start = Instant::now();
    loop {
        if holds()? {
            return Ok(true);
        }
        if start.elapsed() > limit {
            return Ok(false);
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

/// Requests per second that a gateway answers in a closed loop, and CPU per request in seconds.
pub(super) fn capacity(edge: &Edge, connections: usize, length: Duration) -> Result<(f64, f64), Failure> {
    // Connections and pools are made before it counts.
    play(&closed(edge.address, connections, length / 4))?;
    let before = edge.process.cpu()?;
    let tally = play(&closed(edge.address, connections, length))?;
    let spent = Duration::from_nanos(edge.process.cpu()?.nanoseconds.saturating_sub(before.nanoseconds));
    if tally.all.failures() > 0 {
        return Err(format!("a closed loop of {connections}: {}", tally.all).into());
    }
    let sent = tally.all.sent().max(1) as f64;
    Ok((sent / length.as_secs_f64(), spent.as_secs_f64() / sent))
}

/// The books of a gateway and an origin, opened before a load and closed behind it.
#[derive(Debug)]
pub(super) struct Books<'a> {
    edge: &'a Edge,
    origin: &'a Origin,
    before: [u64; 2],
}

impl<'a> Books<'a> {
    pub(super) fn open(edge: &'a Edge, origin: &'a Origin) -> Result<Self, Failure> {
        Ok(Self { edge, origin, before: [edge.requests()?, origin.requests()] })
    }

    /// What the gateway and the origin counted since.
    pub(super) fn since(&self) -> Result<[u64; 2], Failure> {
        let [edge, origin] = self.before;
        Ok([self.edge.requests()?.saturating_sub(edge), self.origin.requests().saturating_sub(origin)])
    }

    /// Both must have counted so many; what is on its way may take a moment.
    pub(super) fn close(&self, outcome: &mut Outcome, name: &str, expected: [u64; 2]) -> Result<(), Failure> {
        let agreed = until(SETTLE, || Ok(self.since()? == expected))?;
        let [edge, origin] = self.since()?;
        let [sent, passed] = expected;
        outcome.expect(
            format!("{name}: the books of client, gateway and origin agree"),
            agreed,
            format!("{sent} at the client, {edge} at the gateway; {passed} of them to the origin, {origin} there"),
        );
        Ok(())
    }

    /// The same where every request is passed on once.
    pub(super) fn close_even(&self, outcome: &mut Outcome, name: &str, tally: &Tally) -> Result<(), Failure> {
        self.close(outcome, name, [tally.all.sent(), tally.all.sent()])
    }
}

/// Plays a load, and says whether the machine held it: an excuse if not.
pub(super) fn watched<T>(
    outcome: &mut Outcome,
    name: &str,
    play: impl FnOnce() -> Result<(T, Option<portcullis_engine::tally::Lag>), Failure>,
) -> Result<T, Failure> {
    let sampler = Sampler::start(Vec::new(), Duration::from_secs(1))?;
    let (brought, lag) = play()?;
    let windows = sampler.stop()?;
    let most = |value: fn(&portcullis_engine::machine::Machine) -> f64| windows.iter().map(value).fold(0.0, f64::max);
    outcome.number(&format!("{name}.neighbour_cpu"), most(|window| window.neighbour_cpu));
    outcome.number(&format!("{name}.steal"), most(|window| window.steal));
    if most(|window| window.steal) > STEAL {
        outcome.invalidate(&format!(
            "{name}: the hypervisor took {:.0} % of the cores",
            most(|window| window.steal) * 100.0
        ));
    }
    if let Some(lag) = lag.filter(|lag| !lag.held()) {
        outcome.excuse(&format!("{name}: the machine did not hold the rate, the tool was late by {:?} (p99)", lag.p99));
    }
    Ok(brought)
}

/// Runs something, and says the most memory that the gateway held meanwhile.
pub(super) fn most_held<T>(edge: &Edge, run: impl FnOnce() -> T) -> Result<(T, u64), Failure> {
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
        looking.join().map_err(|_| "the look at the gateway's memory panicked")??;
        Ok((brought, most.load(Ordering::SeqCst)))
    })
}

/// Good requests beside something: nothing of them fails, and they are hardly slower than alone.
pub(super) fn expect_unmoved(outcome: &mut Outcome, [alone, beside]: [&Tally; 2]) {
    let bad = |tally: &Tally| tally.all.failures() + tally.all.refused;
    outcome.expect("good requests: nothing fails", bad(alone) + bad(beside) == 0, told(beside));
    let p99 = |tally: &Tally| tally.quantile(0.99).unwrap_or(Duration::MAX);
    let most = p99(alone).saturating_mul(3).saturating_add(Duration::from_millis(30));
    outcome.expect(
        "p99 of good requests at most three times that alone, and 30 ms",
        p99(beside) <= most,
        format!("{} beside, {} alone", ms(p99(beside)), ms(p99(alone))),
    );
}

/// Milliseconds, for people. What has no end is a quantile that lies among failed requests.
pub(super) fn ms(time: Duration) -> String {
    if time == Duration::MAX { "among failed".to_owned() } else { format!("{:.1} ms", time.as_secs_f64() * 1e3) }
}

/// What became of a load, for people, with the statuses of what failed.
pub(super) fn told(tally: &Tally) -> String {
    let mut statuses = std::collections::BTreeMap::new();
    for status in tally.failed.iter().filter_map(|failed| failed.status) {
        *statuses.entry(status).or_insert(0_u64) += 1;
    }
    let words: String = statuses.iter().map(|(status, count)| format!(", {count} times {status}")).collect();
    format!("{}{words}", tally.all)
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
