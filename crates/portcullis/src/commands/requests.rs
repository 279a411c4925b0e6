//! `requests`: the last records of a running gateway, a line each; `requests show`: one of them as a story.

mod story;

use hyper::Method;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;

use super::client;
use crate::app::App;
use crate::cli::Format;
use crate::cli::looking::{RequestsArgs, RequestsCommand, ShowArgs};
use crate::client::{Client, escaped};
use crate::output;

/// How often `--follow` asks.
const EVERY: Duration = Duration::from_secs(1);

/// Prints them, oldest first, as a log is read.
pub(crate) fn requests(app: App, args: &RequestsArgs) -> Result<bool, String> {
    if let Some(RequestsCommand::Show(show)) = &args.command {
        return one(app, show);
    }
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let path = path(args);
    let mut told = HashSet::new();
    let (first, mut latest) = fetch(&client, &path)?;
    if first.is_empty() && !args.follow {
        output::say("no such request is kept");
    }
    print(&first, args.format, &mut told);
    if !args.follow {
        return Ok(true);
    }
    loop {
        std::thread::sleep(EVERY);
        let (new, now) = fetch(&client, &path)?;
        print(&new, args.format, &mut told);
        // What fell out of the answer does not come back: only its ids need to be known.
        told.retain(|id| now.contains(id) || latest.contains(id));
        latest = now;
    }
}

/// The records, oldest first, and their ids.
fn fetch(client: &Client, path: &str) -> Result<(Vec<Value>, HashSet<String>), String> {
    let answer = client.call(Method::GET, path, "")?.good()?.json();
    let mut records = answer.as_array().cloned().unwrap_or_default();
    records.reverse();
    let ids = records.iter().map(|record| text(record, "id")).collect();
    Ok((records, ids))
}

fn print(records: &[Value], format: Format, told: &mut HashSet<String>) {
    for record in records {
        if told.insert(text(record, "id")) {
            output::print(&match format {
                Format::Json => format!("{record}\n"),
                Format::Text => format!("{}\n", line(record)),
            });
        }
    }
}

fn path(args: &RequestsArgs) -> String {
    let failed = args.failed.then(|| "true".to_owned());
    let pairs = [
        ("reason", &args.reason),
        ("host", &args.host),
        ("route", &args.route),
        ("consumer", &args.consumer),
        ("cluster", &args.cluster),
        ("min_duration", &args.slow),
        ("failed", &failed),
    ];
    let query = pairs.into_iter().filter_map(|(key, value)| Some(format!("&{key}={}", escaped(value.as_ref()?))));
    format!("/api/requests?limit={}{}", args.limit, query.collect::<String>())
}

fn one(app: App, args: &ShowArgs) -> Result<bool, String> {
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let answer = client.call(Method::GET, &format!("/api/requests/{}", escaped(&args.id)), "")?.good()?;
    output::print(&match args.format {
        Format::Json => answer.body,
        Format::Text => story::story(&answer.json()),
    });
    Ok(true)
}

/// A record in a line: when, status, how long, what, where to, why.
fn line(record: &Value) -> String {
    let status = match record.get("status").and_then(Value::as_u64) {
        Some(0) | None => "---".to_owned(),
        Some(status) => status.to_string(),
    };
    let took = story::millis(record, "total_ms").unwrap_or_default();
    let target = match record.get("method") {
        Some(_) => format!("{} {}{}", text(record, "method"), text(record, "host"), text(record, "path")),
        None => text(record, "kind"),
    };
    let mut parts = vec![text(record, "time"), status, format!("{took:>8}"), plain(&target)];
    parts.extend(some(record, "route").map(|route| format!("route {}", plain(&route))));
    parts.extend(story::last_endpoint(record).map(|endpoint| format!("→ {}", plain(&endpoint))));
    parts.extend(some(record, "consumer").map(|consumer| format!("by {}", plain(&consumer))));
    parts.extend(some(record, "reason"));
    parts.push(text(record, "id"));
    parts.join("  ")
}

/// A text that came from outside, without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn some(record: &Value, key: &str) -> Option<String> {
    Some(record.get(key)?.as_str()?.to_owned())
}

fn text(record: &Value, key: &str) -> String {
    some(record, key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use serde_json::json;

    #[test]
    fn what_is_asked_for_is_a_query() {
        let read = |line: &str| {
            let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
            let crate::cli::Command::Requests(args) = cli.command else { panic!("{line}") };
            path(&args)
        };
        assert_eq!(read("p requests --admin 127.0.0.1:1"), "/api/requests?limit=20");
        assert_eq!(
            read("p requests --reason over_rate --consumer a/b --limit 5 -c x"),
            "/api/requests?limit=5&reason=over_rate&consumer=a%2Fb"
        );
        assert_eq!(read("p requests -c x --slow --failed"), "/api/requests?limit=20&min_duration=1s&failed=true");
        assert_eq!(read("p requests --slow 250ms -c x"), "/api/requests?limit=20&min_duration=250ms");
    }

    #[test]
    fn a_record_is_a_line_that_a_terminal_does_not_obey() {
        let record = json!({ "time": "T", "id": "0a", "kind": "request", "method": "GET", "host": "a", "path": "/x\u{1b}[2J",
            "status": 503, "total_ms": 12.5, "route": "all", "consumer": "acme", "reason": "no_healthy_upstream",
            "attempts": [{ "endpoint": "10.0.0.1:80" }] });
        assert_eq!(
            line(&record),
            "T  503    12.5ms  GET a/x\u{fffd}[2J  route all  → 10.0.0.1:80  by acme  no_healthy_upstream  0a"
        );
        assert_eq!(
            line(&json!({ "time": "T", "id": "0a", "kind": "connection", "status": 0 })),
            "T  ---            connection  0a"
        );
    }
}
