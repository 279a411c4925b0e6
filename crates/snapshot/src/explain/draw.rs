//! Which endpoint this very request takes: exactly, where it is balanced by a hash; each one's share, where chance
//! decides.
//!
//! The choice is made by the balancer's own code, on a copy of the cluster's endpoints without their counters, so that
//! nothing of the real ones is claimed. What the real ones refuse now is passed over there.

use std::time::Instant;

use portcullis_balance::{Algorithm, Ask, EndpointSet, EndpointStanding, LoadBound};
use portcullis_types::{EndpointName, Percent};

use crate::cluster::{Cluster, Members};

/// How the endpoint is chosen.
pub(super) struct Draw {
    /// The endpoint, where it is known.
    pub(super) endpoint: Option<EndpointName>,
    /// What decides, as a sentence.
    pub(super) because: String,
    /// The weights of all that chance may take, and their priority; `None` where chance has no part.
    chance: Option<(u64, u8)>,
}

impl Draw {
    /// `None` where the moment decides: in turn, or by load.
    pub(super) fn of(
        (cluster, members): (&Cluster, &Members),
        key: Option<u64>,
        standings: &[EndpointStanding],
        now: Instant,
    ) -> Option<Self> {
        let algorithm = &members.endpoints.options().algorithm;
        let by = cluster.hash_key.as_ref();
        match (algorithm, by, key) {
            (Algorithm::RoundRobin | Algorithm::LeastLoaded | Algorithm::Custom(_), _, _) => None,
            (Algorithm::Hash(bound), Some(by), Some(key)) => {
                let name = owner(members, (key, *bound), standings, now)?;
                let because = format!("by its {by}, this request takes {name}");
                Some(Self { endpoint: Some(name), because, chance: None })
            }
            (Algorithm::Hash(_), Some(by), None) => {
                Some(Self::by_chance(format!("the request has no {by}: chance decides, by weight"), standings))
            }
            (Algorithm::Random | Algorithm::Hash(_), _, _) => {
                Some(Self::by_chance("chance decides, by weight".to_owned(), standings))
            }
        }
    }

    fn by_chance(because: String, standings: &[EndpointStanding]) -> Self {
        let (weights, priority) = in_use(standings);
        // Where two priorities share the requests, weights alone do not say how.
        let one = standings.iter().all(|standing| !standing.place.takes_requests() || standing.priority == priority);
        Self { endpoint: None, because, chance: Some((weights, priority)).filter(|_| one) }
    }

    /// The share of the requests that an endpoint gets by chance, to a tenth of a per cent.
    pub(super) fn share(&self, standing: &EndpointStanding) -> Option<Percent> {
        let (weights, _) = self.chance.filter(|_| standing.place.takes_requests())?;
        let tenths = (u64::from(standing.weight) * 1000 + weights / 2).checked_div(weights)?;
        Percent::from_millionths(u32::try_from(tenths * 1000).ok()?)
    }
}

/// The weights of the first priority that takes requests, and that priority.
fn in_use(standings: &[EndpointStanding]) -> (u64, u8) {
    let takes = || standings.iter().filter(|standing| standing.place.takes_requests());
    let priority = takes().map(|standing| standing.priority).min().unwrap_or_default();
    let weights = takes().filter(|standing| standing.priority == priority).map(|standing| u64::from(standing.weight));
    (weights.sum(), priority)
}

/// The endpoint that a key meets.
fn owner(
    members: &Members,
    (key, bound): (u64, LoadBound),
    standings: &[EndpointStanding],
    now: Instant,
) -> Option<EndpointName> {
    // Those that are told of: all, or the subset.
    let told = standings.iter().filter_map(|standing| members.endpoints.endpoint(standing.index));
    let specs = told.map(|endpoint| endpoint.spec().clone()).collect();
    let mut options = members.endpoints.options().clone();
    options.health = None;
    let copy = EndpointSet::build(specs, options, now).ok()?;
    let (weights, _) = in_use(standings);
    let passed = standings.iter().enumerate().filter(|(_, standing)| {
        !standing.place.takes_requests() || is_full(standing, bound, (members.endpoints.cluster_in_flight(), weights))
    });
    let skip: Vec<_> = passed.filter_map(|(at, _)| copy.index_at(at)).collect();
    let takes = standings.iter().any(|standing| standing.place.takes_requests());
    let ask = Ask { key: Some(key), skip: &skip, ..Ask::new(now, 0) };
    let choice = copy.choose(&ask).ok().filter(|_| takes)?;
    Some(choice.endpoint().spec().name.clone())
}

/// Whether an endpoint holds as many requests as [`LoadBound`] lets it, of all in flight and this one.
fn is_full(standing: &EndpointStanding, bound: LoadBound, (in_flight, weights): (u64, u64)) -> bool {
    let fair = (in_flight + 1).saturating_mul(u64::from(standing.weight)).div_ceil(weights.max(1));
    u64::from(standing.in_flight) >= fair.saturating_mul(u64::from(bound.percent())).div_ceil(100)
}
