//! `apply`: a config is shown with what it would do, asked about, put to work and watched.

use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::time::{Duration, Instant};

use portcullis_types::quantity::{format_duration, parse_duration};

use super::client;
use super::rollback::{refused, tell};
use crate::app::{App, Exit};
use crate::cli::Format;
use crate::cli::changes::ApplyArgs;
use crate::client::Client;
use crate::output::{self, count};
use crate::sources::Sources;

/// How often a gateway is asked while it is watched.
const STEP: Duration = Duration::from_millis(500);

/// Shows, asks, applies, watches.
pub(crate) fn apply(app: App, args: &ApplyArgs) -> Result<Exit, String> {
    let lasts = parse_duration(&args.watch).map_err(|error| format!("--watch: {error}"))?;
    let path = &args.file;
    let text = std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let here = included(&text, args)?;
    let client = client(app, Some(args.config.as_deref().unwrap_or(path)), &args.reach)?;
    let looked = client.call(Method::POST, "/api/config?dry_run=1", text.clone())?;
    if let Some(exit) = refused(&looked, args.format) {
        print_json(args, &json!({ "dry_run": looked.json() }));
        return Ok(exit);
    }
    let looked = looked.json();
    if args.format == Format::Text {
        show(&looked, &here);
    }
    if args.dry_run {
        print_json(args, &json!({ "dry_run": looked, "includes_differ": differing(&looked, &here) }));
        return Ok(Exit::Done);
    }
    if !args.yes && !agreed(args)? {
        return Ok(Exit::Failed);
    }
    let word = |key: &str| looked.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut query = Vec::new();
    query.extend(args.note.as_ref().map(|note| format!("note={}", encoded(note))));
    let watched = [("canary", &args.canary), ("for", &args.lasts), ("probation", &args.probation)];
    query.extend(watched.iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.as_ref()?)))));
    query.extend(args.write.then(|| format!("write={}", encoded(word("file")))));
    let target = format!("/api/config?{}", query.join("&"));
    let seen = format!("\"{}\"", word("hash"));
    let applied = client.call_with(Method::POST, &target, &[("if-match", &seen)], text)?;
    if let Some(exit) = refused(&applied, args.format) {
        print_json(args, &json!({ "dry_run": looked, "applied": applied.json() }));
        return Ok(exit);
    }
    let applied = applied.json();
    if args.format == Format::Text {
        tell(&json!({ "generation": applied.get("generation"), "notes": applied.get("notes") }));
    }
    let on_trial = applied.get("trial").and_then(Value::as_u64);
    let watched = match on_trial {
        Some(number) => trial(&client, number, args.format)?,
        None => watch(&client, &applied, lasts)?,
    };
    if args.format == Format::Text {
        output::print(&watched.text);
    }
    print_json(args, &json!({ "dry_run": looked, "applied": applied, "watched": watched.json }));
    Ok(watched.exit)
}

fn print_json(args: &ApplyArgs, told: &Value) {
    if args.format == Format::Json {
        output::print(&format!("{told:#}\n"));
    }
}

/// What the text includes here, by name.
fn included(text: &str, args: &ApplyArgs) -> Result<BTreeMap<String, String>, String> {
    let loaded = portcullis_yaml::load(&args.file, &portcullis_yaml::OsLoader);
    let sources = Sources::of(&loaded.sources, &args.file);
    if *sources.main == *text {
        Ok(sources.included().into_iter().collect())
    } else {
        Err(format!("{} changes while it is read; ask again", args.file.display()))
    }
}

/// The includes that the gateway reads and that are not the same here.
fn differing(looked: &Value, here: &BTreeMap<String, String>) -> Vec<String> {
    let there = looked.get("includes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let word = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let there: BTreeMap<String, String> =
        there.iter().map(|one| (word(one, "name"), word(one, "fingerprint"))).collect();
    let differ = there.iter().filter(|(name, fingerprint)| here.get(*name) != Some(fingerprint));
    let missing = here.keys().filter(|name| !there.contains_key(*name));
    differ.map(|(name, _)| name).chain(missing).cloned().collect()
}

fn show(looked: &Value, here: &BTreeMap<String, String>) {
    for key in ["text", "effect_text"] {
        output::print(looked.get(key).and_then(Value::as_str).unwrap_or_default());
    }
    for name in differing(looked, here) {
        output::print(&format!("note: {name} is read on the gateway's side, and is not the same here\n"));
    }
}

/// Asks on a terminal.
fn agreed(args: &ApplyArgs) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() || args.format == Format::Json {
        return Err("there is no terminal to ask on; --yes applies without a question, --dry-run only shows".to_owned());
    }
    output::say("apply this? [y/N] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    let yes = matches!(line.trim(), "y" | "Y" | "yes");
    if !yes {
        output::say("not applied");
    }
    Ok(yes)
}

/// What was seen after a change.
struct Watched {
    exit: Exit,
    text: String,
    json: Value,
}

/// Requests so far, and how many of them were answered 5xx.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    errors: u64,
}

/// The counters of a gateway; what cannot be had counts as nothing.
fn counts(client: &Client) -> Counts {
    let page = client.call(Method::GET, "/metrics", "").map(|answer| answer.body).unwrap_or_default();
    counted(&page)
}

fn counted(page: &str) -> Counts {
    let mut counts = Counts::default();
    for line in page.lines().filter(|line| line.starts_with("portcullis_route_requests_total{")) {
        let number = line.rsplit_once(' ').and_then(|(_, value)| value.parse::<u64>().ok()).unwrap_or_default();
        counts.requests += number;
        if line.contains("class=\"5xx\"") {
            counts.errors += number;
        }
    }
    counts
}

/// Waits until a trial has ended, and says how it goes meanwhile.
fn trial(client: &Client, number: u64, format: Format) -> Result<Watched, String> {
    let mut told = String::new();
    loop {
        let now = client.call(Method::GET, "/api/trial", "")?.good()?.json();
        if now.get("generation").and_then(Value::as_u64) == Some(number) {
            let says = progress(&now);
            if format == Format::Text && says != told {
                output::print(&says);
                told = says;
            }
            std::thread::sleep(STEP);
            continue;
        }
        let last = now.get("last").cloned().unwrap_or_default();
        if last.get("generation").and_then(Value::as_u64) != Some(number) {
            return Err(format!("the trial of generation {number} ended, and another one since"));
        }
        let good = last.get("good").and_then(Value::as_bool).unwrap_or_default();
        let says = last.get("says").and_then(Value::as_str).unwrap_or_default();
        let end = if good { "it stays" } else { "it was taken back" };
        let text = format!("generation {number}: {end}: {says}\n");
        return Ok(Watched { exit: if good { Exit::Done } else { Exit::RolledBack }, text, json: last });
    }
}

/// A line each ten seconds.
fn progress(now: &Value) -> String {
    let number = |key: &str| now.get(key).and_then(Value::as_f64).unwrap_or_default();
    let phase = now.get("phase").and_then(Value::as_str).unwrap_or_default();
    if phase == "lead" {
        return "the two groups of callers are compared before it begins\n".to_owned();
    }
    let tens = (number("seconds") / 10.0).floor() * 10.0;
    format!("watched for {tens:.0} of {:.0} s\n", number("lasts_seconds"))
}

/// Watches a generation for a while, or until another one serves.
fn watch(client: &Client, applied: &Value, lasts: Duration) -> Result<Watched, String> {
    let ours = applied.get("generation").and_then(Value::as_u64).unwrap_or_default();
    let (start, began) = (counts(client), Instant::now());
    let serves = || -> Result<u64, String> {
        let told = client.call(Method::GET, "/api/config", "")?.good()?.json();
        Ok(told.get("generation").and_then(Value::as_u64).unwrap_or_default())
    };
    let mut now = serves()?;
    while now == ours && began.elapsed() < lasts {
        std::thread::sleep(STEP.min(lasts.saturating_sub(began.elapsed())));
        now = serves()?;
    }
    let end = counts(client);
    let seen = Counts {
        requests: end.requests.saturating_sub(start.requests),
        errors: end.errors.saturating_sub(start.errors),
    };
    let took = began.elapsed().as_secs();
    let json = json!({ "seconds": took, "requests": seen.requests, "errors": seen.errors, "serves": now });
    let mut text = String::new();
    if !lasts.is_zero() {
        let (took, requests) = (format_duration(lasts), usize::try_from(seen.requests).unwrap_or(usize::MAX));
        text = format!("watched for {took}: {}, {} answered 5xx\n", count(requests, "request"), seen.errors);
    }
    if now == ours {
        return Ok(Watched { exit: Exit::Done, text, json });
    }
    let (exit, says) = superseded(client, (ours, now));
    Ok(Watched { exit, text: format!("{text}{says}\n"), json })
}

/// Another generation serves already: because this one was rolled back, or since somebody changed it again.
fn superseded(client: &Client, (ours, now): (u64, u64)) -> (Exit, String) {
    let entry = client.call(Method::GET, &format!("/api/history/{ours}"), "").map(|answer| answer.json());
    let verdict = entry.ok().and_then(|entry| entry.get("verdict").cloned()).unwrap_or_default();
    let says = verdict.get("says").and_then(Value::as_str).unwrap_or_default();
    match verdict.get("good").and_then(Value::as_bool) {
        Some(false) => (Exit::RolledBack, format!("generation {now} serves: {says}")),
        Some(true) | None => (Exit::Done, format!("generation {now} serves already: it was changed again")),
    }
}

/// A value of a query (RFC 3986 section 2.1).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_server_errors_are_counted_over_all_routes() {
        let page = "# HELP portcullis_route_requests_total x\n\
                    portcullis_route_requests_total{host=\"a\",route=\"b\",protocol=\"HTTP/1.1\",class=\"2xx\"} 7\n\
                    portcullis_route_requests_total{host=\"a\",route=\"c\",protocol=\"HTTP/2\",class=\"5xx\"} 3\n\
                    portcullis_cluster_requests_total{cluster=\"a\",class=\"5xx\"} 9\n";
        assert_eq!(counted(page), Counts { requests: 10, errors: 3 });
    }

    #[test]
    fn a_note_is_written_so_that_a_query_holds_it() {
        assert_eq!(encoded("5 % & Größe"), "5%20%25%20%26%20Gr%C3%B6%C3%9Fe");
    }

    #[test]
    fn includes_that_are_another_or_missing_on_either_side_are_named() {
        let looked = json!({ "includes": [
            { "name": "a", "fingerprint": "1" }, { "name": "b", "fingerprint": "2" }, { "name": "c", "fingerprint": "3" },
        ] });
        let here = [("a", "1"), ("b", "9"), ("d", "4")].map(|(name, print)| (name.to_owned(), print.to_owned()));
        assert_eq!(differing(&looked, &here.into()), ["b", "c", "d"]);
    }
}
