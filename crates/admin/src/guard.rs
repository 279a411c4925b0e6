//! What stands before every path: who asks is judged, and what they do is written down.

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use portcullis_types::RequestId;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use crate::actor::{Actor, Peer, Role};
use crate::audit::{Entry, Pending};
use crate::auth::{Question, Refusal, Tell, is_safe, judge};
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// Bodies up to this many bytes are looked into for the reason that an operator gives.
const LOOKED_INTO: u64 = 64 * 1024;

/// What a path and method asks of who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: health, and files that are the same for everybody.
    Open,
    /// A role.
    Role(Role),
    /// A role, or only that of looking where the query has `dry_run`.
    UnlessDry(Role),
}

impl Need {
    /// The least role for a request.
    fn role(self, uri: &Uri) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::Role(role) => Some(role),
            Self::UnlessDry(role) => Some(if is_dry(uri) { Role::Read } else { role }),
        }
    }

    /// The words for a list of all paths.
    #[cfg(test)]
    pub(crate) fn says(self) -> String {
        match self {
            Self::Open => "nobody".to_owned(),
            Self::Role(role) => role.as_str().to_owned(),
            Self::UnlessDry(role) => format!("{}, `dry_run`: read", role.as_str()),
        }
    }
}

/// As the handler of `/api/config` reads its query.
fn is_dry(uri: &Uri) -> bool {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    pairs.is_ok_and(|pairs| crate::api::config::flag(&pairs.0, "dry_run"))
}

/// What stands before one path and method.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) state: Arc<AdminState>,
    pub(crate) need: Need,
}

pub(crate) async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Some(role) = guard.need.role(request.uri()) else { return next.run(request).await };
    let state = &guard.state;
    let (id, actor) = match admit(state, &request, role) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    if is_safe(request.method()) {
        request.extensions_mut().insert(actor);
        return with_id(next.run(request).await, id);
    }
    // Written down from here on: whoever goes away while the body is read may have asked for anything.
    let mut entry = entry(&request, id, Some(&actor));
    let (request, reason) = match reason(request).await {
        Ok(read) => read,
        Err(problem) => return with_id(problem.into_response(), id),
    };
    entry.reason = reason;
    let pending = Pending::new(state.audit.clone(), entry);
    // A process that hands over has told the other one what is in effect.
    if role == Role::Operate && state.overrides.is_left() {
        let problem = Problem::new(Kind::Upgrading);
        pending.done(Kind::Upgrading.status().as_u16());
        return with_id(problem.into_response(), id);
    }
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(actor);
    let response = next.run(Request::from_parts(parts, body)).await;
    pending.done(response.status().as_u16());
    with_id(response, id)
}

/// The answer where there is nothing: a problem, to those who may look.
pub(crate) fn nothing(state: &Arc<AdminState>, request: &Request, problem: Problem) -> Response {
    match admit(state, request, Role::Read) {
        Ok((id, _)) => with_id(problem.into_response(), id),
        Err(refused) => *refused,
    }
}

fn admit(state: &AdminState, request: &Request, needs: Role) -> Result<(RequestId, Actor), Box<Response>> {
    let id = state.audit.id();
    let judged = {
        let snapshot = state.generations.peek();
        let question = Question { peer: peer(request), method: request.method(), headers: request.headers(), needs };
        judge(snapshot.settings.admin.as_ref(), &state.failures, question)
    };
    judged.map(|actor| (id, actor)).map_err(|refusal| Box::new(refuse(state, request, id, &refusal)))
}

fn refuse(state: &AdminState, request: &Request, id: RequestId, refusal: &Refusal) -> Response {
    let entry = entry(request, id, refusal.actor.as_ref());
    let (status, refused) = (Some(refusal.kind.status().as_u16()), Some(refusal.kind.name()));
    match refusal.tell {
        Tell::Line => state.audit.push(Entry { status, refused, ..entry }),
        Tell::Times(times) => state.audit.push(Entry { status, refused, times, ..entry }),
        Tell::Later => {}
    }
    with_id(refusal.problem().into_response(), id)
}

fn entry(request: &Request, id: RequestId, actor: Option<&Actor>) -> Entry {
    let uri = request.uri();
    let query = if uri.query().is_some() { "?…" } else { "" };
    Entry {
        at: SystemTime::now(),
        id,
        actor: actor.cloned(),
        peer: peer(request).says(),
        method: request.method().to_string(),
        path: format!("{}{query}", uri.path()),
        status: None,
        refused: None,
        reason: None,
        times: 1,
    }
}

/// The other end; of a request that came over no connection of ours, an unknown address.
fn peer(request: &Request) -> &Peer {
    const NOBODY: Peer =
        Peer::Tcp { address: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), tls: None };
    request.extensions().get().unwrap_or(&NOBODY)
}

/// What the caller says of the change: `reason` or `note` of a small JSON body, else `note` of the query.
async fn reason(request: Request) -> Result<(Request, Option<String>), Problem> {
    let noted = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok();
    let noted = noted.and_then(|pairs| pairs.0.into_iter().find(|(key, _)| key == "note")).map(|(_, note)| note);
    let length = request.body().size_hint().exact();
    if length.is_none_or(|length| length == 0 || length > LOOKED_INTO) {
        return Ok((request, noted));
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::try_from(LOOKED_INTO).unwrap_or(usize::MAX)).await;
    let body: Bytes = body.map_err(|error| Problem::new(Kind::BadRequest).detail(error.to_string()))?;
    let said = serde_json::from_slice::<Value>(&body).ok().and_then(|value| {
        let said = value.get("reason").or_else(|| value.get("note"))?;
        said.as_str().map(str::to_owned)
    });
    Ok((Request::from_parts(parts, Body::from(body)), said.or(noted)))
}

/// An answer that names its call, as the audit log does.
fn with_id(mut response: Response, id: RequestId) -> Response {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}
