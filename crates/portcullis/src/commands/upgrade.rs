//! `upgrade`: replaces the binary of a running gateway.

use hyper::Method;
use serde_json::{Value, json};

use super::client;
use crate::app::App;
use crate::cli::UpgradeArgs;
use crate::output;

/// Asks for it, waits, and says which process serves.
pub(crate) fn upgrade(app: App, args: &UpgradeArgs) -> Result<bool, String> {
    let UpgradeArgs { binary, within, admin } = args;
    let body = json!({ "binary": binary, "within": within }).to_string();
    let answer = client(app, admin.config.as_deref(), &admin.reach)?.call(Method::POST, "/api/upgrade", body)?;
    let told = answer.good()?.json();
    let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or_default();
    let version = told.get("version").and_then(Value::as_str).unwrap_or_default();
    let took = told.get("took_seconds").and_then(Value::as_f64).unwrap_or_default();
    output::print(&format!(
        "process {} ({version}) serves after {took}s; process {} drains\n",
        number("pid"),
        number("before")
    ));
    Ok(true)
}
