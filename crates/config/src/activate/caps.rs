//! The caps of a generation: made before its filters, bound after them.

use std::sync::Arc;

use portcullis_filter::Services;
use portcullis_filters::caps::{CapLedger, Plans};
use portcullis_yaml::{Diagnostic, Diagnostics, Span};

use crate::code;
use crate::plan::Checked;

/// The caps of a generation that is being made.
pub(super) struct Caps {
    caps: Arc<CapLedger>,
    plans: Arc<Plans>,
    file: Span,
    /// What filters are built with: those of the gateway, and the plans.
    pub(super) services: Services,
}

impl Caps {
    /// Those of a config. Without a ledger of the gateway there is one that nobody spends of.
    pub(super) fn new(checked: &Checked, services: &Services) -> Self {
        let caps = services.get::<CapLedger>().unwrap_or_default();
        let plans = Arc::new(Plans::new(checked.caps.clone()));
        let services = services.clone().with(Arc::clone(&caps)).with(Arc::clone(&plans));
        Self { caps, plans, file: checked.file, services }
    }

    /// Binds them, once all filters are built.
    pub(super) fn bind(&self, diagnostics: &mut Diagnostics) {
        if let Err(error) = self.plans.bind(&self.caps) {
            let message = format!("the caps cannot be numbered: {error}");
            diagnostics.push(Diagnostic::error(code::FILTER_FAILED, self.file, message));
        }
    }
}
