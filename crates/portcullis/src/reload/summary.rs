//! An attempt in a line.

use portcullis_admin::Changed;
use portcullis_config::Diff;
use portcullis_telemetry::metrics::ReloadOutcome;

use crate::output::count;

/// One line of an attempt.
pub(super) fn summary(changed: &Changed) -> String {
    match changed.outcome {
        ReloadOutcome::Applied => touched(changed.diff.as_ref()),
        ReloadOutcome::Unchanged => "nothing changed".to_owned(),
        ReloadOutcome::Refused => {
            let all = changed.diagnostics.as_array().map(Vec::as_slice).unwrap_or_default();
            let errors = all.iter().filter(|one| one.get("severity").is_some_and(|word| word == "error"));
            format!("the config has {}", count(errors.count(), "error"))
        }
        ReloadOutcome::Failed => {
            let first = changed.message.lines().next().unwrap_or_default();
            format!("the config could not be put to work: {first}")
        }
    }
}

fn touched(diff: Option<&Diff>) -> String {
    match diff {
        Some(diff) if !diff.is_empty() => {
            let (hosts, routes) = (count(diff.hosts.len(), "host"), count(diff.routes.len(), "route"));
            format!("{}, touching {hosts} and {routes}", count(diff.changes.len(), "change"))
        }
        _ => "nothing changed".to_owned(),
    }
}
