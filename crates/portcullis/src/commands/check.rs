//! `check`: every error at once, those included that only show when filters are made.

use portcullis_config::rehearse;
use portcullis_yaml::{render_json, render_text};

use super::world;
use crate::app::App;
use crate::cli::{CheckArgs, Format};
use crate::output::{self, count};

/// Whether the config can be used. Findings go to standard output, since they are the result.
pub(crate) fn check(app: App, args: &CheckArgs) -> Result<bool, String> {
    let path = args.file.as_ref().or(args.config.as_ref()).ok_or("which file?")?;
    let mut loaded = world(app, path)?.check();
    let candidate = loaded.candidate.take();
    let good = candidate.is_some_and(|candidate| rehearse(candidate, &mut loaded.diagnostics));
    let (diagnostics, sources) = (&loaded.diagnostics, &loaded.sources);
    match args.format {
        Format::Json => output::print(&format!("{:#}\n", render_json(diagnostics, sources))),
        Format::Text => {
            output::print(&render_text(diagnostics, sources));
            let errors = diagnostics.error_count();
            let warnings = (diagnostics.sorted().len() + diagnostics.dropped()).saturating_sub(errors);
            let said = match (errors, warnings) {
                (0, 0) => "ok".to_owned(),
                (0, warnings) => format!("ok, with {}", count(warnings, "warning")),
                (errors, 0) => count(errors, "error"),
                (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
            };
            output::print(&format!("{}: {said}\n", path.display()));
        }
    }
    Ok(good)
}
