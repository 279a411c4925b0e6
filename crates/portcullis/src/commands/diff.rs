//! `diff`: what a new config changes, against a file or against what a running gateway serves.

use hyper::Method;
use serde_json::Value;
use std::path::Path;

use super::past::Past;
use super::{candidate, world};
use crate::app::App;
use crate::cli::{AdminArgs, DiffArgs, Format};
use crate::client::{Answer, Client};
use crate::output;

/// Prints the differences. The config's own errors are failures.
pub(crate) fn diff(app: App, args: &DiffArgs) -> Result<bool, String> {
    if let (Some(from), Some(to)) = (number(args.old.as_deref()), number(args.new.as_deref())) {
        return of_generations(app, (from, to), args);
    }
    match (&args.old, &args.new, &args.config) {
        (Some(old), Some(new), _) => of_files(app, (old, new), args.format),
        (_, _, Some(new)) => live(app, new, args),
        _ => Err("name two files, or one with --live".to_owned()),
    }
}

/// The number of a generation, unless there is a file of that name.
fn number(path: Option<&Path>) -> Option<u64> {
    path.filter(|path| !path.exists())?.to_str()?.parse().ok()
}

fn of_generations(app: App, (from, to): (u64, u64), args: &DiffArgs) -> Result<bool, String> {
    let admin = AdminArgs { config: args.config.clone(), reach: args.reach.clone() };
    if admin.config.is_none() && admin.reach.admin.is_none() {
        return Err("there are no such files; for two generations say which gateway's: -c FILE or --admin".to_owned());
    }
    let compared = Past::open(app, &admin, args.offline)?.compare(from, to)?;
    output::print(&match args.format {
        Format::Text => compared.text,
        Format::Json => format!("{:#}\n", compared.json),
    });
    Ok(true)
}

fn of_files(app: App, (old, new): (&Path, &Path), format: Format) -> Result<bool, String> {
    let world = world(app, old)?;
    let before = candidate(&world)?;
    let world = world.at(new);
    let after = candidate(&world)?;
    let diff = portcullis_config::diff(before.checked(), after.checked());
    output::print(&match format {
        Format::Text => diff.to_string(),
        Format::Json => format!("{:#}\n", diff.to_json()),
    });
    Ok(true)
}

/// The running gateway itself compares: it knows what serves, with its own variables and files.
fn live(app: App, new: &Path, args: &DiffArgs) -> Result<bool, String> {
    let world = world(app, new)?;
    let checked = candidate(&world)?.checked().clone();
    let client = Client::new(&args.reach, Some(&checked))?;
    let text = std::fs::read_to_string(new).map_err(|error| format!("{} cannot be read: {error}", new.display()))?;
    let answer = client.call(Method::POST, "/api/config?dry_run=1", text)?;
    if answer.status == 422 {
        return refused(&answer);
    }
    let answer = answer.good()?.json();
    let part = |key: &str| answer.get(key).cloned().unwrap_or_default();
    output::print(&match args.format {
        Format::Text => part("text").as_str().unwrap_or_default().to_owned(),
        Format::Json => format!("{:#}\n", part("diff")),
    });
    Ok(true)
}

/// The config is right here and wrong there: another environment, or other files.
fn refused(answer: &Answer) -> Result<bool, String> {
    let problem = answer.json();
    output::say(problem.get("text").and_then(Value::as_str).unwrap_or_default());
    Err("the running gateway finds errors that are none here: its files or variables differ".to_owned())
}
