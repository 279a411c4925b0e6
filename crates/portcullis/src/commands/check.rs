//! `check`: every error at once, those included that only show when filters are made.

use std::time::Duration;

use portcullis_config::{Checked, rehearse, survey};
use portcullis_yaml::{Diagnostics, render_json, render_text};

use super::world;
use crate::app::App;
use crate::cli::{CheckArgs, Format};
use crate::output::{self, count};

/// How long names may take.
const NAMES: Duration = Duration::from_secs(5);

/// Warns of names that do not resolve from here, and of files of endpoints that cannot be used.
fn ask_sources(checked: &Checked, diagnostics: &mut Diagnostics) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let dns = &checked.settings().dns;
    survey(checked, |sources| runtime.block_on(portcullis_discovery::survey(sources, dns, NAMES)), diagnostics);
    Ok(())
}

/// Whether the config can be used. Findings go to standard output, since they are the result.
pub(crate) fn check(app: App, args: &CheckArgs) -> Result<bool, String> {
    let path = args.file.as_ref().or(args.config.as_ref()).ok_or("which file?")?;
    let world = world(app, path)?;
    let mut loaded = world.check();
    let candidate = loaded.candidate.take();
    if let Some(candidate) = &candidate {
        ask_sources(candidate.checked(), &mut loaded.diagnostics)?;
        world.prepare_consumers(candidate.checked(), &mut loaded.diagnostics);
    }
    let store = candidate.as_ref().and_then(|candidate| candidate.checked().settings().store.clone());
    let good = candidate.is_some_and(|candidate| rehearse(candidate, &mut loaded.diagnostics));
    let good = good && !loaded.diagnostics.has_errors();
    let (diagnostics, sources) = (&loaded.diagnostics, &loaded.sources);
    match args.format {
        Format::Json => output::print(&format!("{:#}\n", render_json(diagnostics, sources))),
        Format::Text => {
            output::print(&render_text(diagnostics, sources));
            if let Some(store) = store.filter(|store| good && store.implied) {
                let path = store.path.display();
                output::print(&format!(
                    "what callers spend and use will be kept in {path}: no `store` says otherwise\n"
                ));
            }
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
