//! The endpoints of a cluster: built once, chosen from by every request.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use portcullis_types::{EndpointName, ProxyError, Reason};

use crate::algorithm::{Candidates, pick};
use crate::choice::Choice;
use crate::endpoint::{Endpoint, EndpointIdx, EndpointSpec, identity_hash};
use crate::health::BeforeFirstCheck;
use crate::lineage::Lineage;
use crate::options::{Algorithm, SetOptions};
use crate::random::Draws;
use crate::ring::{Owner, Ring};
use crate::rotation::{Group, Rotation};
use crate::state::{EndpointState, Health};
use crate::tier::{Member, Tier};

/// Why endpoints do not make a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Two have the same name and address.
    #[error("endpoint {name} ({address}) is listed twice")]
    Duplicate {
        /// The name.
        name: EndpointName,
        /// The address.
        address: SocketAddr,
    },
    /// There are endpoints and none has a weight.
    #[error("every endpoint has weight 0; at least one must have more")]
    AllDrained,
    /// The arithmetic of shares has 32 bits.
    #[error("the weights of priority {priority} sum to {sum}; they may sum to {} at most", u32::MAX)]
    TooHeavy {
        /// The priority.
        priority: u8,
        /// The sum of its weights.
        sum: u64,
    },
}

/// Why no endpoint was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// The cluster has none: discovery found nothing so far.
    #[error("the cluster has no endpoints")]
    Empty,
    /// None may be used.
    #[error("none of the cluster's {endpoints} endpoints is available")]
    NoneAvailable {
        /// How many there are, drained ones included.
        endpoints: usize,
    },
}

impl From<NoEndpoint> for ProxyError {
    fn from(error: NoEndpoint) -> Self {
        Self::with_detail(Reason::NoHealthyUpstream, error.to_string())
    }
}

/// One question: which endpoint?
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The moment of the question.
    pub now: Instant,
    /// 64 random bits.
    pub random: u64,
    /// The request's affinity, for [`Algorithm::Hash`]; see [`crate::key_of`].
    pub key: Option<u64>,
    /// Endpoints tried already. One of them is chosen again only when no other is left.
    pub skip: &'a [EndpointIdx],
}

impl Ask<'_> {
    /// The question of a first attempt without affinity.
    #[must_use]
    pub const fn new(now: Instant, random: u64) -> Self {
        Self { now, random, key: None, skip: &[] }
    }
}

/// The endpoints of one cluster in one generation. Its specs never change; what may be chosen follows health.
///
/// A request that may try several endpoints keeps one set for all its attempts, since an [`EndpointIdx`] belongs to
/// the set that gave it.
pub struct EndpointSet {
    endpoints: Box<[Arc<Endpoint>]>,
    /// The endpoints' states and weights again, to save choosing a pointer.
    states: Box<[Arc<EndpointState>]>,
    weights: Box<[u32]>,
    groups: Box<[Group]>,
    options: SetOptions,
    rotation: ArcSwap<Rotation>,
    lineage: Arc<Lineage>,
}

impl EndpointSet {
    /// A set without a past. It may be empty; then there is nothing to choose until it is rebuilt.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn build(specs: Vec<EndpointSpec>, options: SetOptions, now: Instant) -> Result<Arc<Self>, SetError> {
        let lineage = Lineage::new(options.seed);
        Self::assemble(specs, options, Past { lineage, endpoints: HashMap::new(), now })
    }

    /// The set that follows this one. Endpoints whose name and address stay keep their health, counters and requests
    /// in flight, whatever else of them changes, and round robin goes on where it was. This set goes on working too,
    /// and follows health, for the requests that hold it.
    ///
    /// # Errors
    /// See [`SetError`]; nothing has changed then.
    pub fn rebuild(&self, specs: Vec<EndpointSpec>, options: SetOptions, now: Instant) -> Result<Arc<Self>, SetError> {
        let endpoints = self.endpoints.iter().map(|endpoint| (identity(endpoint.spec()), endpoint)).collect();
        let unchecked = options.health.is_none();
        let set = Self::assemble(specs, options, Past { lineage: Arc::clone(&self.lineage), endpoints, now })?;
        if unchecked {
            // What checks said last would only grow stale, and must not speak first should checks come back.
            for state in &set.states {
                state.update(|record| record.forget(now));
            }
            set.lineage.refresh(now);
        }
        Ok(set)
    }

    fn assemble(specs: Vec<EndpointSpec>, options: SetOptions, past: Past<'_>) -> Result<Arc<Self>, SetError> {
        refuse_duplicates(&specs)?;
        let groups = group(&specs, &options.algorithm)?;
        let now = past.now;
        let weights = specs.iter().map(|spec| spec.weight).collect();
        let endpoints: Box<[Arc<Endpoint>]> = specs.into_iter().map(|spec| past.endpoint(spec)).collect();
        let set = Arc::new(Self {
            states: endpoints.iter().map(|endpoint| Arc::clone(endpoint.state())).collect(),
            endpoints,
            weights,
            groups,
            options,
            rotation: ArcSwap::from_pointee(Rotation::empty(now)),
            lineage: past.lineage,
        });
        set.lineage.join(&set, now);
        Ok(set)
    }

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
        let fresh = rotation.tiers.iter().find_map(|tier| self.untried(tier, ask, &mut draws));
        let again = || {
            let candidates = Candidates::new(self, rotation.tiers.first()?);
            pick(&self.options.algorithm, &candidates, &Ask { skip: &[], ..*ask })
        };
        let index = fresh.or_else(again);
        let choice = index.and_then(|index| self.claim_as(index, fresh.is_none()));
        choice.ok_or_else(|| self.nothing())
    }

    /// Takes an endpoint that was decided on elsewhere, whatever its health; `None` when the set has no such one.
    #[must_use]
    pub fn claim(&self, index: EndpointIdx) -> Option<Choice> {
        self.claim_as(index, false)
    }

    /// Asks the algorithm until it names an endpoint that was not tried, a few times only; then takes the next best.
    fn untried(&self, tier: &Tier, ask: &Ask<'_>, draws: &mut Draws) -> Option<EndpointIdx> {
        let candidates = Candidates::new(self, tier);
        for _ in 0..4 {
            let ask = Ask { random: draws.next(), ..*ask };
            let index = pick(&self.options.algorithm, &candidates, &ask)?;
            if !ask.skip.contains(&index) {
                return Some(index);
            }
        }
        candidates.any_untried(draws.next(), ask.skip)
    }

    fn claim_as(&self, index: EndpointIdx, again: bool) -> Option<Choice> {
        self.endpoint(index).map(|endpoint| Choice::new(Arc::clone(endpoint), index, again))
    }

    fn nothing(&self) -> NoEndpoint {
        match self.endpoints.len() {
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

    /// Requests in flight to any endpoint of the cluster, those that other generations sent included.
    #[must_use]
    pub fn cluster_in_flight(&self) -> u64 {
        self.lineage.in_flight()
    }

    /// Compiles the rotation from health as it is. Called by the lineage alone, which orders the calls.
    pub(crate) fn compile(&self, now: Instant) {
        let available = |index| self.state(EndpointIdx(index)).is_some_and(|state| self.allows(state.health()));
        let tiers = Rotation::compile(&self.groups, self.options.panic_threshold, available);
        let before = self.rotation.load();
        let same = tiers.first().map(|tier| tier.priority) == before.tiers.first().map(|tier| tier.priority);
        let since = if same { before.since } else { now };
        self.rotation.store(Arc::new(Rotation { tiers, since }));
    }

    /// Whether an endpoint of this health may be chosen.
    pub(crate) fn allows(&self, health: Health) -> bool {
        match (&self.options.health, health) {
            (None, _) | (Some(_), Health::Healthy) => true,
            (Some(_), Health::Unhealthy) => false,
            (Some(policy), Health::Unknown) => policy.before_first_check == BeforeFirstCheck::Available,
        }
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

    pub(crate) fn ring(&self, group: usize) -> Option<&Ring> {
        self.groups.get(group)?.ring.as_ref()
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

/// What a set is built upon: the lineage, and the endpoints of the set before.
struct Past<'a> {
    lineage: Arc<Lineage>,
    endpoints: HashMap<(SocketAddr, EndpointName), &'a Arc<Endpoint>>,
    now: Instant,
}

impl Past<'_> {
    /// The endpoint itself when nothing of it changed, else a new one that has the state of its predecessor, if any.
    fn endpoint(&self, spec: EndpointSpec) -> Arc<Endpoint> {
        let before = self.endpoints.get(&identity(&spec));
        if let Some(same) = before.filter(|before| *before.spec() == spec) {
            return Arc::clone(same);
        }
        let fresh = || {
            let lineage = Arc::clone(&self.lineage);
            Arc::new(EndpointState::new(spec.name.clone(), spec.address, lineage, self.now))
        };
        let state = before.map_or_else(fresh, |before| Arc::clone(before.state()));
        Arc::new(Endpoint::new(spec, state, self.now))
    }
}

fn identity(spec: &EndpointSpec) -> (SocketAddr, EndpointName) {
    (spec.address, spec.name.clone())
}

fn refuse_duplicates(specs: &[EndpointSpec]) -> Result<(), SetError> {
    let mut seen: Vec<(SocketAddr, &EndpointName)> = specs.iter().map(|spec| (spec.address, &spec.name)).collect();
    seen.sort_unstable();
    match seen.array_windows().find(|[one, next]| one == next) {
        Some([(address, name), _]) => Err(SetError::Duplicate { name: (*name).clone(), address: *address }),
        None => Ok(()),
    }
}

/// Groups what is not drained by priority, lowest number first.
fn group(specs: &[EndpointSpec], algorithm: &Algorithm) -> Result<Box<[Group]>, SetError> {
    let mut priorities: Vec<u8> = specs.iter().filter(|spec| spec.weight > 0).map(|spec| spec.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    if priorities.is_empty() && !specs.is_empty() {
        return Err(SetError::AllDrained);
    }
    priorities.into_iter().map(|priority| one_group(specs, algorithm, priority)).collect()
}

fn one_group(specs: &[EndpointSpec], algorithm: &Algorithm, priority: u8) -> Result<Group, SetError> {
    let (mut members, mut owners, mut sum) = (Vec::new(), Vec::new(), 0_u64);
    for (index, spec) in (0_u32..).zip(specs).filter(|(_, spec)| spec.weight > 0 && spec.priority == priority) {
        sum += u64::from(spec.weight);
        members.push(Member { index, weight: spec.weight });
        owners.push(Owner { index, weight: spec.weight, identity: identity_hash(&spec.name, spec.address) });
    }
    if sum > u64::from(u32::MAX) {
        return Err(SetError::TooHeavy { priority, sum });
    }
    let ring = match algorithm {
        Algorithm::Hash(_) => Some(Ring::new(&owners)),
        Algorithm::RoundRobin | Algorithm::Random | Algorithm::LeastLoaded | Algorithm::Custom(_) => None,
    };
    Ok(Group { priority, members: members.into_boxed_slice(), ring })
}
