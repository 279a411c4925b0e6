//! Upstreams that reset, hang, are slow, close early, answer 5xx, or whose bodies come slowly: each failure is answered, and all is
//! well afterwards.

use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::{Load, Source};
use portcullis_engine::fault::{Fault, FaultProxy, Harm};
use portcullis_engine::origin::Origin;
use portcullis_engine::origin::pattern::Pattern;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_engine::tally::{Failed, Tally};

use crate::Failure;

use super::books::{Books, SETTLE};
use super::kit::{Config, Edge, Stage, ms, open, play, play_of, until};
use super::outcome::Notes;
use super::part::Part;
use super::served::{Bad, told};

/// When a fault begins, how long it lasts, and when its consequences must have ended.
const BEFORE: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(1);
const WELL: Duration = Duration::from_secs(3);
const LENGTH: Duration = Duration::from_secs(5);

/// What a delay of the fault proxy is, in each direction.
const DELAY: Duration = Duration::from_millis(40);

/// How long the gateway waits for an upstream's answer.
const FIRST_BYTE: Duration = Duration::from_millis(400);

/// Bytes of a body that comes slowly, and the bandwidth of its connection: it takes a fifth of a second.
const BODY: u64 = 20_000;
const NARROW: u64 = 100_000;

/// Requests a second.
const RATE: f64 = 200.0;

/// A way to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Resets,
    HalfCloses,
    Hangs,
    Slow,
    /// Bodies come slowly.
    SlowBodies,
    Errors,
}

impl Trouble {
    const ALL: [Self; 6] = [Self::Resets, Self::HalfCloses, Self::Hangs, Self::Slow, Self::SlowBodies, Self::Errors];

    const fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::HalfCloses => "half-closes",
            Self::Hangs => "hangs",
            Self::Slow => "slow",
            Self::SlowBodies => "slow bodies",
            Self::Errors => "5xx",
        }
    }

    fn begin(self, proxy: &FaultProxy, origin: &Origin) {
        let harm = |harm| Fault { harm, ..Fault::default() };
        match self {
            // Within the head of an answer.
            Self::Resets => proxy.set(harm(Harm::Reset { after: 20 })),
            Self::HalfCloses => proxy.set(harm(Harm::HalfClose { after: 20 })),
            Self::Hangs => proxy.set(harm(Harm::BlackHole)),
            Self::Slow => proxy.set(Fault { latency: DELAY, ..Fault::default() }),
            Self::SlowBodies => proxy.set(Fault { bandwidth: Some(NARROW), ..Fault::default() }),
            Self::Errors => origin.answer_with(500),
        }
    }

    /// Whether it keeps no attempt from the origin.
    const fn lets_arrive(self) -> bool {
        matches!(self, Self::Slow | Self::SlowBodies | Self::Errors)
    }

    fn play(self, load: &Load<'_>) -> Result<Tally, Failure> {
        match self {
            Self::SlowBodies => play_of(load, &mut Bodies(Pattern::first(BODY))),
            Self::Resets | Self::HalfCloses | Self::Hangs | Self::Slow | Self::Errors => play(load),
        }
    }
}

/// GETs of a body that is known.
#[derive(Debug)]
struct Bodies(Vec<u8>);

impl Source for Bodies {
    fn write(&mut self, _: u64, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(format!("GET /bytes/{} HTTP/1.1\r\nHost: load.test\r\n\r\n", self.0.len()).as_bytes());
        0
    }

    fn looks(&self, _: usize) -> bool {
        true
    }

    fn judge(&mut self, _: usize, _: u64, answer: &Answer<'_>) -> Became {
        match answer.status {
            200 if answer.body == self.0 => Became::Succeeded,
            200 => Became::Failed(Kind::Mismatch),
            _ => Became::Failed(Kind::Status),
        }
    }
}

/// Plays.
pub(super) fn faults(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    for (seed, trouble) in (stage.seed..).zip(Trouble::ALL) {
        play_one(stage, trouble, seed, outcome)?;
    }
    Ok(())
}

fn play_one(stage: &Stage, trouble: Trouble, seed: u64, outcome: &Notes) -> Result<(), Failure> {
    let name = trouble.name();
    let origin = Origin::start("{\"fine\":true}")?;
    let proxy = FaultProxy::start(origin.address())?;
    // One endpoint cannot be told from others; that it is left is another test's.
    let first_byte = FIRST_BYTE.as_millis();
    let cluster = format!(", timeouts: {{ connect: 500ms, first_byte: {first_byte}ms, total: 1s }}");
    let edge = Edge::start(stage, name, &Config { cluster, ..Config::to(proxy.address()) })?;
    let books = Books::open(&edge, &origin)?;
    let (tally, part) = edge.watched(outcome, name, || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| trouble.play(&open(edge.address, RATE, LENGTH, seed)));
            let start = Instant::now();
            let sleep = |until: Duration| std::thread::sleep((start + until).saturating_duration_since(Instant::now()));
            sleep(BEFORE);
            trouble.begin(&proxy, &origin);
            sleep(BEFORE + LASTS);
            proxy.set(Fault::default());
            origin.answer_with(0);
            let tally = load.join().map_err(|_| "the load panicked")??;
            let lag = tally.lag();
            Ok((tally, Some(lag)))
        })
    })?;
    check(trouble, (&tally, &part), outcome);
    let (sent, fine) = (tally.all.sent(), tally.all.succeeded);
    // Who gave up may not have come to the gateway.
    let unsure = tally.failed.iter().filter(|failed| failed.status.is_none()).count() as u64;
    let arrived = |attempts: u64, at_origin: u64| {
        if trouble.lets_arrive() { at_origin == attempts } else { at_origin <= attempts }
    };
    until(SETTLE, || {
        let [at_edge, at_origin] = books.since()?;
        Ok(at_edge == sent && arrived(books.attempts()?, at_origin))
    });
    let [at_edge, at_origin] = books.since()?;
    outcome.count(
        format!("{name}: client and gateway count the same"),
        at_edge <= sent && at_edge + unsure >= sent,
        format!("{sent} and {at_edge}"),
    );
    // What was tried again is an attempt more. What the fault swallows is one that does not arrive.
    outcome.number(&format!("{name}.at_origin"), at_origin);
    let attempts = books.attempts()?;
    let what = if trouble.lets_arrive() {
        "every attempt is at the origin"
    } else {
        "the origin has no more than was attempted"
    };
    outcome.count(
        format!("{name}: {what}"),
        arrived(attempts, at_origin) && attempts <= at_edge + books.retries()?,
        format!("{attempts} attempts for {at_edge} requests, {at_origin} at the origin"),
    );
    outcome.count(
        format!("{name}: whoever succeeded was at the origin"),
        at_origin >= fine,
        format!("{fine} succeeded, {at_origin} at the origin, {at_edge} at the gateway"),
    );
    Ok(())
}

fn check(trouble: Trouble, (tally, part): (&Tally, &Part), outcome: &Notes) {
    let outside = |failed: &&Failed| failed.planned >= WELL || failed.planned + LASTS < BEFORE;
    let count = tally.failed.iter().filter(outside).count();
    let upstream = part.within(FIRST_BYTE);
    upstream.expect_none(
        outcome,
        "a second after the fault all is well, and before it all was",
        Bad::among(tally.failed.iter().filter(outside)),
        &format!("{count} failed then"),
    );
    let (answered, unanswered): (Vec<&Failed>, Vec<&Failed>) =
        tally.failed.iter().partition(|failed| failed.status.is_some());
    part.expect_none(
        outcome,
        "every failure is answered, none is a closed connection or a silence",
        Bad::among(unanswered.into_iter()),
        &told(tally),
    );
    let refused = Bad { refused: tally.all.refused, ..Bad::default() };
    part.expect_none(outcome, "nothing is refused", refused, &told(tally));
    let longest = tally.quantile(0.999).unwrap_or(tally.longest());
    outcome.number(&format!("{}.failed", part.name), tally.all.failures());
    outcome.number(&format!("{}.p999_ms", part.name), longest.as_secs_f64() * 1e3);
    // What the fault itself makes of a request. 504 is also what a gateway says whose upstream the machine kept from its core.
    let (what, expected): (_, &[u16]) = match trouble {
        Trouble::Slow | Trouble::SlowBodies => ("nothing fails, and what comes is whole", &[]),
        Trouble::Errors => ("who fails has the origin's own status", &[500]),
        Trouble::Hangs | Trouble::Resets | Trouble::HalfCloses => {
            ("who fails is answered 502 to 504", &[502, 503, 504])
        }
    };
    let is_expected = |failed: &&Failed| {
        failed.kind == Kind::Status && failed.status.is_some_and(|status| expected.contains(&status))
    };
    let (shown, others): (Vec<&Failed>, Vec<&Failed>) = answered.into_iter().partition(is_expected);
    upstream.expect_none(outcome, what, Bad::among(others.into_iter()), &told(tally));
    let (shows, found) = match trouble {
        Trouble::Slow => (tally.longest() >= DELAY * 2, ms(tally.longest())),
        Trouble::SlowBodies => (tally.longest() >= narrow(NARROW) * 4 / 5, ms(tally.longest())),
        Trouble::Errors | Trouble::Hangs | Trouble::Resets | Trouble::HalfCloses => {
            (!shown.is_empty(), shown.len().to_string())
        }
    };
    // A load of which nothing was answered in time shows nothing.
    outcome.timing(part.excuse_for_silence(), format!("{}: the fault shows", part.name), shows, found);
}

/// How long a body takes at a bandwidth.
fn narrow(bandwidth: u64) -> Duration {
    Duration::from_secs_f64(BODY as f64 / bandwidth as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;

    /// What becomes of a fault by which these failed, at a millisecond each, on a machine that took so much.
    fn status(trouble: Trouble, failed: &[(u64, Option<u16>, Kind)], kept_out: u64) -> Status {
        let mut tally = Tally::new(Duration::from_millis(50), Duration::ZERO).unwrap();
        (0..1000).for_each(|n| tally.answered(Duration::from_millis(n), narrow(NARROW)));
        for &(planned, status, kind) in failed {
            tally.failed(Failed { id: 1, planned: Duration::from_millis(planned), status, kind });
        }
        let (notes, part) = (Notes::default(), Part::fixture(LENGTH, Duration::from_millis(kept_out), 0));
        check(trouble, (&tally, &part), &notes);
        notes.outcome().status()
    }

    #[test]
    fn a_cut_is_a_failure_and_a_silence_may_be_the_machines() {
        let answered = (1500, Some(502), Kind::Status);
        for (trouble, failed, kept_out, expected) in [
            (Trouble::Resets, vec![answered], 0, Status::Passed),
            (Trouble::Resets, vec![answered, (1500, None, Kind::Reset)], 5000, Status::Failed),
            (Trouble::Resets, vec![answered, (1500, None, Kind::Timeout)], 5000, Status::Invalid),
            (Trouble::Resets, vec![answered, (1500, None, Kind::Timeout)], 0, Status::Failed),
            (Trouble::Resets, vec![answered, (1500, Some(500), Kind::Status)], 5000, Status::Failed),
            (Trouble::Resets, vec![answered, (4000, Some(502), Kind::Status)], 5000, Status::Failed),
            (Trouble::Hangs, vec![], 0, Status::Failed),
            (Trouble::Hangs, vec![], 5000, Status::Invalid),
            (Trouble::Slow, vec![], 0, Status::Passed),
            (Trouble::Slow, vec![(1500, Some(504), Kind::Status)], 0, Status::Failed),
            (Trouble::Slow, vec![(1500, Some(504), Kind::Status)], 200, Status::Invalid),
            (Trouble::SlowBodies, vec![], 0, Status::Passed),
            (Trouble::SlowBodies, vec![(1500, None, Kind::Reset)], 5000, Status::Failed),
            (Trouble::SlowBodies, vec![(1500, Some(200), Kind::Mismatch)], 5000, Status::Failed),
            (Trouble::Errors, vec![(1500, Some(500), Kind::Status)], 0, Status::Passed),
            (Trouble::Errors, vec![(1500, None, Kind::Reset)], 5000, Status::Failed),
        ] {
            assert_eq!(status(trouble, &failed, kept_out), expected, "{trouble:?} {failed:?} {kept_out}");
        }
    }
}
