//! The verdict as text for people.

use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

use portcullis_types::quantity::format_about;

use crate::output::count;

/// The word, then each reason with its evidence, who suffers and where to read on.
pub(crate) fn render(verdict: &Value) -> String {
    let mut out = String::new();
    let reasons = verdict.get("reasons").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let state = text(verdict, "state");
    let state = if state == "healthy" { state } else { state.to_uppercase() };
    let many = if reasons.is_empty() { String::new() } else { format!(", {}", count(reasons.len(), "reason")) };
    // Writing to a string does not fail.
    let _ = writeln!(out, "verdict     {state}{many}");
    for (at, reason) in reasons.iter().enumerate() {
        let severity = text(reason, "severity");
        let lasts = reason.get("for_seconds").and_then(Value::as_f64).unwrap_or_default();
        let _ = writeln!(out, "{:12}{}. {severity:11}  {}, {}", "", at + 1, text(reason, "says"), since(lasts));
        let lines = reason.get("evidence").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let lines = lines.map(str::to_owned).chain(reason.get("affected").and_then(affected));
        let read = text(reason, "runbook");
        let lines = lines.chain(Some(format!("see {read}")).filter(|_| !read.is_empty()));
        lines.for_each(|line| {
            let _ = writeln!(out, "{:28}{line}", "");
        });
    }
    out
}

/// Who suffers, in a line.
fn affected(affected: &Value) -> Option<String> {
    let mut parts = Vec::new();
    let share = affected.get("share_of_traffic").and_then(Value::as_f64);
    parts.extend(share.map(|share| format!("{:.0} % of the last requests", (share * 100.0).floor())));
    for (key, more) in [("hosts", "more_hosts"), ("consumers", "more_consumers")] {
        let names: Vec<&str> =
            affected.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let more = affected.get(more).and_then(Value::as_u64).filter(|more| *more > 0);
        if !names.is_empty() {
            let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
            parts.push(format!("{key} {}{more}", names.join(", ")));
        }
    }
    (!parts.is_empty()).then(|| format!("affects {}", parts.join("; ")))
}

/// Since when.
fn since(seconds: f64) -> String {
    let lasts = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if lasts.as_secs() == 0 { "just now".to_owned() } else { format!("for {}", format_about(lasts)) }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
