//! The paths, and what holds for all of them: who may ask, how large a body may be, how long an answer may take, what a
//! browser may do with an answer.
//!
//! [`Table`] is the one place where a path comes to be: it takes no method without what that needs of its caller.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use std::sync::Arc;
use std::time::Duration;

use crate::actor::Role::{Admin, Operate, Read};
use crate::api::{
    audit, bans, caps, clusters, config, consumers, endpoints, explain, health, history, map, metrics, overrides,
    requests, slos, status, timeline, top, trial, upgrade, usage,
};
use crate::assets;
use crate::control::AdminState;
use crate::guard::{self, Guard, Need};
use crate::problem::{Kind, Problem};

/// The largest config that can be applied, and the largest body of any request.
pub const CONFIG_BYTES: usize = 16 * 1024 * 1024;

/// How long an answer may take. A reload waits for new sources of endpoints, which has a bound of its own below this.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The API.
pub(crate) fn router(state: Arc<AdminState>) -> Router {
    table(state).finish()
}

fn table(state: Arc<AdminState>) -> Table {
    let (read, operate) = (Need::Role(Read), Need::Role(Operate));
    let endpoints = [get(read, endpoints::show), post(operate, endpoints::change)];
    let caps = [
        get(read, caps::overrides),
        post(operate, caps::set_override),
        verb(Method::DELETE, operate, caps::lift_override),
    ];
    let pages = assets::paths().fold(Table::new(state), |table, path| table.at(path, [get(Need::Open, assets::serve)]));
    pages
        .at("/healthz", [get(Need::Open, health::healthz)])
        .at("/readyz", [get(Need::Open, health::readyz)])
        .at("/metrics", [get(read, metrics::metrics)])
        .at("/api/status", [get(read, status::status)])
        .at("/api/config", [get(read, config::show), post(Need::UnlessDry(Admin), config::apply)])
        .at("/api/reload", [post(operate, config::reload)])
        .at("/api/upgrade", [post(Need::Role(Admin), upgrade::upgrade)])
        .at("/api/history", [get(read, history::list)])
        .at("/api/history/{number}", [get(read, history::one)])
        .at("/api/history/{from}/diff/{to}", [get(read, history::compare)])
        .at("/api/rollback", [post(operate, history::rollback)])
        .at("/api/trial", [get(read, trial::show)])
        .at("/api/trial/promote", [post(operate, trial::promote)])
        .at("/api/trial/abort", [post(operate, trial::abort)])
        .at("/api/explain", [get(read, explain::by_query), post(read, explain::by_body)])
        .at("/api/clusters", [get(read, clusters::clusters)])
        .at("/api/clusters/{name}/endpoints", endpoints)
        .at("/api/consumers", [get(read, consumers::show)])
        .at("/api/consumers/{*id}", [get(read, consumers::one)])
        .at("/api/bans", [get(read, bans::list), post(operate, bans::add)])
        .at("/api/bans/{*network}", [verb(Method::DELETE, operate, bans::lift)])
        .at("/api/map", [get(read, map::map)])
        .at("/api/timeline", [get(read, timeline::timeline)])
        .at("/api/requests", [get(read, requests::requests)])
        .at("/api/requests/{id}", [get(read, requests::one)])
        .at("/api/top", [get(read, top::top)])
        .at("/api/slos", [get(read, slos::slos)])
        .at("/api/caps/{consumer}", [get(read, caps::consumer)])
        .at("/api/caps/overrides", caps)
        .at("/api/overrides", [get(read, overrides::show)])
        .at("/api/usage", [get(read, usage::usage)])
        .at("/api/audit", [get(Need::Role(Admin), audit::show)])
}

/// A method of a path, with what it needs.
struct Verb {
    method: Method,
    need: Need,
    serves: MethodRouter<Arc<AdminState>>,
}

fn verb<H, T>(method: Method, need: Need, handler: H) -> Verb
where
    H: Handler<T, Arc<AdminState>>,
    T: 'static,
{
    // Only methods that there is a filter for are named here.
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    Verb { method, need, serves: on(filter, handler) }
}

/// Also what answers HEAD.
fn get<H, T>(need: Need, handler: H) -> Verb
where
    H: Handler<T, Arc<AdminState>>,
    T: 'static,
{
    verb(Method::GET, need, handler)
}

fn post<H, T>(need: Need, handler: H) -> Verb
where
    H: Handler<T, Arc<AdminState>>,
    T: 'static,
{
    verb(Method::POST, need, handler)
}

/// All paths.
struct Table {
    state: Arc<AdminState>,
    router: Router<Arc<AdminState>>,
    /// Path, method, and what that needs.
    rows: Vec<(&'static str, Method, Need)>,
}

impl Table {
    fn new(state: Arc<AdminState>) -> Self {
        Self { state, router: Router::new(), rows: Vec::new() }
    }

    /// A path with its methods.
    fn at(mut self, path: &'static str, verbs: impl IntoIterator<Item = Verb>) -> Self {
        let (mut methods, mut allow) = (MethodRouter::new(), Vec::new());
        for Verb { method, need, serves } in verbs {
            let guard = Guard { state: self.state.clone(), need };
            methods = methods.merge(serves.route_layer(middleware::from_fn_with_state(guard, guard::check)));
            allow.push(method.to_string());
            self.rows.push((path, method, need));
        }
        let allow = allow.join(", ");
        let others = move |State(state): State<Arc<AdminState>>, request: Request| {
            let allow = allow.clone();
            async move { guard::nothing(&state, &request, Problem::new(Kind::MethodNotAllowed).allow(&allow)) }
        };
        self.router = self.router.route(path, methods.fallback(others));
        self
    }

    fn finish(self) -> Router {
        let nowhere = |State(state): State<Arc<AdminState>>, request: Request| async move {
            guard::nothing(&state, &request, Problem::new(Kind::NotFound))
        };
        self.router
            .fallback(nowhere)
            .layer(DefaultBodyLimit::max(CONFIG_BYTES))
            .layer(middleware::from_fn(in_time))
            .layer(middleware::map_response(secured))
            .with_state(self.state)
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Timeout).into_response(),
    }
}

/// What a browser must not do with an answer; a page of our own may say more precisely what it may.
async fn secured(mut response: Response) -> Response {
    const FIELDS: [(&str, &str); 5] = [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ];
    let headers = response.headers_mut();
    for (name, value) in FIELDS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dashboard's files hold nothing of the gateway.
    fn not_a_page((path, method, need): &&(&'static str, Method, Need)) -> bool {
        let page = assets::paths().any(|asset| asset == *path);
        assert!(!page || (*method == Method::GET && *need == Need::Open), "{path}");
        !page
    }

    /// The table of `docs/admin.md` is this one.
    #[test]
    fn every_path_is_documented_with_what_it_needs() {
        let api = crate::tests::Api::ready();
        let rows = table(api.state()).rows;
        let expected: String = rows
            .iter()
            .filter(not_a_page)
            .map(|(path, method, need)| format!("| {method} {path} | {} |\n", need.says()))
            .collect();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&expected), "docs/admin.md must have this table:\n{expected}");
    }

    #[test]
    fn what_is_open_is_health_alone() {
        let rows = table(crate::tests::Api::ready().state()).rows;
        let open = rows.iter().filter(not_a_page).filter(|(_, _, need)| *need == Need::Open);
        assert_eq!(open.map(|(path, ..)| *path).collect::<Vec<_>>(), ["/healthz", "/readyz"]);
        let weak =
            |(_, method, need): &&(&str, Method, Need)| !crate::auth::is_safe(method) && *need == Need::Role(Read);
        assert_eq!(rows.iter().filter(weak).map(|(path, ..)| *path).collect::<Vec<_>>(), ["/api/explain"]);
    }
}
