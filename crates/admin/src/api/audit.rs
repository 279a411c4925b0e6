//! `/api/audit`: the last calls that may have changed something, and the last refusals.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

use super::json as answer;
use crate::control::AdminState;

/// Latest first, with how many there were since the start.
pub(crate) async fn show(State(state): State<Arc<AdminState>>) -> Response {
    let (calls, refusals) = state.audit.counts();
    answer(&json!({ "calls": calls, "refusals": refusals, "entries": state.audit.told() }))
}
