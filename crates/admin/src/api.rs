//! One file per path of the API.

pub(crate) mod audit;
pub(crate) mod bans;
pub(crate) mod caps;
pub(crate) mod clusters;
pub(crate) mod config;
pub(crate) mod consumers;
pub(crate) mod endpoints;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod map;
pub(crate) mod metrics;
pub(crate) mod overrides;
pub(crate) mod requests;
pub(crate) mod slos;
pub(crate) mod status;
pub(crate) mod timeline;
pub(crate) mod top;
pub(crate) mod trial;
pub(crate) mod upgrade;
pub(crate) mod usage;
pub(crate) mod verdict;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The largest limit of a query.
pub(crate) type Pairs = axum::extract::Query<Vec<(String, String)>>;

/// A value as an answer, laid out for people.
pub(crate) fn json(value: &Value) -> Response {
    with_type("application/json", format!("{value:#}\n"))
}

/// Text as an answer.
pub(crate) fn text(text: String) -> Response {
    with_type("text/plain; charset=utf-8", text)
}

pub(crate) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A moment as RFC 3339 writes it, in milliseconds.
pub(crate) fn moment(at: SystemTime) -> String {
    let mut out = Vec::new();
    portcullis_telemetry::timestamp::write_timestamp(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

/// A duration in seconds, to the millisecond.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
