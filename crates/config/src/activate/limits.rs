//! What is counted against limits: kept by name for as long as a generation or a request holds it.

use std::sync::Arc;
use std::time::Instant;

use portcullis_balance::{Hedge, HedgePolicy};
use portcullis_snapshot::limits::Gate;
use portcullis_snapshot::{LimitRules, Limits};
use portcullis_telemetry::Bound;
use portcullis_types::ClusterName;

use super::Environment;

/// Who has limits.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Cluster(&'a ClusterName),
    /// `host/route`.
    Route(&'a str),
}

impl Environment<'_> {
    /// The limits of a cluster or a route, if it has any, with what counts against them already.
    pub(super) fn limits(&self, owner: Owner<'_>, rules: LimitRules, now: Instant) -> Option<Limits> {
        if rules == LimitRules::default() {
            return None;
        }
        let (kind, name) = match owner {
            Owner::Cluster(name) => ("cluster", name.as_str()),
            Owner::Route(name) => ("route", name),
        };
        let key = |what: &str| format!("limits/{kind}/{name}/{what}");
        let streams = self.state.get_or_insert(&key("streams"), Bound::default);
        let gate = match owner {
            Owner::Cluster(name) => {
                self.show(("cluster_streams", name.as_str()), &streams, rules.streams.is_some());
                let metrics = self.metrics.cluster(name);
                let gate = || Gate::new(metrics.in_flight().clone(), metrics.queue().clone(), now);
                self.state.get_or_insert(&key("requests"), gate)
            }
            Owner::Route(name) => {
                let gate = || Gate::new(Arc::default(), Arc::default(), now);
                let gate = self.state.get_or_insert(&key("requests"), gate);
                self.show(("route_requests", name), gate.shown(), rules.bound_requests());
                self.show(("route_streams", name), &streams, rules.streams.is_some());
                gate
            }
        };
        Some(Limits { rules, gate, streams })
    }

    /// The hedging of a route's requests to a cluster. What it knows of their latency is kept while the policy stays.
    pub(super) fn hedge(&self, of: &str, policy: HedgePolicy, now: Instant) -> Arc<Hedge> {
        self.state.get_or_insert(&format!("hedge/{of}/{policy}"), || Hedge::new(policy, now))
    }

    fn show(&self, (what, of): (&'static str, &str), bound: &Arc<Bound>, limited: bool) {
        if limited {
            self.metrics.attach_bound(what, of, bound);
        }
    }
}
