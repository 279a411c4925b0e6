//! `/api/clusters`: where every endpoint of every cluster stands, in words.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

use portcullis_snapshot::Cluster;

use super::{json as answer, seconds};
use crate::control::AdminState;

/// All clusters of the current generation.
pub(crate) async fn clusters(State(state): State<Arc<AdminState>>) -> Response {
    let snapshot = state.generations.current();
    let now = Instant::now();
    let clusters: Vec<Value> = snapshot.clusters.iter().map(|cluster| describe(cluster, now)).collect();
    answer(&json!({ "generation": snapshot.id.0, "clusters": clusters }))
}

fn describe(cluster: &Cluster, now: Instant) -> Value {
    let members = cluster.fleet.members();
    let endpoints: Vec<Value> = members
        .endpoints
        .explain(now)
        .iter()
        .map(|standing| {
            json!({
                "name": standing.name.as_str(),
                "address": standing.address.to_string(),
                "weight": standing.weight,
                "priority": standing.priority,
                "zone": standing.zone.as_deref(),
                "standing": standing.place.as_str(),
                "takes_requests": standing.place.takes_requests(),
                "says": standing.to_string(),
                "lasted_seconds": seconds(standing.lasted),
                "in_flight": standing.in_flight,
                "latency_ms": standing.latency.map(|latency| seconds(latency * 1000)),
                "last_failure": standing.last_failure.map(|(reason, ago)| {
                    json!({ "reason": reason.name(), "seconds_ago": seconds(ago) })
                }),
            })
        })
        .collect();
    json!({
        "name": cluster.name.as_str(),
        "balance": members.endpoints.options().algorithm.as_str(),
        "available": members.endpoints.available(),
        "panicking": members.endpoints.is_panicking(),
        "in_flight": members.endpoints.cluster_in_flight(),
        "endpoints": endpoints,
    })
}
