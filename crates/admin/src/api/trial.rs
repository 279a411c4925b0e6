//! `/api/trial`: the change that is watched, and ending it by hand; and how a change says that it is to be watched.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::quantity::parse_duration;

use super::config::{by, value};
use super::{Pairs, json as answer};
use crate::actor::Actor;
use crate::control::{AdminState, EndTrial, Watch};
use crate::problem::{Kind, Problem};

/// How long a canary takes where nothing else is said.
const CANARY: Duration = Duration::from_secs(300);
/// The shortest and the longest trial.
const LASTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);

/// The trial, or how the last one ended.
pub(crate) async fn show(State(state): State<Arc<AdminState>>) -> Response {
    answer(&state.control.trial())
}

/// The new generation is to serve everybody.
pub(crate) async fn promote(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    end(&state, EndTrial::Promote, (&actor, &pairs, body)).await
}

/// What was before is to serve everybody.
pub(crate) async fn abort(
    State(state): State<Arc<AdminState>>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    end(&state, EndTrial::Abort, (&actor, &pairs, body)).await
}

type Asked<'a> = (&'a Actor, &'a [(String, String)], Result<Bytes, BytesRejection>);

async fn end(state: &AdminState, how: EndTrial, (actor, pairs, body): Asked<'_>) -> Response {
    let asked = body
        .map_err(|rejection| Problem::new(Kind::BadRequest).detail(rejection.body_text()))
        .and_then(|_| by(actor, value(pairs, "note")));
    match asked {
        Ok(by) => match state.control.end_trial(how, by).await {
            Ok(says) => answer(&json!({ "says": says, "generation": state.generations.peek().id.0 })),
            Err(why) => Problem::new(Kind::NoTrial).detail(why).into_response(),
        },
        Err(problem) => problem.into_response(),
    }
}

/// How a change is to be watched: `canary=5%` with `for=5m`, or `probation=60s`.
///
/// # Errors
/// Both, a share or a time that is none, or `for` without a canary.
pub(super) fn watch(pairs: &[(String, String)]) -> Result<Option<Watch>, Problem> {
    let refuse = |detail: String| Problem::new(Kind::BadRequest).detail(detail);
    let lasting = |key: &str, text: &str| {
        let lasts: Duration = parse_duration(text).map_err(|error| refuse(format!("`{key}`: {error}")))?;
        if LASTS.contains(&lasts) { Ok(lasts) } else { Err(refuse(format!("`{key}`: expected 10s to 24h"))) }
    };
    match (value(pairs, "canary"), value(pairs, "probation"), value(pairs, "for")) {
        (Some(share), None, lasts) => {
            let lasts = lasts.map_or(Ok(CANARY), |text| lasting("for", text))?;
            Ok(Some(Watch::Canary { share: part(share).map_err(refuse)?, lasts }))
        }
        (None, Some(lasts), None) => Ok(Some(Watch::Probation { lasts: lasting("probation", lasts)? })),
        (None, None, None) => Ok(None),
        (Some(_), Some(_), _) => Err(refuse("`canary` and `probation` are two ways to watch: choose one".to_owned())),
        (None, _, Some(_)) => Err(refuse("`for` says how long a `canary` takes".to_owned())),
    }
}

/// `5%` as a share of 1.
fn part(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let share = number.filter(|percent| (0.1..=50.0).contains(percent)).map(|percent| percent / 100.0);
    share.ok_or_else(|| "`canary`: expected a share of callers from 0.1% to 50%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_read_from_the_query() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            watch(&pairs).ok()
        };
        let seconds = Duration::from_secs;
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&[("probation", "60s")]), Some(Some(Watch::Probation { lasts: seconds(60) })));
        assert_eq!(read(&[("canary", "5%")]), Some(Some(Watch::Canary { share: 0.05, lasts: seconds(300) })));
        let short = [("canary", "2.5%"), ("for", "30s")];
        assert_eq!(read(&short), Some(Some(Watch::Canary { share: 0.025, lasts: seconds(30) })));
        for wrong in [
            &[("canary", "5%"), ("probation", "60s")][..],
            &[("canary", "5")],
            &[("canary", "0%")],
            &[("canary", "51%")],
            &[("canary", "NaN%")],
            &[("probation", "1s")],
            &[("probation", "25h")],
            &[("for", "60s")],
            &[("canary", "5%"), ("for", "soon")],
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
