//! `rollback`: puts a generation of the history back.

use hyper::Method;
use serde_json::{Value, json};

use super::client;
use crate::app::{App, Exit};
use crate::cli::Format;
use crate::cli::changes::RollbackArgs;
use crate::client::Answer;
use crate::output;

/// Prints what changed.
pub(crate) fn rollback(app: App, args: &RollbackArgs) -> Result<Exit, String> {
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let mut asked = serde_json::Map::new();
    asked.extend(args.to.map(|to| ("to".to_owned(), json!(to))));
    asked.extend(args.note.as_ref().map(|note| ("note".to_owned(), json!(note))));
    let answer = client.call(Method::POST, "/api/rollback", Value::Object(asked).to_string())?;
    if args.format == Format::Json {
        output::print(&answer.body);
    }
    if let Some(exit) = refused(&answer, args.format) {
        return Ok(exit);
    }
    if args.format == Format::Text {
        tell(&answer.json());
    }
    Ok(Exit::Done)
}

/// How a change that was not made ends; what was wrong is said. `None` for one that was made.
pub(super) fn refused(answer: &Answer, format: Format) -> Option<Exit> {
    if answer.status < 400 {
        return None;
    }
    let problem = answer.json();
    if format == Format::Text {
        output::print(problem.get("text").and_then(Value::as_str).unwrap_or_default());
    }
    output::say(&format!("error: {}", answer.refusal()));
    Some(if answer.status == 412 { Exit::Stale } else { Exit::Failed })
}

/// What a change changed, and what else is to know.
pub(super) fn tell(told: &Value) {
    output::print(told.get("text").and_then(Value::as_str).unwrap_or_default());
    let generation = told.get("generation").and_then(Value::as_u64).unwrap_or_default();
    output::print(&format!("generation {generation} serves\n"));
    for note in told.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        output::print(&format!("note: {note}\n"));
    }
}
