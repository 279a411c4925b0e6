//! `/api/upgrade`: replaces the binary while it serves. The answer comes when the new process serves, or does not.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::quantity::{format_duration, parse_duration};

use super::{json as answer, seconds};
use crate::control::{AdminState, UpgradeAsk};
use crate::problem::{Kind, Problem};

/// How long the new process may be given to be ready: an answer of this API must be out within a minute.
const WITHIN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(50);

/// What is asked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    binary: Option<PathBuf>,
    within: Option<String>,
}

/// Starts the new binary and says what came of it.
pub(crate) async fn upgrade(State(state): State<Arc<AdminState>>, body: Result<Bytes, BytesRejection>) -> Response {
    let asked = body.map_err(|rejection| refuse(rejection.body_text())).and_then(|body| read(&body));
    let asked = match asked {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    match state.control.upgrade(asked).await {
        Ok(done) => answer(&json!({
            "pid": done.pid,
            "version": done.version,
            "before": done.before,
            "took_seconds": seconds(done.took),
        })),
        Err(why) => Problem::new(Kind::UpgradeFailed).detail(why).into_response(),
    }
}

fn read(body: &[u8]) -> Result<UpgradeAsk, Problem> {
    if body.is_empty() {
        return Ok(UpgradeAsk::default());
    }
    let asked: Asked = serde_json::from_slice(body).map_err(|error| refuse(error.to_string()))?;
    if asked.binary.as_ref().is_some_and(|binary| !binary.is_absolute()) {
        return Err(refuse("`binary` is an absolute path".to_owned()));
    }
    let within = match asked.within.as_deref() {
        Some(within) => Some(parse_duration(within).map_err(|error| refuse(format!("`within`: {error}")))?),
        None => None,
    };
    if within.is_some_and(|within| !WITHIN.contains(&within)) {
        let (least, most) = (format_duration(*WITHIN.start()), format_duration(*WITHIN.end()));
        return Err(refuse(format!("`within` lies between {least} and {most}")));
    }
    Ok(UpgradeAsk { binary: asked.binary, within })
}

fn refuse(detail: String) -> Problem {
    Problem::new(Kind::BadRequest).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_and_a_time_has_bounds() {
        let check = |body: &str, expected: Option<UpgradeAsk>| {
            assert_eq!(read(body.as_bytes()).ok(), expected, "{body}");
        };
        check("", Some(UpgradeAsk::default()));
        let within = Some(Duration::from_secs(5));
        check(r#"{"binary":"/bin/x","within":"5s"}"#, Some(UpgradeAsk { binary: Some("/bin/x".into()), within }));
        check(r#"{"binary":"x"}"#, None);
        check(r#"{"within":"2m"}"#, None);
        check(r#"{"within":"soon"}"#, None);
        check(r#"{"what":1}"#, None);
    }
}
