//! No descriptors are left: nobody new is let in, who is connected goes on, the process does not spin, and all is well once
//! others have left.
//!
//! The good clients' requests go to an upstream of their own, to which there are as many connections as they can use: a
//! gateway that cannot open another one answers `descriptors_exhausted`, which is right and not what is looked at here.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::client::{self, Client};
use portcullis_engine::origin::Origin;

use crate::Failure;

use super::books::SETTLE;
use super::kit::{Config, Edge, Stage, until};
use super::outcome::Notes;
use super::part::during;
use super::served::Bad;

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

/// Descriptors that may stay open after all: idle connections upstream.
const LEFT: usize = 16;

/// Plays.
pub(super) fn descriptors(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let (origin, good) = (Origin::start("{\"fine\":true}")?, Origin::start("{\"fine\":true}")?);
    // Without a bound of time on answers the hogs hold what they have.
    let config = Config {
        cluster: ", timeouts: { first_byte: 60s }".to_owned(),
        clusters: format!("  good: {{ endpoints: [\"{}\"] }}\n", good.address()),
        routes: "      - { name: good, match: { path: /good }, to: good }\n      \
                 - { name: warm, match: { path: /wait/200 }, to: good }\n"
            .to_owned(),
        ..Config::to(origin.address())
    };
    let under = ["prlimit".to_owned(), format!("--nofile={LIMIT}:{LIMIT}")].map(Into::into);
    let edge = Edge::start_under(stage, "edge", &config, &under)?;
    let idle = edge.process.descriptors()?;
    let length = stage.size(Duration::from_secs(3), Duration::from_secs(30));
    let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (stop, asked, warm) = (&stop, &asked, &Barrier::new(GOOD + 1));
    let ((starved, became), part) = edge.watched(outcome, "without descriptors", || {
        std::thread::scope(|scope| {
            let good: Vec<_> = (0..GOOD).map(|_| scope.spawn(|| ask(edge.address, (stop, asked), warm))).collect();
            warm.wait();
            let starved = starve(&edge, length, outcome);
            stop.store(true, Ordering::SeqCst);
            let became: Vec<_> = good.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            Ok(((starved, became), None))
        })
    })?;
    for became in became {
        let (bad, found) = became.map_err(|_| "a client panicked")?;
        part.expect_none(outcome, "who was connected before goes on", bad, &found);
    }
    let Some(alone) = starved? else { return Ok(()) };
    outcome.number("cpu_of_good_clients", alone);
    let served = || until(PATIENCE, || Ok(Client::patient(edge.address, PATIENCE)?.get("/")?.status == 200));
    let (well, part) = during(&[&edge], "afterwards", served)?;
    let what = format!("afterwards new clients are served within {} s", PATIENCE.as_secs());
    outcome.timing(part.excuse_for(PATIENCE), what, well, well);
    let most = idle + LEFT;
    until(PATIENCE, || Ok(edge.process.descriptors()? <= most));
    let left = edge.process.descriptors()?;
    outcome.resource(
        "and what was held is given back but for idle connections upstream",
        left <= most,
        format!("{left} of {LIMIT}, {idle} before"),
    );
    let counted = edge.metric("portcullis_listener_accept_failures_total", "")?;
    outcome.count("it is counted: portcullis_listener_accept_failures_total", counted > 0.0, counted);
    let own = edge.refused_for("reason=\"descriptors_exhausted\"")?;
    outcome.count("who needs another connection upstream is told descriptors_exhausted", own > 0, own);
    // Those that held the descriptors leave without their answers.
    let failures = |labels: &str| edge.metric("portcullis_endpoint_failures_total", labels);
    let blamed = failures("")? - failures("reason=\"client_closed\"")?;
    outcome.count("no endpoint is blamed for it", blamed < 0.5, blamed);
    let [sent, warmed] = [asked.load(Ordering::SeqCst), GOOD as u64];
    let books =
        || -> Result<[u64; 3], Failure> { Ok([edge.requests_of("good")?, edge.requests_of("warm")?, good.requests()]) };
    until(SETTLE, || Ok(books()? == [sent, warmed, sent + warmed]));
    let found @ [at_edge, warm_at_edge, at_origin] = books()?;
    outcome.count(
        "good clients: the books of client, gateway and origin agree",
        found == [sent, warmed, sent + warmed],
        format!(
            "{sent} and {warmed} at the client; {} and {} at the gateway, {} at the origin",
            at_edge, warm_at_edge, at_origin
        ),
    );
    Ok(())
}

/// Takes all descriptors for a while. Says the share of a core that the good clients alone cost; `None` where not all could be
/// taken, so that nothing is shown.
fn starve(edge: &Edge, length: Duration, outcome: &Notes) -> Result<Option<f64>, Failure> {
    let busy = |length: Duration| -> Result<f64, Failure> {
        let before = edge.process.cpu()?.nanoseconds;
        std::thread::sleep(length);
        let spent = Duration::from_nanos(edge.process.cpu()?.nanoseconds.saturating_sub(before));
        Ok(spent.as_secs_f64() / length.as_secs_f64())
    };
    let alone = busy(Duration::from_secs(1))?;
    // The listen queue takes those that are not accepted.
    let hogs = (0..HOGS).map(|_| hog(edge.address)).collect::<Result<Vec<_>, _>>()?;
    let taking = || until(PATIENCE, || Ok(edge.process.descriptors()? + SPARE > LIMIT));
    let (full, part) = during(&[edge], "taking", taking)?;
    let open = edge.process.descriptors()?;
    outcome.timing(part.excuse_for(PATIENCE), "all descriptors can be taken", full, format!("{open} of {LIMIT}"));
    if !full {
        return Ok(None);
    }
    let (said, start) = (failed_lines(edge)?, Instant::now());
    let starved = busy(length)?;
    outcome.resource(
        format!("it does not spin: at most {:.0} % of a core beyond the good clients' share", CALM * 100.0),
        starved - alone <= CALM,
        format!("{:.0} % and {:.0} %", starved * 100.0, alone * 100.0),
    );
    let refused = turned_away(edge.address)?;
    outcome.count(
        "who comes now is refused or waits, and is not served by chance",
        refused != Some(200),
        match refused {
            Some(status) => format!("answered {status}"),
            None => "no answer".to_owned(),
        },
    );
    let lines = failed_lines(edge)? - said;
    let seconds = start.elapsed().as_secs_f64();
    outcome.count("the log says it", failed_lines(edge)? > 0, format!("{} lines", failed_lines(edge)?));
    outcome.count(
        format!("and is not flooded: at most {LINES} lines a second"),
        lines as f64 <= LINES as f64 * seconds,
        format!("{lines} in {seconds:.1} s"),
    );
    drop(hogs);
    Ok(Some(alone))
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

/// Asks again and again on one connection until it is told to stop, or is not answered by 200. Says what was bad, in words too.
fn ask(to: SocketAddr, (stop, asked): (&AtomicBool, &AtomicU64), warm: &Barrier) -> (Bad, String) {
    let mut client = Client::patient(to, PATIENCE);
    let mut get = |path: &str| {
        client.as_mut().map_err(|failure| failure.to_string())?.get(path).map_err(|failure| {
            let late = failure
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
            if late { LATE.to_owned() } else { failure.to_string() }
        })
    };
    // All at the same time, so that each leaves a connection upstream. Who waits for all of them must not wait for ever.
    let mut last = get("/wait/200");
    warm.wait();
    while matches!(&last, Ok(answer) if answer.status == 200) && !stop.load(Ordering::SeqCst) {
        last = get("/good");
        asked.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    match last {
        Ok(answer) if answer.status == 200 => (Bad::default(), "all answered".to_owned()),
        Ok(answer) => {
            let refused = u64::from(answer.status == 503);
            (Bad { refused, wrong: 1 - refused, late: 0 }, format!("answered {}", answer.status))
        }
        Err(why) => {
            let late = u64::from(why == LATE);
            (Bad { late, wrong: 1 - late, refused: 0 }, why)
        }
    }
}

const LATE: &str = "no answer in time";

/// The status that somebody who comes now gets, if any.
fn turned_away(to: SocketAddr) -> Result<Option<u16>, Failure> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(GIVES_UP))?;
    drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: load.test\r\n\r\n"));
    let mut head = [0; 64];
    // Nothing in time, or an end.
    let Ok(count) = stream.read(&mut head) else { return Ok(None) };
    Ok(client::status(head.get(..count).unwrap_or_default()))
}
