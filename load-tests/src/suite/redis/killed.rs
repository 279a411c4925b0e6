//! Redis itself is killed under load, its port closed and its memory gone, and is started again on the same port: nobody waits for it,
//! and the new one is spoken to.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use portcullis_engine::origin::Origin;
use portcullis_engine::process::{Process, end};

use crate::Failure;

use super::super::books::Books;
use super::super::kit::{Stage, closed, open, play, until};
use super::super::outcome::Notes;
use super::{BACK, CALLERS, EACH, Server, edge_before, expect_prompt};

/// What Redis counts of the gateway: a script that it is asked to run.
const ASKED: &str = "cmdstat_evalsha:";

/// How long the closed loop is that warms up.
const WARM: Duration = Duration::from_millis(500);

/// How long Redis may take for an answer to the scene.
const PATIENCE: Duration = Duration::from_secs(5);

/// Plays, at a rate. Hands back the Redis that runs in the end.
pub(super) fn killed(
    stage: &Stage,
    server: &Server,
    redis: Process,
    rate: f64,
    outcome: &Notes,
) -> Result<Process, Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    // Without the fault proxy: who asks for a closed port is to be refused by the kernel.
    let edge = edge_before(stage, "killed", &origin, server.address)?;
    let books = Books::open(&edge, &origin)?;
    // Connections are made before it counts.
    let (warm, warming) = edge.play(outcome, "killed, warm-up", &closed(edge.address, CALLERS, WARM))?;
    warming.expect_served(outcome, &warm);
    let rounds = stage.size(1, 5);
    let length = EACH * (2 * rounds + 1);
    let what = format!("{rate:.0}/s beside Redis killed and started again");
    let ((tally, redis, seen), part) = edge.watched(outcome, &what, || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&open(edge.address, rate, length, stage.seed)));
            // In this thread: what it starts ends with it.
            let killed = kill(server, redis, rounds);
            let tally = load.join().map_err(|_| "the load panicked")??;
            let (redis, seen) = killed?;
            let lag = tally.lag();
            Ok(((tally, redis, seen), Some(lag)))
        })
    })?;
    part.expect_served(outcome, &tally);
    part.keep(outcome, &tally);
    expect_prompt(&part, outcome, &tally);
    books.close_even(outcome, "killed", &[&warm, &tally])?;
    seen.judge(outcome);
    let again = until(BACK, || {
        play(&open(edge.address, 20.0, Duration::from_millis(200), stage.seed))?;
        Ok(asked(server.address)? > 0)
    });
    outcome.count("Redis is spoken to again after it was killed", again, format!("{rounds} times killed"));
    Ok(redis)
}

/// What the scene saw of Redis, of all rounds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Scripts that the first Redis was asked for before it was killed.
    before: u64,
    /// Times that its port was found closed.
    closed: u32,
    /// Times that it was killed.
    killed: u32,
}

impl Seen {
    /// A gateway that never spoke to Redis, or one whose Redis was never gone, shows nothing.
    fn judge(self, outcome: &Notes) {
        let Self { before, closed, killed } = self;
        outcome.count("Redis is spoken to before it is killed", before > 0, format!("{before} scripts"));
        if closed < killed || killed == 0 {
            outcome.invalidate(&format!("Redis was killed {killed} times, and its port was closed {closed} times"));
        }
    }
}

/// Kills Redis and starts it again, so often, at equal distances.
fn kill(server: &Server, mut redis: Process, rounds: u32) -> Result<(Process, Seen), Failure> {
    let mut next = Instant::now();
    let mut pause = || {
        next += EACH;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    };
    let mut seen = Seen { before: 0, closed: 0, killed: 0 };
    for round in 0..rounds {
        pause();
        if round == 0 {
            seen.before = asked(server.address)?;
        }
        end(redis.id())?;
        // Waits for its end.
        drop(redis);
        seen.killed += 1;
        seen.closed += u32::from(is_closed(server.address));
        pause();
        redis = server.start()?;
    }
    Ok((redis, seen))
}

fn is_closed(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// How many scripts this Redis ran that it was asked for.
fn asked(redis: SocketAddr) -> Result<u64, Failure> {
    let mut stream = TcpStream::connect(redis)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // It ends the connection when it has answered both.
    stream.write_all(b"INFO commandstats\r\nQUIT\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if text.starts_with('$') { Ok(scripts(&text)) } else { Err(format!("Redis answers {text}").into()) }
}

/// The count in what it tells of its commands, without those that failed: a Redis that is new knows no script until it is loaded. A
/// command that nobody sent is not told.
fn scripts(info: &str) -> u64 {
    let Some(told) = info.lines().find_map(|line| line.strip_prefix(ASKED)) else { return 0 };
    let count = |name: &str| {
        told.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok()).unwrap_or(0)
    };
    count("calls").saturating_sub(count("failed_calls"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::super::outcome::Status;
    use super::*;

    #[test]
    fn scripts_are_counted_and_what_nobody_sent_is_none() {
        let info = "$99\r\n# Commandstats\r\ncmdstat_script|load:calls=2,usec=9\r\n\
                    cmdstat_evalsha:calls=41,usec=900,usec_per_call=21.95,rejected_calls=0,failed_calls=0\r\n\r\n+OK\r\n";
        assert_eq!(scripts(info), 41);
        let failed = "cmdstat_evalsha:calls=5,usec=9,usec_per_call=1.80,rejected_calls=0,failed_calls=5\r\n";
        assert_eq!(scripts(failed), 0, "it knows none of them");
        assert_eq!(scripts("$30\r\n# Commandstats\r\ncmdstat_ping:calls=3,usec=2\r\n"), 0);
    }

    #[test]
    fn a_gateway_that_never_asked_has_failed_and_a_redis_that_was_never_gone_shows_nothing() {
        for (before, closed, killed, status) in [
            (9, 5, 5, Status::Passed),
            (0, 5, 5, Status::Failed),
            (9, 4, 5, Status::Invalid),
            (9, 0, 0, Status::Invalid),
        ] {
            let notes = Notes::default();
            Seen { before, closed, killed }.judge(&notes);
            assert_eq!(notes.outcome().status(), status, "{before} {closed} {killed}");
        }
    }

    #[test]
    fn a_port_is_closed_when_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_closed(address));
        drop(listener);
        assert!(is_closed(address));
    }
}
