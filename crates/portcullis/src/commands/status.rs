//! `status`: a running gateway at a glance.

use hyper::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use portcullis_types::quantity::format_duration;

use super::{client, verdict};
use crate::app::{App, finish};
use crate::cli::{Format, StatusArgs};
use crate::client::Answer;
use crate::output::{self, count};

/// How often `--watch` asks.
const EVERY: Duration = Duration::from_secs(2);
/// Moves to the upper left corner and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Prints the status.
pub(crate) fn status(app: App, args: &StatusArgs) -> ExitCode {
    match show(app, args) {
        Ok(state) if args.exit_code => match &*state {
            "healthy" => ExitCode::SUCCESS,
            "degraded" => ExitCode::FAILURE,
            _ => ExitCode::from(2),
        },
        Ok(_) => ExitCode::SUCCESS,
        Err(message) => {
            let code = finish(Err(message));
            if args.exit_code { ExitCode::from(2) } else { code }
        }
    }
}

/// Prints the status, again and again if that is wanted; gives the verdict's word.
fn show(app: App, args: &StatusArgs) -> Result<String, String> {
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    loop {
        let answer = client.call(Method::GET, "/api/status", "").and_then(Answer::good);
        if args.watch {
            let text = answer.map_or_else(|error| format!("{error}\n"), |answer| render(&answer.json()));
            output::print(&format!("{CLEAR}{text}"));
            std::thread::sleep(EVERY);
            continue;
        }
        let answer = answer?;
        let told = answer.json();
        output::print(&match args.format {
            Format::Json => answer.body,
            Format::Text => render(&told),
        });
        return Ok(told.get("verdict").map(|verdict| text(verdict, "state")).unwrap_or_default());
    }
}

/// The JSON of `/api/status` as text for people. A member that is missing is left out, so that a newer command can ask
/// an older gateway.
pub(crate) fn render(status: &Value) -> String {
    let mut out = status.get("verdict").map(verdict::render).unwrap_or_default();
    let uptime = status.get("uptime_seconds").and_then(Value::as_f64).unwrap_or_default();
    let uptime =
        format_duration(Duration::from_secs(Duration::try_from_secs_f64(uptime).unwrap_or_default().as_secs()));
    for key in ["last_good", "drift"] {
        let says = status.get(key).and_then(|one| one.get("says")).and_then(Value::as_str);
        let since = status.get(key).map(|one| text(one, "since")).unwrap_or_default();
        if let Some(says) = says {
            let _ = writeln!(out, "WARNING     {says}, since {since}");
        }
    }
    if let Some(trouble) = status.get("history").and_then(|history| history.get("trouble")).filter(|it| !it.is_null()) {
        let (why, since) = (text(trouble, "why"), text(trouble, "since"));
        let _ = writeln!(out, "WARNING     the history is not written: {why}, since {since}");
    }
    // Writing to a string does not fail.
    let _ = writeln!(out, "version     {}, {}, up {uptime}", text(status, "version"), text(status, "state"));
    let number = |key: &str, noun: &str| {
        let number = status.get(key).and_then(Value::as_u64).unwrap_or_default();
        count(usize::try_from(number).unwrap_or(usize::MAX), noun)
    };
    let (generation, hash) = (text(status, "generation"), text(status, "hash"));
    let (hosts, routes) = (number("hosts", "host"), number("routes", "route"));
    let _ = writeln!(out, "config      generation {generation} ({hash}), {hosts}, {routes}");
    section(&mut out, "before", status.get("lifecycle").map(before).unwrap_or_default());
    section(&mut out, "listeners", rows(status, "listeners", listener));
    section(&mut out, "clusters", rows(status, "clusters", cluster));
    section(&mut out, "behind", off_height(status));
    section(&mut out, "consumers", consumers(status));
    section(&mut out, "reloads", rows(status, "reloads", reload).into_iter().take(5).collect());
    section(&mut out, "logs", rows(status, "logs", log));
    section(&mut out, "generations", rows(status, "generations", self::generation));
    out
}

/// Rows under a name in the first column, their own columns aligned.
fn section(out: &mut String, name: &str, rows: Vec<Vec<String>>) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let name = if at == 0 { name } else { "" };
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", format!("{name:12}{}", cells.join("  ")).trim_end());
    }
}

fn rows(status: &Value, key: &str, row: fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    status.get(key).and_then(Value::as_array).map(|list| list.iter().map(row).collect()).unwrap_or_default()
}

/// The process before the one that answers, as long as it drains.
fn before(lifecycle: &Value) -> Vec<Vec<String>> {
    let Some(follows) = lifecycle.get("follows") else { return Vec::new() };
    let Some(left) = follows.get("connections").and_then(Value::as_u64) else { return Vec::new() };
    let left = count(usize::try_from(left).unwrap_or(usize::MAX), "connection");
    vec![vec![format!("process {} ({}) drains, {left} left", text(follows, "pid"), text(follows, "version"))]]
}

fn listener(listener: &Value) -> Vec<String> {
    let connections = format!("{} of {}", text(listener, "connections"), text(listener, "connections_limit"));
    vec![
        text(listener, "name"),
        list(listener, "addresses"),
        list(listener, "speaks"),
        format!("{connections} connections"),
    ]
}

fn cluster(cluster: &Value) -> Vec<String> {
    vec![
        text(cluster, "name"),
        format!("{} of {} available", text(cluster, "available"), text(cluster, "endpoints")),
        format!("{} in flight", text(cluster, "in_flight")),
    ]
}

/// The endpoints that are behind the others or far ahead of them, each with its cluster.
fn off_height(status: &Value) -> Vec<Vec<String>> {
    let clusters = status.get("clusters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of = |cluster: &Value| {
        let said = cluster.get("off_height").and_then(Value::as_array).cloned().unwrap_or_default();
        let name = text(cluster, "name");
        said.into_iter().filter_map(move |one| Some(vec![name.clone(), one.as_str()?.to_owned()]))
    };
    clusters.iter().flat_map(of).collect()
}

/// How many consumers there are, and how their last load went.
fn consumers(status: &Value) -> Vec<Vec<String>> {
    let Some(consumers) = status.get("consumers").filter(|consumers| !consumers.is_null()) else { return Vec::new() };
    let number = |key: &str| consumers.get(key).and_then(Value::as_u64).unwrap_or_default();
    let counts =
        format!("{} with {}", number("consumers"), count(usize::try_from(number("keys")).unwrap_or(usize::MAX), "key"));
    let load = consumers.get("last_load").cloned().unwrap_or_default();
    let says = load.get("says").and_then(Value::as_array).and_then(|says| says.first()?.as_str());
    vec![vec![counts, text(&load, "at"), text(&load, "outcome"), says.unwrap_or_default().to_owned()]]
}

fn reload(reload: &Value) -> Vec<String> {
    vec![text(reload, "at"), text(reload, "trigger"), text(reload, "outcome"), text(reload, "summary")]
}

fn log(log: &Value) -> Vec<String> {
    let dropped = log.get("dropped").and_then(Value::as_object);
    let dropped: u64 = dropped.into_iter().flat_map(|causes| causes.values()).filter_map(Value::as_u64).sum();
    vec![text(log, "name"), format!("{} written", text(log, "written")), format!("{dropped} dropped")]
}

fn generation(generation: &Value) -> Vec<String> {
    let requests = generation.get("requests").and_then(Value::as_object);
    let held: Vec<String> = requests.into_iter().flatten().map(|(route, count)| format!("{route}: {count}")).collect();
    let held = if held.is_empty() { "no request open".to_owned() } else { held.join(", ") };
    vec![text(generation, "id"), text(generation, "created"), text(generation, "trigger"), held]
}

/// A member as text; empty when it is missing.
fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn list(value: &Value, key: &str) -> String {
    let items = value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_told_in_aligned_columns() {
        let status = json!({
            "verdict": { "state": "failing", "reasons": [
                { "severity": "failing", "says": "no endpoint of the cluster rpc may be used", "for_seconds": 200.5,
                  "evidence": ["0 of 2 available"], "runbook": "docs/runbooks/cluster.md",
                  "affected": { "hosts": ["a", "b"], "more_hosts": 2, "consumers": ["acme"], "more_consumers": 0,
                                "share_of_traffic": 0.345 } },
                { "severity": "information", "says": "overridden by operators: 1 cap", "for_seconds": 5.0, "evidence": [],
                  "runbook": "docs/runbooks/overrides.md", "affected": {} },
            ] },
            "version": "0.1.0", "state": "ready", "uptime_seconds": 61.2, "generation": 2, "hash": "0a",
            "hosts": 1, "routes": 3,
            "lifecycle": { "state": "serving", "follows": { "pid": 7, "version": "0.0.9", "connections": 3 } },
            "listeners": [
                { "name": "edge", "addresses": ["127.0.0.1:80"], "speaks": ["http1"], "connections": 1,
                  "connections_limit": 9 },
                { "name": "edge-tls", "addresses": ["127.0.0.1:443"], "speaks": ["tls", "http2"],
                  "connections": 0, "connections_limit": 9 },
            ],
            "clusters": [
                { "name": "rpc", "available": 1, "endpoints": 2, "in_flight": 0, "off_height": ["b takes no requests"] },
                { "name": "shop", "available": 1, "endpoints": 1, "in_flight": 3 },
            ],
            "generations": [{ "id": 2, "created": "t", "trigger": "watch", "requests": { "a/b": 1 } }],
            "consumers": { "consumers": 2, "keys": 3, "last_load": { "at": "t", "outcome": "refused", "says": ["x"] } },
            "logs": [{ "name": "access_log", "written": 5, "dropped": { "queue_full": 1, "closed": 1 } }],
        });
        let expected = "\
verdict     FAILING, 2 reasons
            1. failing      no endpoint of the cluster rpc may be used, for 3m
                            0 of 2 available
                            affects 34 % of the last requests; hosts a, b and 2 more; consumers acme
                            see docs/runbooks/cluster.md
            2. information  overridden by operators: 1 cap, for 5s
                            see docs/runbooks/overrides.md
version     0.1.0, ready, up 61s
config      generation 2 (0a), 1 host, 3 routes
before      process 7 (0.0.9) drains, 3 connections left
listeners   edge      127.0.0.1:80   http1       1 of 9 connections
            edge-tls  127.0.0.1:443  tls, http2  0 of 9 connections
clusters    rpc   1 of 2 available  0 in flight
            shop  1 of 1 available  3 in flight
behind      rpc  b takes no requests
consumers   2 with 3 keys  t  refused  x
logs        access_log  5 written  2 dropped
generations 2  t  watch  a/b: 1
";
        assert_eq!(render(&status), expected);
    }

    #[test]
    fn what_is_not_as_it_should_be_comes_first() {
        let status = json!({
            "last_good": { "says": "g.yaml had errors", "since": "t1" },
            "drift": { "says": "g.yaml cannot be used", "since": "t2" },
            "history": { "trouble": { "why": "No space left", "since": "t3" } },
        });
        let expected = "\
WARNING     g.yaml had errors, since t1
WARNING     g.yaml cannot be used, since t2
WARNING     the history is not written: No space left, since t3
version";
        assert!(render(&status).starts_with(expected), "{}", render(&status));
    }

    #[test]
    fn what_is_missing_is_left_out() {
        assert!(render(&json!({})).starts_with("version"));
    }
}
