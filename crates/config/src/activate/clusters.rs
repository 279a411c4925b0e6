//! Clusters of a generation.

use std::sync::Arc;

use portcullis_balance::{SetError, SetOptions};
use portcullis_snapshot::{Cluster, FailoverChain, FleetPlan, Part, Retries, Snapshot};
use portcullis_yaml::{Diagnostic, Diagnostics};

use super::limits::Owner;
use super::{Environment, Stamp, endpoints};
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
    pub(super) fn clusters(&self, plans: &[ClusterPlan], diagnostics: &mut Diagnostics) -> Vec<Arc<Cluster>> {
        let mut clusters = Vec::with_capacity(plans.len());
        for plan in plans {
            match self.cluster(plan) {
                Ok(cluster) => clusters.push(cluster),
                Err(error) => {
                    diagnostics.push(Diagnostic::error(code::ENDPOINTS_INVALID, plan.span, error.to_string()));
                }
            }
        }
        clusters
    }

    fn cluster(&self, plan: &ClusterPlan) -> Result<Arc<Cluster>, SetError> {
        let before = self.previous.and_then(|previous| previous.cluster_named(plan.name.as_str()));
        let parts = endpoints::parts(plan, self.environment.fleets);
        if let Some(same) = before.filter(|before| unchanged(before, plan, &parts)) {
            return Ok(same.clone());
        }
        let options = SetOptions {
            algorithm: plan.algorithm.clone(),
            health: plan.health.as_ref().map(|health| health.policy),
            panic_threshold: plan.panic_threshold,
            seed: self.stamp.seed,
        };
        let fleet = FleetPlan { parts, options, tuning: plan.tuning.clone(), subsets: plan.subsets.clone() };
        let retry = Retries::new(plan.retry, before.map(|before| &before.retry), self.stamp.now);
        let failover = FailoverChain::new(plan.failover.clone(), before.and_then(|before| before.failover.as_ref()));
        let before = before.map(|before| &*before.fleet);
        let fleet = self.environment.fleets.fleet(&plan.name, fleet, before, self.stamp.now)?;
        // Held before the limits are made: what they show is a part of it.
        let metrics = self.environment.metrics.cluster(&plan.name);
        Ok(Arc::new(Cluster {
            name: plan.name.clone(),
            fleet,
            hash_key: plan.hash_key.clone(),
            protocol: plan.protocol,
            tls: plan.tls.clone(),
            timeouts: plan.timeouts,
            deadline_header: plan.deadline_header.clone(),
            retry,
            failover,
            limits: self.environment.limits(Owner::Cluster(&plan.name), plan.limits, self.stamp.now),
            keepalive: plan.keepalive,
            health: plan.health.clone(),
            reports: plan.reports.clone(),
            connection_group: connection_group(plan),
            metrics,
        }))
    }
}

/// Whether a cluster of the generation before is just what is wanted.
fn unchanged(before: &Cluster, plan: &ClusterPlan, parts: &[Part]) -> bool {
    let FleetPlan { parts: had, options, tuning, subsets, .. } = before.fleet.plan();
    let algorithm = &options.algorithm;
    had == parts
        && format!("{algorithm:?}") == format!("{:?}", plan.algorithm)
        && before.hash_key == plan.hash_key
        && before.protocol == plan.protocol
        && before.tls == plan.tls
        && before.timeouts == plan.timeouts
        && before.deadline_header == plan.deadline_header
        && before.retry.policy == plan.retry
        && before.failover.as_ref().map(|chain| &*chain.to).unwrap_or_default() == &*plan.failover
        && before.limits.as_ref().map(|limits| limits.rules).unwrap_or_default() == plan.limits
        && before.keepalive == plan.keepalive
        && before.health == plan.health
        && before.reports == plan.reports
        && options.panic_threshold == plan.panic_threshold
        && *tuning == plan.tuning
        && *subsets == plan.subsets
}

/// Connections of equal groups may serve each other's requests.
fn connection_group(plan: &ClusterPlan) -> u64 {
    let tls = plan.tls.as_ref().map(|tls| (&tls.server_name, tls.verify, &tls.ca, &tls.client));
    hash_of(&(plan.protocol, tls))
}
