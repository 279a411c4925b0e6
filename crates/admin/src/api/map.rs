//! `/api/map`: from listener to host, route and cluster, in pieces that a page can draw however large the config is.
//!
//! Without a query: listeners, clusters and the busiest hosts. `q` searches names of hosts; `host` names one, whose routes are then
//! given, `route` narrows them. `limit` bounds each list; each says how many there are in all.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_snapshot::{Action, Cluster, HostData, RouteData, Snapshot, Target};

use super::{Pairs, json as answer};
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// How many of a list are given when the query does not say, and at most.
const LIMIT: (usize, usize) = (50, 1000);

/// What is asked for.
#[derive(Default)]
struct Asked<'a> {
    search: &'a str,
    host: Option<&'a str>,
    route: &'a str,
    limit: usize,
}

/// The map, or a piece of it.
pub(crate) async fn map(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    let mut asked = Asked { limit: LIMIT.0, ..Asked::default() };
    for (key, value) in &pairs {
        match (key.as_str(), value.parse::<usize>()) {
            ("q", _) => asked.search = value,
            ("host", _) => asked.host = Some(value),
            ("route", _) => asked.route = value,
            ("limit", Ok(limit)) => asked.limit = limit.clamp(1, LIMIT.1),
            _ => {
                let detail = format!("`{key}` is not understood: expected q, host, route or a number as limit");
                return Problem::new(Kind::BadRequest).detail(detail).into_response();
            }
        }
    }
    let snapshot = state.generations.current();
    match asked.host {
        Some(name) => one_host(&snapshot, name, &asked),
        None => overview(&state, &snapshot, &asked),
    }
}

fn overview(state: &AdminState, snapshot: &Snapshot, asked: &Asked<'_>) -> Response {
    let mut hosts: Vec<(u64, Value)> = snapshot
        .router
        .hosts()
        .filter(|host| contains(&host.data().name, asked.search))
        .map(|host| {
            let totals = Totals::of(host.routes().iter().map(|route| route.data()));
            (totals.requests, described(host.data(), host.routes().len(), totals))
        })
        .collect();
    let found = hosts.len();
    hosts.sort_by_key(|(requests, _)| std::cmp::Reverse(*requests));
    hosts.truncate(asked.limit);
    let hosts: Vec<Value> = hosts.into_iter().map(|(_, host)| host).collect();
    let clusters = snapshot.clusters.iter().take(asked.limit).map(|one| cluster(one));
    answer(&json!({
        "generation": snapshot.id.0,
        "listeners": super::status::listeners(snapshot, &state.control.addresses()),
        "hosts": hosts,
        "hosts_found": found,
        "clusters": clusters.collect::<Vec<_>>(),
        "clusters_found": snapshot.clusters.len(),
    }))
}

fn one_host(snapshot: &Snapshot, name: &str, asked: &Asked<'_>) -> Response {
    let Some(host) = snapshot.router.hosts().find(|host| &*host.data().name == name) else {
        return Problem::new(Kind::NotFound).detail(format!("there is no virtual host `{name}`")).into_response();
    };
    let mut routes: Vec<_> =
        host.routes().iter().filter(|route| contains(route.name().as_str(), asked.route)).collect();
    let found = routes.len();
    routes.sort_by_key(|route| route.order());
    routes.truncate(asked.limit);
    let totals = Totals::of(host.routes().iter().map(|route| route.data()));
    let mut clusters: Vec<&Arc<Cluster>> = Vec::new();
    let shown: Vec<Value> = routes
        .iter()
        .map(|route| {
            let to = targets(snapshot, route.data());
            let names: Vec<&str> = to.iter().map(|cluster| cluster.name.as_str()).collect();
            let new = to.iter().filter(|one| !clusters.iter().any(|known| Arc::ptr_eq(known, one)));
            let new: Vec<_> = new.copied().collect();
            let described = described_route(route.data(), &names, &route.path().to_string());
            clusters.extend(new);
            described
        })
        .collect();
    answer(&json!({
        "generation": snapshot.id.0,
        "host": described(host.data(), host.routes().len(), totals),
        "routes": shown,
        "routes_found": found,
        "clusters": clusters.into_iter().map(|one| cluster(one)).collect::<Vec<_>>(),
    }))
}

fn contains(name: &str, search: &str) -> bool {
    search.is_empty() || name.to_ascii_lowercase().contains(&search.to_ascii_lowercase())
}

/// What became of the requests of some routes since the process began.
#[derive(Default)]
struct Totals {
    requests: u64,
    failed: u64,
    in_flight: u32,
}

impl Totals {
    fn of<'a>(routes: impl Iterator<Item = &'a Arc<RouteData>>) -> Self {
        routes.fold(Self::default(), |sum, route| Self {
            requests: sum.requests + route.metrics.requests(),
            failed: sum.failed + route.metrics.failed(),
            in_flight: sum.in_flight + route.in_flight.load(Ordering::Relaxed),
        })
    }
}

fn described(host: &HostData, routes: usize, totals: Totals) -> Value {
    json!({
        "name": &*host.name,
        "routes": routes,
        "requests": totals.requests,
        "failed": totals.failed,
        "in_flight": totals.in_flight,
        "place": host.place.at(),
    })
}

fn described_route(route: &RouteData, clusters: &[&str], path: &str) -> Value {
    json!({
        "name": route.name.as_str(),
        "label": &*route.label,
        "path": path,
        "action": route.action.kind(),
        "clusters": clusters,
        "requests": route.metrics.requests(),
        "failed": route.metrics.failed(),
        "in_flight": route.in_flight.load(Ordering::Relaxed),
        "place": route.place.at(),
        "excerpt": &*route.place.excerpt,
    })
}

/// The clusters that a route may send to.
fn targets<'a>(snapshot: &'a Snapshot, route: &RouteData) -> Vec<&'a Arc<Cluster>> {
    let Action::Forward(forward) = &route.action else { return Vec::new() };
    let indices = match &forward.target {
        Target::Cluster(cluster) | Target::Subset { cluster, .. } => vec![*cluster],
        Target::Split { split, .. } => split.items().map(|(cluster, _)| *cluster).collect(),
    };
    indices.into_iter().filter_map(|index| snapshot.cluster(index)).collect()
}

fn cluster(cluster: &Cluster) -> Value {
    let endpoints = &cluster.fleet.members().endpoints;
    json!({
        "name": cluster.name.as_str(),
        "endpoints": endpoints.endpoints().len(),
        "available": endpoints.available(),
        "panicking": endpoints.is_panicking(),
        "ejected": endpoints.ejected(),
        "in_flight": endpoints.cluster_in_flight(),
    })
}
