//! Virtual hosts and routes of a generation.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use portcullis_balance::Hedge;
use portcullis_filter::{BuildCx, Chain, StateStore};
use portcullis_policy::{RouteSpec, Router, VirtualHostSpec};
use portcullis_snapshot::{Action, ClusterIdx, Fallback, Forward, HostData, Mirror, RouteData, Target};
use portcullis_yaml::{Diagnostic, Diagnostics};

use super::Environment;
use super::limits::Owner;
use crate::code;
use crate::compile::{ChainSpec, HostChains};
use crate::plan::{ActionPlan, Checked, ClusterPlan, FallbackPlan, ForwardPlan, HostPlan, RoutePlan, TargetPlan};

/// What making hosts needs.
#[derive(Clone, Copy)]
pub(super) struct Build<'a> {
    pub(super) environment: &'a Environment<'a>,
    pub(super) now: Instant,
    pub(super) chains: Chains<'a>,
    /// The clusters, in the order of their places.
    pub(super) plans: &'a [ClusterPlan],
}

/// What making filters needs.
#[derive(Clone, Copy)]
pub(super) struct Chains<'a> {
    pub(super) state: &'a StateStore,
    pub(super) clusters: &'a [&'a str],
}

/// The router. Filters that cannot be built are left out after their errors were pushed.
pub(super) fn router(
    checked: &Checked,
    chains: Vec<HostChains>,
    build: Build<'_>,
    diagnostics: &mut Diagnostics,
) -> Router<Arc<HostData>, Arc<RouteData>> {
    let mut router = Router::builder();
    for (host, chains) in checked.hosts.iter().zip(chains) {
        let data = HostData {
            name: host.name.clone(),
            chain: build.chains.chain(chains.own, diagnostics),
            path_policy: host.path_policy,
            dialect: host.dialect,
            place: host.place.clone(),
        };
        let routes = host.routes.iter().zip(chains.routes);
        let routes = routes.map(|(route, chain)| build.route(host, route, chain, diagnostics)).collect();
        // Names were checked to be unique, so there is no conflict to tell of.
        drop(router.add(VirtualHostSpec { names: host.names.clone(), data: Arc::new(data), routes }));
    }
    router.build()
}

impl Chains<'_> {
    /// The chain of a list. Filters that cannot be built are left out after their errors were pushed.
    pub(super) fn chain(self, specs: ChainSpec, diagnostics: &mut Diagnostics) -> Chain {
        if specs.is_empty() {
            return Chain::default();
        }
        let mut links = Vec::with_capacity(specs.len());
        for placed in specs {
            let name = placed.spec.name();
            let cx = BuildCx { place: &placed.place, state: self.state, clusters: self.clusters };
            match placed.spec.build(&cx) {
                Ok(link) => links.push(link),
                Err(why) => {
                    let message = format!("the filter `{name}` cannot be made: {why}");
                    diagnostics.push(Diagnostic::error(code::FILTER_FAILED, placed.span, message));
                }
            }
        }
        // The length was checked, so the chain is never too long.
        Chain::new(links).unwrap_or_default()
    }
}

impl Build<'_> {
    fn route(
        self,
        host: &HostPlan,
        plan: &RoutePlan,
        chain: ChainSpec,
        diagnostics: &mut Diagnostics,
    ) -> RouteSpec<Arc<RouteData>> {
        let cache = plan.cache.as_deref().and_then(|name| self.environment.seams.caches.get(name).cloned());
        let data = RouteData {
            label: plan.label.clone(),
            name: plan.name.clone(),
            action: self.action(plan),
            chain: self.chains.chain(chain, diagnostics),
            body_limit: plan.body_limit,
            dialect: plan.dialect,
            cache,
            limits: self.environment.limits(Owner::Route(&plan.label), plan.limits, self.now),
            priority: plan.priority,
            upgrade: plan.upgrade,
            idempotent: plan.idempotent,
            place: plan.place.clone(),
            in_flight: AtomicU32::new(0),
            metrics: self.environment.metrics.route(&host.name, &plan.name),
        };
        RouteSpec { name: plan.name.clone(), matcher: plan.matcher.clone(), data: Arc::new(data) }
    }

    fn action(self, route: &RoutePlan) -> Action {
        match &route.action {
            ActionPlan::Forward(plan) => Action::Forward(forward(plan, self.hedges(route, plan))),
            ActionPlan::Redirect(plan) => Action::Redirect(plan.redirect.clone()),
            ActionPlan::Respond(response) => Action::Respond(response.clone()),
        }
    }

    /// The hedging of a route's requests, for each cluster that it may decide on.
    fn hedges(self, route: &RoutePlan, plan: &ForwardPlan) -> Box<[(ClusterIdx, Arc<Hedge>)]> {
        let clusters: Vec<ClusterIdx> = match &plan.target {
            TargetPlan::Cluster(index) | TargetPlan::Subset { cluster: index, .. } => vec![*index],
            TargetPlan::Split { split, .. } => split.items().map(|(index, _)| *index).collect(),
        };
        let hedge = |index: ClusterIdx| {
            let cluster = self.plans.get(index.0 as usize).filter(|_| route.hedge)?;
            let key = format!("{}/{}", route.label, cluster.name);
            Some((index, self.environment.hedge(&key, cluster.hedge?, self.now)))
        };
        clusters.into_iter().filter_map(hedge).collect()
    }
}

fn forward(plan: &ForwardPlan, hedges: Box<[(ClusterIdx, Arc<Hedge>)]>) -> Forward {
    Forward {
        target: match &plan.target {
            TargetPlan::Cluster(index) => Target::Cluster(*index),
            TargetPlan::Subset { cluster, subset, .. } => Target::Subset { cluster: *cluster, subset: *subset },
            TargetPlan::Split { split, sticky } => Target::Split { split: split.clone(), sticky: sticky.clone() },
        },
        rewrite: plan.rewrite.as_ref().map(|plan| plan.rewrite.clone()),
        host: plan.host.clone(),
        mirror: plan.mirror.map(|(cluster, share)| Mirror { cluster, share }),
        timeouts: plan.timeouts,
        fallback: plan.fallback.as_ref().map(|plan| match plan {
            FallbackPlan::Respond(response) => Fallback::Respond(response.clone()),
            FallbackPlan::Cluster(index) => Fallback::Cluster(*index),
        }),
        hedges,
    }
}
