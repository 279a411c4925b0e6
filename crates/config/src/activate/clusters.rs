//! Clusters of a generation.

use std::sync::Arc;

use portcullis_balance::{Endpoint, EndpointSet, EndpointSpec, SetError, SetOptions};
use portcullis_snapshot::{Cluster, Snapshot};
use portcullis_types::Percent;
use portcullis_yaml::{Diagnostic, Diagnostics};

use super::{Environment, Stamp};
use crate::code;
use crate::facts::hash_of;
use crate::plan::ClusterPlan;

/// What making clusters needs.
pub(super) struct Build<'a> {
    pub(super) previous: Option<&'a Snapshot>,
    pub(super) environment: &'a Environment<'a>,
    pub(super) stamp: Stamp,
}

impl Build<'_> {
    /// The clusters in the order of their plans. One that cannot be made is left out after its error was pushed.
    pub(super) fn clusters(
        &self,
        plans: &[ClusterPlan],
        specs: Vec<Vec<EndpointSpec>>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Arc<Cluster>> {
        let mut clusters = Vec::with_capacity(plans.len());
        for (plan, specs) in plans.iter().zip(specs) {
            match self.cluster(plan, specs) {
                Ok(cluster) => clusters.push(cluster),
                Err(error) => {
                    diagnostics.push(Diagnostic::error(code::ENDPOINTS_INVALID, plan.span, error.to_string()));
                }
            }
        }
        clusters
    }

    fn cluster(&self, plan: &ClusterPlan, specs: Vec<EndpointSpec>) -> Result<Arc<Cluster>, SetError> {
        let before = self.previous.and_then(|previous| previous.cluster_named(plan.name.as_str()));
        if let Some(same) = before.filter(|before| unchanged(before, plan, &specs)) {
            return Ok(same.clone());
        }
        let options = SetOptions {
            algorithm: plan.algorithm.clone(),
            health: plan.health.as_ref().map(|health| health.policy),
            panic_threshold: Percent::default(),
            seed: self.stamp.seed,
        };
        let endpoints = match before {
            Some(before) => before.endpoints.rebuild(specs, options, self.stamp.now)?,
            None => EndpointSet::build(specs, options, self.stamp.now)?,
        };
        let metrics = self.environment.metrics;
        let counters = |endpoint: &Arc<Endpoint>| metrics.endpoint(&plan.name, &endpoint.spec().name);
        Ok(Arc::new(Cluster {
            name: plan.name.clone(),
            endpoint_metrics: endpoints.endpoints().iter().map(counters).collect(),
            endpoints,
            hash_key: plan.hash_key.clone(),
            protocol: plan.protocol,
            tls: plan.tls.clone(),
            timeouts: plan.timeouts,
            attempts: plan.attempts,
            keepalive: plan.keepalive,
            health: plan.health.clone(),
            connection_group: connection_group(plan),
            metrics: metrics.cluster(&plan.name),
        }))
    }
}

/// Whether a cluster of the generation before is just what is wanted.
fn unchanged(before: &Cluster, plan: &ClusterPlan, specs: &[EndpointSpec]) -> bool {
    let endpoints = before.endpoints.endpoints();
    let algorithm = &before.endpoints.options().algorithm;
    endpoints.len() == specs.len()
        && endpoints.iter().zip(specs).all(|(endpoint, spec)| endpoint.spec() == spec)
        && format!("{algorithm:?}") == format!("{:?}", plan.algorithm)
        && before.hash_key == plan.hash_key
        && before.protocol == plan.protocol
        && before.tls == plan.tls
        && before.timeouts == plan.timeouts
        && before.attempts == plan.attempts
        && before.keepalive == plan.keepalive
        && before.health == plan.health
}

/// Connections of equal groups may serve each other's requests.
fn connection_group(plan: &ClusterPlan) -> u64 {
    let tls = plan.tls.as_ref().map(|tls| (&tls.server_name, tls.verify, &tls.ca, &tls.client));
    hash_of(&(plan.protocol, tls))
}
