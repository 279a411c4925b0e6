//! A part of a scene: a window in which something is played, and what the machine took of it.
//!
//! What is late in a window may be the machine's fault only when the machine took enough of that window: half of the share of
//! requests that a quantile leaves out, or half of the time that somebody waited in vain. It is measured a second at a time, for the
//! gateway's core and for the tool's: how long somebody was ready to run and kept from it by strangers.

mod look;

use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use portcullis_artifacts::Look as Seen;
use portcullis_engine::tally::{Lag, Tally};

use crate::Failure;

use super::kit::Edge;
use super::outcome::Notes;
use super::served::PATIENCE;

use look::{Look, Step, Who};

/// What the moments of all windows are told from: the first that is asked for.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds from the run's start until a moment.
fn moment_of(at: Instant) -> f64 {
    at.saturating_duration_since(*BEGAN).as_secs_f64()
}

/// A look.
const EVERY: Duration = Duration::from_secs(1);

/// The share of a look for which somebody may be kept from a core until it counts: below it is the small change of any machine.
const KEPT_OUT: f64 = 0.05;

/// What the machine must have taken at least, as a part of what it is to excuse. What piles up meanwhile takes as long again to be
/// worked off.
const OF_A_TAIL: f64 = 0.5;
const OF_A_WAIT: u32 = 2;

/// How late the tool may send one in a hundred and one in a thousand requests.
const LATE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// The reason of a gateway that refuses since it ran late itself.
pub(super) const SHED: &str = "reason=\"event_loop_delay\"";

/// What the machine took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Lost {
    /// Of the gateway's core.
    gateway: Duration,
    /// Of the tool's, or of the only one.
    tool: Duration,
    /// By the hypervisor, of whichever core.
    stolen: Duration,
}

/// What the machine took while something was done for so long, and look by look what it did.
struct Taken {
    length: Duration,
    lost: Lost,
    looks: Vec<Seen>,
}

/// A window that was played.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: String,
    length: Duration,
    lost: Lost,
    /// How late the tool sent, of an open loop.
    lag: Option<Lag>,
    /// Requests that the gateways refused since they were late themselves.
    pub(super) shed: u64,
    /// When the time of a request is up.
    patience: Duration,
    /// When it began, in seconds from the run's start.
    began: f64,
    /// What the machine did, look by look.
    looks: Vec<Seen>,
}

impl Part {
    /// Keeps what a load brought in it, for curves. A load that waited for its moments says how well they were kept.
    pub(super) fn keep(&self, outcome: &Notes, tally: &Tally) {
        outcome.load((&self.name, self.began), tally, self.length, self.lag.is_some());
    }

    /// The same, where somebody gives a request up sooner than the tool does.
    pub(super) fn within(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// Why gateways may have been late themselves for so long: it is their own core that counts.
    pub(super) fn excuse_for_lateness(&self, late: Duration) -> Option<String> {
        let own = Lost { tool: Duration::ZERO, ..self.lost };
        Self { lost: own, ..self.clone() }.took(late / OF_A_WAIT)
    }

    /// Why the time of a request may have been up.
    pub(super) fn excuse_for_silence(&self) -> Option<String> {
        self.excuse_for(self.patience)
    }

    /// Why a quantile that leaves out this share of the requests says nothing of the gateway.
    pub(super) fn excuse(&self, share: f64) -> Option<String> {
        let lag = self.lag.and_then(|lag| {
            let (late, may) = if share < 0.01 { (lag.p999, LATE.1) } else { (lag.p99, LATE.0) };
            (late > may).then(|| format!("the tool itself was late by {late:?}"))
        });
        lag.or_else(|| self.took(self.length.mul_f64(share * OF_A_TAIL)))
    }

    /// Why somebody may have waited so long for nothing.
    pub(super) fn excuse_for(&self, wait: Duration) -> Option<String> {
        let enough = wait / OF_A_WAIT;
        let lag = self.lag.filter(|lag| lag.most >= enough);
        lag.map(|lag| format!("the tool itself was late by up to {:?}", lag.most)).or_else(|| self.took(enough))
    }

    fn took(&self, enough: Duration) -> Option<String> {
        let Lost { gateway, tool, stolen } = self.lost;
        let who = [
            (gateway, "others kept the gateway from its core"),
            (tool, "others kept the tool from its core"),
            (stolen, "the hypervisor took the core"),
        ];
        let (lost, who) = who.into_iter().find(|(lost, _)| !lost.is_zero() && *lost >= enough)?;
        Some(format!("{who} for {lost:.1?} of {:.1?} ({})", self.length, self.name))
    }

    #[cfg(test)]
    pub(super) fn fixture(length: Duration, kept_out: Duration, shed: u64) -> Self {
        let lost = Lost { gateway: kept_out, ..Lost::default() };
        let (name, began, looks) = ("load".to_owned(), 0.0, Vec::new());
        Self { name, length, lost, lag: None, shed, patience: PATIENCE, began, looks }
    }
}

/// Plays something before gateways, and says what the machine took meanwhile. What is played says how late the tool was, where it
/// was an open loop.
pub(super) fn watched<T>(
    edges: &[&Edge],
    outcome: &Notes,
    name: &str,
    play: impl FnOnce() -> Result<(T, Option<Lag>), Failure>,
) -> Result<(T, Part), Failure> {
    let shed = || edges.iter().try_fold(0, |sum, edge| Ok::<_, Failure>(sum + edge.refused_for(SHED)?));
    let before = shed()?;
    let (played, part) = during(edges, name, play)?;
    outcome.looked(&part.name, &part.looks);
    let (brought, lag) = played?;
    if let Some(lag) = lag.filter(|lag| lag.delayed > 0) {
        outcome.capped(name, lag.delayed);
    }
    for (what, lost) in
        [("gateway_kept_out", part.lost.gateway), ("tool_kept_out", part.lost.tool), ("stolen", part.lost.stolen)]
    {
        outcome.number(&format!("{name}.{what}"), lost.as_secs_f64() / part.length.as_secs_f64().max(1e-9));
    }
    Ok((brought, Part { lag, shed: shed()?.saturating_sub(before), ..part }))
}

/// The same where the gateways cannot be asked for what they have counted.
pub(super) fn during<T>(edges: &[&Edge], name: &str, play: impl FnOnce() -> T) -> Result<(T, Part), Failure> {
    let ids: Vec<u32> = edges.iter().map(|edge| edge.process.id()).collect();
    let core = edges.iter().find_map(|edge| edge.core);
    let began = moment_of(Instant::now());
    let (played, Taken { length, lost, looks }) = taken(&ids, core, play)?;
    let name = name.to_owned();
    Ok((played, Part { name, length, lost, lag: None, shed: 0, patience: PATIENCE, began, looks }))
}

/// Waits for an answer of a gateway. Where it does not come, says whether the machine took half of the time.
pub(super) fn answered<T>(
    id: u32,
    core: Option<u32>,
    patience: Duration,
    ask: impl FnOnce() -> T,
) -> Result<(T, bool), Failure> {
    let (answer, Taken { lost, .. }) = taken(&[id], core, ask)?;
    Ok((answer, lost.gateway.max(lost.tool).max(lost.stolen) >= patience / OF_A_WAIT))
}

/// What the machine took of gateways, which have one core or share all with the tool, and of the tool while something was done.
fn taken<T>(ids: &[u32], core: Option<u32>, play: impl FnOnce() -> T) -> Result<(T, Taken), Failure> {
    let (stop, stopped) = mpsc::channel::<()>();
    let who = Who::new(ids, core);
    let mut last = Look::now(&who)?;
    let watch = std::thread::Builder::new().name("machine".to_owned()).spawn(move || {
        let (mut lost, mut looks) = (Lost::default(), Vec::new());
        loop {
            let over = stopped.recv_timeout(EVERY) != Err(mpsc::RecvTimeoutError::Timeout);
            let now = Look::now(&who)?;
            lost.add(&now.since(&last, &who));
            looks.push(now.seen(&last));
            last = now;
            if over {
                return Ok::<_, Failure>((lost, looks));
            }
        }
    })?;
    let start = Instant::now();
    let played = play();
    let length = start.elapsed();
    drop(stop);
    let (lost, looks) = watch.join().map_err(|_| "the look at the machine panicked")??;
    Ok((played, Taken { length, lost, looks }))
}

impl Lost {
    fn add(&mut self, step: &Step) {
        let small_change = step.length.mul_f64(KEPT_OUT);
        for (sum, lost) in
            [(&mut self.gateway, step.gateway), (&mut self.tool, step.tool), (&mut self.stolen, step.stolen)]
        {
            if lost > small_change {
                *sum += lost.min(step.length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_machine_excuses_a_tail_when_it_took_half_of_it() {
        let part = |kept_out| Part::fixture(ms(10_000), ms(kept_out), 0);
        for (kept_out, share, excused) in
            [(0, 0.01, false), (49, 0.01, false), (50, 0.01, true), (5, 0.001, true), (4, 0.001, false)]
        {
            assert_eq!(part(kept_out).excuse(share).is_some(), excused, "{kept_out} ms of {share}");
        }
        let said = part(70).excuse(0.01).unwrap();
        assert_eq!(said, "others kept the gateway from its core for 70.0ms of 10.0s (load)");
    }

    #[test]
    fn the_machine_excuses_a_wait_when_it_took_half_of_it() {
        let part = |kept_out| Part::fixture(ms(600_000), ms(kept_out), 0);
        for (kept_out, excused) in [(0, false), (2499, false), (2500, true)] {
            assert_eq!(part(kept_out).excuse_for(ms(5000)).is_some(), excused, "{kept_out}");
        }
    }

    #[test]
    fn a_tool_that_was_late_itself_says_nothing() {
        let lag = |p99, p999, most| Some(Lag { p99: ms(p99), p999: ms(p999), most: ms(most), delayed: 0 });
        let part = |lag| Part { lag, ..Part::fixture(ms(10_000), ms(0), 0) };
        let excused = |lag| {
            (
                part(lag).excuse(0.01).is_some(),
                part(lag).excuse(0.001).is_some(),
                part(lag).excuse_for(ms(5000)).is_some(),
            )
        };
        assert_eq!(excused(lag(1, 10, 2499)), (false, false, false));
        assert_eq!(excused(lag(2, 10, 11)), (true, false, false));
        assert_eq!(excused(lag(1, 11, 2500)), (false, true, true));
    }

    #[test]
    fn what_is_taken_of_a_second_counts_when_it_is_more_than_small_change() {
        let mut lost = Lost::default();
        for (gateway, sum) in [(0, 0), (50, 0), (51, 51), (1010, 1051)] {
            lost.add(&Step { length: ms(1000), gateway: ms(gateway), ..Step::default() });
            assert_eq!(lost, Lost { gateway: ms(sum), ..Lost::default() }, "{gateway}");
        }
    }
}
