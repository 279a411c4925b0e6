//! The default rule of choice: the hot/cold rule of Prequal over a few candidates drawn by weight.
//!
//! Wydrowski, Kleinberg, Rumble: "Load is not what you should balance: Introducing Prequal", NSDI '24. An endpoint is
//! hot when it has more requests in flight than most endpoints of the cluster have; of the cold ones drawn, the one
//! that would answer soonest is taken, and when all are hot, the one with the fewest in flight. Prequal asks replicas
//! for both numbers. Here they are what the gateway sees itself, so the rule is completed where that falls short:
//!
//! - *Latency at the load it would have.* A mean over the last moments was made at other loads; it is scaled with the
//!   requests in flight.
//! - *Failures attract nothing.* Endpoints whose answers fail of late are last, and cost more the more they fail.
//! - *A small fleet always has a hot endpoint*, since most of two is one. A cold one that is several times slower is
//!   not preferred to a hot one.
//! - *Nobody is forgotten.* A small share of requests goes to an endpoint of which nothing was heard for a while, so
//!   that recovery is seen.

use crate::algorithm::{Candidates, unit};
use crate::ask::Ask;
use crate::capacity::slower_when;
use crate::endpoint::EndpointIdx;
use crate::random::Draws;
use crate::signals::{Reading, Stamp};

/// How many candidates are drawn in a large fleet.
const DRAWN: usize = 4;
/// A fleet no larger is looked at whole.
const LOOK: usize = 16;
/// An endpoint is hot past the threshold by this factor: the threshold is followed in steps and is not exact.
pub(crate) const SLACK: f32 = 1.1;
/// A cold endpoint this many times slower than a hot one is not preferred to it.
const MUCH_SLOWER: f32 = 3.0;
/// Past this many thresholds an endpoint has enough, whatever speaks for it.
const OVERFULL: f32 = 4.0;
/// The share of failures from which an endpoint is last.
const FAILING: f32 = 0.25;
/// What failing always would cost, as a factor.
const FAILURE_COSTS: f32 = 20.0;
/// Between two idle endpoints the draw decides, unless one is this much faster: weights then hold in a quiet cluster.
const CLEARLY: f32 = 0.5;
/// One in so many requests looks for an endpoint that nothing was heard of.
const EXPLORES: u64 = 128;
/// For how many seconds nothing must have been heard.
const UNHEARD: f32 = 1.0;
/// One in so many choices adjusts the threshold.
const SAMPLES: u64 = 4;

/// From best to worst; within each, endpoints are compared by what the class says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// By cost.
    Cold,
    /// By requests in flight.
    Hot,
    /// By cost.
    Failing,
    /// By requests in flight.
    Overfull,
    /// Asked to be left alone. By cost.
    Away,
    /// Is not known to have the height that the request asks for. By cost.
    Low,
    /// Was tried before.
    Tried,
}

/// A candidate, weighed.
#[derive(Debug, Clone, Copy)]
struct Contender {
    index: EndpointIdx,
    class: Class,
    /// Requests in flight for its weight, with this one.
    load: f32,
    /// The latency expected, failures counted in.
    latency: f32,
    /// The latency expected at the load it would have.
    cost: f32,
    idle: bool,
}

impl Contender {
    /// Whether it is better than one that was drawn before it.
    fn beats(&self, other: &Self) -> bool {
        let classes = (self.class, other.class);
        match classes {
            (Class::Cold, Class::Hot) => self.latency <= other.latency * MUCH_SLOWER,
            (Class::Hot, Class::Cold) => other.latency > self.latency * MUCH_SLOWER,
            _ if self.class != other.class => self.class < other.class,
            (Class::Hot | Class::Overfull, _) => self.load < other.load,
            _ if self.idle && other.idle => self.latency < other.latency * CLEARLY,
            _ => self.cost < other.cost,
        }
    }
}

/// Applies the rule. With at least one candidate that was not tried, it answers with one of those.
pub(crate) fn least_loaded(candidates: &Candidates<'_>, ask: &Ask<'_>) -> Option<EndpointIdx> {
    let mut draws = Draws::new(ask.random);
    let first = candidates.position(draws.next());
    let now = candidates.stamp(ask.now);
    let luck = draws.next();
    let sample = draw(candidates, &mut draws, first, now)?;
    // A request that failed once already, or asks for a height, does not go looking.
    if luck.is_multiple_of(EXPLORES)
        && ask.skip.is_empty()
        && ask.least_height.is_none()
        && let Some((index, reading, _)) = sample.first().copied().flatten()
        && unheard(&reading)
    {
        return Some(index);
    }
    let (index, load) = best(candidates, ask, &sample)?;
    if luck >> 32 & (SAMPLES - 1) == 0 {
        candidates.heat().sample(load);
    }
    Some(index)
}

/// An endpoint that was drawn, and the part of its weight that it has.
type Drawn = (EndpointIdx, Reading, f32);
type Sample = [Option<Drawn>; LOOK];

/// The first drawn, and others by weight; in a small fleet, all others. One in slow start sits out most draws.
fn draw(candidates: &Candidates<'_>, draws: &mut Draws, first: usize, now: Stamp) -> Option<Sample> {
    let mut sample = [None; LOOK];
    let few = candidates.len() <= LOOK;
    let look = |position: usize| -> Option<Drawn> {
        let index = candidates.get(position)?;
        let state = candidates.state(index)?;
        Some((index, state.signals().read(now), candidates.ramp(state, now)))
    };
    for (nth, slot) in sample.iter_mut().enumerate().take(if few { candidates.len() } else { DRAWN }) {
        let position = match (nth, few) {
            (0, _) => first,
            (_, true) => (first + nth) % candidates.len(),
            (_, false) => candidates.position(draws.next()),
        };
        let drawn = look(position)?;
        if drawn.2 >= 1.0 || unit(draws.next()) < drawn.2 {
            *slot = Some(drawn);
        }
    }
    if sample.iter().all(Option::is_none) {
        sample = [None; LOOK];
        if let Some(slot) = sample.first_mut() {
            *slot = look(first);
        }
    }
    Some(sample)
}

/// One that failed, and has not since its last request, is tried again sooner.
fn unheard(reading: &Reading) -> bool {
    let improves = reading.trouble > 0.0 && reading.trouble < 0.6;
    let unheard = if improves { UNHEARD / 4.0 } else { UNHEARD };
    reading.in_flight == 0 && reading.silence > unheard && !reading.away
}

/// The best of the sample, and the load of the first of it.
fn best(candidates: &Candidates<'_>, ask: &Ask<'_>, sample: &Sample) -> Option<(EndpointIdx, f32)> {
    let typical = typical(sample);
    let threshold = candidates.heat().threshold();
    let mut best: Option<Contender> = None;
    let mut sampled = None;
    // Where all are looked at, the request itself counts for their weights; where they are drawn, the draw has weighed
    // them already.
    let few = candidates.len() <= LOOK;
    for drawn @ (index, reading, _) in sample.iter().flatten() {
        let weight = candidates.weight(*index) as f32;
        let typical_weight = if few { weight } else { candidates.mean_weight() };
        let mut contender = weigh(drawn, weight, typical_weight, typical);
        contender.class = class(&contender, reading, threshold);
        if ask.skip.contains(index) {
            contender.class = Class::Tried;
        } else if !candidates.is_high_enough(*index, ask) {
            contender.class = Class::Low;
        }
        sampled = sampled.or(Some(contender.load));
        if best.is_none_or(|best| contender.beats(&best)) {
            best = Some(contender);
        }
    }
    best.map(|best| best.index).zip(sampled)
}

/// The mean of the latencies known: what is expected of an endpoint of which nothing is.
fn typical(sample: &Sample) -> f32 {
    let (mut sum, mut known) = (0.0, 0.0);
    for (_, reading, _) in sample.iter().flatten().filter(|(_, reading, _)| reading.latency > 0.0) {
        sum += reading.latency;
        known += 1.0;
    }
    if known > 0.0 { sum / known } else { 1.0 }
}

fn weigh(&(index, ref reading, share): &Drawn, weight: f32, typical_weight: f32, typical: f32) -> Contender {
    let idle = reading.in_flight == 0;
    let load = (reading.in_flight as f32 / weight + 1.0 / typical_weight) / share;
    let known = if reading.latency > 0.0 { reading.latency } else { typical };
    // A failure is not an answer: an endpoint that fails fast is not a fast one.
    let honest = if reading.trouble > 0.0 { known.max(typical) } else { known };
    let latency = honest * (1.0 + FAILURE_COSTS * reading.trouble) * slower_when(reading.utilisation);
    // Between idle endpoints weight has no say, see `CLEARLY`; the draw has weighed them.
    Contender { index, class: Class::Cold, load, latency, cost: latency * load, idle }
}

fn class(contender: &Contender, reading: &Reading, threshold: Option<f32>) -> Class {
    let past = |factor: f32| threshold.is_some_and(|threshold| contender.load > threshold * factor);
    if reading.away {
        Class::Away
    } else if !contender.idle && reading.in_flight >= 8 && past(OVERFULL) {
        Class::Overfull
    } else if reading.trouble >= FAILING {
        Class::Failing
    } else if reading.utilisation >= 0.9 || (!contender.idle && past(SLACK)) {
        Class::Hot
    } else {
        Class::Cold
    }
}
