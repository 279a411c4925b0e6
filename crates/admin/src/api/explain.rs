//! `/api/explain`: a request explained with the state of the running gateway.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_snapshot::explain::{Moment, Question, QuestionError, explain};

use super::{Pairs, json, text};
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// How long an explanation may take: filters run, and one may ask somebody or delay.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `GET ?url=…&method=…&header=name:value&client=…`.
pub(crate) async fn by_query(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    match question(&pairs) {
        Ok(question) => tell(&state, question, as_text(&pairs)).await,
        Err(error) => Problem::new(Kind::BadRequest).detail(error.to_string()).into_response(),
    }
}

/// `POST` with the question as JSON.
pub(crate) async fn by_body(
    State(state): State<Arc<AdminState>>,
    Query(pairs): Pairs,
    body: Result<Json<Value>, JsonRejection>,
) -> Response {
    let value = match body {
        Ok(Json(value)) => value,
        Err(rejection) => return Problem::new(Kind::BadRequest).detail(rejection.body_text()).into_response(),
    };
    match Question::from_json(&value) {
        Ok(question) => tell(&state, question, as_text(&pairs)).await,
        Err(error) => Problem::new(Kind::BadRequest).detail(error.to_string()).into_response(),
    }
}

fn as_text(pairs: &[(String, String)]) -> bool {
    pairs.iter().any(|(key, value)| key == "format" && value == "text")
}

fn question(pairs: &[(String, String)]) -> Result<Question, QuestionError> {
    let mut object = serde_json::Map::new();
    let mut fields = Vec::new();
    for (key, value) in pairs {
        match key.as_str() {
            "format" => {}
            "header" => fields.push(value),
            key => {
                object.insert(key.to_owned(), Value::String(value.clone()));
            }
        }
    }
    let mut question = Question::from_json(&Value::Object(object))?;
    fields.into_iter().try_for_each(|field| question.field(field))?;
    Ok(question)
}

async fn tell(state: &AdminState, question: Question, as_text: bool) -> Response {
    let snapshot = state.generations.current();
    let bound = state.control.addresses();
    let moment = Moment { now: Instant::now(), live: true, bound: &bound };
    match tokio::time::timeout(TIMEOUT, explain(&snapshot, &question, moment)).await {
        Ok(told) if as_text => text(told.to_string()),
        Ok(told) => json(&told.to_json()),
        Err(_) => {
            let detail = "a filter, the host source or the cache did not answer within 10 s";
            Problem::new(Kind::Timeout).detail(detail).into_response()
        }
    }
}
