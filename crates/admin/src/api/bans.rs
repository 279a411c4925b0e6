//! `/api/bans`: networks that are throttled or banned, why, and until when; bans by operators are made and lifted here.
//!
//! Each by an operator has an end, and lasts over a restart where overrides do.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_identity::throttle::{Ban, BanError, BanKind, Throttle};
use portcullis_identity::{Identities, Timestamp};
use portcullis_types::quantity::{format_duration, parse_duration};

use super::json as answer;
use crate::actor::Actor;
use crate::control::AdminState;
use crate::overrides::{self, Made};
use crate::problem::{Kind, Problem};

/// The most networks of one answer; the rest is a number.
const MOST: usize = 1000;
/// The longest ban.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    network: String,
    #[serde(rename = "for")]
    lasts: Option<String>,
    reason: String,
}

/// Who is throttled or banned now, the longest first.
pub(crate) async fn list(State(state): State<Arc<AdminState>>) -> Response {
    answer(&told(&state.identities.book().throttle))
}

/// Bans a network.
pub(crate) async fn add(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let throttle = Arc::clone(&state.identities.book().throttle);
    let added = body.map_err(|rejection| refuse(rejection.body_text())).and_then(|body| {
        let ask: Value = serde_json::from_slice(&body).map_err(|error| refuse(error.to_string()))?;
        let asked = Asked::deserialize(&ask).map_err(|error| refuse(error.to_string()))?;
        let (network, lasts) = read(&asked)?;
        let now = now();
        let ends = now.plus(lasts);
        ban(&throttle, network, ends, asked.reason.trim())?;
        state.overrides.made(Made {
            kind: overrides::Kind::Ban,
            target: network.trunc().to_string(),
            action: "ban".to_owned(),
            who: actor.name.to_string(),
            reason: asked.reason.trim().to_owned(),
            since: now.millis(),
            ends: ends.millis(),
            cluster: None,
            ask,
            until: None,
        });
        Ok(())
    });
    match added {
        Ok(()) => kept(&state, &throttle).await,
        Err(problem) => problem.into_response(),
    }
}

/// What holds once it is saved.
async fn kept(state: &AdminState, throttle: &Throttle) -> Response {
    if state.overrides.keep().await { answer(&told(throttle)) } else { Problem::new(Kind::Upgrading).into_response() }
}

/// Lifts the ban of a network, and the penalties of those within it.
pub(crate) async fn lift(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    Path(network): Path<String>,
) -> Response {
    let throttle = Arc::clone(&state.identities.book().throttle);
    let lifted = read_network(&network).and_then(|network| {
        let none = || Problem::new(Kind::NotFound).detail(format!("nothing in `{network}` is throttled or banned"));
        throttle.lift(network).then_some(network).ok_or_else(none)
    });
    match lifted {
        Ok(network) => {
            state.overrides.taken_back(overrides::Kind::Ban, &network.trunc().to_string(), &actor.name);
            kept(&state, &throttle).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Makes one again that was saved.
pub(crate) fn again(identities: &Identities, made: &Made) -> Result<(), String> {
    let network = read_network(&made.target).map_err(Problem::says)?;
    ban(&identities.book().throttle, network, Timestamp::from_millis(made.ends), &made.reason).map_err(Problem::says)
}

fn read(asked: &Asked) -> Result<(IpNet, Duration), Problem> {
    let network = read_network(&asked.network)?;
    let most = format_duration(LONGEST);
    let lasts = asked
        .lasts
        .as_deref()
        .ok_or_else(|| refuse(format!("`for` is missing: how long it lasts, at most {most}, for example \"2h\"")))?;
    let lasts = parse_duration(lasts).map_err(|error| refuse(format!("`for`: {error}")))?;
    if lasts < Duration::from_secs(1) || lasts > LONGEST {
        return Err(refuse(format!("`for`: a ban lasts at least 1s and at most {most}")));
    }
    if asked.reason.trim().is_empty() {
        return Err(refuse("`reason`: why? Whoever is on call next will want to know".to_owned()));
    }
    Ok((network, lasts))
}

fn ban(throttle: &Throttle, network: IpNet, ends: Timestamp, reason: &str) -> Result<(), Problem> {
    throttle.ban(network, Some(ends), reason, now()).map_err(|error| {
        let kind = match error {
            BanError::TooMany => Kind::OverrideRefused,
            BanError::Everybody | BanError::Reason => Kind::BadRequest,
        };
        Problem::new(kind).detail(error.to_string())
    })
}

/// A network in CIDR notation or one address.
fn read_network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse().or_else(|_| address()).map_err(|_| {
        refuse(format!("`{text}` is no network; for example `203.0.113.0/24`, `2001:db8::/48` or one address"))
    })
}

fn refuse(detail: String) -> Problem {
    Problem::new(Kind::BadRequest).detail(detail)
}

fn told(throttle: &Throttle) -> Value {
    let now = now();
    let bans = throttle.bans(now);
    let stats = throttle.stats();
    json!({
        "bans": bans.iter().take(MOST).map(|one| ban_told(one, now)).collect::<Vec<_>>(),
        "not_shown": bans.len().saturating_sub(MOST),
        "tracked": { "networks": stats.tracked, "capacity": stats.capacity, "evicted": stats.evicted, "untracked": stats.untracked },
    })
}

fn ban_told(ban: &Ban, now: Timestamp) -> Value {
    let kind = match ban.kind {
        BanKind::Throttled => "throttled",
        BanKind::BannedItself => "banned_itself",
        BanKind::Operator => "operator",
    };
    let lasts = ban.until.map(|until| until.since(now));
    let ends = lasts.map_or_else(|| "until it is lifted".to_owned(), |lasts| format!("for another {}", whole(lasts)));
    let what = match ban.kind {
        BanKind::Throttled => "throttled: tokens are refused without a look, good keys pass",
        BanKind::BannedItself => "failed for too long: tokens are refused without a look, good keys pass",
        BanKind::Operator => "banned by an operator: everything is refused where callers are asked who they are",
    };
    json!({
        "network": ban.network.to_string(),
        "kind": kind,
        "since": ban.since.to_string(),
        "until": ban.until.map(|until| until.to_string()),
        "ends_in_seconds": lasts.map(super::seconds),
        "reason": &*ban.reason,
        "refused": ban.refused,
        "says": format!("{} is {what} ({}), {ends}; {} refused so far", ban.network, ban.reason, ban.refused),
    })
}

/// To the second, for reading.
fn whole(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs().max(1)))
}

/// The time.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
