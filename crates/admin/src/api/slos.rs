//! `/api/slos`: how the objectives of service levels stand.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

use super::json as answer;
use crate::control::AdminState;

/// All of them, in the order of the config.
pub(crate) async fn slos(State(state): State<Arc<AdminState>>) -> Response {
    answer(&json!({ "slos": state.control.slos() }))
}
