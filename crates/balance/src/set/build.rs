//! Building sets: from specs, from a set before, and parts of one.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use portcullis_types::EndpointName;

use super::EndpointSet;
use crate::endpoint::{Endpoint, EndpointSpec, identity_hash};
use crate::lineage::Lineage;
use crate::options::Algorithm;
use crate::ring::{Owner, Ring};
use crate::rotation::{Group, Rotation};
use crate::spill::Spill;
use crate::state::EndpointState;
use crate::tier::Member;
use crate::tuning::{TunedOptions, Tuning};

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

impl EndpointSet {
    /// A set without a past. It may be empty; then there is nothing to choose until it is rebuilt.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn build(
        specs: Vec<EndpointSpec>,
        options: impl Into<TunedOptions>,
        now: Instant,
    ) -> Result<Arc<Self>, SetError> {
        let options = options.into();
        let lineage = Lineage::new(options.options.seed, now);
        Self::assemble(specs, options, Past { lineage, endpoints: HashMap::new(), groups: &[], now })
    }

    /// The set that follows this one. Endpoints whose name and address stay keep their health, counters and requests
    /// in flight, whatever else of them changes, and round robin goes on where it was. This set goes on working too,
    /// and follows health, for the requests that hold it.
    ///
    /// # Errors
    /// See [`SetError`]; nothing has changed then.
    pub fn rebuild(
        &self,
        specs: Vec<EndpointSpec>,
        options: impl Into<TunedOptions>,
        now: Instant,
    ) -> Result<Arc<Self>, SetError> {
        let options = options.into();
        let endpoints = self.endpoints.iter().map(|endpoint| (identity(endpoint.spec()), endpoint)).collect();
        let (unchecked, unmeasured) = (options.options.health.is_none(), options.tuning.heights.is_none());
        let past = Past { lineage: Arc::clone(&self.lineage), endpoints, groups: &self.groups, now };
        let set = Self::assemble(specs, options, past)?;
        // What checks said last would only grow stale, and must not speak first should checks come back.
        if unchecked {
            set.states.iter().for_each(|state| state.update(|record| record.forget(now)));
        }
        if unmeasured && self.tuning.heights.is_some() {
            set.states.iter().for_each(|state| state.mark().forget());
            set.lineage.forget_heights();
        }
        if unchecked || unmeasured {
            set.lineage.refresh(now);
        }
        Ok(set)
    }

    fn assemble(specs: Vec<EndpointSpec>, options: TunedOptions, past: Past<'_>) -> Result<Arc<Self>, SetError> {
        refuse_duplicates(&specs)?;
        let TunedOptions { options, tuning } = options;
        let mut groups = group(&numbered(specs.iter()).collect::<Vec<_>>(), &options.algorithm, &tuning)?;
        go_on_spilling(&mut groups, past.groups);
        let now = past.now;
        let weights = specs.iter().map(|spec| spec.weight).collect();
        let endpoints: Arc<[Arc<Endpoint>]> = specs.into_iter().map(|spec| past.endpoint(spec)).collect();
        let set = Arc::new(Self {
            states: endpoints.iter().map(|endpoint| Arc::clone(endpoint.state())).collect(),
            endpoints,
            weights,
            groups,
            options,
            tuning,
            labels: BTreeMap::new(),
            rotation: ArcSwap::from_pointee(Rotation::empty(now)),
            lineage: past.lineage,
        });
        set.lineage.join(&set, now);
        Ok(set)
    }

    /// The part of this set whose endpoints carry all these labels, as a set of its own: it chooses among them alone
    /// and shares everything else, the indices of endpoints too. It follows health for as long as it is kept; a set
    /// that is rebuilt wants its subsets selected anew. It may be empty.
    #[must_use]
    pub fn select(&self, labels: &BTreeMap<String, String>, now: Instant) -> Arc<Self> {
        let carries = |spec: &EndpointSpec| labels.iter().all(|(name, value)| spec.labels.get(name) == Some(value));
        let specs: Vec<(u32, &EndpointSpec)> =
            numbered(self.endpoints.iter().map(|endpoint| endpoint.spec())).filter(|(_, spec)| carries(spec)).collect();
        // The weights of a part sum to no more than those of the whole: what may be missing is any weight at all.
        let mut groups = group(&specs, &self.options.algorithm, &self.tuning).unwrap_or_default();
        go_on_spilling(&mut groups, &self.groups);
        let set = Arc::new(Self {
            endpoints: Arc::clone(&self.endpoints),
            states: Arc::clone(&self.states),
            weights: Arc::clone(&self.weights),
            groups,
            options: self.options.clone(),
            tuning: self.tuning.clone(),
            labels: labels.clone(),
            rotation: ArcSwap::from_pointee(Rotation::empty(now)),
            lineage: Arc::clone(&self.lineage),
        });
        set.lineage.join_subset(&set, now);
        set
    }
}

/// What leaves the own zone leaves it in the next set too.
fn go_on_spilling(groups: &mut [Group], before: &[Group]) {
    for group in groups {
        if let Some(before) = before.iter().find(|before| before.priority == group.priority) {
            group.spill = before.spill.clone();
        }
    }
}

/// What a set is built upon: the lineage, and the endpoints and priorities of the set before.
struct Past<'a> {
    lineage: Arc<Lineage>,
    endpoints: HashMap<(SocketAddr, EndpointName), &'a Arc<Endpoint>>,
    groups: &'a [Group],
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
        let joins = before.is_none() && !self.endpoints.is_empty();
        let comes_back = before.is_some_and(|before| before.spec().weight == 0 && spec.weight > 0);
        if joins || comes_back {
            state.begin_ramp(self.now);
        }
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

fn numbered<'a>(specs: impl Iterator<Item = &'a EndpointSpec>) -> impl Iterator<Item = (u32, &'a EndpointSpec)> {
    (0_u32..).zip(specs)
}

/// Groups what is not drained by priority, lowest number first.
fn group(specs: &[(u32, &EndpointSpec)], algorithm: &Algorithm, tuning: &Tuning) -> Result<Box<[Group]>, SetError> {
    let weighted: Vec<(u32, &EndpointSpec)> = specs.iter().copied().filter(|(_, spec)| spec.weight > 0).collect();
    let mut priorities: Vec<u8> = weighted.iter().map(|(_, spec)| spec.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    if priorities.is_empty() && !specs.is_empty() {
        return Err(SetError::AllDrained);
    }
    let of = |priority| weighted.iter().copied().filter(move |(_, spec)| spec.priority == priority).collect();
    priorities.into_iter().map(|priority| one_group(priority, of(priority), algorithm, tuning)).collect()
}

fn one_group(
    priority: u8,
    specs: Vec<(u32, &EndpointSpec)>,
    algorithm: &Algorithm,
    tuning: &Tuning,
) -> Result<Group, SetError> {
    let sum: u64 = specs.iter().map(|(_, spec)| u64::from(spec.weight)).sum();
    if sum > u64::from(u32::MAX) {
        return Err(SetError::TooHeavy { priority, sum });
    }
    let home = tuning.zone.as_ref().map(|preference| &preference.zone);
    let member = |(index, spec): &(u32, &EndpointSpec)| Member {
        index: *index,
        weight: spec.weight,
        local: home.is_some() && spec.zone.as_ref() == home,
    };
    let mut zones: Vec<Option<&str>> = specs.iter().map(|(_, spec)| spec.zone.as_deref()).collect();
    zones.sort_unstable();
    zones.dedup();
    let owner = |(index, spec): &(u32, &EndpointSpec)| Owner {
        index: *index,
        weight: spec.weight,
        identity: identity_hash(&spec.name, spec.address),
    };
    let ring = match algorithm {
        Algorithm::Hash(_) => Some(Ring::new(&specs.iter().map(owner).collect::<Vec<_>>())),
        Algorithm::RoundRobin | Algorithm::Random | Algorithm::LeastLoaded | Algorithm::Custom(_) => None,
    };
    let members = specs.iter().map(member).collect();
    Ok(Group { priority, members, zones: zones.len(), ring, spill: Spill::default() })
}
