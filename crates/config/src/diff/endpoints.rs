//! Clusters, and their endpoints one by one.

use super::{Diff, matched};
use crate::plan::ClusterPlan;

impl Diff {
    /// Compares a cluster with its endpoints; says whether anything differs.
    pub(super) fn cluster(&mut self, pair: (Option<&ClusterPlan>, Option<&ClusterPlan>)) -> bool {
        let mut differs = self.thing("cluster", pair, |cluster| (cluster.name.clone(), cluster.facts()));
        if let (Some(old), Some(new)) = pair {
            let kind = format!("cluster {}: endpoint", new.name);
            for pair in matched(&old.endpoints, &new.endpoints, |endpoint| endpoint.text.as_str()) {
                differs |= self.thing(&kind, pair, |endpoint| (endpoint.text.clone(), endpoint.facts()));
            }
        }
        differs
    }
}
