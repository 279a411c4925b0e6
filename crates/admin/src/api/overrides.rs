//! `/api/overrides`: all that operators said by the API for a while, in one list.

use axum::extract::{Query, State};
use axum::response::Response;
use std::sync::Arc;

use super::config::flag;
use super::{Pairs, json as answer};
use crate::control::AdminState;

/// Soonest to end first; with `ended=1`, the last that are over too.
pub(crate) async fn show(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    answer(&state.overrides.told(flag(&pairs, "ended")))
}
