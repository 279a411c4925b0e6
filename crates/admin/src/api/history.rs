//! `/api/history` and `/api/rollback`: the generations that were tried, and going back to one.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::config::{by, hide_secrets, tell};
use super::json as answer;
use crate::actor::Actor;
use crate::control::{AdminState, Change, Expected};
use crate::problem::{Kind, Problem};

/// What is asked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    to: Option<u64>,
    note: Option<String>,
}

/// All of them, newest first.
pub(crate) async fn list(State(state): State<Arc<AdminState>>) -> Response {
    answer(&json!({ "generations": state.control.generations().await }))
}

/// One of them with its texts, secrets hidden.
pub(crate) async fn one(State(state): State<Arc<AdminState>>, Path(number): Path<String>) -> Response {
    let number = match generation(&number) {
        Ok(number) => number,
        Err(problem) => return problem.into_response(),
    };
    match state.control.generation(number).await {
        Ok(mut entry) => {
            let snapshot = state.generations.current();
            let tokens = snapshot.settings.admin.iter().flat_map(|admin| &admin.tokens);
            let tokens: Vec<&str> = tokens.map(|token| token.secret.as_str()).collect();
            hide(&mut entry, &tokens);
            answer(&entry)
        }
        Err(why) => Problem::new(Kind::NotFound).detail(why).into_response(),
    }
}

fn hide(entry: &mut Value, tokens: &[&str]) {
    let sources = entry.get_mut("sources").and_then(Value::as_array_mut);
    for text in sources.into_iter().flatten().filter_map(|source| source.get_mut("text")) {
        *text = json!(hide_secrets(text.as_str().unwrap_or_default(), tokens));
    }
}

/// What one changes against another.
pub(crate) async fn compare(
    State(state): State<Arc<AdminState>>,
    Path((from, to)): Path<(String, String)>,
) -> Response {
    let numbers = generation(&from).and_then(|from| Ok((from, generation(&to)?)));
    let (from, to) = match numbers {
        Ok(numbers) => numbers,
        Err(problem) => return problem.into_response(),
    };
    match state.control.compare(from, to).await {
        Ok(diff) => answer(&json!({ "from": from, "to": to, "diff": diff.to_json(), "text": diff.to_string() })),
        Err(why) => Problem::new(Kind::NotFound).detail(why).into_response(),
    }
}

/// Goes back to a generation.
pub(crate) async fn rollback(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // What serves now is what is left, whoever else is faster.
    let serves = state.generations.peek().origin.hash.clone();
    let asked = body
        .map_err(|rejection| Problem::new(Kind::BadRequest).detail(rejection.body_text()))
        .and_then(|body| asked(&body, &headers, serves));
    let (asked, expected) = match asked {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    let to = match asked.to {
        Some(to) => Ok(to),
        None => state.control.last_good().await,
    };
    match (to, by(&actor, asked.note.as_deref())) {
        (Ok(to), Ok(by)) => tell(state.control.change(Change::Rollback { to, expected }, by).await, false),
        (Err(why), _) => Problem::new(Kind::NoSuchGeneration).detail(why).into_response(),
        (_, Err(problem)) => problem.into_response(),
    }
}

fn asked(body: &[u8], headers: &HeaderMap, serves: String) -> Result<(Asked, Expected), Problem> {
    let refuse = |detail: String| Problem::new(Kind::BadRequest).detail(detail);
    let asked = if body.is_empty() {
        Asked::default()
    } else {
        serde_json::from_slice(body).map_err(|error| refuse(error.to_string()))?
    };
    let expected = match headers.get(IF_MATCH) {
        Some(given) => given.to_str().ok().and_then(Expected::parse),
        None => Some(Expected::Hashes(vec![serves])),
    };
    Ok((asked, expected.ok_or_else(|| refuse("If-Match: expected `\"HASH\"` or `*`".to_owned()))?))
}

fn generation(text: &str) -> Result<u64, Problem> {
    let wrong = |_| Problem::new(Kind::NotFound).detail(format!("`{text}` is not the number of a generation"));
    text.parse().map_err(wrong)
}
