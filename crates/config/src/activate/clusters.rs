//! Clusters of a generation.

use std::sync::Arc;

use portcullis_balance::{EndpointSpec, SetError, SetOptions, Tuning};
use portcullis_snapshot::{Cluster, FleetPlan, Snapshot};
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
        let fleet = FleetPlan { specs, options, tuning: Tuning::default() };
        let before = before.map(|before| &*before.fleet);
        let fleet = self.environment.fleets.fleet(&plan.name, fleet, before, self.stamp.now)?;
        Ok(Arc::new(Cluster {
            name: plan.name.clone(),
            fleet,
            hash_key: plan.hash_key.clone(),
            protocol: plan.protocol,
            tls: plan.tls.clone(),
            timeouts: plan.timeouts,
            attempts: plan.attempts,
            keepalive: plan.keepalive,
            health: plan.health.clone(),
            connection_group: connection_group(plan),
            metrics: self.environment.metrics.cluster(&plan.name),
        }))
    }
}

/// Whether a cluster of the generation before is just what is wanted.
fn unchanged(before: &Cluster, plan: &ClusterPlan, specs: &[EndpointSpec]) -> bool {
    let FleetPlan { specs: had, options, .. } = before.fleet.plan();
    let algorithm = &options.algorithm;
    had == specs
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
