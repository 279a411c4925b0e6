//! Two gateways that share a small cap, before a Redis that goes and comes back: however much they are asked, all that they let in
//! together is the cap, and what each may be ahead of the other.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::fault::{Fault, FaultProxy, Harm};
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_engine::tally::Tally;

use crate::Failure;

use super::super::books::SETTLE;
use super::super::kit::{Config, Edge, Stage, ms, open, play_of, until};
use super::super::outcome::Notes;
use super::super::part::{Part, watched};
use super::super::served::{Bad, told};
use super::MOST;

/// What one caller may do at all gateways together.
const RATE: u32 = 20;
const BURST: u32 = 20;

/// What one gateway may be ahead of the others: the most that it holds, and what it may spend before it hears of them.
const HELD: u32 = 10;
const OVERDRAFT: u32 = 5;
const LEASE: u32 = HELD + OVERDRAFT;

const GATEWAYS: u32 = 2;

/// Requests a second of each plan at each gateway: six times what both may let in together.
const ASKED: f64 = 60.0;

/// Redis is there, is gone, and is back, for so long.
const THERE: Duration = Duration::from_millis(2500);
const GONE: Duration = Duration::from_secs(5);
const BACK: Duration = Duration::from_secs(4);

/// What was on its way when Redis went has arrived.
const ARRIVED: Duration = Duration::from_millis(300);

/// The share of the cap that gateways by themselves must still let in together: less the second until they notice.
const STILL: f64 = 0.5;

/// What holds of a cap while Redis is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// Each gateway lets in its part.
    LocalShare,
    /// None lets in more than it has drawn.
    Refuse,
}

impl Outage {
    const ALL: [Self; 2] = [Self::LocalShare, Self::Refuse];

    const fn name(self) -> &'static str {
        match self {
            Self::LocalShare => "local_share",
            Self::Refuse => "refuse",
        }
    }
}

/// Of three spans of time: before Redis goes, while it is gone, and when it is back.
type Admitted = [u64; 3];

/// Requests of one caller, counted by when they were let in.
struct Counting<'a> {
    target: &'static str,
    now: &'a AtomicUsize,
    admitted: Admitted,
}

impl Source for Counting<'_> {
    fn write(&mut self, _: u64, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(format!("GET /{} HTTP/1.1\r\nHost: load.test\r\n\r\n", self.target).as_bytes());
        0
    }

    fn judge(&mut self, _: usize, _: u64, answer: &Answer<'_>) -> Became {
        match answer.status {
            200 => {
                if let Some(admitted) = self.admitted.get_mut(self.now.load(Ordering::SeqCst)) {
                    *admitted += 1;
                }
                Became::Succeeded
            }
            429 => Became::Refused,
            _ => Became::Failed(Kind::Status),
        }
    }
}

fn config(origin: SocketAddr, redis: SocketAddr) -> Config {
    let mut top =
        format!("store: {{ redis: {{ url: \"redis://{redis}\", timeout: 100ms, prefix: shared }} }}\nplans:\n");
    let mut routes = String::new();
    for name in Outage::ALL.map(Outage::name) {
        top.push_str(&format!(
            "  {name}: {{ rate: {RATE}/s, burst: {BURST}, gateways: {{ most: {HELD}, overdraft: {OVERDRAFT} }}, outage: {name} }}\n"
        ));
        routes.push_str(&format!(
            "      - {{ name: {name}, match: {{ path: /{name} }}, filters: [{{ anonymous: {{ plan: {name}, by: address }} }}, caps], to: origin }}\n"
        ));
    }
    Config { top, routes, ..Config::to(origin) }
}

/// Plays.
pub(super) fn caps(stage: &Stage, redis: SocketAddr, outcome: &Notes) -> Result<(), Failure> {
    let (origin, proxy) = (Origin::start("{\"fine\":true}")?, FaultProxy::start(redis)?);
    let config = config(origin.address(), proxy.address());
    let edges = [Edge::start(stage, "one", &config)?, Edge::start(stage, "other", &config)?];
    let ((played, took), part) = watched(&edges.each_ref(), outcome, "a shared cap", || {
        let start = Instant::now();
        let played = play(stage, &edges, &proxy)?;
        Ok(((played, start.elapsed()), None))
    })?;
    let (mut sent, mut let_in, mut late) = (0, 0, 0);
    for outage in Outage::ALL {
        let (mut admitted, mut refused) = (Admitted::default(), 0);
        for (of, tally, by) in played.iter().filter(|(of, ..)| *of == outage) {
            let what = format!("{}: nothing fails", of.name());
            part.expect_none(outcome, &what, Bad::failed(tally), &told(tally));
            let what = format!("{}: p99.9 at most {}: no request waits for Redis", of.name(), ms(MOST));
            part.expect_quantile(outcome, &what, (tally, 0.999), MOST);
            sent += tally.all.sent();
            let_in += tally.all.succeeded;
            late += Bad::failed(tally).late;
            refused += tally.all.refused;
            admitted.iter_mut().zip(by).for_each(|(sum, by)| *sum += by);
        }
        check(outage, (admitted, refused), took, &part, outcome);
    }
    let found = || -> Result<[u64; 2], Failure> {
        let [one, other] = &edges;
        Ok([one.requests()? + other.requests()?, origin.requests()])
    };
    let agree = |[at_edge, at_origin]: [u64; 2]| at_edge.abs_diff(sent) <= late && at_origin.abs_diff(let_in) <= late;
    until(SETTLE, || Ok(agree(found()?)));
    let found = found()?;
    outcome.count(
        "a shared cap: the books of client, gateways and origin agree",
        agree(found),
        format!("{sent} and {let_in} let in at the client, {found:?} at the gateways and the origin"),
    );
    Ok(())
}

/// All loads at once, while Redis goes and comes back.
fn play(stage: &Stage, edges: &[Edge], proxy: &FaultProxy) -> Result<Vec<(Outage, Tally, Admitted)>, Failure> {
    let now = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (length, now) = (THERE + GONE + BACK, &now);
        let loads: Vec<_> = edges
            .iter()
            .flat_map(|edge| Outage::ALL.map(|outage| (edge, outage)))
            .zip(stage.seed..)
            .map(|((edge, outage), seed)| {
                scope.spawn(move || {
                    let mut source = Counting { target: outage.name(), now, admitted: Admitted::default() };
                    let tally = play_of(&open(edge.address, ASKED, length, seed), &mut source)?;
                    Ok::<_, Failure>((outage, tally, source.admitted))
                })
            })
            .collect();
        std::thread::sleep(THERE);
        proxy.set(Fault { harm: Harm::BlackHole, ..Fault::default() });
        std::thread::sleep(ARRIVED);
        now.store(1, Ordering::SeqCst);
        std::thread::sleep(GONE.saturating_sub(ARRIVED));
        now.store(2, Ordering::SeqCst);
        proxy.set(Fault::default());
        loads.into_iter().map(|load| load.join().map_err(|_| "the load panicked")?).collect()
    })
}

/// What both gateways may let in together, whatever is lost or cut off: docs/caps.md.
fn bound(took: Duration) -> f64 {
    // And the one that a fraction of it makes.
    f64::from(BURST) + f64::from(RATE) * took.as_secs_f64() + 1.0 + f64::from(GATEWAYS * LEASE)
}

fn check(outage: Outage, (admitted, refused): (Admitted, u64), took: Duration, part: &Part, outcome: &Notes) {
    let (name, [_, gone, back]) = (outage.name(), admitted);
    let (all, most) = (admitted.iter().sum::<u64>(), bound(took));
    outcome.count(
        format!("{name}: two gateways let in no more than the cap and {GATEWAYS} leases of {LEASE}"),
        all as f64 <= most && refused > 0,
        format!("{all} of {most:.0} in {took:.1?}, {refused} refused"),
    );
    match outage {
        Outage::LocalShare => {
            let least = STILL * f64::from(RATE) * GONE.as_secs_f64();
            outcome.timing(
                part.excuse(1.0 - STILL),
                format!("{name}: while Redis is gone at least {:.0} % of the cap are let in", STILL * 100.0),
                gone as f64 >= least,
                format!("{gone} of {least:.0}"),
            );
        }
        Outage::Refuse => outcome.count(
            format!(
                "{name}: while Redis is gone nothing is let in but what was drawn before, {GATEWAYS} leases of {LEASE}"
            ),
            gone <= u64::from(GATEWAYS * LEASE),
            gone,
        ),
    }
    outcome.timing(
        part.excuse_for(BACK),
        format!("{name}: when Redis is back requests are let in again"),
        back > 0,
        back,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;

    #[test]
    fn one_more_than_the_bound_is_a_failure_and_so_is_a_gateway_that_goes_on_by_itself() {
        let (took, ms) = (Duration::from_secs(10), Duration::from_millis);
        assert!((bound(took) - 251.0).abs() < 1e-9);
        for (outage, admitted, refused, kept_out, status) in [
            (Outage::LocalShare, [70, 101, 80], 9, 0, Status::Passed),
            (Outage::LocalShare, [70, 101, 81], 9, 10_000, Status::Failed),
            // Each gateway by the whole rate.
            (Outage::LocalShare, [70, 200, 70], 9, 10_000, Status::Failed),
            (Outage::LocalShare, [70, 100, 80], 0, 10_000, Status::Failed),
            (Outage::LocalShare, [70, 49, 80], 9, 0, Status::Failed),
            (Outage::LocalShare, [70, 49, 80], 9, 10_000, Status::Invalid),
            (Outage::Refuse, [70, 30, 80], 9, 0, Status::Passed),
            (Outage::Refuse, [70, 31, 80], 9, 10_000, Status::Failed),
            (Outage::Refuse, [70, 30, 0], 9, 0, Status::Failed),
        ] {
            let (notes, part) = (Notes::default(), Part::fixture(ms(10_000), ms(kept_out), 0));
            check(outage, (admitted, refused), took, &part, &notes);
            assert_eq!(notes.outcome().status(), status, "{outage:?} {admitted:?} {kept_out}");
        }
    }
}
