//! Redis slow, gone and back: no request waits for it, none is refused that has tokens, and it is found again.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis_engine::fault::{Fault, FaultProxy, Harm};
use portcullis_engine::origin::Origin;
use portcullis_engine::process::{Process, Program, find, free_address};

use crate::Failure;

use super::kit::{Books, Config, Edge, Stage, capacity, ms, open, play, told, until, watched};
use super::outcome::Outcome;

/// Faults one after the other, each for a second and a half.
const FAULTS: [(&str, Fault); 3] = [
    ("slow", Fault { latency: Duration::from_millis(400), bandwidth: None, harm: Harm::None }),
    ("black hole", Fault { latency: Duration::ZERO, bandwidth: None, harm: Harm::BlackHole }),
    ("resets", Fault { latency: Duration::ZERO, bandwidth: None, harm: Harm::Reset { after: 0 } }),
];
const EACH: Duration = Duration::from_millis(1500);

/// The share of a closed loop's rate that is sent: at the peak, and with room for what Redis itself takes of the tool's core.
const SHARE: f64 = 0.4;

/// Who waits for Redis waits at least for its timeout, which is 100 ms.
const MOST: Duration = Duration::from_millis(90);

/// Plays.
pub(super) fn redis(stage: &Stage) -> Result<Outcome, Failure> {
    let Some(program) = find("redis-server") else {
        return Ok(Outcome::invalid("redis-server is not installed: scripts/setup test"));
    };
    let mut outcome = Outcome::default();
    let address = free_address()?;
    let _redis = serve(program, stage, address)?;
    if !until(Duration::from_secs(20), || Ok(TcpStream::connect(address).is_ok()))? {
        return Ok(Outcome::invalid("redis-server does not start"));
    }
    let (origin, proxy) = (Origin::start("{\"fine\":true}")?, FaultProxy::start(address)?);
    let top = format!(
        "store: {{ redis: {{ url: \"redis://{}\", timeout: 100ms }} }}\nplans:\n  shared: {{ rate: 1000000/s, gateways: shared }}\n",
        proxy.address()
    );
    let host = "    filters: [{ anonymous: { plan: shared, by: address } }, caps]\n".to_owned();
    let edge = Edge::start(stage, "edge", &Config { top, host, ..Config::to(origin.address()) })?;
    let (closed, _) = capacity(&edge, 32, stage.size(Duration::from_secs(1), Duration::from_secs(5)))?;
    let rate = closed * SHARE;
    outcome.number("requests_per_second", rate);
    let (books, turns) = (Books::open(&edge, &origin)?, edge.turns()?);
    let rounds = stage.size(1, 10);
    let length = EACH * 2 * u32::try_from(FAULTS.len())? * rounds + EACH;
    let tally = watched(&mut outcome, "load", || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&open(edge.address, rate, length, stage.seed)));
            let start = Instant::now();
            let mut next = start;
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
    if let Some(why) = edge.kept_out(&turns, length)? {
        outcome.excuse(&why);
    }
    let names = FAULTS.map(|(name, _)| name).join(", ");
    outcome.expect(
        format!("{rate:.0} requests/s: nothing fails, nothing is refused ({names})"),
        tally.all.succeeded == tally.all.sent(),
        told(&tally),
    );
    let p999 = tally.quantile(0.999).unwrap_or(Duration::MAX);
    outcome.expect(format!("p99.9 at most {}: no request waits for Redis", ms(MOST)), p999 <= MOST, ms(p999));
    let asked = proxy.passed().up.load(std::sync::atomic::Ordering::SeqCst);
    let back = until(Duration::from_secs(15), || {
        play(&open(edge.address, 20.0, Duration::from_millis(200), stage.seed))?;
        Ok(proxy.passed().up.load(std::sync::atomic::Ordering::SeqCst) > asked)
    })?;
    outcome.expect("Redis is spoken to again afterwards", back, format!("{asked} bytes before"));
    let [at_edge, at_origin] = books.since()?;
    outcome.expect(
        "the books of gateway and origin agree",
        at_edge == at_origin && at_edge >= tally.all.sent(),
        format!(
            "{} at the client and a few more, {at_edge} at the gateway, {at_origin} at the origin",
            tally.all.sent()
        ),
    );
    Ok(outcome)
}

/// Starts Redis on an address, with nothing kept.
fn serve(program: PathBuf, stage: &Stage, address: SocketAddr) -> Result<Process, Failure> {
    let mut words: Vec<OsString> = vec![program.into()];
    let port = address.port().to_string();
    words.extend(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(OsString::from));
    words.extend([OsString::from("--dir"), stage.folder.clone().into()]);
    Process::start(&Program { words, core: None, log: stage.folder.join("redis.out") })
}
