//! `/api/clusters`: where every endpoint of every cluster stands, in words.
//!
//! `name` asks for one cluster, `endpoint` for endpoints whose name contains the text, `limit` for so many of each cluster: those
//! that take no requests first, then those with the most in flight. Each cluster says how many were found.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

use portcullis_snapshot::{Cluster, EndpointStanding, Limits, Members};

use super::endpoints::{overrides_of, sources};
use super::{Pairs, json as answer, seconds};
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// What is asked for.
#[derive(Default)]
struct Asked<'a> {
    name: Option<&'a str>,
    endpoint: &'a str,
    limit: Option<usize>,
}

/// The clusters of the current generation.
pub(crate) async fn clusters(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    let mut asked = Asked::default();
    for (key, value) in &pairs {
        match (key.as_str(), value.parse::<usize>()) {
            ("name", _) => asked.name = Some(value),
            ("endpoint", _) => asked.endpoint = value,
            ("limit", Ok(limit)) => asked.limit = Some(limit),
            _ => {
                let detail = format!("`{key}` is not understood: expected name, endpoint or a number as limit");
                return Problem::new(Kind::BadRequest).detail(detail).into_response();
            }
        }
    }
    let snapshot = state.generations.current();
    let now = Instant::now();
    let named = snapshot.clusters.iter().filter(|cluster| asked.name.is_none_or(|name| cluster.name.as_str() == name));
    let clusters: Vec<Value> = named.map(|cluster| describe(cluster, &asked, now)).collect();
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

fn describe(cluster: &Cluster, asked: &Asked<'_>, now: Instant) -> Value {
    let members = cluster.fleet.members();
    let mut standings = members.endpoints.explain(now);
    standings.retain(|standing| standing.name.as_str().contains(asked.endpoint));
    let found = standings.len();
    if let Some(limit) = asked.limit {
        standings.sort_by_key(|standing| (standing.place.takes_requests(), std::cmp::Reverse(standing.in_flight)));
        standings.truncate(limit);
    }
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
        "endpoints_found": found,
        "endpoints": standings.iter().map(endpoint).collect::<Vec<_>>(),
        "sources": sources(cluster, now),
        "overrides": overrides_of(cluster, now),
        "trouble": cluster.fleet.trouble(),
    })
}

fn endpoint(standing: &EndpointStanding) -> Value {
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
}
