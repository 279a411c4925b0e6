//! Addresses of endpoints: those that are names are resolved, all at once.

use std::collections::HashMap;

use portcullis_balance::EndpointSpec;
use portcullis_types::EndpointName;
use portcullis_yaml::{Diagnostic, Diagnostics};

use crate::code;
use crate::plan::{AddressPlan, ClusterPlan, EndpointPlan};
use crate::resolver::{Resolved, Resolver, Target};

/// The endpoints of each cluster, in the order of the clusters. One whose name has no address is left out after its
/// error was pushed; a name with several addresses is an endpoint for each.
pub(super) fn resolve(
    clusters: &[ClusterPlan],
    resolver: &dyn Resolver,
    diagnostics: &mut Diagnostics,
) -> Vec<Vec<EndpointSpec>> {
    let names = resolve_names(clusters, resolver);
    let mut endpoints = |cluster: &ClusterPlan| {
        cluster.endpoints.iter().flat_map(|endpoint| specs(endpoint, &names, diagnostics)).collect()
    };
    clusters.iter().map(&mut endpoints).collect()
}

fn target(address: &AddressPlan) -> Option<Target> {
    match address {
        AddressPlan::Socket(_) => None,
        AddressPlan::Name { host, port } => Some(Target { host: host.clone(), port: *port }),
    }
}

fn resolve_names(clusters: &[ClusterPlan], resolver: &dyn Resolver) -> HashMap<Target, Resolved> {
    let endpoints = clusters.iter().flat_map(|cluster| &cluster.endpoints);
    let mut targets: Vec<Target> = endpoints.filter_map(|endpoint| target(&endpoint.address)).collect();
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        return HashMap::new();
    }
    let answers = resolver.resolve(&targets);
    targets.into_iter().zip(answers).collect()
}

fn specs(
    endpoint: &EndpointPlan,
    names: &HashMap<Target, Resolved>,
    diagnostics: &mut Diagnostics,
) -> Vec<EndpointSpec> {
    let spec = |address| EndpointSpec {
        name: EndpointName::from(endpoint.text.as_str()),
        address,
        weight: endpoint.weight,
        priority: endpoint.priority,
        zone: endpoint.zone.clone(),
        labels: endpoint.labels.clone(),
    };
    let answer = match &endpoint.address {
        AddressPlan::Socket(address) => return vec![spec(*address)],
        name @ AddressPlan::Name { .. } => target(name).and_then(|target| names.get(&target)),
    };
    match answer {
        Some(Ok(addresses)) => addresses.iter().map(|address| spec(*address)).collect(),
        other => {
            let why = match other {
                Some(Err(why)) => why.as_str(),
                Some(Ok(_)) | None => "the resolver gave no answer",
            };
            let message = format!("`{}` does not resolve: {why}", endpoint.text);
            diagnostics.push(Diagnostic::error(code::NAME_UNRESOLVED, endpoint.span, message));
            Vec::new()
        }
    }
}
