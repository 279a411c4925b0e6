//! `/api/status`: the gateway at a glance.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use portcullis_snapshot::{Cluster, Listener, ListenerKind, Snapshot};
use portcullis_telemetry::SinkStat;

use super::{json as answer, moment, seconds};
use crate::control::{AdminState, ReloadEntry, SinkLine};

/// Of so many endpoints a cluster says at a glance that they are behind or ahead.
const OFF_HEIGHT: usize = 10;

/// The verdict, version, uptime, listeners, clusters, reloads, logs, generations.
pub(crate) async fn status(State(state): State<Arc<AdminState>>) -> Response {
    let snapshot = state.generations.current();
    let control = &state.control;
    let history = control.history();
    let reloads: Vec<Value> = history.iter().map(reload).collect();
    let sinks: Vec<Value> = control.sinks().iter().map(sink).collect();
    let standing = control.standing();
    let of = |key: &str| standing.get(key).cloned().unwrap_or_default();
    answer(&json!({
        "version": state.version,
        "verdict": super::verdict::told(&state.look(SystemTime::now())),
        "state": control.readiness().as_str(),
        "lifecycle": control.lifecycle(),
        "uptime_seconds": seconds(state.started.elapsed()),
        "generation": snapshot.id.0,
        "hash": snapshot.origin.hash,
        "put_there_by": of("who"),
        "drift": of("drift"),
        "last_good": of("last_good"),
        "history": of("history"),
        "listeners": listeners(&snapshot, &control.addresses()),
        "clusters": clusters(&snapshot),
        "hosts": snapshot.router.hosts().count(),
        "routes": snapshot.router.hosts().map(|host| host.routes().len()).sum::<usize>(),
        "consumers": super::consumers::glance(&state.identities),
        "last_reload": history.first().map(reload),
        "reloads": reloads,
        "overload": control.overload(),
        "store": control.store(),
        "logs": sinks,
        "generations": generations(&state),
    }))
}

pub(super) fn listeners(snapshot: &Snapshot, addresses: &[(String, Vec<SocketAddr>)]) -> Value {
    let one = |listener: &Arc<Listener>| {
        let bound = addresses.iter().find(|(name, _)| *name == listener.name.as_str());
        let bound: Vec<String> = bound.into_iter().flat_map(|(_, list)| list).map(ToString::to_string).collect();
        let connections = listener.metrics.connections();
        json!({
            "name": listener.name.as_str(),
            "addresses": bound,
            "speaks": speaks(listener),
            "connections": connections.used(),
            "connections_limit": listener.limits.connections,
        })
    };
    snapshot.listeners.iter().map(one).collect()
}

fn speaks(listener: &Listener) -> Vec<&'static str> {
    let tls = listener.tls.is_some();
    match listener.kind {
        ListenerKind::Http { http1, http2 } => {
            let http2_name = if tls { "http2" } else { "h2c" };
            let words = [(tls, "tls"), (http1, "http1"), (http2, http2_name)];
            words.into_iter().filter(|(speaks, _)| *speaks).map(|(_, word)| word).collect()
        }
        ListenerKind::L4(_) => vec!["handler"],
    }
}

fn clusters(snapshot: &Snapshot) -> Value {
    let one = |cluster: &Arc<Cluster>| {
        let endpoints = &cluster.fleet.members().endpoints;
        json!({
            "name": cluster.name.as_str(),
            "endpoints": endpoints.endpoints().len(),
            "available": endpoints.available(),
            "in_flight": endpoints.cluster_in_flight(),
            "off_height": off_height(cluster),
        })
    };
    snapshot.clusters.iter().map(one).collect()
}

/// What is to know of endpoints that are behind the others or far ahead of them, a few of them.
fn off_height(cluster: &Cluster) -> Vec<String> {
    let endpoints = &cluster.fleet.members().endpoints;
    if endpoints.tuning().heights.is_none() {
        return Vec::new();
    }
    let standings = endpoints.explain(Instant::now());
    let off = standings.iter().filter(|one| one.height.is_some_and(|height| height.bearing.is_off()));
    off.take(OFF_HEIGHT).map(ToString::to_string).collect()
}

fn reload(entry: &ReloadEntry) -> Value {
    json!({
        "at": moment(entry.at),
        "trigger": entry.trigger,
        "outcome": entry.outcome.as_str(),
        "generation": entry.generation.0,
        "took_seconds": seconds(entry.took),
        "summary": entry.summary,
    })
}

fn sink(line: &SinkLine) -> Value {
    let mut written = None;
    let mut dropped = serde_json::Map::new();
    for stat in &line.stats {
        match stat {
            SinkStat::Written(count) => written = Some(*count),
            SinkStat::Dropped { cause, count } => {
                dropped.insert((*cause).to_owned(), json!(count));
            }
        }
    }
    json!({ "name": line.name, "written": written, "dropped": dropped })
}

/// The generations that live, newest first, and who holds each.
pub(super) fn generations(state: &AdminState) -> Value {
    let mut all = state.generations.older();
    all.extend(state.generations.serving().into_iter().rev());
    let holders = state.generations.holders();
    let one = |snapshot: &Arc<Snapshot>| {
        let held = holders.iter().find(|holders| holders.id == snapshot.id);
        let requests: serde_json::Map<String, Value> = held
            .into_iter()
            .flat_map(|holders| &holders.requests)
            .map(|(route, count)| (route.to_string(), json!(count)))
            .collect();
        json!({
            "id": snapshot.id.0,
            "created": moment(snapshot.created),
            "trigger": snapshot.origin.trigger,
            "hash": snapshot.origin.hash,
            "requests": requests,
        })
    };
    all.iter().rev().map(one).collect()
}
