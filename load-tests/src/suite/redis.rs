//! Redis slow, gone, killed and back: no request waits for it, none is refused that has tokens, it is found again, and no caller gets
//! more than the cap that gateways share and what is stated beyond it.

mod killed;
mod shared;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_engine::fault::{Fault, FaultProxy, Harm};
use portcullis_engine::origin::Origin;
use portcullis_engine::process::{Process, Program, find, free_address};
use portcullis_engine::tally::Tally;

use crate::Failure;

use super::books::Books;
use super::kit::{Config, Edge, Stage, capacity, ms, open, play, until};
use super::outcome::Notes;
use super::part::Part;

/// Faults one after the other, each for a second and a half.
const FAULTS: [(&str, Fault); 3] = [
    ("slow", Fault { latency: Duration::from_millis(400), bandwidth: None, harm: Harm::None }),
    ("black hole", Fault { latency: Duration::ZERO, bandwidth: None, harm: Harm::BlackHole }),
    ("resets", Fault { latency: Duration::ZERO, bandwidth: None, harm: Harm::Reset { after: 0 } }),
];
const EACH: Duration = Duration::from_millis(1500);

/// The share of a closed loop's rate that is sent. Of an open loop it is nearly half of what a core holds: with more, a vCPU that the
/// hypervisor takes for 30 ms lets hundreds of requests pile up, whose connections need memory that was never touched before. On a
/// virtual machine two MiB of it take 10 to 30 ms, and p99.9 tells of that and not of Redis.
const SHARE: f64 = 0.25;

/// Callers of a closed loop.
const CALLERS: usize = 32;

/// How long Redis may take to start, and to be spoken to again once it is back: many times the longest pause between two tries.
const STARTED: Duration = Duration::from_secs(20);
const BACK: Duration = Duration::from_secs(15);

/// Who waits for Redis waits at least for its timeout, which is 100 ms.
const MOST: Duration = Duration::from_millis(90);

/// Plays.
pub(super) fn redis(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let Some(program) = find("redis-server") else {
        outcome.invalidate("redis-server is not installed: scripts/setup load");
        return Ok(());
    };
    let server = Server { program, folder: stage.folder.clone(), address: free_address()? };
    let redis = server.start()?;
    let rate = peak(stage, server.address, outcome)?;
    let _redis = killed::killed(stage, &server, redis, rate, outcome)?;
    shared::caps(stage, server.address, outcome)
}

/// A gateway of whose requests each is under a cap that Redis keeps.
fn edge_before(stage: &Stage, name: &str, origin: &Origin, redis: SocketAddr) -> Result<Edge, Failure> {
    let top = format!(
        "store: {{ redis: {{ url: \"redis://{redis}\", timeout: 100ms }} }}\nplans:\n  shared: {{ rate: 1000000/s, gateways: shared }}\n"
    );
    let host = "    filters: [{ anonymous: { plan: shared, by: address } }, caps]\n".to_owned();
    Edge::start(stage, name, &Config { top, host, ..Config::to(origin.address()) })
}

/// All faults under load: nobody waits for Redis. Says how many requests a second that was.
fn peak(stage: &Stage, address: SocketAddr, outcome: &Notes) -> Result<f64, Failure> {
    let (origin, proxy) = (Origin::start("{\"fine\":true}")?, FaultProxy::start(address)?);
    let edge = edge_before(stage, "edge", &origin, proxy.address())?;
    let (closed, _) =
        capacity(outcome, (&edge, &origin), CALLERS, stage.size(Duration::from_secs(1), Duration::from_secs(5)))?;
    let rate = closed * SHARE;
    outcome.number("requests_per_second", rate);
    let books = Books::open(&edge, &origin)?;
    let rounds = stage.size(1, 10);
    let length = EACH * 2 * u32::try_from(FAULTS.len())? * rounds + EACH;
    let names = FAULTS.map(|(name, _)| name).join(", ");
    let (tally, part) = edge.watched(outcome, &format!("{rate:.0}/s beside Redis {names}"), || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&open(edge.address, rate, length, stage.seed)));
            let mut next = Instant::now();
            for (_, fault) in std::iter::repeat_n(FAULTS, rounds as usize).flatten() {
                for fault in [Fault::default(), fault] {
                    proxy.set(fault);
                    next += EACH;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }
            proxy.set(Fault::default());
            let tally = load.join().map_err(|_| "the load panicked")??;
            let lag = tally.lag();
            Ok((tally, Some(lag)))
        })
    })?;
    part.expect_served(outcome, &tally);
    expect_prompt(&part, outcome, &tally);
    books.close_even(outcome, "load", &[&tally])?;
    let up = || proxy.passed().up.load(Ordering::SeqCst);
    let asked = up();
    let back = until(BACK, || {
        play(&open(edge.address, 20.0, Duration::from_millis(200), stage.seed))?;
        Ok(up() > asked)
    });
    outcome.count("Redis is spoken to again afterwards", back, format!("{asked} bytes before"));
    Ok(rate)
}

/// Nobody waits for Redis. A machine that stalls for a moment explains one in a thousand that are late, and not one in ten.
fn expect_prompt(part: &Part, outcome: &Notes, tally: &Tally) {
    for (name, share) in [("p90", 0.9), ("p99.9", 0.999)] {
        let what = format!("{name} at most {}: no request waits for Redis", ms(MOST));
        part.expect_quantile(outcome, &what, (tally, share), MOST);
    }
}

/// Redis on an address, with nothing kept.
#[derive(Debug)]
struct Server {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until it accepts.
    fn start(&self) -> Result<Process, Failure> {
        let Self { program, folder, address } = self;
        let mut words: Vec<OsString> = vec![program.into()];
        let port = address.port().to_string();
        words.extend(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(OsString::from));
        words.extend([OsString::from("--dir"), folder.into()]);
        let mut process = Process::start(&Program { words, core: None, log: folder.join("redis.out") })?;
        let accepts = until(STARTED, || Ok(process.lives().is_err() || TcpStream::connect(address).is_ok()));
        process.lives()?;
        if accepts { Ok(process) } else { Err("redis-server does not start".into()) }
    }
}
