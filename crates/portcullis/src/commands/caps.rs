//! `caps`: how a consumer's caps stand in a running gateway, and what is lifted for a while. `usage`: who used what.

use hyper::Method;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

use portcullis_types::quantity::format_duration;

use super::client;
use crate::app::App;
use crate::cli::{CapsArgs, CapsCommand, Format, OverrideArgs, UsageArgs};
use crate::client::escaped;
use crate::output;

/// Prints how a consumer's caps stand, or sets and lists overrides.
pub(crate) fn caps(app: App, args: &CapsArgs) -> Result<bool, String> {
    if let Some(CapsCommand::Override(args)) = &args.command {
        return overrides(app, args);
    }
    let id = args.consumer.as_deref().ok_or("name a consumer")?;
    let plan = args.plan.as_ref().map(|plan| format!("?plan={}", escaped(plan))).unwrap_or_default();
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let answer = client.call(Method::GET, &format!("/api/caps/{}{plan}", escaped(id)), "")?.good()?;
    output::print(&match args.format {
        Format::Json => answer.body,
        Format::Text => render(&answer.json()),
    });
    Ok(true)
}

fn overrides(app: App, args: &OverrideArgs) -> Result<bool, String> {
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let says = [
        ("consumer", args.consumer.as_ref().map(|id| json!(id))),
        ("plan", args.plan.as_ref().map(|name| json!(name))),
        ("cap", args.cap.as_ref().map(|cap| json!(cap))),
        ("lift", args.lift.then_some(json!(true))),
        ("multiply", args.multiply.map(|times| json!(times))),
        ("for", args.lasts.as_ref().map(|lasts| json!(lasts))),
        ("reason", args.reason.as_ref().map(|reason| json!(reason))),
    ];
    let says: Map<String, Value> = says.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let method = match (says.is_empty(), args.end) {
        (_, true) => Method::DELETE,
        (true, false) => Method::GET,
        (false, false) => Method::POST,
    };
    let body = if says.is_empty() { String::new() } else { Value::Object(says).to_string() };
    let told = client.call(method, "/api/caps/overrides", body)?.good()?.json();
    let all: Vec<&Value> = told.get("overrides").and_then(Value::as_array).into_iter().flatten().collect();
    if all.is_empty() {
        output::print("no overrides\n");
    }
    for says in all.iter().filter_map(|one| one.get("says")?.as_str()) {
        output::print(&format!("{says}\n"));
    }
    Ok(true)
}

/// Prints who used what.
pub(crate) fn usage(app: App, args: &UsageArgs) -> Result<bool, String> {
    let pairs = [("consumer", &args.consumer), ("from", &args.from), ("to", &args.to)];
    let query: Vec<String> =
        pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", escaped(value.as_ref()?)))).collect();
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let answer = client.call(Method::GET, &format!("/api/usage?{}", query.join("&")), "")?.good()?;
    output::print(&match args.format {
        Format::Json => answer.body,
        Format::Text => render_usage(&answer.json()),
    });
    Ok(true)
}

fn render(told: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
    let list = |key: &str| told.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut out = text(told, "consumer");
    let active = told.get("active").and_then(Value::as_bool).unwrap_or_default();
    out.push_str(if active { "\n" } else { ": has spent nothing that still counts\n" });
    let mut rows = Vec::new();
    for cap in list("caps") {
        let left = format!("{} of {} {} left", number(cap, "remaining"), number(cap, "limit"), text(cap, "counts"));
        let full = cap.get("full_in_seconds").and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
        let full = full.map(|seconds| {
            let time = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default();
            format!("all again in {}", format_duration(time))
        });
        rows.push([
            text(cap, "cap"),
            format!("{} {}", text(cap, "scope"), text(cap, "of")),
            left,
            full.unwrap_or_default(),
        ]);
    }
    table(&mut out, &rows);
    for says in list("overrides").filter_map(|one| one.get("says")?.as_str()) {
        let _ = writeln!(out, "  override: {says}");
    }
    out
}

fn render_usage(told: &Value) -> String {
    let text = |key: &str| told.get(key).and_then(Value::as_str);
    let mut out = String::new();
    let time = [("from", text("from")), ("to", text("to"))];
    let time: Vec<String> = time.into_iter().filter_map(|(word, at)| Some(format!("{word} {}", at?))).collect();
    let durable = told.get("durable").and_then(Value::as_bool).unwrap_or_default();
    let kept = if durable { "" } else { ", in this process alone" };
    let _ = writeln!(out, "{}{kept}", if time.is_empty() { "all that is kept".to_owned() } else { time.join(" ") });
    let consumers = told.get("consumers").and_then(Value::as_object);
    for (id, used) in consumers.into_iter().flatten() {
        let _ = writeln!(out, "{id}");
        let amount = |name: &str, value: &Value| {
            let number = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
            [
                name.to_owned(),
                format!("{} requests", number("requests")),
                format!("{} credits", number("credits")),
                format!("{} bytes", number("bytes")),
            ]
        };
        let methods = used.get("methods").and_then(Value::as_object).into_iter().flatten();
        let mut rows: Vec<[String; 4]> = methods.map(|(method, value)| amount(method, value)).collect();
        rows.extend(used.get("total").map(|value| amount("total", value)));
        table(&mut out, &rows);
    }
    if consumers.is_none_or(Map::is_empty) {
        out.push_str("nothing was used\n");
    }
    out
}

/// Rows with their columns aligned, indented.
fn table(out: &mut String, rows: &[[String; 4]]) {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..4).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_are_told_for_people() {
        let told = json!({ "consumer": "acme", "active": true, "overrides": [{ "says": "rate of the consumer acme times 2 for 5m: x" }],
            "caps": [
                { "cap": "rate", "scope": "plan", "of": "free", "counts": "requests", "limit": 20, "remaining": 17, "full_in_seconds": 1.5 },
                { "cap": "connections", "scope": "plan", "of": "free", "counts": "connections", "limit": 5, "remaining": 5, "full_in_seconds": null },
            ] });
        assert_eq!(
            render(&told),
            "acme\n  rate         plan free  17 of 20 requests left   all again in 2s\n  \
             connections  plan free  5 of 5 connections left\n  \
             override: rate of the consumer acme times 2 for 5m: x\n"
        );
    }

    #[test]
    fn usage_is_told_for_people() {
        let amount = json!({ "requests": 3, "credits": 12, "bytes": 1000 });
        let told = json!({ "from": "2026-03-01T00:00:00Z", "durable": true,
            "consumers": { "acme": { "total": amount, "methods": { "getBlock": amount } } } });
        assert_eq!(
            render_usage(&told),
            "from 2026-03-01T00:00:00Z\nacme\n  getBlock  3 requests  12 credits  1000 bytes\n  \
             total     3 requests  12 credits  1000 bytes\n"
        );
        assert_eq!(render_usage(&json!({})), "all that is kept, in this process alone\nnothing was used\n");
    }
}
