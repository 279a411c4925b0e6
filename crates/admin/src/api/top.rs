//! `/api/top`: counters of all routes, clusters, endpoints or consumers, from whose differences somebody makes rates.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use portcullis_caps::Amount;
use portcullis_snapshot::{Cluster, RouteData, Snapshot};

use super::{Pairs, json as answer, seconds};
use crate::control::{AdminState, UsageAsk};
use crate::problem::{Kind, Problem};

/// The most rows of an answer; how many there are in all is said.
const MOST: usize = 20_000;

/// The rows of one kind, in the order of the config; consumers by name.
pub(crate) async fn top(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    let snapshot = state.generations.current();
    let of = match pairs.as_slice() {
        [] => "routes",
        [(key, value)] if key == "of" => value.as_str(),
        _ => "",
    };
    let rows = match of {
        "routes" => routes(&snapshot),
        "clusters" => snapshot.clusters.iter().map(|one| cluster(one)).collect(),
        "endpoints" => snapshot.clusters.iter().flat_map(|one| endpoints(one)).collect(),
        "consumers" => match state.control.usage(UsageAsk::default()).await {
            Ok(usage) => consumers(&usage.consumers),
            Err(why) => return Problem::new(Kind::BadRequest).detail(why).into_response(),
        },
        _ => {
            let detail = "the query takes `of`: routes, clusters, endpoints or consumers";
            return Problem::new(Kind::BadRequest).detail(detail).into_response();
        }
    };
    let all = rows.len();
    let rows: Vec<Value> = rows.into_iter().take(MOST).collect();
    answer(&json!({ "of": of, "uptime_seconds": seconds(state.started.elapsed()), "rows": rows, "rows_found": all }))
}

fn routes(snapshot: &Snapshot) -> Vec<Value> {
    let routes = snapshot.router.hosts().flat_map(|host| host.routes());
    let one = |route: &RouteData| {
        json!({
            "name": &*route.label,
            "requests": route.metrics.requests(),
            "failed": route.metrics.failed(),
            "in_flight": route.in_flight.load(Relaxed),
        })
    };
    routes.map(|route| one(route.data())).collect()
}

fn cluster(cluster: &Cluster) -> Value {
    let set = &cluster.fleet.members().endpoints;
    let standings = set.explain(Instant::now());
    json!({
        "name": cluster.name.as_str(),
        "requests": standings.iter().map(|one| one.totals.requests).sum::<u64>(),
        "failed": standings.iter().map(|one| one.totals.failures).sum::<u64>(),
        "in_flight": set.cluster_in_flight(),
        "says": format!("{} of {} available", set.available(), set.endpoints().len()),
    })
}

fn endpoints(cluster: &Cluster) -> Vec<Value> {
    let standings = cluster.fleet.members().endpoints.explain(Instant::now());
    let rows = standings.iter().map(|standing| {
        json!({
            "name": format!("{} {}", cluster.name.as_str(), standing.name.as_str()),
            "requests": standing.totals.requests,
            "failed": standing.totals.failures,
            "in_flight": standing.in_flight,
            "latency_ms": standing.latency.map(|latency| seconds(latency * 1000)),
            "says": standing.place.as_str(),
        })
    });
    rows.collect()
}

fn consumers(usage: &BTreeMap<String, BTreeMap<String, Amount>>) -> Vec<Value> {
    let one = |(name, methods): (&String, &BTreeMap<String, Amount>)| {
        let mut sum = Amount::default();
        methods.values().for_each(|used| sum += *used);
        json!({ "name": name, "requests": sum.requests, "says": format!("{} credits", sum.credits) })
    };
    usage.iter().map(one).collect()
}
