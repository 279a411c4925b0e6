//! No descriptors are left: nobody new is let in, who is connected goes on, the process does not spin, and all is well once
//! others have left.
//!
//! The good clients' requests go to an upstream of their own, to which there are as many connections as they can use: a
//! gateway that cannot open another one answers `descriptors_exhausted`, which is right and not what is looked at here.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::client::Client;
use portcullis_engine::origin::Origin;

use crate::Failure;

use super::kit::{Books, Config, Edge, Stage, until};
use super::outcome::Outcome;

/// What the gateway's process may open. Half of it is for clients, by its own default.
const LIMIT: usize = 400;

/// Clients that take what they get, each with a request that the upstream does not answer: more than there is room for.
const HOGS: usize = 600;

/// Descriptors below the limit at which there are none left for a pair of connections.
const SPARE: usize = 4;

/// Clients that are connected before, ask again and again, and how often.
const GOOD: usize = 4;
const PAUSE: Duration = Duration::from_millis(10);

/// The share of a core that a gateway without descriptors may use beyond what the good clients cost it.
const CALM: f64 = 0.25;

/// Lines of its log in a second at most.
const LINES: usize = 5;

/// How long it lasts, and how long the gateway has to be well afterwards.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long somebody who comes waits for an answer.
const GIVES_UP: Duration = Duration::from_millis(400);

/// Plays.
pub(super) fn descriptors(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let (origin, good) = (Origin::start("{\"fine\":true}")?, Origin::start("{\"fine\":true}")?);
    // Without a bound of time on answers the hogs hold what they have.
    let config = Config {
        cluster: format!(", timeouts: {{ first_byte: 60s }} }}\n  good: {{ endpoints: [\"{}\"]", good.address()),
        routes: "      - { name: good, match: { path: /good }, to: good }\n      \
                 - { name: warm, match: { path: /wait/200 }, to: good }\n"
            .to_owned(),
        ..Config::to(origin.address())
    };
    let under = ["prlimit".to_owned(), format!("--nofile={LIMIT}:{LIMIT}")].map(Into::into);
    let edge = Edge::start_under(stage, "edge", &config, &under)?;
    let books = Books::open(&edge, &origin)?;
    let length = stage.size(Duration::from_secs(3), Duration::from_secs(30));
    let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (stop, asked, warm) = (&stop, &asked, &Barrier::new(GOOD + 1));
    let alone = std::thread::scope(|scope| -> Result<f64, Failure> {
        let good: Vec<_> = (0..GOOD).map(|_| scope.spawn(|| ask(edge.address, (stop, asked), warm))).collect();
        warm.wait();
        let played = starve(&edge, length, &mut outcome);
        stop.store(true, Ordering::SeqCst);
        for good in good {
            let became = good.join().map_err(|_| "a client panicked")?;
            let found = became.as_ref().map_or_else(ToString::to_string, |()| "all answered".to_owned());
            outcome.expect("who was connected before goes on", became.is_ok(), found);
        }
        played
    })?;
    outcome.number("cpu_of_good_clients", alone);
    let well = until(PATIENCE, || {
        let answer = Client::connect(edge.address)?.get("/");
        Ok(answer.is_ok_and(|answer| answer.status == 200))
    })?;
    outcome.expect(format!("afterwards new clients are served within {} s", PATIENCE.as_secs()), well, well);
    let returned = until(PATIENCE, || Ok(edge.process.descriptors()? < LIMIT / 2))?;
    outcome.expect("and what was held is given back", returned, edge.process.descriptors()?);
    let counted = edge.metric("portcullis_listener_accept_failures_total", "")?;
    outcome.expect("it is counted: portcullis_listener_accept_failures_total", counted > 0.0, counted);
    let blamed = edge.metric("portcullis_endpoint_failures_total", "")?;
    outcome.expect("no endpoint is blamed for it", blamed < 0.5, blamed);
    let own = edge.metric("portcullis_failures_total", "reason=\"descriptors_exhausted\"")?;
    outcome.number("refused_for_want_of_descriptors", own);
    let good = asked.load(Ordering::SeqCst);
    let [at_edge, at_origin] = books.since()?;
    outcome.expect(
        "the gateway has a record of every request of a good client",
        at_edge >= good,
        format!("{good} asked; with the others {at_edge} at the gateway, {at_origin} at the origin"),
    );
    Ok(outcome)
}

/// Takes all descriptors for a while. Says the share of a core that the good clients alone cost.
fn starve(edge: &Edge, length: Duration, outcome: &mut Outcome) -> Result<f64, Failure> {
    let busy = |length: Duration| -> Result<f64, Failure> {
        let before = edge.process.cpu()?.nanoseconds;
        std::thread::sleep(length);
        let spent = Duration::from_nanos(edge.process.cpu()?.nanoseconds.saturating_sub(before));
        Ok(spent.as_secs_f64() / length.as_secs_f64())
    };
    let alone = busy(Duration::from_secs(1))?;
    // The listen queue takes those that are not accepted.
    let hogs = (0..HOGS).map(|_| hog(edge.address)).collect::<Result<Vec<_>, _>>()?;
    let full = until(PATIENCE, || Ok(edge.process.descriptors()? + SPARE > LIMIT))?;
    let open = edge.process.descriptors()?;
    outcome.expect("all descriptors can be taken", full, format!("{open} of {LIMIT}"));
    let (said, start) = (failed_lines(edge)?, Instant::now());
    let starved = busy(length)?;
    outcome.expect(
        format!("it does not spin: at most {:.0} % of a core beyond the good clients' share", CALM * 100.0),
        starved - alone <= CALM,
        format!("{:.0} % and {:.0} %", starved * 100.0, alone * 100.0),
    );
    let refused = turned_away(edge.address)?;
    outcome.expect(
        "who comes now is refused or waits, and is not served by chance",
        refused != Some(200),
        match refused {
            Some(status) => format!("answered {status}"),
            None => "no answer".to_owned(),
        },
    );
    let lines = failed_lines(edge)? - said;
    let seconds = start.elapsed().as_secs_f64();
    outcome.expect("the log says it", failed_lines(edge)? > 0, format!("{} lines", failed_lines(edge)?));
    outcome.expect(
        format!("and is not flooded: at most {LINES} lines a second"),
        lines as f64 <= LINES as f64 * seconds,
        format!("{lines} in {seconds:.1} s"),
    );
    drop(hogs);
    Ok(alone)
}

/// Lines of the gateway's log that say that nobody can be accepted.
fn failed_lines(edge: &Edge) -> Result<usize, Failure> {
    Ok(edge.said()?.lines().filter(|line| line.contains("accept failed")).count())
}

/// A client that asks for what takes a minute.
fn hog(to: SocketAddr) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    // It may have been refused at once.
    drop(stream.write_all(b"GET /wait/60000 HTTP/1.1\r\nHost: load.test\r\n\r\n"));
    Ok(stream)
}

/// Asks again and again on one connection until it is told to stop. The first request that is not answered is an error.
fn ask(to: SocketAddr, (stop, asked): (&AtomicBool, &AtomicU64), warm: &Barrier) -> Result<(), Failure> {
    let mut client = Client::connect(to)?;
    // All at the same time, so that each leaves a connection upstream.
    let warmed = client.get("/wait/200");
    warm.wait();
    warmed?;
    while !stop.load(Ordering::SeqCst) {
        let answer = client.get("/good")?;
        asked.fetch_add(1, Ordering::SeqCst);
        if answer.status != 200 {
            return Err(format!("answered {}", answer.status).into());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// The status that somebody who comes now gets, if any.
fn turned_away(to: SocketAddr) -> Result<Option<u16>, Failure> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(GIVES_UP))?;
    drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: load.test\r\n\r\n"));
    let mut head = [0; 64];
    // Nothing in time, or an end.
    let Ok(count) = stream.read(&mut head) else { return Ok(None) };
    let text = String::from_utf8_lossy(head.get(..count).unwrap_or_default()).into_owned();
    Ok(text.split(' ').nth(1).and_then(|status| status.parse().ok()))
}
