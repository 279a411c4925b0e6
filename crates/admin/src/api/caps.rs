//! `/api/caps/CONSUMER`: how the caps of a consumer stand. `/api/caps/overrides`: what is lifted or multiplied for a
//! while, each with a reason.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_caps::{BoundSet, Counted, Effect, Override, Scope, Standing, Target};
use portcullis_filters::caps::{Bound, CapLedger};
use portcullis_snapshot::Snapshot;
use portcullis_types::quantity::{format_duration, parse_duration};

use super::{Pairs, json as answer, seconds};
use crate::actor::Actor;
use crate::control::AdminState;
use crate::overrides::{self, Made, millis};
use crate::problem::{Kind, Problem};

/// How long an override may last.
const LASTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
/// The longest reason and the longest name, in bytes.
const LONGEST: usize = 500;
/// The most overrides at once: every request looks through them.
const MOST: usize = 100;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    consumer: Option<String>,
    plan: Option<String>,
    cap: Option<String>,
    #[serde(default)]
    lift: bool,
    multiply: Option<f64>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    reason: Option<String>,
}

/// The ledger, and the plans that serve.
fn ledger(snapshot: &Snapshot) -> Result<(Arc<CapLedger>, Arc<Bound>), Problem> {
    let caps = snapshot.services.get::<CapLedger>();
    let found = caps.and_then(|caps| caps.current().map(|bound| (caps, bound)));
    found.ok_or_else(|| Problem::new(Kind::NotReady).detail("the plans are not bound yet"))
}

/// How the caps of a consumer stand: those of which it spent, and those of the plan that the query names.
pub(crate) async fn consumer(
    State(state): State<Arc<AdminState>>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Response {
    match stands(&state, &id, &pairs) {
        Ok(stands) => answer(&stands),
        Err(problem) => problem.into_response(),
    }
}

fn stands(state: &AdminState, id: &str, pairs: &[(String, String)]) -> Result<Value, Problem> {
    let (caps, bound) = ledger(&state.generations.current())?;
    let mut plan = None;
    for (key, value) in pairs {
        if key != "plan" {
            return Err(refuse(format!("`{key}` is not known here; the query takes `plan`")));
        }
        let unknown = || Problem::new(Kind::NotFound).detail(format!("there is no plan `{value}`"));
        plan = Some((Scope::Plan, bound.plan(value).ok_or_else(unknown)?.name().into()));
    }
    let now = caps.now();
    let spent = caps.ledger().sets_of(now, id);
    let (active, mut sets) = (spent.is_some(), spent.unwrap_or_default());
    sets.extend(plan.filter(|plan| !sets.contains(plan)));
    if bound.consumer(id).is_some() && !sets.iter().any(|(scope, _)| *scope == Scope::Consumer) {
        sets.push((Scope::Consumer, "".into()));
    }
    let id = Arc::<str>::from(id);
    let mut told = Vec::new();
    for (scope, name) in &sets {
        let Some(set) = set(&bound, *scope, name, &id) else { continue };
        let standings = caps.ledger().standings_of(now, set, Some(&id));
        told.extend(standings.iter().map(|standing| cap(standing, set.name())));
    }
    let unix = now.unix();
    let applies = |one: &Override| match &one.target {
        Target::Consumer(consumer) => *consumer == id,
        Target::Plan(name) => sets.iter().any(|(scope, set)| *scope == Scope::Plan && set == name),
    };
    let overrides = caps.ledger().overrides(unix);
    let overrides: Vec<Value> =
        overrides.iter().filter(|one| applies(one)).map(|one| told_override(one, unix)).collect();
    Ok(json!({ "consumer": &*id, "active": active, "caps": told, "overrides": overrides }))
}

/// The set of a scope that serves now.
fn set<'a>(bound: &'a Bound, scope: Scope, name: &str, id: &str) -> Option<&'a Arc<BoundSet>> {
    match scope {
        Scope::Gateway => bound.gateway(),
        Scope::Route => bound.routes().iter().find(|set| set.name() == name),
        Scope::Plan => bound.plan(name),
        Scope::Consumer => bound.consumer(id),
    }
}

fn cap(standing: &Standing, set: &str) -> Value {
    let counts = match standing.counted {
        Counted::Spent(unit) => unit.as_str(),
        Counted::Held(held) => held.as_str(),
    };
    json!({
        "cap": &*standing.cap,
        "scope": standing.scope.as_str(),
        "of": set,
        "counts": counts,
        "at_once": matches!(standing.counted, Counted::Held(_)),
        "limit": standing.limit,
        "remaining": standing.remaining,
        "window_seconds": standing.window.map(seconds),
        "full_in_seconds": standing.reset.map(seconds),
    })
}

/// The overrides that are not over.
pub(crate) async fn overrides(State(state): State<Arc<AdminState>>) -> Response {
    match ledger(&state.generations.current()) {
        Ok((caps, _)) => answer(&all(&caps)),
        Err(problem) => problem.into_response(),
    }
}

fn all(caps: &CapLedger) -> Value {
    let unix = caps.now().unix();
    let overrides = caps.ledger().overrides(unix);
    json!({ "overrides": overrides.iter().map(|one| told_override(one, unix)).collect::<Vec<_>>() })
}

/// Sets an override, in the place of one for the same caps.
pub(crate) async fn set_override(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let changed = read(body).and_then(|(ask, asked)| {
        let (caps, bound) = ledger(&state.generations.current())?;
        let unix = caps.now().unix();
        let one = over(asked, &bound, unix)?;
        let now = SystemTime::now();
        let made = Made {
            kind: overrides::Kind::Cap,
            target: whose(&one.target, one.cap.as_deref()),
            action: effect_says(one.effect),
            who: actor.name.to_string(),
            reason: one.reason.to_string(),
            since: millis(now),
            ends: one.until.saturating_mul(1000),
            cluster: None,
            ask,
            until: None,
        };
        put(&caps, one, unix)?;
        state.overrides.made(made);
        Ok(caps)
    });
    told(&state, changed).await
}

/// Makes one again that was saved.
pub(crate) fn again(snapshot: &Snapshot, made: &Made) -> Result<(), String> {
    let (caps, bound) = ledger(snapshot).map_err(Problem::says)?;
    let asked = Asked::deserialize(&made.ask).map_err(|error| error.to_string())?;
    let unix = caps.now().unix();
    let one = over(asked, &bound, unix).map_err(Problem::says)?;
    put(&caps, Override { until: made.ends / 1000, ..one }, unix).map_err(Problem::says)
}

fn put(caps: &CapLedger, one: Override, unix: u64) -> Result<(), Problem> {
    let before = caps.ledger().overrides(unix);
    let replaces = before.iter().any(|other| (&other.target, &other.cap) == (&one.target, &one.cap));
    if before.len() >= MOST && !replaces {
        let detail = format!("there are {MOST} overrides already; end one first");
        return Err(Problem::new(Kind::OverrideRefused).detail(detail));
    }
    log::warn!("caps: {}", says(&one, unix));
    caps.ledger().set_override(one, unix);
    Ok(())
}

/// Ends an override before its time.
pub(crate) async fn lift_override(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let changed = read(body).and_then(|(_, asked)| {
        let (caps, _) = ledger(&state.generations.current())?;
        let unix = caps.now().unix();
        if asked.lift || asked.multiply.is_some() || asked.lasts.is_some() || asked.reason.is_some() {
            return Err(refuse("to end an override, say whose it is and, if it is for one cap, which".to_owned()));
        }
        let (target, cap) = (target(&asked)?, asked.cap);
        let is_it = |one: &Override| one.target == target && one.cap.as_deref() == cap.as_deref();
        let overrides = caps.ledger().overrides(unix);
        let Some(one) = overrides.iter().find(|one| is_it(one)) else {
            return Err(Problem::new(Kind::NotFound).detail("there is no such override"));
        };
        log::warn!("caps: ended before its time: {}", says(one, unix));
        caps.ledger().lift_override(&target, cap.as_deref(), unix);
        state.overrides.taken_back(overrides::Kind::Cap, &whose(&target, cap.as_deref()), &actor.name);
        Ok(caps)
    });
    told(&state, changed).await
}

async fn told(state: &AdminState, changed: Result<Arc<CapLedger>, Problem>) -> Response {
    match changed {
        Ok(caps) if state.overrides.keep().await => answer(&all(&caps)),
        Ok(_) => Problem::new(Kind::Upgrading).into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn refuse(detail: String) -> Problem {
    Problem::new(Kind::BadRequest).detail(detail)
}

/// The body as it came, and what it says.
fn read(body: Result<Bytes, BytesRejection>) -> Result<(Value, Asked), Problem> {
    let body = body.map_err(|rejection| refuse(rejection.body_text()))?;
    let ask: Value = serde_json::from_slice(&body).map_err(|error| refuse(error.to_string()))?;
    let asked = Asked::deserialize(&ask).map_err(|error| refuse(error.to_string()))?;
    Ok((ask, asked))
}

/// Whether a text may stand in a list and in the log.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn target(asked: &Asked) -> Result<Target, Problem> {
    match (&asked.consumer, &asked.plan) {
        (Some(id), None) if is_plain(id) => Ok(Target::Consumer(id.as_str().into())),
        (None, Some(name)) if is_plain(name) => Ok(Target::Plan(name.as_str().into())),
        (Some(_), Some(_)) => Err(refuse("say `consumer` or `plan`, not both".to_owned())),
        _ => Err(refuse("say whose caps: `consumer` or `plan`".to_owned())),
    }
}

fn over(asked: Asked, bound: &Bound, unix: u64) -> Result<Override, Problem> {
    let target = target(&asked)?;
    if let Target::Plan(name) = &target
        && bound.plan(name).is_none()
    {
        return Err(Problem::new(Kind::NotFound).detail(format!("there is no plan `{name}`")));
    }
    if asked.cap.as_deref().is_some_and(|cap| !is_plain(cap)) {
        return Err(refuse("`cap` is the name of a cap as it stands in a 429, such as `rate`".to_owned()));
    }
    let effect = effect(&asked)?;
    let (least, most) = (format_duration(*LASTS.start()), format_duration(*LASTS.end()));
    let lasts = asked.lasts.as_deref().ok_or_else(|| {
        refuse(format!("`for` is missing: how long it lasts, between {least} and {most}, for example \"10m\""))
    })?;
    let lasts = parse_duration(lasts).map_err(|error| refuse(format!("`for`: {error}")))?;
    if !LASTS.contains(&lasts) {
        return Err(refuse(format!("`for` must be between {least} and {most}")));
    }
    let reason = asked.reason.as_deref().map(str::trim).unwrap_or_default();
    if !is_plain(reason) {
        return Err(refuse(format!("`reason` is missing, longer than {LONGEST} bytes, or has control characters")));
    }
    let until = unix.saturating_add(lasts.as_secs().max(1));
    Ok(Override { target, cap: asked.cap.map(Into::into), effect, until, reason: reason.into() })
}

fn effect(asked: &Asked) -> Result<Effect, Problem> {
    match (asked.lift, asked.multiply) {
        (true, None) => Ok(Effect::Lift),
        (false, Some(times)) if (0.001..=1_000_000.0).contains(&times) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
            let thousandths = (times * 1000.0).round() as u32;
            let thousandths = NonZeroU32::new(thousandths);
            thousandths.map(Effect::Multiply).ok_or_else(|| refuse("`multiply` must be above 0".to_owned()))
        }
        (false, Some(_)) => Err(refuse("`multiply` must be between 0.001 and 1000000".to_owned())),
        (true, Some(_)) => Err(refuse("say `lift` or `multiply`, not both".to_owned())),
        (false, None) => Err(refuse("say what happens: `\"lift\": true`, or `multiply` with a factor".to_owned())),
    }
}

fn told_override(one: &Override, unix: u64) -> Value {
    let (consumer, plan) = match &one.target {
        Target::Consumer(id) => (Some(&**id), None),
        Target::Plan(name) => (None, Some(&**name)),
    };
    let multiply = match one.effect {
        Effect::Lift => None,
        Effect::Multiply(thousandths) => Some(f64::from(thousandths.get()) / 1000.0),
    };
    json!({
        "consumer": consumer,
        "plan": plan,
        "cap": one.cap.as_deref(),
        "lift": multiply.is_none(),
        "multiply": multiply,
        "reason": &*one.reason,
        "ends_in_seconds": one.until.saturating_sub(unix),
        "says": says(one, unix),
    })
}

/// `rate of the consumer acme times 2 for 10m: incident 7`.
pub(crate) fn says(one: &Override, unix: u64) -> String {
    let left = format_duration(Duration::from_secs(one.until.saturating_sub(unix)));
    let (whose, effect) = (whose(&one.target, one.cap.as_deref()), effect_says(one.effect));
    format!("{whose} {effect} for {left}: {}", one.reason)
}

/// `rate of the consumer acme`.
fn whose(target: &Target, cap: Option<&str>) -> String {
    let whose = match target {
        Target::Consumer(id) => format!("the consumer {id}"),
        Target::Plan(name) => format!("the plan {name}"),
    };
    format!("{} of {whose}", cap.unwrap_or("all caps"))
}

fn effect_says(effect: Effect) -> String {
    match effect {
        Effect::Lift => "refuse nothing".to_owned(),
        Effect::Multiply(thousandths) => format!("times {}", f64::from(thousandths.get()) / 1000.0),
    }
}
