//! Which endpoint this very request takes: exactly, where it is balanced by a hash; each one's share, where chance
//! decides.
//!
//! The choice is the balancer's own, and nothing is claimed by it.

use std::time::Instant;

use portcullis_balance::{Algorithm, EndpointSet, EndpointStanding, Place};
use portcullis_types::{EndpointName, Percent};

use crate::cluster::Cluster;

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
        (cluster, set): (&Cluster, &EndpointSet),
        key: Option<u64>,
        standings: &[EndpointStanding],
        now: Instant,
    ) -> Option<Self> {
        let algorithm = &set.options().algorithm;
        let by = cluster.hash_key.as_ref();
        match (algorithm, by, key) {
            (Algorithm::RoundRobin | Algorithm::LeastLoaded | Algorithm::Custom(_), _, _) => None,
            (Algorithm::Hash(_), Some(by), Some(key)) => {
                let owner = set.owner(key, now).and_then(|index| set.endpoint(index))?;
                let name = owner.spec().name.clone();
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
        // Where two priorities or zones share the requests, weights alone do not say how.
        let mut taking = standings.iter().filter(|standing| standing.place.takes_requests());
        let one = taking.all(|standing| standing.priority == priority && standing.place != Place::Overflow);
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
