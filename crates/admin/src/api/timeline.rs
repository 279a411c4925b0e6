//! `/api/timeline`: what became of requests in the last fifteen minutes, in steps of five seconds.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use portcullis_telemetry::Step;

use super::{json as answer, moment};
use crate::control::AdminState;

/// Steps, oldest first.
pub(crate) async fn timeline(State(state): State<Arc<AdminState>>) -> Response {
    let steps: Vec<Value> = state.timeline.minutes().iter().map(step).collect();
    answer(&json!({ "step_seconds": 5, "steps": steps }))
}

fn step(step: &Step) -> Value {
    let millis = |share: f64| step.latencies.quantile(share).map(|took| took.as_secs_f64() * 1e3);
    let reasons: Map<String, Value> =
        step.reasons.iter().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
    json!({
        "until": moment(step.until),
        "requests": step.requests,
        "failed": step.failed,
        "refused": step.refused,
        "reasons": reasons,
        "p50_ms": millis(0.5),
        "p90_ms": millis(0.9),
        "p99_ms": millis(0.99),
    })
}
