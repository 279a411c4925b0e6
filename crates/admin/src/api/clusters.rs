//! `/api/clusters`: where every endpoint of every cluster stands, in words.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

use portcullis_snapshot::{Cluster, Limits, Members};

use super::endpoints::{overrides_of, sources};
use super::{json as answer, seconds};
use crate::control::AdminState;

/// All clusters of the current generation.
pub(crate) async fn clusters(State(state): State<Arc<AdminState>>) -> Response {
    let snapshot = state.generations.current();
    let now = Instant::now();
    let clusters: Vec<Value> = snapshot.clusters.iter().map(|cluster| describe(cluster, now)).collect();
    answer(&json!({ "generation": snapshot.id.0, "clusters": clusters }))
}

/// What routes select of the cluster, and how many endpoints of each selection may be chosen now.
fn subsets(cluster: &Cluster, members: &Members) -> Vec<Value> {
    let selected = cluster.fleet.plan().subsets.iter().zip(&members.subsets);
    selected.map(|(labels, set)| json!({ "labels": labels, "available": set.available() })).collect()
}

/// What counts against the cluster's limits now.
fn limits(limits: &Limits) -> Value {
    let bounded = limits.rules.bound_requests();
    json!({
        "says": limits.rules.to_string(),
        "requests": bounded.then(|| limits.gate.in_flight()),
        "requests_limit": limits.rules.requests.map(|_| limits.gate.limit()),
        "per_endpoint_limit": limits.rules.per_endpoint,
        "waiting": bounded.then(|| limits.gate.waiting()),
        "streams": limits.rules.streams.map(|_| limits.streams.used()),
        "streams_limit": limits.rules.streams,
    })
}

/// What the endpoints' heights are measured by, and what is used when all are behind.
fn heights(members: &Members) -> Option<Value> {
    let set = &members.endpoints;
    let policy = set.tuning().heights.as_ref()?;
    Some(json!({
        "unit": policy.unit,
        "reference": set.reference_height(),
        "max_lag": policy.max_lag,
        "says": set.resort().to_string(),
    }))
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
                "health": standing.health.as_str(),
                "would_change": standing.would_change,
                "in_flight": standing.in_flight,
                "requests": standing.totals.requests,
                "failures": standing.totals.failures,
                "failing_share": f64::from(standing.trouble),
                "utilisation": Some(f64::from(standing.utilisation)).filter(|utilisation| *utilisation > 0.0),
                "slow_start_share": Some(f64::from(standing.ramp)).filter(|share| *share < 1.0),
                "height": standing.height.map(|height| {
                    json!({
                        "unit": height.unit,
                        "height": height.height,
                        "lag": height.lag(),
                        "lead": height.lead(),
                        "bearing": height.bearing.as_str(),
                        "seconds_ago": seconds(height.age),
                        "says": height.to_string(),
                    })
                }),
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
        "ejected": members.endpoints.ejected(),
        "max_ejected": members.endpoints.max_ejected(),
        "heights": heights(&members),
        "subsets": subsets(cluster, &members),
        "limits": cluster.limits.as_ref().map(limits),
        "endpoints": endpoints,
        "sources": sources(cluster, now),
        "overrides": overrides_of(cluster, now),
        "trouble": cluster.fleet.trouble(),
    })
}
