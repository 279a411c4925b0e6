//! `history` and `show`: the generations that were tried.

use serde_json::Value;

use super::past::Past;
use crate::app::App;
use crate::cli::Format;
use crate::cli::changes::{HistoryArgs, ShowArgs};
use crate::history::told;
use crate::output;

/// Prints a line for each.
pub(crate) fn history(app: App, args: &HistoryArgs) -> Result<bool, String> {
    let mut rows = Past::open(app, &args.place.admin, args.place.offline)?.rows()?;
    rows.truncate(args.limit);
    output::print(&match args.format {
        Format::Text if rows.is_empty() => "the history is empty\n".to_owned(),
        Format::Text => told::list(&rows),
        Format::Json => format!("{:#}\n", Value::Array(rows)),
    });
    Ok(true)
}

/// Prints one of them.
pub(crate) fn show(app: App, args: &ShowArgs) -> Result<bool, String> {
    let entry = Past::open(app, &args.place.admin, args.place.offline)?.entry(args.number)?;
    output::print(&match (args.format, args.text) {
        (Format::Json, _) => format!("{entry:#}\n"),
        (Format::Text, true) => texts(&entry),
        (Format::Text, false) => told::page(&entry),
    });
    Ok(true)
}

/// The main file's text, then those of the includes, each behind a comment with its name.
fn texts(entry: &Value) -> String {
    let sources = entry.get("sources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let one = |source: &Value| match text(source, "name").as_str() {
        "" => text(source, "text"),
        name => format!("# --- {name}\n{}", text(source, "text")),
    };
    sources.iter().map(one).collect()
}
