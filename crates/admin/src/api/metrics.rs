//! `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use portcullis_telemetry::metrics::{CONTENT_TYPE, render};

use super::with_type;
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// Everything in the registry.
pub(crate) async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    match render(&state.registry) {
        Ok(text) => with_type(CONTENT_TYPE, text),
        Err(error) => Problem::new(Kind::Internal).detail(error.to_string()).into_response(),
    }
}
