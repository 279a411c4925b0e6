//! The paths, and what holds for all of them: who may ask, how large a body may be, how long an answer may take.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{
    bans, caps, clusters, config, consumers, endpoints, explain, health, map, metrics, requests, status, timeline,
    upgrade, usage,
};
use crate::auth;
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// The largest config that can be applied, and the largest body of any request.
pub const CONFIG_BYTES: usize = 16 * 1024 * 1024;

/// How long an answer may take. A reload waits for new sources of endpoints, which has a bound of its own below this.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The API.
pub fn router(state: Arc<AdminState>) -> Router {
    let overrides = get(caps::overrides).post(caps::set_override).delete(caps::lift_override);
    Router::new()
        .route("/healthz", only(get(health::healthz), "GET"))
        .route("/readyz", only(get(health::readyz), "GET"))
        .route("/metrics", only(get(metrics::metrics), "GET"))
        .route("/api/status", only(get(status::status), "GET"))
        .route("/api/config", only(get(config::show).post(config::apply), "GET, POST"))
        .route("/api/reload", only(post(config::reload), "POST"))
        .route("/api/upgrade", only(post(upgrade::upgrade), "POST"))
        .route("/api/explain", only(get(explain::by_query).post(explain::by_body), "GET, POST"))
        .route("/api/clusters", only(get(clusters::clusters), "GET"))
        .route("/api/clusters/{name}/endpoints", only(get(endpoints::show).post(endpoints::change), "GET, POST"))
        .route("/api/consumers", only(get(consumers::show), "GET"))
        .route("/api/consumers/{*id}", only(get(consumers::one), "GET"))
        .route("/api/bans", only(get(bans::list).post(bans::add), "GET, POST"))
        .route("/api/bans/{*network}", only(delete(bans::lift), "DELETE"))
        .route("/api/map", only(get(map::map), "GET"))
        .route("/api/timeline", only(get(timeline::timeline), "GET"))
        .route("/api/requests", only(get(requests::requests), "GET"))
        .route("/api/caps/{consumer}", only(get(caps::consumer), "GET"))
        .route("/api/caps/overrides", only(overrides, "GET, POST, DELETE"))
        .route("/api/usage", only(get(usage::usage), "GET"))
        .fallback(|| async { Problem::new(Kind::NotFound) })
        .layer(middleware::from_fn_with_state(state.clone(), auth::check))
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(CONFIG_BYTES))
        .with_state(state)
}

/// A path that takes these methods and says so to others.
fn only(methods: MethodRouter<Arc<AdminState>>, allow: &'static str) -> MethodRouter<Arc<AdminState>> {
    methods.fallback(move || async move { Problem::new(Kind::MethodNotAllowed).allow(allow) })
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Timeout).into_response(),
    }
}
