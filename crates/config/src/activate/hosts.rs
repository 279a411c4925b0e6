//! Virtual hosts and routes of a generation.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use portcullis_balance::Hedge;
use portcullis_filter::{BuildCx, Chain, Claims, Services, StateStore};
use portcullis_policy::{RouteSpec, Router, VirtualHostSpec};
use portcullis_snapshot::{Action, Another, ClusterIdx, Fallback, Forward, HostData, Mirror, RouteData, Target, Then};
use portcullis_telemetry::record::TraceTerms;
use portcullis_types::RouteName;
use portcullis_yaml::{Diagnostic, Diagnostics};

use super::Environment;
use super::limits::Owner;
use crate::code;
use crate::compile::{ChainSpec, HostChains};
use crate::plan::{
    ActionPlan, Checked, ClusterPlan, FallbackPlan, ForwardPlan, HostPlan, RoutePlan, TargetPlan, ThenPlan,
};

/// What making hosts needs.
#[derive(Clone, Copy)]
pub(super) struct Build<'a> {
    pub(super) environment: &'a Environment<'a>,
    pub(super) now: Instant,
    pub(super) chains: Chains<'a>,
    /// The clusters, in the order of their places.
    pub(super) plans: &'a [ClusterPlan],
    /// What is slow in the sense of traces, where a route says nothing else.
    pub(super) slow: Option<Duration>,
}

/// What making filters needs.
#[derive(Clone, Copy)]
pub(super) struct Chains<'a> {
    pub(super) state: &'a StateStore,
    pub(super) clusters: &'a [&'a str],
    pub(super) services: &'a Services,
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
        let own = build.chains.chain(chains.own, diagnostics);
        let routes = build.routes(host, chains.routes, diagnostics);
        let secrets = routes.iter().flat_map(|route| route.data.chain.secrets());
        let data = HostData {
            name: host.name.clone(),
            secrets: own.secrets().chain(secrets).collect(),
            chain: own,
            path_policy: host.path_policy,
            dialect: host.dialect,
            place: host.place.clone(),
        };
        // Names were checked to be unique, so there is no conflict to tell of.
        drop(router.add(VirtualHostSpec { names: host.names.clone(), data: Arc::new(data), routes }));
    }
    router.build()
}

/// The fields that filters claim, of whatever host or route they are.
pub(super) fn claims(router: &Router<Arc<HostData>, Arc<RouteData>>) -> Claims {
    let chains = router.hosts().flat_map(|host| {
        let routes = host.routes().iter().map(|route| &route.data().chain);
        std::iter::once(&host.data().chain).chain(routes)
    });
    chains.flat_map(Chain::claims).collect()
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
            let cx =
                BuildCx { place: &placed.place, state: self.state, clusters: self.clusters, services: self.services };
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
    /// The routes of a host, in their order. Those that fall back to another are made last: the other is no such one.
    fn routes(
        self,
        host: &HostPlan,
        chains: Vec<ChainSpec>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<RouteSpec<Arc<RouteData>>> {
        let chains = chains.into_iter().map(|chain| self.chains.chain(chain, diagnostics));
        let mut chains: Vec<Option<Chain>> = chains.map(Some).collect();
        let mut made: Vec<Option<Arc<RouteData>>> = vec![None; host.routes.len()];
        for last in [false, true] {
            for (at, plan) in host.routes.iter().enumerate() {
                let Some(chain) = chains.get_mut(at).filter(|_| plan.falls_back_to().is_some() == last) else {
                    continue;
                };
                let others = Others { plans: &host.routes, made: &made };
                let route = Arc::new(self.route(host, plan, chain.take().unwrap_or_default(), others));
                if let Some(slot) = made.get_mut(at) {
                    *slot = Some(route);
                }
            }
        }
        let spec = |(plan, data): (&RoutePlan, Option<Arc<RouteData>>)| {
            Some(RouteSpec { name: plan.name.clone(), matcher: plan.matcher.clone(), data: data? })
        };
        host.routes.iter().zip(made).filter_map(spec).collect()
    }

    fn route(self, host: &HostPlan, plan: &RoutePlan, chain: Chain, others: Others<'_>) -> RouteData {
        let cache = plan.cache.as_deref().and_then(|name| self.environment.seams.caches.get(name).cloned());
        RouteData {
            label: plan.label.clone(),
            name: plan.name.clone(),
            action: self.action(plan, others),
            chain,
            body_limit: plan.body_limit,
            dialect: plan.dialect,
            cache,
            limits: self.environment.limits(Owner::Route(&plan.label), plan.limits, self.now),
            priority: plan.priority,
            tracing: plan.tracing,
            trace: Arc::new(TraceTerms {
                slow: plan.tracing.slow.or(self.slow),
                pattern: Some(plan.matcher.path.text().into()),
            }),
            upgrade: plan.upgrade,
            idempotent: plan.idempotent,
            place: plan.place.clone(),
            in_flight: AtomicU32::new(0),
            metrics: self.environment.metrics.route(&host.name, &plan.name),
        }
    }

    fn action(self, route: &RoutePlan, others: Others<'_>) -> Action {
        match &route.action {
            ActionPlan::Forward(plan) => {
                let fallback = plan.fallback.as_ref().map(|plan| others.fallback(plan));
                Action::Forward(forward(plan, fallback, self.hedges(route, plan)))
            }
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

/// The routes of a host, as far as they are made.
#[derive(Clone, Copy)]
struct Others<'a> {
    plans: &'a [RoutePlan],
    made: &'a [Option<Arc<RouteData>>],
}

impl Others<'_> {
    fn fallback(self, plan: &FallbackPlan) -> Fallback {
        let then = plan.then.as_ref().and_then(|then| match then {
            ThenPlan::Respond(response) => Some(Then::Respond(response.clone())),
            ThenPlan::Cluster(index) => Some(Then::Cluster(*index)),
            ThenPlan::Route(name) => self.another(name).map(Box::new).map(Then::Route),
        });
        Fallback { stale: plan.stale, then }
    }

    fn another(self, name: &RouteName) -> Option<Another> {
        let at = self.plans.iter().position(|plan| plan.name == *name)?;
        Some(Another { route: self.made.get(at)?.clone()?, path: self.plans.get(at)?.matcher.path.clone() })
    }
}

fn forward(plan: &ForwardPlan, fallback: Option<Fallback>, hedges: Box<[(ClusterIdx, Arc<Hedge>)]>) -> Forward {
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
        fallback,
        hedges,
    }
}
