//! What sources of endpoints would answer now, as warnings: a running gateway asks them again and again, so none of it
//! keeps a config from being used.

use portcullis_snapshot::SourceKey;
use portcullis_yaml::{Diagnostic, Diagnostics};

use crate::code;
use crate::plan::{AddressPlan, Checked, EndpointPlan};

/// Asks every source that a config names, all at once, and pushes a warning for each that does not answer. `ask` gives a
/// sentence for each that failed, in order.
pub fn survey(
    checked: &Checked,
    ask: impl FnOnce(&[SourceKey]) -> Vec<Result<(), String>>,
    diagnostics: &mut Diagnostics,
) {
    let endpoints = checked.clusters.iter().flat_map(|cluster| &cluster.endpoints);
    let sources = endpoints.filter_map(|endpoint| match &endpoint.address {
        AddressPlan::Socket(_) => None,
        AddressPlan::Source(key) => Some((endpoint, key)),
    });
    let (entries, keys): (Vec<&EndpointPlan>, Vec<SourceKey>) =
        sources.map(|(endpoint, key)| (endpoint, key.clone())).unzip();
    for ((endpoint, key), answer) in entries.iter().zip(&keys).zip(ask(&keys)) {
        let Err(why) = answer else { continue };
        let (code, message) = match key {
            SourceKey::Name { .. } => (code::NAME_UNRESOLVED, format!("`{}` does not resolve: {why}", endpoint.text)),
            SourceKey::Service { name } => {
                (code::NAME_UNRESOLVED, format!("the service `{name}` has no target: {why}"))
            }
            SourceKey::File { .. } | SourceKey::Other { .. } => (code::ENDPOINTS_FILE, why),
        };
        let help = "the gateway starts all the same, and asks again and again";
        diagnostics.push(Diagnostic::warning(code, endpoint.span, message).help(help));
    }
}
