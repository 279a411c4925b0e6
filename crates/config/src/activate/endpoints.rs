//! Entries of a cluster's endpoints as parts of its fleet. Nothing is resolved here: sources answer by themselves.

use portcullis_balance::EndpointSpec;
use portcullis_snapshot::{Fleets, Mould, Part, SourceKey};
use portcullis_types::EndpointName;
use std::sync::Arc;

use crate::plan::{AddressPlan, ClusterPlan, EndpointPlan};

/// The parts of a cluster, in the order of its entries.
pub(super) fn parts(cluster: &ClusterPlan, fleets: &Arc<Fleets>) -> Vec<Part> {
    cluster.endpoints.iter().map(|endpoint| part(endpoint, fleets)).collect()
}

fn part(endpoint: &EndpointPlan, fleets: &Arc<Fleets>) -> Part {
    let name = || EndpointName::from(endpoint.text.as_str());
    match &endpoint.address {
        AddressPlan::Socket(address) => Part::Fixed(EndpointSpec {
            name: name(),
            address: *address,
            weight: endpoint.weight.unwrap_or(1),
            priority: endpoint.priority.unwrap_or(0),
            zone: endpoint.zone.clone(),
            labels: endpoint.labels.clone(),
        }),
        AddressPlan::Source(key) => Part::Fed {
            feed: fleets.feed(key),
            mould: Mould {
                // All addresses of a name go by that name, so that their metrics outlive them.
                name: matches!(key, SourceKey::Name { .. }).then(name),
                weight: endpoint.weight,
                priority: endpoint.priority,
                zone: endpoint.zone.clone(),
                labels: endpoint.labels.clone(),
            },
        },
    }
}
