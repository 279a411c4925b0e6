//! What is wrong with the file of consumers, said at the place where the config names it.
//!
//! The file is not read with the config: it may be a hundred times as large, and it changes by itself.

use std::path::Path;

use portcullis_snapshot::settings::{Consumers, ConsumersFile};
use portcullis_yaml::{Diagnostic, Diagnostics};

use crate::code;
use crate::plan::Checked;

/// One thing that is wrong with the file. Repeats no value of it: one may be a key in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumersProblem {
    /// The line, if it is one's.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
}

/// Has the file of consumers read, if there is one, and pushes an error for each thing that is wrong with it.
pub fn consumers(
    checked: &Checked,
    read: impl FnOnce(&Consumers, &ConsumersFile) -> Result<(), Vec<ConsumersProblem>>,
    diagnostics: &mut Diagnostics,
) {
    let Some(consumers) = &checked.settings.consumers else { return };
    let (Some(file), Some(span)) = (&consumers.file, checked.consumers) else { return };
    let Err(problems) = read(consumers, file) else { return };
    for problem in problems {
        let message = format!("{}: {}", place(&file.path, problem.line), problem.what);
        diagnostics.push(Diagnostic::error(code::CONSUMERS_INVALID, span, message));
    }
}

fn place(path: &Path, line: Option<u32>) -> String {
    match line {
        // A line holds one consumer; where in it, the key says.
        Some(line) => format!("{}:{line}:1", path.display()),
        None => path.display().to_string(),
    }
}
