//! `plans:` and `caps:`.

use portcullis_caps::{CapSet, Scope};
use portcullis_filters::caps::{PlanSets, SetWords};
use portcullis_yaml::{Diagnostic, Named, Spanned};

use super::Compiler;
use crate::code;
use crate::plan::{HostPlan, RoutePlan};
use crate::raw::top::Top;

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

fn has_caps(filters: &[crate::plan::FilterPlan]) -> bool {
    filters.iter().any(|filter| filter.name == "caps")
}
