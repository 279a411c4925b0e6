//! `/api/requests`: the last records, by the fields of the query. `/api/requests/ID`: one of them.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use portcullis_telemetry::access_log::write_json;
use portcullis_telemetry::ring;
use portcullis_types::RequestId;

use super::{Pairs, with_type};
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// How many records an answer holds at most.
const MOST: usize = 1000;

/// An array of records, latest first, each as a line of the access log.
pub(crate) async fn requests(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    let query = match query(&pairs) {
        Ok(query) => query,
        Err(error) => return Problem::new(Kind::BadRequest).detail(error.to_string()).into_response(),
    };
    let mut out = vec![b'['];
    for (at, record) in state.recent.query(&query).iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
        write_json(record, &mut out);
    }
    out.extend_from_slice(b"\n]\n");
    with_type("application/json", out)
}

/// The record of one request, as a line of the access log.
pub(crate) async fn one(State(state): State<Arc<AdminState>>, Path(id): Path<String>) -> Response {
    let Some(id) = RequestId::from_hex(&id) else {
        return Problem::new(Kind::BadRequest).detail("the id of a request has 32 hex digits").into_response();
    };
    let Some(record) = state.recent.find(id) else {
        let detail = "no such request is kept: it was too long ago, or never here";
        return Problem::new(Kind::NotFound).detail(detail).into_response();
    };
    let mut out = Vec::new();
    write_json(&record, &mut out);
    out.push(b'\n');
    with_type("application/json", out)
}

/// The ring's query; `min_ms` is the short form of `min_duration`.
fn query(pairs: &[(String, String)]) -> Result<ring::Query, ring::QueryError> {
    let pairs: Vec<(&str, String)> = pairs
        .iter()
        .map(|(key, value)| match key.as_str() {
            "min_ms" => ("min_duration", format!("{value}ms")),
            key => (key, value.clone()),
        })
        .collect();
    let mut query = ring::Query::from_pairs(pairs.iter().map(|(key, value)| (*key, value.as_str())))?;
    query.limit = query.limit.min(MOST);
    Ok(query)
}
