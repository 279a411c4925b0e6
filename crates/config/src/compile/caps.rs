//! `plans:` and `caps:`.

use portcullis_caps::{CapSet, Scope};
use portcullis_filters::caps::{PlanSets, SetWords};
use portcullis_yaml::{Diagnostic, Named, Node, Spanned, suggest};

use super::Compiler;
use crate::code;
use crate::plan::{FilterPlan, HostPlan, RoutePlan};
use crate::raw::top::Top;

/// The built-in filters that look into no body.
const BLIND: [&str; 14] = [
    "access",
    "anonymous",
    "api_key",
    "caps",
    "client_certificate",
    "compress",
    "cors",
    "errors",
    "fault",
    "headers",
    "jwt",
    "limits",
    "redirect",
    "respond",
];

impl Compiler<'_, '_> {
    /// What is allowed, hosts and routes apart.
    pub(super) fn plans(&mut self, top: &Top) -> PlanSets {
        let caps = top.caps.as_ref();
        let gateway = caps.and_then(|caps| caps.gateway.as_ref());
        PlanSets {
            gateway: gateway.and_then(|words| words.compile(Scope::Gateway, "gateway", words.span, self.cx)),
            plans: top.plans.iter().flat_map(|plans| self.sets(Scope::Plan, plans)).collect(),
            consumers: caps.iter().flat_map(|caps| self.sets(Scope::Consumer, &caps.consumers)).collect(),
        }
    }

    fn sets(&mut self, scope: Scope, sets: &Named<Spanned<SetWords>>) -> Vec<CapSet> {
        let mut compiled = Vec::with_capacity(sets.len());
        for entry in sets {
            let set = entry.value.compile(scope, &entry.name, entry.span, self.cx);
            compiled.extend(set);
        }
        compiled
    }

    /// Whatever names a plan must name one that is there.
    pub(super) fn check_plans(&mut self, top: &Top, sets: &PlanSets, hosts: &[HostPlan]) {
        if top.plans.is_broken() {
            return;
        }
        let known: Vec<&str> = top.plans.iter().flat_map(|plans| plans.names()).collect();
        for host in hosts.iter() {
            for (filter, route) in all_filters(host).filter(|(filter, _)| filter.name == "anonymous") {
                let held = has_caps(&host.filters) || route.is_some_and(|route| has_caps(&route.filters));
                let plan = filter.settings.get("plan").map(|entry| &entry.value).filter(|_| held);
                let Some((plan, name)) = plan.and_then(|node| Some((node, node.scalar()?.text()))) else { continue };
                if !known.contains(&name) {
                    let near = suggest(name, known.iter().copied());
                    let message = format!("there is no plan `{name}`");
                    let diagnostic = Diagnostic::error(code::UNKNOWN_PLAN, plan.span, message);
                    let otherwise = || match known.as_slice() {
                        [] => "write it under `plans`".to_owned(),
                        known => format!("the plans are {}", known.join(", ")),
                    };
                    self.cx.push(diagnostic.help_suggest(near, otherwise));
                }
            }
            self.warn_unread_methods(sets, host);
        }
    }

    /// What is said of methods holds only where bodies are looked into.
    fn warn_unread_methods(&mut self, sets: &PlanSets, host: &HostPlan) {
        let first = all_filters(host).find(|(filter, _)| filter.name == "caps");
        let unread = speak_of_methods(sets, host) && !reads_calls(host) && !self.cx.diagnostics().has_errors();
        let Some((filter, _)) = first.filter(|_| unread) else { return };
        let message =
            format!("what is said of methods does not hold on the host `{}`: nobody looks for calls", host.name);
        let help = "add the filter `jsonrpc` to the host, or a route that matches on `jsonrpc`";
        self.cx.push(Diagnostic::warning(code::METHODS_UNREAD, filter.settings.span, message).help(help));
    }

    /// Plans hold nobody where no filter looks at them.
    pub(super) fn warn_idle_plans(&mut self, top: &Top, hosts: &[HostPlan]) {
        let first = top.plans.iter().flatten().next().map(|entry| (entry.span, "plans hold nobody"));
        let gateway = top.caps.as_ref().and_then(|caps| caps.gateway.as_ref());
        let gateway = gateway.map(|words| (words.span, "the gateway's caps hold nobody"));
        let Some((span, what)) = first.or(gateway).filter(|_| !self.cx.diagnostics().has_errors()) else { return };
        let routes = |host: &HostPlan| host.routes.iter().any(|route: &RoutePlan| has_caps(&route.filters));
        if !hosts.iter().any(|host| has_caps(&host.filters) || routes(host)) {
            let message = format!("{what}: no host and no route has the filter `caps`");
            let help = "add `caps` to the `filters` of a host, behind the filter that says who calls";
            self.cx.push(Diagnostic::warning(code::PLANS_IDLE, span, message).help(help));
        }
    }
}

/// Whether anything speaks of methods: plans, or the filters of a host and its routes.
fn speak_of_methods(sets: &PlanSets, host: &HostPlan) -> bool {
    let PlanSets { gateway, plans, consumers } = sets;
    let in_sets = gateway.iter().chain(plans).chain(consumers).any(|set| set.patterns().next().is_some());
    in_sets || all_filters(host).any(|(filter, _)| filter.name == "caps" && has_methods(&filter.settings))
}

fn has_methods(settings: &Node) -> bool {
    let shared = settings.get("shared").and_then(|entry| entry.value.get("methods"));
    settings.get("methods").or(shared).is_some()
}

/// Whether the calls in bodies are looked for on a host, or may be by a filter that is not known here.
fn reads_calls(host: &HostPlan) -> bool {
    let may = |filter: &FilterPlan| !BLIND.contains(&filter.name.as_str());
    host.filters.iter().any(may) || host.routes.iter().any(|route| route.matcher.conditions.body.is_some())
}

/// The filters of a host, and of its routes with their own lists.
pub(crate) fn all_filters(host: &HostPlan) -> impl Iterator<Item = (&FilterPlan, Option<&RoutePlan>)> {
    let of_routes = host.routes.iter().flat_map(|route| route.filters.iter().map(move |filter| (filter, Some(route))));
    host.filters.iter().map(|filter| (filter, None)).chain(of_routes)
}

fn has_caps(filters: &[FilterPlan]) -> bool {
    filters.iter().any(|filter| filter.name == "caps")
}
