//! What is wrong with the file of consumers, said at the place where the config names it.
//!
//! The file is not read with the config: it may be a hundred times as large, and it changes by itself.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis_snapshot::settings::{Consumers, ConsumersFile};
use portcullis_yaml::{Diagnostic, Diagnostics, Span};

use crate::code;
use crate::compile::all_filters;
use crate::plan::Checked;

/// One thing that is wrong with the file. Repeats no value of it: one may be a key in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumersProblem {
    /// The line, if it is one's.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
}

/// Names of plans that are not there, of which a warning tells.
const NAMED: usize = 5;

/// Has the file of consumers read, if there is one, and pushes an error for each thing that is wrong with it. `read`
/// answers with the plans that the consumers have; those that the config lacks are one warning, where plans are asked for.
pub fn consumers(
    checked: &Checked,
    read: impl FnOnce(&Consumers, &ConsumersFile) -> Result<BTreeSet<String>, Vec<ConsumersProblem>>,
    diagnostics: &mut Diagnostics,
) {
    let Some(consumers) = &checked.settings.consumers else { return };
    let (Some(file), Some(span)) = (&consumers.file, checked.consumers) else { return };
    match read(consumers, file) {
        Ok(plans) => warn_unknown(checked, &plans, (&file.path, span), diagnostics),
        Err(problems) => {
            for problem in problems {
                let message = format!("{}: {}", place(&file.path, problem.line), problem.what);
                diagnostics.push(Diagnostic::error(code::CONSUMERS_INVALID, span, message));
            }
        }
    }
}

/// The file may be ahead of the config, or come from elsewhere: whoever has such a plan is refused, and nobody else is.
fn warn_unknown(
    checked: &Checked,
    plans: &BTreeSet<String>,
    (file, span): (&Path, Span),
    diagnostics: &mut Diagnostics,
) {
    let has = |name: &str| checked.caps.plans.iter().any(|plan| &*plan.spec().name == name);
    let unknown: Vec<&String> = plans.iter().filter(|name| !has(name)).collect();
    let asked = checked.hosts.iter().flat_map(all_filters).any(|(filter, _)| filter.name == "caps");
    if unknown.is_empty() || !asked {
        return;
    }
    let mut names: Vec<String> = unknown.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if let Some(more) = unknown.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    let message = format!("{}: consumers have plans that are not here: {}", file.display(), names.join(", "));
    let help = "write them under `plans`: until then who has one is refused wherever `caps` is passed";
    diagnostics.push(Diagnostic::warning(code::UNKNOWN_PLAN, span, message).help(help));
}

fn place(path: &Path, line: Option<u32>) -> String {
    match line {
        // A line holds one consumer; where in it, the key says.
        Some(line) => format!("{}:{line}:1", path.display()),
        None => path.display().to_string(),
    }
}
