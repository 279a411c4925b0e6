//! `reload`: makes a running gateway read its config again.

use hyper::Method;
use serde_json::Value;

use super::client;
use crate::app::App;
use crate::cli::AdminArgs;
use crate::output;

/// Prints what changed; errors of the config are printed as `check` would.
pub(crate) fn reload(app: App, args: &AdminArgs) -> Result<bool, String> {
    let answer = client(app, args.config.as_deref(), &args.reach)?.call(Method::POST, "/api/reload", "")?;
    let told = answer.json();
    if answer.status == 422 {
        output::print(told.get("text").and_then(Value::as_str).unwrap_or_default());
        return Err(answer.refusal());
    }
    let told = answer.good().map(|_| told)?;
    let generation = told.get("generation").and_then(Value::as_u64).unwrap_or_default();
    output::print(told.get("text").and_then(Value::as_str).unwrap_or_default());
    output::print(&format!("generation {generation} serves\n"));
    Ok(true)
}
