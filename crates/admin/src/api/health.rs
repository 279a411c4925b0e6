//! `/healthz` and `/readyz`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use super::text;
use crate::control::{AdminState, Readiness};
use crate::problem::{Kind, Problem};

/// The process lives.
pub(crate) async fn healthz() -> Response {
    text("ok\n".to_owned())
}

/// New requests are wanted here.
pub(crate) async fn readyz(State(state): State<Arc<AdminState>>) -> Response {
    let readiness = state.control.readiness();
    match readiness {
        Readiness::Ready => text("ready\n".to_owned()),
        Readiness::Starting | Readiness::Overloaded | Readiness::Leaving | Readiness::Draining => {
            Problem::new(Kind::NotReady).detail(readiness.as_str()).into_response()
        }
    }
}
