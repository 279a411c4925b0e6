//! An explanation as JSON: the shape of `/api/explain`. Keys are stable.

use serde_json::{Value, json};

use super::Explanation;
use super::finding::{
    Answer, ClusterFinding, EndpointFinding, FallbackFinding, FilterStep, HostFinding, ListenerTrial, RouteFinding,
    RouteTrial, UpstreamFinding,
};
use crate::route::Place;

impl Explanation {
    /// The explanation as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut told = self.whole();
        if !self.hidden.is_empty() {
            self.mask(&mut told);
        }
        told
    }

    fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.masked(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(fields) => fields.values_mut().for_each(|item| self.mask(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn whole(&self) -> Value {
        let asked = &self.asked;
        let notes: Vec<Value> =
            self.notes.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({
            "live": self.live,
            "generation": self.generation,
            "hash": self.hash,
            "request": {
                "method": asked.method, "url": asked.url, "id": asked.id,
                "client": asked.client, "trusted": asked.trusted,
            },
            "listeners": list(&self.listeners, listener),
            "host": self.host.as_ref().map(host),
            "path": self.path.as_ref().map(|path| json!({ "received": path.received, "routed": path.routed })),
            "host_filters": { "steps": list(&self.host_filters, step), "changes": self.host_changes },
            "peek_filters": { "steps": list(&self.peek_filters, step), "changes": self.peek_changes },
            "routes": list(&self.routes, trial),
            "routes_left_out": self.routes_left_out,
            "route": self.route.as_ref().map(route),
            "route_filters": { "steps": list(&self.route_filters, step), "changes": self.route_changes },
            "admission": { "steps": list(&self.admission, step) },
            "fallback": self.fallback.as_ref().map(fallback),
            "decision": {
                "action": self.decision.action,
                "because": self.decision.because,
                "answer": self.decision.answer.as_ref().map(answer),
            },
            "cluster": self.cluster.as_ref().map(cluster),
            "upstream_request": self.upstream.as_ref().map(upstream),
            "notes": notes,
        })
    }
}

fn list<T>(items: &[T], one: fn(&T) -> Value) -> Value {
    items.iter().map(one).collect()
}

fn place(place: &Place) -> Value {
    json!({ "file": &*place.file, "line": place.line, "excerpt": &*place.excerpt })
}

fn listener(trial: &ListenerTrial) -> Value {
    json!({ "name": trial.name, "bind": trial.bind, "takes": trial.takes, "why": trial.why, "at": trial.at })
}

fn host(host: &HostFinding) -> Value {
    let tried: Vec<Value> =
        host.tried.iter().map(|trial| json!({ "name": trial.name, "found": trial.found })).collect();
    json!({
        "asked": host.asked,
        "tried": tried,
        "source": host.source,
        "name": host.name,
        "place": host.place.as_ref().map(place),
    })
}

fn step(step: &FilterStep) -> Value {
    json!({ "filter": step.filter, "step": step.step.as_str(), "verdict": step.verdict })
}

fn trial(trial: &RouteTrial) -> Value {
    json!({
        "name": trial.name, "matcher": trial.matcher, "wins": trial.wins,
        "why": trial.why, "failed": trial.failed, "at": trial.at,
    })
}

fn route(route: &RouteFinding) -> Value {
    let params: serde_json::Map<String, Value> =
        route.params.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({ "name": route.name, "label": route.label, "params": params, "place": place(&route.place) })
}

fn fallback(fallback: &FallbackFinding) -> Value {
    json!({
        "left": cluster(&fallback.left),
        "route": route(&fallback.route),
        "filters": { "steps": list(&fallback.filters, step), "changes": fallback.changes },
    })
}

fn answer(answer: &Answer) -> Value {
    json!({
        "status": answer.status,
        "reason": answer.reason.map(portcullis_types::Reason::name),
        "fault": answer.reason.map(|reason| reason.fault().as_str()),
        "detail": answer.detail,
        "fields": answer.fields,
        "body": answer.body,
    })
}

fn cluster(cluster: &ClusterFinding) -> Value {
    json!({
        "name": cluster.name,
        "because": cluster.because,
        "balance": cluster.balance,
        "protocol": cluster.protocol,
        "timeouts": cluster.timeouts,
        "retry": cluster.retry,
        "hedge": cluster.hedge,
        "limits": cluster.limits,
        "failover": cluster.failover,
        "fallback": cluster.fallback,
        "at": cluster.at,
        "endpoint": cluster.endpoint,
        "chosen": cluster.chosen,
        "mirror": cluster.mirror,
        "discovery": cluster.discovery,
        "endpoints": list(&cluster.endpoints, endpoint),
        "endpoints_left_out": cluster.endpoints_left_out,
    })
}

fn endpoint(endpoint: &EndpointFinding) -> Value {
    json!({
        "name": endpoint.name, "address": endpoint.address, "weight": endpoint.weight,
        "priority": endpoint.priority, "zone": endpoint.zone, "takes": endpoint.takes,
        "standing": endpoint.standing, "why": endpoint.why, "in_flight": endpoint.in_flight,
        "share": endpoint.share.map(|share| share.to_string()),
    })
}

fn upstream(upstream: &UpstreamFinding) -> Value {
    json!({ "line": upstream.line, "fields": upstream.fields, "body_bytes": upstream.body })
}
