//! `filters:` of a host and of a route.

use std::collections::HashMap;

use portcullis_filter::{Chain, FilterSpec};
use portcullis_yaml::{Diagnostic, Span};

use super::Compiler;
use crate::code;
use crate::plan::{ActionPlan, FilterPlan, KindPlan, ListenerPlan};
use crate::raw::filters::RawFilter;

/// The filters of one list, read and not yet built.
pub(crate) type ChainSpec = Vec<PlacedFilter>;

/// A filter with its place, in the config and in the file.
pub(crate) struct PlacedFilter {
    pub(crate) spec: FilterSpec,
    pub(crate) span: Span,
    /// The key of its state: `hosts/rpc.example.com/routes/archive/filters/limits`, with `#2` for the second of its
    /// kind in a list. It does not change when a list is put in another order.
    pub(crate) place: String,
}

/// The filters of a host and of its routes.
pub(crate) struct HostChains {
    pub(crate) own: ChainSpec,
    pub(crate) routes: Vec<ChainSpec>,
}

impl Compiler<'_, '_> {
    /// Parts a list into what can be compared and what will be built. `owner` is the place of the list's owner.
    pub(super) fn filters(&mut self, raw: Vec<RawFilter>, owner: &str) -> (Vec<FilterPlan>, ChainSpec) {
        if let Some(first) = raw.get(Chain::MAX) {
            let message = format!("a list has at most {} filters", Chain::MAX);
            self.cx.push(Diagnostic::error(code::TOO_MANY_FILTERS, first.span, message));
        }
        let mut count: HashMap<String, usize> = HashMap::new();
        let mut plans = Vec::with_capacity(raw.len());
        let mut specs = Vec::with_capacity(raw.len());
        for RawFilter { name, span, settings, spec } in raw {
            let number = count.entry(name.clone()).or_default();
            *number += 1;
            let place = match *number {
                1 => format!("{owner}/filters/{name}"),
                number => format!("{owner}/filters/{name}#{number}"),
            };
            for cluster in &spec.needs().clusters {
                // An unknown one was told of.
                let _index = self.cluster_named(cluster);
            }
            if spec.needs().upgrade {
                self.upgrades.push(span);
            }
            plans.push(FilterPlan { name, settings });
            specs.push(PlacedFilter { spec, span, place });
        }
        (plans, specs)
    }

    /// A filter that goes by its route's cluster stands on one that forwards.
    pub(super) fn check_forwards(&mut self, action: &ActionPlan, specs: &[PlacedFilter]) {
        if matches!(action, ActionPlan::Forward(_)) {
            return;
        }
        for placed in specs.iter().filter(|placed| placed.spec.needs().routes_cluster) {
            let name = placed.spec.name();
            let message = format!("`{name}` goes by the cluster of its route, and this route forwards to none");
            let help = format!("name a cluster, for example `{name}: {{ to: CLUSTER }}`");
            self.cx.push(Diagnostic::error(code::ACTION_SETTING, placed.span, message).help(help));
        }
    }

    /// Only HTTP/1.1 has upgrades (RFC 9110 section 7.8): a filter for them is idle where no listener speaks it.
    pub(super) fn check_upgrades(&mut self, listeners: &[ListenerPlan]) {
        let none = listeners.iter().all(|listener| matches!(listener.kind, KindPlan::Http { http1: false, .. }));
        if listeners.is_empty() || !none {
            return;
        }
        for span in std::mem::take(&mut self.upgrades) {
            let message = "no request can ask for an upgrade, since no listener speaks HTTP/1.1";
            let help = "add `http1` to the `protocols` of a listener";
            self.cx.push(Diagnostic::error(code::PROTOCOL_CONFLICT, span, message).help(help));
        }
    }
}
