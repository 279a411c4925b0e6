//! The rules of choice, each over the candidates of one priority.

use crate::ask::Ask;
use crate::capacity::share_when;
use crate::endpoint::{Endpoint, EndpointIdx};
use crate::heat::Heat;
use crate::least_loaded::least_loaded;
use crate::options::{Algorithm, LoadBound};
use crate::random::{Draws, mix};
use crate::ring::Ring;
use crate::set::EndpointSet;
use crate::signals::Stamp;
use crate::state::EndpointState;
use crate::tier::Tier;

/// A rule of choice that is not built in.
///
/// The set calls it with the candidates of the priority in use, at least two of them. It may be called again with
/// other random bits when it answers with an endpoint that was tried already. It must not block.
pub trait ChoicePolicy: Send + Sync {
    /// Takes one of the candidates. `None`, or an endpoint that is no candidate, leaves the choice to chance.
    fn choose(&self, candidates: &Candidates<'_>, ask: &Ask<'_>) -> Option<EndpointIdx>;
}

/// The endpoints of one priority that may be chosen now.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    set: &'a EndpointSet,
    tier: &'a Tier,
}

impl<'a> Candidates<'a> {
    pub(crate) const fn new(set: &'a EndpointSet, tier: &'a Tier) -> Self {
        Self { set, tier }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tier.len()
    }

    /// Whether there is none; never so where a policy is called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their priority.
    #[must_use]
    pub const fn priority(&self) -> u8 {
        self.tier.priority
    }

    /// The candidate at a position from 0 to [`Self::len`].
    #[must_use]
    pub fn get(&self, position: usize) -> Option<EndpointIdx> {
        self.tier.member(position).map(EndpointIdx)
    }

    /// Whether this endpoint is among them.
    #[must_use]
    pub fn contains(&self, index: EndpointIdx) -> bool {
        self.tier.contains(index.0)
    }

    /// A candidate by chance, each as likely as its weight says.
    #[must_use]
    pub fn draw(&self, random: u64) -> Option<EndpointIdx> {
        self.get(self.tier.draw(random))
    }

    /// An endpoint of the set.
    #[must_use]
    pub fn endpoint(&self, index: EndpointIdx) -> Option<&'a Endpoint> {
        self.set.endpoint(index).map(|endpoint| &**endpoint)
    }

    /// Whether an endpoint is known to have the height that the request asks for, if it asks for any.
    #[must_use]
    pub fn is_high_enough(&self, index: EndpointIdx, ask: &Ask<'_>) -> bool {
        self.set.is_high_enough(index, ask)
    }

    /// The state of an endpoint of the set, one pointer nearer than by way of the endpoint.
    #[must_use]
    pub fn state(&self, index: EndpointIdx) -> Option<&'a EndpointState> {
        self.set.state(index)
    }

    /// The weight of an endpoint of the set; 0 for no such endpoint.
    #[must_use]
    pub fn weight(&self, index: EndpointIdx) -> u32 {
        self.set.weight(index)
    }

    /// A position drawn by weight.
    pub(crate) fn position(&self, random: u64) -> usize {
        self.tier.draw(random)
    }

    /// The mean of the candidates' weights.
    pub(crate) fn mean_weight(&self) -> f32 {
        self.tier.weight() as f32 / self.len().max(1) as f32
    }

    pub(crate) fn stamp(&self, now: std::time::Instant) -> Stamp {
        self.set.lineage().stamp(now)
    }

    pub(crate) fn heat(&self) -> &'a Heat {
        self.set.lineage().heat()
    }

    /// The part of its weight that an endpoint in slow start has; 1 for any other.
    pub(crate) fn ramp(&self, state: &EndpointState, now: Stamp) -> f32 {
        let began = state.signals().ramp();
        if began == 0 {
            return 1.0;
        }
        let share = self.set.tuning().slow_start.map_or(1.0, |ramp| ramp.share(now.seconds_since(began)));
        if share >= 1.0 {
            state.signals().end_ramp();
        }
        share
    }

    /// Whether an endpoint that was named without a look at its load takes this request: less often in slow start and
    /// when it says that it is full, not at all when it asked to be left alone.
    pub(crate) fn admits(&self, index: EndpointIdx, random: u64, now: Stamp) -> bool {
        let share = self.share(index, now);
        share >= 1.0 || unit(random) < share
    }

    /// The part of its requests that such an endpoint takes, 0 to 1.
    fn share(&self, index: EndpointIdx, now: Stamp) -> f32 {
        let Some(state) = self.state(index) else { return 0.0 };
        let (pressure, away) = state.signals().reported().read(now);
        if away { 0.0 } else { self.ramp(state, now) * share_when(pressure) }
    }

    fn in_flight(&self, index: EndpointIdx) -> u64 {
        self.state(index).map_or(0, |state| u64::from(state.in_flight()))
    }

    /// The first candidate from a random position on that was not tried and is high enough; one that asked to be left alone only when
    /// there is no other.
    pub(crate) fn any_untried(&self, random: u64, ask: &Ask<'_>) -> Option<EndpointIdx> {
        let (from, now) = (self.tier.draw(random), self.stamp(ask.now));
        let fits = |index| !ask.skip.contains(&index) && self.set.is_high_enough(index, ask);
        let untried = |index: u32| fits(EndpointIdx(index));
        let willing = |index: u32| untried(index) && !self.is_away(EndpointIdx(index), now);
        self.tier.walk(from, willing).or_else(|| self.tier.walk(from, untried)).map(EndpointIdx)
    }

    fn is_away(&self, index: EndpointIdx, now: Stamp) -> bool {
        self.state(index).is_some_and(|state| state.signals().reported().read(now).1)
    }
}

/// Whether the rule names endpoints for this request without a look at what they say of themselves.
pub(crate) const fn is_blind(algorithm: &Algorithm, ask: &Ask<'_>) -> bool {
    match algorithm {
        Algorithm::RoundRobin | Algorithm::Random => true,
        Algorithm::Hash(_) => ask.key.is_none(),
        Algorithm::LeastLoaded | Algorithm::Custom(_) => false,
    }
}

/// Applies the rule once. It may answer with an endpoint that was tried when it has no better.
pub(crate) fn pick(algorithm: &Algorithm, candidates: &Candidates<'_>, ask: &Ask<'_>) -> Option<EndpointIdx> {
    if candidates.len() < 2 {
        return candidates.get(0);
    }
    match algorithm {
        Algorithm::RoundRobin => candidates.get(candidates.tier.turn(candidates.set.next_turn())),
        Algorithm::Random => candidates.draw(ask.random),
        Algorithm::LeastLoaded => least_loaded(candidates, ask),
        Algorithm::Hash(bound) => match (ask.key, candidates.set.ring(candidates.tier.group)) {
            (Some(key), Some(ring)) => hashed(candidates, ask, &Keyed { key, ring, bound: *bound }),
            (None, _) | (_, None) => candidates.draw(ask.random),
        },
        Algorithm::Custom(policy) => {
            let index = policy.choose(candidates, ask).filter(|index| candidates.contains(*index));
            index.or_else(|| candidates.draw(ask.random))
        }
    }
}

struct Keyed<'a> {
    key: u64,
    ring: &'a Ring,
    bound: LoadBound,
}

/// How many points of the ring are looked at before the table of candidates is walked: with half of the endpoints out,
/// one key in four billion gets that far.
const PROBES: usize = 32;

/// The key's owner; when that is out, tried or over the bound, the owner of the next point of the ring, and so on. So an
/// endpoint that goes out moves its own keys alone, spreads them over all the others, and those keep them should it go
/// for good.
///
/// Of an endpoint in slow start, and of one that says that it is fuller than others, a part of its keys goes on likewise,
/// always the same ones: the bits that decide are the key's. So a key stays where it was until it moves to the endpoint
/// that is led up, once. Where all are as full nothing moves, since nothing would be won by it.
fn hashed(candidates: &Candidates<'_>, ask: &Ask<'_>, by: &Keyed<'_>) -> Option<EndpointIdx> {
    let total = candidates.set.cluster_in_flight() + 1;
    let now = candidates.stamp(ask.now);
    let has_room = |index: EndpointIdx| {
        let cap = by.bound.cap(total, candidates.weight(index), candidates.tier.weight());
        !ask.skip.contains(&index) && candidates.in_flight(index) < cap && candidates.is_high_enough(index, ask)
    };
    let point = Draws::new(by.key).next();
    let met = by.ring.owners(point).take(PROBES).map(EndpointIdx);
    let fitting = met.filter(|index| candidates.contains(*index) && has_room(*index));
    let mut willing = fitting.map(|index| (index, candidates.share(index, now))).filter(|(_, share)| *share > 0.0);
    let probed = willing.next().map(|(index, share)| {
        let other = if share < 1.0 { least_full(willing) } else { None };
        // It keeps as much of its keys as it has of what the other takes.
        let leaves = |other: &(EndpointIdx, f32)| unit(mix(point)) * other.1 >= share;
        other.filter(leaves).map_or(index, |(other, _)| other)
    });
    let fits = |index: u32| has_room(EndpointIdx(index)) && !candidates.is_away(EndpointIdx(index), now);
    let walked = || candidates.tier.walk(candidates.tier.draw(mix(by.key)), fits).map(EndpointIdx);
    // Nothing fits only when all that would were tried: any other is better than one of those.
    probed.or_else(walked).or_else(|| candidates.any_untried(mix(by.key), ask)).or_else(|| candidates.get(0))
}

/// The first that takes all of its requests, or whoever takes most.
fn least_full(willing: impl Iterator<Item = (EndpointIdx, f32)>) -> Option<(EndpointIdx, f32)> {
    let mut best: Option<(EndpointIdx, f32)> = None;
    for one in willing {
        if one.1 >= 1.0 {
            return Some(one);
        }
        if best.is_none_or(|best| one.1 > best.1) {
            best = Some(one);
        }
    }
    best
}

/// Random bits as a number from 0 to just under 1.
pub(crate) fn unit(random: u64) -> f32 {
    (random >> 40) as f32 / 16_777_216.0
}
