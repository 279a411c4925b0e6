//! The endpoints of a cluster: built once, chosen from by every request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::algorithm::{Candidates, is_blind, pick};
use crate::ask::{Ask, NoEndpoint};
use crate::choice::Choice;
use crate::endpoint::{Endpoint, EndpointIdx, EndpointSpec};
use crate::health::BeforeFirstCheck;
use crate::height::Mark;
use crate::lineage::Lineage;
use crate::options::{Algorithm, SetOptions};
use crate::random::{Draws, mix};
use crate::ring::Ring;
use crate::rotation::{Group, Plan, Resort, Rotation};
use crate::state::{EndpointState, Health};
use crate::tier::Tier;
use crate::tuning::Tuning;

mod build;

pub use build::SetError;

/// The endpoints of one cluster in one generation. Its specs never change; what may be chosen follows health.
///
/// A request that may try several endpoints keeps one set for all its attempts, since an [`EndpointIdx`] belongs to
/// the set that gave it.
pub struct EndpointSet {
    endpoints: Arc<[Arc<Endpoint>]>,
    /// The endpoints' states and weights again, to save choosing a pointer.
    states: Arc<[Arc<EndpointState>]>,
    weights: Arc<[u32]>,
    groups: Box<[Group]>,
    options: SetOptions,
    tuning: Tuning,
    /// What the endpoints of a subset carry; empty for the whole.
    labels: BTreeMap<String, String>,
    rotation: ArcSwap<Rotation>,
    lineage: Arc<Lineage>,
}

impl EndpointSet {
    /// Chooses an endpoint and counts the request as in flight to it.
    ///
    /// Priorities are used in order. Within one the algorithm decides; an endpoint in [`Ask::skip`] is passed over
    /// while any other is available, in a later priority if need be.
    ///
    /// # Errors
    /// See [`NoEndpoint`]; the reason is `no_healthy_upstream`.
    pub fn choose(&self, ask: &Ask<'_>) -> Result<Choice, NoEndpoint> {
        let rotation = self.rotation.load();
        let mut draws = Draws::new(ask.random);
        let chance = self.chance(ask);
        let (before, from) = rotation.tiers.split_at_checked(rotation.first(chance)).unwrap_or_default();
        let away = self.away(from, ask.now, chance);
        let fresh = away.into_iter().chain(from).chain(before).find_map(|tier| self.untried(tier, ask, &mut draws));
        let again = || {
            let candidates = Candidates::new(self, rotation.tiers.first()?);
            pick(&self.options.algorithm, &candidates, &Ask { skip: &[], ..*ask })
        };
        let highest = |tier| self.highest(tier, ask, &mut draws);
        let fresh = fresh.or_else(|| from.iter().chain(before).find_map(highest));
        let index = fresh.or_else(again);
        let choice = index.and_then(|index| self.claim_as(index, fresh.is_none(), Some(ask.now)));
        choice.ok_or_else(|| self.nothing())
    }

    /// Where the first attempt of a request with this key goes now, without sending any there. `None` when nothing is
    /// available, or the set does not balance by a hash.
    #[must_use]
    pub fn owner(&self, key: u64, now: Instant) -> Option<EndpointIdx> {
        let (rotation, ask) = (self.rotation(), Ask { key: Some(key), ..Ask::new(now, 0) });
        let chance = self.chance(&ask);
        let from = rotation.tiers.get(rotation.first(chance)..).unwrap_or_default();
        let tier = self.away(from, now, chance).or(from.first()).filter(|tier| self.ring(tier.group).is_some())?;
        pick(&self.options.algorithm, &Candidates::new(self, tier), &ask)
    }

    /// What decides among tiers: the key where requests with equal keys are to meet, else the random bits.
    const fn chance(&self, ask: &Ask<'_>) -> u64 {
        match (&self.options.algorithm, ask.key) {
            (Algorithm::Hash(_), Some(key)) => mix(key),
            (Algorithm::Hash(_), None)
            | (Algorithm::RoundRobin | Algorithm::Random | Algorithm::LeastLoaded | Algorithm::Custom(_), _) => {
                ask.random
            }
        }
    }

    /// Takes an endpoint that was decided on elsewhere, whatever its health; `None` when the set has no such one.
    #[must_use]
    pub fn claim(&self, index: EndpointIdx) -> Option<Choice> {
        self.claim_as(index, false, None)
    }

    /// As [`Self::claim`], at a moment: from it on the endpoint is known to be waited for.
    #[must_use]
    pub fn claim_at(&self, index: EndpointIdx, now: Instant) -> Option<Choice> {
        self.claim_as(index, false, Some(now))
    }

    /// Asks the algorithm until it names an endpoint that was not tried, a few times only; then takes the next best.
    fn untried(&self, tier: &Tier, ask: &Ask<'_>, draws: &mut Draws) -> Option<EndpointIdx> {
        let candidates = Candidates::new(self, tier);
        let blind = is_blind(&self.options.algorithm, ask) && candidates.len() > 1;
        for _ in 0..4 {
            let ask = Ask { random: draws.next(), ..*ask };
            let index = pick(&self.options.algorithm, &candidates, &ask)?;
            let admitted = !blind || candidates.admits(index, draws.next(), self.lineage.stamp(ask.now));
            if admitted && !ask.skip.contains(&index) && self.is_high_enough(index, &ask) {
                return Some(index);
            }
        }
        candidates.any_untried(draws.next(), ask)
    }

    fn claim_as(&self, index: EndpointIdx, again: bool, now: Option<Instant>) -> Option<Choice> {
        self.endpoint(index).map(|endpoint| Choice::new(Arc::clone(endpoint), index, again, now))
    }

    fn nothing(&self) -> NoEndpoint {
        match self.endpoints.iter().filter(|endpoint| self.selects(endpoint.spec())).count() {
            0 => NoEndpoint::Empty,
            endpoints => NoEndpoint::NoneAvailable { endpoints },
        }
    }

    /// The endpoints, in the order of the specs.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The index of the endpoint at a place in [`Self::endpoints`].
    #[must_use]
    pub fn index_at(&self, place: usize) -> Option<EndpointIdx> {
        self.endpoints.get(place).and_then(|_| u32::try_from(place).ok()).map(EndpointIdx)
    }

    /// One endpoint.
    #[must_use]
    pub fn endpoint(&self, index: EndpointIdx) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(index.get())
    }

    /// How the set chooses.
    #[must_use]
    pub const fn options(&self) -> &SetOptions {
        &self.options
    }

    /// How the set is tuned.
    #[must_use]
    pub const fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// How many endpoints may be chosen now, of all priorities.
    #[must_use]
    pub fn available(&self) -> usize {
        self.rotation.load().tiers.iter().map(Tier::len).sum()
    }

    /// Whether health is ignored now, because too few endpoints are available.
    #[must_use]
    pub fn is_panicking(&self) -> bool {
        self.rotation.load().tiers.first().is_some_and(|tier| tier.forced)
    }

    /// Whether the set has endpoints to choose from only because their heights, or their checks, are passed over.
    #[must_use]
    pub fn resort(&self) -> Resort {
        self.rotation.load().resort
    }

    /// Requests in flight to any endpoint of the cluster, those that other generations sent included.
    #[must_use]
    pub fn cluster_in_flight(&self) -> u64 {
        self.lineage.in_flight()
    }

    /// Compiles the rotation from health as it is. Called by the lineage alone, which orders the calls.
    pub(crate) fn compile(&self, now: Instant) {
        let plan = Plan { groups: &self.groups, threshold: self.options.panic_threshold, tuning: &self.tuning };
        let allowed = |index| self.state(EndpointIdx(index)).is_some_and(|state| self.allows(state.health()));
        let ejected = |index| self.state(EndpointIdx(index)).is_some_and(|state| state.watch().is_out());
        let well = |index| allowed(index) && !ejected(index);
        let mark = |index| self.state(EndpointIdx(index)).map(EndpointState::mark);
        let mut tiers = plan.compile(|index| well(index) && !mark(index).is_some_and(Mark::is_out));
        let mut resort = Resort::Usual;
        if tiers.is_empty() && self.tuning.heights.is_some() {
            // All are behind: the highest of them are the best there is.
            let floor = self.floor(|index| well(index) && mark(index).is_some_and(Mark::is_behind));
            let high = |index| self.height_at(EndpointIdx(index)) >= floor;
            tiers = plan.compile(|index| well(index) && mark(index).is_some_and(Mark::is_behind) && high(index));
            resort = Resort::Behind;
        }
        if tiers.is_empty() {
            // What passes its checks is better than nothing, whatever was held against it.
            tiers = plan.compile(allowed);
            tiers.iter_mut().for_each(|tier| tier.forced = true);
        }
        if tiers.is_empty() && self.tuning.heights.is_some() {
            tiers = plan.compile(|_| true);
            resort = Resort::Last;
        }
        if resort != Resort::Usual {
            tiers.iter_mut().for_each(|tier| tier.forced = true);
        }
        let before = self.rotation.load();
        let same = tiers.first().map(|tier| tier.priority) == before.tiers.first().map(|tier| tier.priority);
        let since = if same { before.since } else { now };
        self.rotation.store(Arc::new(Rotation { tiers, resort, since }));
    }

    /// The height from which on endpoints are used when all are behind.
    fn floor(&self, used: impl Fn(u32) -> bool) -> u64 {
        let behind = (0_u32..).zip(&*self.states).filter(|(index, _)| used(*index));
        let highest = behind.map(|(_, state)| state.believed_height()).max().unwrap_or(0);
        highest.saturating_sub(self.tuning.heights.map_or(0, |policy| policy.max_lag))
    }

    /// Whether an endpoint of this health may be chosen.
    pub(crate) fn allows(&self, health: Health) -> bool {
        match (&self.options.health, health) {
            (None, _) | (Some(_), Health::Healthy) => true,
            (Some(_), Health::Unhealthy) => false,
            (Some(policy), Health::Unknown) => policy.before_first_check == BeforeFirstCheck::Available,
        }
    }

    /// Whether an endpoint belongs to this set: to the whole all do.
    pub(crate) fn selects(&self, spec: &EndpointSpec) -> bool {
        self.labels.iter().all(|(name, value)| spec.labels.get(name) == Some(value))
    }

    pub(crate) fn rotation(&self) -> Arc<Rotation> {
        self.rotation.load_full()
    }

    pub(crate) fn state(&self, index: EndpointIdx) -> Option<&EndpointState> {
        self.states.get(index.get()).map(|state| &**state)
    }

    pub(crate) fn weight(&self, index: EndpointIdx) -> u32 {
        self.weights.get(index.get()).copied().unwrap_or(0)
    }

    pub(crate) fn group(&self, group: usize) -> Option<&Group> {
        self.groups.get(group)
    }

    pub(crate) fn ring(&self, group: usize) -> Option<&Ring> {
        self.group(group)?.ring.as_ref()
    }

    pub(crate) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    pub(crate) fn next_turn(&self) -> u64 {
        self.lineage.next_turn()
    }
}

impl fmt::Debug for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSet")
            .field("endpoints", &self.endpoints.len())
            .field("available", &self.available())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
