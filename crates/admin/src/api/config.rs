//! `/api/config` and `/api/reload`: what serves, and changing it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Query, State};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

use portcullis_telemetry::Redaction;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::redact::REDACTED;

use super::status::generations;
use super::{Pairs, json as answer, moment, text};
use crate::actor::Actor;
use crate::control::{AdminState, By, Change, Changed, Expected, Stale, Watch};
use crate::problem::{Kind, Problem};

/// The longest note, in bytes.
const NOTE: usize = 500;

/// The generations; with `text=1`, the text that serves, secrets hidden.
pub(crate) async fn show(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    let snapshot = state.generations.current();
    let mut response = if flag(&pairs, "text") {
        let tokens = snapshot.settings.admin.iter().flat_map(|admin| &admin.tokens);
        let tokens: Vec<&str> = tokens.map(|token| token.secret.as_str()).collect();
        text(hide_secrets(&snapshot.origin.text, &tokens))
    } else {
        let (hash, id) = (&snapshot.origin.hash, snapshot.id.0);
        answer(&json!({ "generation": id, "hash": hash, "generations": generations(&state) }))
    };
    tag(&mut response, &snapshot.origin.hash);
    response
}

/// Applies a YAML body, or says what it would change.
pub(crate) async fn apply(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let change = change(&pairs, &headers, body).and_then(|change| Ok((change, by(&actor, value(&pairs, "note"))?)));
    match change {
        Ok((change, by)) => tell(state.control.change(change, by).await, flag(&pairs, "dry_run")),
        Err(problem) => problem.into_response(),
    }
}

/// Reads the file again.
pub(crate) async fn reload(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Response {
    match by(&actor, value(&pairs, "note")) {
        Ok(by) => tell(state.control.change(Change::Reread, by).await, false),
        Err(problem) => problem.into_response(),
    }
}

fn change(
    pairs: &[(String, String)],
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Change, Problem> {
    let body = body.map_err(|rejection| {
        let large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        Problem::new(if large { Kind::BodyTooLarge } else { Kind::BadRequest }).detail(rejection.body_text())
    })?;
    let not_text = |_| Problem::new(Kind::BadRequest).detail("the body is not UTF-8");
    let text = String::from_utf8(body.into()).map_err(not_text)?;
    if flag(pairs, "dry_run") {
        return Ok(Change::DryRun { text });
    }
    let given = headers.get(IF_MATCH).ok_or_else(|| {
        let detail = "send If-Match with the ETag of GET /api/config, so that nobody's change is overwritten unseen";
        Problem::new(Kind::PreconditionRequired).detail(detail)
    })?;
    let expected = given.to_str().ok().and_then(Expected::parse);
    let malformed = || Problem::new(Kind::BadRequest).detail("If-Match: expected `\"HASH\"` or `*`");
    let write = value(pairs, "write").map(str::to_owned);
    let watch = super::trial::watch(pairs)?;
    if write.is_some() && matches!(watch, Some(Watch::Canary { .. })) {
        let detail = "`write` goes with what serves everybody: promote the canary first";
        return Err(Problem::new(Kind::BadRequest).detail(detail));
    }
    Ok(Change::Apply { text, expected: expected.ok_or_else(malformed)?, write, watch })
}

/// What came of a change.
pub(super) fn tell(changed: Result<Changed, Stale>, dry_run: bool) -> Response {
    let changed = match changed {
        Ok(changed) => changed,
        Err(stale) => return outdated(&stale).into_response(),
    };
    let diff = changed.diff.as_ref();
    match changed.outcome {
        ReloadOutcome::Refused => {
            let problem = Problem::new(Kind::ConfigRefused).with("diagnostics", changed.diagnostics);
            problem.with("text", json!(changed.message)).etag(&changed.hash).into_response()
        }
        ReloadOutcome::Failed => {
            let problem = Problem::new(Kind::ConfigFailed).detail(changed.message);
            problem.with("diagnostics", changed.diagnostics).etag(&changed.hash).into_response()
        }
        ReloadOutcome::Applied | ReloadOutcome::Unchanged => {
            let mut response = answer(&json!({
                "outcome": if dry_run { "dry_run" } else { changed.outcome.as_str() },
                "generation": changed.generation.0,
                "hash": changed.hash,
                "diff": diff.map(portcullis_config::Diff::to_json),
                "text": diff.map(ToString::to_string),
                "diagnostics": changed.diagnostics,
                "effect": changed.effect.as_ref().map(|effect| &effect.json),
                "effect_text": changed.effect.as_ref().map(|effect| &effect.text),
                "notes": changed.notes,
                "includes": changed.includes.iter().map(include).collect::<Vec<_>>(),
                "file": changed.file,
                "trial": changed.trial,
            }));
            tag(&mut response, &changed.hash);
            response
        }
    }
}

/// Somebody else was faster: who, when, and what serves now.
fn outdated(stale: &Stale) -> Problem {
    let Stale { current, generation, who, at } = stale;
    let at = moment(*at);
    let detail = format!("generation {generation} serves, put there by {who} at {at}");
    let problem = Problem::new(Kind::PreconditionFailed).detail(detail).etag(current);
    problem.with("generation", json!(generation.0)).with("who", json!(who)).with("at", json!(at))
}

fn include((name, fingerprint): &(String, String)) -> Value {
    json!({ "name": name, "fingerprint": fingerprint })
}

/// Who asks, with the operator's words.
///
/// # Errors
/// A note that is too long, or no line of text.
pub(super) fn by(actor: &Actor, note: Option<&str>) -> Result<By, Problem> {
    let note = note.map(str::trim).filter(|note| !note.is_empty());
    if note.is_some_and(|note| note.len() > NOTE || note.chars().any(char::is_control)) {
        let detail = format!("`note` is longer than {NOTE} bytes, or has control characters");
        return Err(Problem::new(Kind::BadRequest).detail(detail));
    }
    Ok(actor.by(note.map(str::to_owned)))
}

/// The value of a key of the query.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn tag(response: &mut Response, hash: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
}

/// Whether the query has a switch on: `text`, `text=1`, `text=true`.
pub(crate) fn flag(pairs: &[(String, String)], name: &str) -> bool {
    pairs.iter().any(|(key, value)| key == name && !matches!(value.as_str(), "0" | "false"))
}

/// A config's text without the secrets that stand in it literally: values of keys with a secret's name, unless they
/// only refer to one, and the admin tokens wherever they stand. Leans to hiding.
#[must_use]
pub fn hide_secrets(text: &str, tokens: &[&str]) -> String {
    let redaction = Redaction::default();
    let mut out = String::with_capacity(text.len());
    // The indentation of a secret's key whose value stands on the lines below it.
    let mut above: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if above.is_some_and(|above| indent > above) && !line.trim().is_empty() {
            out.push_str(line.get(..indent).unwrap_or_default());
            out.push_str("***\n");
            continue;
        }
        let alone = line.trim_end().strip_suffix(':').map(last_word);
        above = alone.is_some_and(|name| redaction.is_secret(name)).then_some(indent);
        out.push_str(&hide_line(line, &redaction));
    }
    let long = tokens.iter().filter(|token| token.len() >= 6);
    long.fold(out, |out, token| out.replace(token, REDACTED))
}

/// One line: each `key: value` in it, also those of a flow mapping.
fn hide_line(line: &str, redaction: &Redaction) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(": ") {
        out.push_str(before);
        out.push_str(": ");
        rest = after;
        let end = value_end(after);
        let value = after.get(..end).unwrap_or_default();
        if redaction.is_secret(last_word(before)) && !is_reference(value) {
            out.push_str(REDACTED);
            rest = after.get(end..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

fn last_word(text: &str) -> &str {
    text.rsplit(['{', ',', ' ', '\t', '"', '\'']).find(|word| !word.is_empty()).unwrap_or_default()
}

/// Where a value ends: at its closing quote, else where a flow mapping or the line goes on.
fn value_end(after: &str) -> usize {
    let quoted = after.chars().next().filter(|quote| matches!(quote, '"' | '\''));
    let closing = quoted.and_then(|quote| Some(after.get(1..)?.find(quote)? + 2));
    closing.or_else(|| after.find([',', '}', '\n'])).unwrap_or(after.len())
}

/// Whether a value only says where the secret is.
fn is_reference(value: &str) -> bool {
    let bare = value.trim_matches(['"', '\'', ' ']);
    let refers = bare.starts_with("file:") || bare.starts_with("${") || bare.starts_with(['{', '[']);
    refers || bare.is_empty() || bare.ends_with(".pem") || bare.ends_with(".key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_secrets_are_hidden_and_references_stay() {
        let check = |text: &str, expected: &str| assert_eq!(hide_secrets(text, &["hunter22"]), expected, "{text}");
        check("admin: { bind: \"127.0.0.1:1\", token: \"abc\" }\n", "admin: { bind: \"127.0.0.1:1\", token: *** }\n");
        check("  token: abc\n", "  token: ***\n");
        check("  token: file:admin.token\n", "  token: file:admin.token\n");
        check("  token: \"${TOKEN}\"\n", "  token: \"${TOKEN}\"\n");
        check("  x-api-key: abc # why\n", "  x-api-key: ***\n");
        check("note: hunter22\n", "note: ***\n");
        check("  token: \"a,b\", x: 1\n", "  token: ***, x: 1\n");
        check("  token:\n    abc\n  bind: x\n", "  token:\n    ***\n  bind: x\n");
        check("{ cert: a.pem, key: a.key }\n", "{ cert: a.pem, key: a.key }\n");
        check("routes:\n  - name: token\n", "routes:\n  - name: token\n");
        check("    bind: \"0.0.0.0:80\"\n", "    bind: \"0.0.0.0:80\"\n");
    }
}
