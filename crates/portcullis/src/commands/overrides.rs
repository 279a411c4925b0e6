//! `overrides`: all that operators said by the admin API for a while.

use hyper::Method;
use serde_json::Value;
use std::fmt::Write as _;

use super::client;
use crate::app::App;
use crate::cli::{Format, OverridesArgs};
use crate::output;

/// Prints what is in effect, and what is over where that is asked for.
pub(crate) fn overrides(app: App, args: &OverridesArgs) -> Result<bool, String> {
    let path = if args.ended { "/api/overrides?ended=1" } else { "/api/overrides" };
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let answer = client.call(Method::GET, path, "")?.good()?;
    output::print(&match args.format {
        Format::Json => answer.body,
        Format::Text => render(&answer.json()),
    });
    Ok(true)
}

fn render(told: &Value) -> String {
    let list = |key: &str| told.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out = String::new();
    for one in list("overrides") {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", text(one, "says"));
    }
    if out.is_empty() {
        out.push_str("nothing is overridden\n");
    }
    for one in list("ended") {
        let (kind, target, action) = (text(one, "kind"), text(one, "target"), text(one, "action"));
        let (who, reason) = (text(one, "who"), text(one, "reason"));
        let (ended, how) = (text(one, "ended"), text(one, "how"));
        let _ = writeln!(out, "over since {ended}, {how}: {kind} {target}: {action} by {who}: {reason}");
    }
    if let Some(trouble) = told.get("trouble").and_then(Value::as_str) {
        let _ = writeln!(out, "they would not outlive the gateway: {trouble}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overrides_are_told_for_people() {
        let told = json!({
            "overrides": [{ "says": "ban 203.0.113.0/24: ban by ci: abuse; for another 2h" }],
            "ended": [{ "kind": "cap", "target": "rate of the plan free", "action": "times 2", "who": "ops",
                "reason": "launch", "ended": "2026-03-01T00:00:00.000Z", "how": "its time is up" }],
            "trouble": "no space left on device",
        });
        assert_eq!(
            render(&told),
            "ban 203.0.113.0/24: ban by ci: abuse; for another 2h\n\
             over since 2026-03-01T00:00:00.000Z, its time is up: cap rate of the plan free: times 2 by ops: launch\n\
             they would not outlive the gateway: no space left on device\n"
        );
        assert_eq!(render(&json!({ "overrides": [] })), "nothing is overridden\n");
    }
}
