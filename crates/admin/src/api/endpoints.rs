//! `/api/clusters/NAME/endpoints`: overrides of single endpoints, each for a while and with a reason; and what sources
//! and overrides say in `/api/clusters`.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_snapshot::cluster::overrides::{Action, LASTS, Override, OverrideError};
use portcullis_snapshot::{Cluster, Snapshot};
use portcullis_types::quantity::{format_duration, parse_duration};

use super::{json as answer, moment, seconds};
use crate::actor::Actor;
use crate::control::AdminState;
use crate::overrides::{self, Made, Overrides, millis};
use crate::problem::{Kind, Problem};

/// The longest reason, in bytes.
const REASON: usize = 500;
/// The most labels of an added endpoint, and the longest name or value.
const LABELS: (usize, usize) = (32, 200);

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: Verb,
    endpoint: String,
    #[serde(rename = "for")]
    lasts: Option<String>,
    reason: Option<String>,
    weight: Option<u32>,
    priority: Option<u8>,
    zone: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Add,
    Drain,
    Weigh,
    Remove,
    Restore,
}

/// The sources and overrides of a cluster.
pub(crate) async fn show(State(state): State<Arc<AdminState>>, Path(name): Path<String>) -> Response {
    match of(&state.generations.current(), &name) {
        Ok(cluster) => answer(&told(&cluster)),
        Err(problem) => problem.into_response(),
    }
}

/// Makes or ends an override.
pub(crate) async fn change(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let changed = of(&state.generations.current(), &name).and_then(|cluster| {
        let body = body.map_err(|rejection| refuse(rejection.body_text()))?;
        let ask: Value = serde_json::from_slice(&body).map_err(|error| refuse(error.to_string()))?;
        apply(&state.overrides, &cluster, ask, &actor.name)?;
        Ok(cluster)
    });
    match changed {
        Ok(cluster) if state.overrides.keep().await => answer(&told(&cluster)),
        Ok(_) => Problem::new(Kind::Upgrading).into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn of(snapshot: &Snapshot, name: &str) -> Result<Arc<Cluster>, Problem> {
    let unknown = || Problem::new(Kind::NotFound).detail(format!("there is no cluster `{name}`"));
    snapshot.cluster_named(name).cloned().ok_or_else(unknown)
}

fn refuse(detail: String) -> Problem {
    Problem::new(Kind::BadRequest).detail(detail)
}

fn apply(book: &Overrides, cluster: &Cluster, ask: Value, who: &str) -> Result<(), Problem> {
    let asked = Asked::deserialize(&ask).map_err(|error| refuse(error.to_string()))?;
    let now = Instant::now();
    let target = format!("{} {}", cluster.name, asked.endpoint);
    if asked.action == Verb::Restore {
        if cluster.fleet.restore(&asked.endpoint, now) {
            book.taken_back(overrides::Kind::Endpoint, &target, who);
            return Ok(());
        }
        return Err(Problem::new(Kind::NotFound).detail(format!("`{}` has no override", asked.endpoint)));
    }
    let one = read(asked, now)?;
    let made = Made {
        kind: overrides::Kind::Endpoint,
        target,
        action: action(&one.action),
        who: who.to_owned(),
        reason: one.reason.clone(),
        since: millis(one.since),
        ends: millis(one.since + one.until.saturating_duration_since(now)),
        cluster: Some(cluster.name.as_str().to_owned()),
        ask,
        until: Some(one.until),
    };
    cluster.fleet.change(one, now).map_err(|error| {
        let kind = match &error {
            OverrideError::Unknown { .. } => Kind::NotFound,
            OverrideError::Lasts | OverrideError::NoAddress { .. } => Kind::BadRequest,
            OverrideError::Known { .. } | OverrideError::Added { .. } | OverrideError::TooMany => Kind::OverrideRefused,
        };
        Problem::new(kind).detail(error.to_string())
    })?;
    book.made(made);
    Ok(())
}

/// Makes one again that was saved, for what is left of its time.
pub(crate) fn again(snapshot: &Snapshot, made: &mut Made, left: Duration) -> Result<(), String> {
    let name = made.cluster.as_deref().unwrap_or_default();
    let cluster = snapshot.cluster_named(name).ok_or_else(|| format!("there is no cluster `{name}`"))?;
    let asked = Asked::deserialize(&made.ask).map_err(|error| error.to_string())?;
    let now = Instant::now();
    let mut one = read(asked, now).map_err(Problem::says)?;
    one.until = now.checked_add(left).unwrap_or(now);
    one.since = overrides::time(made.since);
    made.until = Some(one.until);
    cluster.fleet.change(one, now).map_err(|error| error.to_string())
}

fn action(action: &Action) -> String {
    match action {
        Action::Weigh(weight) => format!("weigh {weight}"),
        Action::Add { .. } | Action::Drain | Action::Remove => action.as_str().to_owned(),
    }
}

fn read(asked: Asked, now: Instant) -> Result<Override, Problem> {
    let (least, most) = (format_duration(*LASTS.start()), format_duration(*LASTS.end()));
    let lasts = asked.lasts.as_deref().ok_or_else(|| {
        refuse(format!("`for` is missing: how long it lasts, between {least} and {most}, for example \"10m\""))
    })?;
    let lasts: Duration = parse_duration(lasts).map_err(|error| refuse(format!("`for`: {error}")))?;
    let reason = asked.reason.as_deref().map(str::trim).unwrap_or_default();
    if reason.is_empty() || reason.len() > REASON || reason.chars().any(char::is_control) {
        return Err(refuse(format!("`reason` is missing, longer than {REASON} bytes, or has control characters")));
    }
    let says_more = asked.priority.is_some() || asked.zone.is_some() || !asked.labels.is_empty();
    let long = |text: &String| text.len() > LABELS.1;
    if asked.labels.len() > LABELS.0 || asked.labels.iter().any(|(name, value)| long(name) || long(value)) {
        return Err(refuse(format!("at most {} labels, of at most {} bytes", LABELS.0, LABELS.1)));
    }
    let action = match (asked.action, asked.weight) {
        (Verb::Add, weight) => Action::Add {
            weight: weight.unwrap_or(1),
            priority: asked.priority.unwrap_or(0),
            zone: asked.zone.map(Arc::from),
            labels: asked.labels,
        },
        (_, _) if says_more => return Err(refuse("`priority`, `zone` and `labels` are for `add` only".to_owned())),
        (Verb::Weigh, Some(weight)) => Action::Weigh(weight),
        (Verb::Weigh, None) => return Err(refuse("`weight` is missing".to_owned())),
        (_, Some(_)) => return Err(refuse("`weight` is for `add` and `weigh` only".to_owned())),
        (Verb::Drain, None) => Action::Drain,
        (Verb::Remove | Verb::Restore, None) => Action::Remove,
    };
    Ok(Override {
        endpoint: asked.endpoint.into(),
        action,
        reason: reason.to_owned(),
        since: SystemTime::now(),
        until: now.checked_add(lasts).unwrap_or(now),
    })
}

fn told(cluster: &Cluster) -> Value {
    let now = Instant::now();
    let members = cluster.fleet.members();
    json!({
        "cluster": cluster.name.as_str(),
        "endpoints": members.endpoints.endpoints().len(),
        "available": members.endpoints.available(),
        "trouble": cluster.fleet.trouble(),
        "sources": sources(cluster, now),
        "overrides": overrides_of(cluster, now),
    })
}

/// How the sources of a cluster do.
pub(super) fn sources(cluster: &Cluster, now: Instant) -> Vec<Value> {
    let feeds = cluster.fleet.plan().feeds().map(|feed| {
        let status = feed.status(now);
        json!({
            "source": feed.key().to_string(),
            "state": status.as_str(),
            "says": status.to_string(),
            "endpoints": status.endpoints,
            "answered_seconds_ago": status.answered.map(seconds),
            "failing": status.failing.as_ref().map(|(since, why)| {
                json!({ "why": why, "for_seconds": seconds(*since) })
            }),
        })
    });
    feeds.collect()
}

/// The overrides of a cluster.
pub(super) fn overrides_of(cluster: &Cluster, now: Instant) -> Vec<Value> {
    let one = |one: &Override| {
        let weight = match &one.action {
            Action::Add { weight, .. } | Action::Weigh(weight) => Some(*weight),
            Action::Drain | Action::Remove => None,
        };
        json!({
            "endpoint": &*one.endpoint,
            "action": one.action.as_str(),
            "weight": weight,
            "reason": one.reason,
            "since": moment(one.since),
            "ends_in_seconds": seconds(one.until.saturating_duration_since(now)),
            "says": one.says(now),
        })
    };
    cluster.fleet.overrides().iter().map(one).collect()
}
