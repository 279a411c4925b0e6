//! The rules of choice, each over the candidates of one priority.

use crate::endpoint::{Endpoint, EndpointIdx};
use crate::options::{Algorithm, LoadBound};
use crate::random::{Draws, mix};
use crate::ring::Ring;
use crate::set::{Ask, EndpointSet};
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

    fn in_flight(&self, index: EndpointIdx) -> u64 {
        self.state(index).map_or(0, |state| u64::from(state.in_flight()))
    }

    /// The first candidate from a random position on that was not tried.
    pub(crate) fn any_untried(&self, random: u64, skip: &[EndpointIdx]) -> Option<EndpointIdx> {
        self.tier.walk(self.tier.draw(random), |index| !skip.contains(&EndpointIdx(index))).map(EndpointIdx)
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

/// Of two different candidates drawn by weight, the one whose load for its weight would be less with this request.
fn least_loaded(candidates: &Candidates<'_>, ask: &Ask<'_>) -> Option<EndpointIdx> {
    let mut draws = Draws::new(ask.random);
    let first_at = candidates.tier.draw(draws.next());
    // Redrawing until the second differs could go on for long where one weight dwarfs the others.
    let second_at = (0..3).map(|_| candidates.tier.draw(draws.next())).find(|at| *at != first_at);
    let second_at = second_at.unwrap_or((first_at + 1) % candidates.len());
    let (first, second) = (candidates.get(first_at)?, candidates.get(second_at)?);
    match (ask.skip.contains(&first), ask.skip.contains(&second)) {
        (true, false) => Some(second),
        (false, true) => Some(first),
        (true, true) | (false, false) => Some(less_loaded(candidates, first, second)),
    }
}

fn less_loaded(candidates: &Candidates<'_>, first: EndpointIdx, second: EndpointIdx) -> EndpointIdx {
    let (busy_first, busy_second) = (candidates.in_flight(first), candidates.in_flight(second));
    // Between two idle ones the draw decides: otherwise the heavier would take everything of a quiet cluster.
    let idle = busy_first == 0 && busy_second == 0;
    // (in flight + 1) / weight, compared without a division.
    let load_first = (busy_first + 1).saturating_mul(u64::from(candidates.weight(second)));
    let load_second = (busy_second + 1).saturating_mul(u64::from(candidates.weight(first)));
    if idle || load_first <= load_second { first } else { second }
}

struct Keyed<'a> {
    key: u64,
    ring: &'a Ring,
    bound: LoadBound,
}

/// How often the ring is probed before the table of candidates is walked: with half of the endpoints out, one key in
/// four billion gets that far.
const PROBES: u64 = 32;

/// The key's owner; when that is out, tried or over the bound, the owner of a key derived from it, and so on. The
/// order in which a key meets the endpoints is fixed, so an endpoint that goes out moves its own keys alone, and
/// spreads them over all the others.
fn hashed(candidates: &Candidates<'_>, ask: &Ask<'_>, by: &Keyed<'_>) -> Option<EndpointIdx> {
    let total = candidates.set.cluster_in_flight() + 1;
    let fits = |index: u32| {
        let index = EndpointIdx(index);
        let cap = by.bound.cap(total, candidates.weight(index), candidates.tier.weight());
        !ask.skip.contains(&index) && candidates.in_flight(index) < cap
    };
    let mut derived = Draws::new(by.key);
    let mut probes = (0..PROBES).filter_map(|_| by.ring.owner(derived.next()));
    let probed = probes.find(|index| candidates.contains(EndpointIdx(*index)) && fits(*index));
    let walked = || candidates.tier.walk(candidates.tier.draw(mix(by.key)), fits);
    // Nothing fits only when all that would were tried: any other is better than one of those.
    probed
        .or_else(walked)
        .map(EndpointIdx)
        .or_else(|| candidates.any_untried(mix(by.key), ask.skip))
        .or_else(|| candidates.get(0))
}
