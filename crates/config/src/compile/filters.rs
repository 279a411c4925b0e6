//! `filters:` of a host and of a route.

use std::collections::HashMap;

use portcullis_filter::{Chain, FilterSpec};
use portcullis_yaml::{Diagnostic, Span};

use super::Compiler;
use crate::code;
use crate::plan::FilterPlan;
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
            plans.push(FilterPlan { name, settings });
            specs.push(PlacedFilter { spec, span, place });
        }
        (plans, specs)
    }
}
