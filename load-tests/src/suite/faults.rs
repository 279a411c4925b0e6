//! Upstreams that reset, hang, are slow, close early, answer 5xx: each failure is answered, and all is well afterwards.

use std::time::{Duration, Instant};

use portcullis_engine::fault::{Fault, FaultProxy, Harm};
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::Kind;
use portcullis_engine::tally::Tally;

use crate::Failure;

use super::kit::{Books, Config, Edge, Stage, ms, open, play, told, watched};
use super::outcome::Outcome;

/// When a fault begins, how long it lasts, and when its consequences must have ended.
const BEFORE: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(1);
const WELL: Duration = Duration::from_secs(3);
const LENGTH: Duration = Duration::from_secs(5);

/// What a delay of the fault proxy is, in each direction.
const DELAY: Duration = Duration::from_millis(40);

/// Requests a second.
const RATE: f64 = 200.0;

/// A way to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Resets,
    HalfCloses,
    Hangs,
    Slow,
    Errors,
}

impl Trouble {
    const ALL: [Self; 5] = [Self::Resets, Self::HalfCloses, Self::Hangs, Self::Slow, Self::Errors];

    const fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::HalfCloses => "half-closes",
            Self::Hangs => "hangs",
            Self::Slow => "slow",
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
            Self::Errors => origin.answer_with(500),
        }
    }
}

/// Plays.
pub(super) fn faults(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    for (seed, trouble) in (stage.seed..).zip(Trouble::ALL) {
        play_one(stage, trouble, seed, &mut outcome)?;
    }
    Ok(outcome)
}

fn play_one(stage: &Stage, trouble: Trouble, seed: u64, outcome: &mut Outcome) -> Result<(), Failure> {
    let name = trouble.name();
    let origin = Origin::start("{\"fine\":true}")?;
    let proxy = FaultProxy::start(origin.address())?;
    // One endpoint cannot be told from others; that it is left is another test's.
    let cluster = ", timeouts: { connect: 500ms, first_byte: 400ms, total: 1s }".to_owned();
    let edge = Edge::start(stage, name, &Config { cluster, ..Config::to(proxy.address()) })?;
    let books = Books::open(&edge, &origin)?;
    let tally = watched(outcome, name, || {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&open(edge.address, RATE, LENGTH, seed)));
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
    check(trouble, &tally, outcome);
    let sent = tally.all.sent();
    let [at_edge, at_origin] = {
        let found = super::kit::until(Duration::from_secs(5), || Ok(books.since()?.first() == Some(&sent)))?;
        let since = books.since()?;
        let [at_edge, _] = since;
        outcome.expect(format!("{name}: client and gateway count the same"), found, format!("{sent} and {at_edge}"));
        since
    };
    // What was tried again, or never got through, makes the difference.
    outcome.number(&format!("{name}.at_origin"), at_origin);
    let fine = tally.all.succeeded;
    outcome.expect(
        format!("{name}: whoever succeeded was at the origin"),
        at_origin >= fine,
        format!("{fine} succeeded, {at_origin} at the origin, {at_edge} at the gateway"),
    );
    Ok(())
}

fn check(trouble: Trouble, tally: &Tally, outcome: &mut Outcome) {
    let name = trouble.name();
    let status = tally.all.failed.get(&Kind::Status).copied().unwrap_or_default();
    outcome.number(&format!("{name}.failed"), tally.all.failures());
    let late = tally.failed.iter().filter(|failed| failed.planned >= WELL).count();
    let early = tally.failed.iter().filter(|failed| failed.planned + LASTS < BEFORE).count();
    outcome.expect(
        format!("{name}: a second after the fault all is well, and before it all was"),
        late + early == 0,
        format!("{late} failed afterwards, {early} before"),
    );
    let criterion = format!("{name}: every failure is answered, none is a closed connection or a silence");
    let unanswered = tally.all.failures() - status;
    // A machine that is busy does not pick the moment of the fault.
    if unanswered > status && late + early == 0 {
        outcome.insist(criterion, false, told(tally));
    } else {
        outcome.expect(criterion, unanswered == 0, told(tally));
    }
    let longest = tally.quantile(0.999).unwrap_or(tally.longest());
    outcome.number(&format!("{name}.p999_ms"), longest.as_secs_f64() * 1e3);
    match trouble {
        Trouble::Slow => {
            let longest = tally.longest();
            outcome.expect(
                format!("{name}: nothing fails, and the delay shows"),
                status == 0 && longest >= DELAY * 2,
                ms(longest),
            );
        }
        Trouble::Errors => {
            let all_500 = tally.failed.iter().all(|failed| failed.status == Some(500));
            outcome.expect(
                format!("{name}: the fault shows, by the origin's own status"),
                status > 0 && all_500,
                status,
            );
        }
        Trouble::Hangs | Trouble::Resets | Trouble::HalfCloses => {
            let gateways = tally.failed.iter().all(|failed| matches!(failed.status, Some(502..=504)));
            outcome.expect(format!("{name}: the fault shows, as 502 to 504"), status > 0 && gateways, status);
        }
    }
}
