//! Who may use the API, and for what.
//!
//! Somebody is known by a bearer token (RFC 6750), by the certificate of the connection, or by the user id at the other
//! end of the Unix socket. Where the config names no tokens and no certificates, the listener is on a loopback address
//! and for whoever is on this machine; what remains is a browser there that a web page steers. Such a request says
//! that it comes from another site, from another origin, or names a host of that page (rebinding), and is refused.
//!
//! All of it is judged by the config as it is now: a reload changes who may come without a new listener.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method};
use portcullis_snapshot::settings::{Admin, AdminToken, Role};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::actor::{Actor, Handshake, Peer, Via};
use crate::failures::{Failures, Look};
use crate::problem::{Kind, Problem};

/// A request that is to be let through or not.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// The least role it needs.
    pub(crate) needs: Role,
}

/// A request that was not let through.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Who it was, where that is known.
    pub(crate) actor: Option<Actor>,
    /// Why.
    pub(crate) kind: Kind,
    /// How it is told in the audit log.
    pub(crate) tell: Tell,
    needs: Role,
}

/// How a refusal is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// By a line.
    Line,
    /// By a line for so many that were alike.
    Times(u64),
    /// Not now: a later line will count it.
    Later,
}

impl Refusal {
    /// The answer: which role is needed, and which one the caller has.
    pub(crate) fn problem(&self) -> Problem {
        let problem = Problem::new(self.kind);
        let (needs, has) = (self.needs.as_str(), self.actor.as_ref().map(|actor| actor.role.as_str()));
        let why = match (self.kind, &self.actor) {
            (Kind::RoleMissing, Some(actor)) => format!("{} has the role `{}`", actor.name, actor.role.as_str()),
            (Kind::RoleMissing, None) => "who came is known, and has no role".to_owned(),
            (Kind::Unauthorized, _) => "the request shows nothing that has one".to_owned(),
            _ => return problem,
        };
        let detail = format!("this needs the role `{needs}`; {why}");
        problem.detail(detail).with("needs", json!(needs)).with("has", json!(has))
    }
}

/// Why nobody was found.
struct Denied(Kind, Tell);

impl From<Kind> for Denied {
    fn from(kind: Kind) -> Self {
        Self(kind, Tell::Line)
    }
}

/// Lets a request through as somebody, or says why not.
pub(crate) fn judge(admin: Option<&Admin>, failures: &Failures, question: Question<'_>) -> Result<Actor, Refusal> {
    let needs = question.needs;
    // A config without an admin section serves no address; a connection that is open still is good for nothing.
    let admin = admin.ok_or(Denied::from(Kind::Unauthorized));
    let actor = admin.and_then(|admin| match question.peer {
        Peer::Socket { uid, trusted } => on_socket(admin, *uid, *trusted),
        Peer::Tcp { address, tls } => on_address(admin, failures, question, (*address, tls.as_ref())),
    });
    match actor {
        Ok(actor) if actor.role >= needs => Ok(actor),
        Ok(actor) => Err(Refusal { actor: Some(actor), kind: Kind::RoleMissing, tell: Tell::Line, needs }),
        Err(Denied(kind, tell)) => Err(Refusal { actor: None, kind, tell, needs }),
    }
}

fn on_socket(admin: &Admin, uid: u32, trusted: bool) -> Result<Actor, Denied> {
    let others = admin.socket.as_ref().and_then(|socket| socket.role);
    let role = if trusted { Some(Role::Admin) } else { others };
    let role = role.ok_or(Kind::RoleMissing)?;
    Ok(Actor { name: format!("uid:{uid}").into(), role, via: Via::Socket })
}

fn on_address(
    admin: &Admin,
    failures: &Failures,
    question: Question<'_>,
    (address, tls): (SocketAddr, Option<&Handshake>),
) -> Result<Actor, Denied> {
    if tls.is_none() && admin.tls.is_some() {
        return Err(Kind::TlsRequired.into());
    }
    clean(question, tls.is_some())?;
    if admin.is_open() {
        let open = names_loopback(question.headers).then(|| Actor {
            name: "loopback".into(),
            role: Role::Admin,
            via: Via::Loopback,
        });
        return open.ok_or(Kind::HostNotLoopback.into());
    }
    let given = question.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    if let Some(given) = given.filter(|_| !admin.tokens.is_empty()) {
        return by_token(&admin.tokens, failures, given, (address.ip(), Instant::now()));
    }
    // One that was verified against other CAs than those of now counts no more.
    let verified = tls.filter(|tls| admin.tls.as_ref().is_some_and(|now| now.clients_fingerprint == tls.clients));
    let subject = verified.and_then(|tls| tls.subject.as_deref()).ok_or(Kind::Unauthorized)?;
    let (_, role) = admin.clients.iter().find(|(known, _)| known == subject).ok_or(Kind::RoleMissing)?;
    Ok(Actor { name: subject.into(), role: *role, via: Via::Certificate })
}

fn by_token(
    tokens: &[AdminToken],
    failures: &Failures,
    given: &[u8],
    (address, now): (IpAddr, Instant),
) -> Result<Actor, Denied> {
    if let Look::No { untold } = failures.look(address, now) {
        return Err(Denied(Kind::TooManyFailures, untold.map_or(Tell::Later, Tell::Times)));
    }
    match bearer(given).and_then(|given| find(tokens, given)) {
        Some(token) => Ok(Actor { name: token.name.clone(), role: token.role, via: Via::Token }),
        None => {
            failures.wrong(address, now);
            Err(Kind::Unauthorized.into())
        }
    }
}

/// The token that was given. All are compared, each in a time that does not depend on what is equal: the digests are,
/// so that lengths do not show either.
fn find<'a>(tokens: &'a [AdminToken], given: &[u8]) -> Option<&'a AdminToken> {
    let given = digest(&SHA256, given);
    let mut found = u32::MAX;
    for (at, token) in (0_u32..).zip(tokens) {
        let same = digest(&SHA256, token.secret.as_bytes()).as_ref().ct_eq(given.as_ref());
        found.conditional_assign(&at, same);
    }
    tokens.get(usize::try_from(found).ok()?)
}

/// The token of `Bearer TOKEN`; the scheme is compared without case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether a request is not one that a web page of another origin had a browser send.
fn clean(question: Question<'_>, tls: bool) -> Result<(), Kind> {
    let headers = question.headers;
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site == b"cross-site" || site == b"same-site") {
        return Err(Kind::CrossSite);
    }
    if is_safe(question.method) {
        return Ok(());
    }
    if headers.get(ORIGIN).is_some_and(|origin| !is_own(origin.as_bytes(), headers, tls)) {
        return Err(Kind::CrossSite);
    }
    // A page cannot have a browser add this field without asking first, and that is never granted.
    if headers.contains_key(AUTHORIZATION) || !has_body(headers) || !is_simple(headers) {
        return Ok(());
    }
    Err(Kind::ContentType)
}

/// Methods that change nothing (RFC 9110 section 9.2.1).
pub(crate) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Whether an origin is that of the listener as the request names it.
fn is_own(origin: &[u8], headers: &HeaderMap, tls: bool) -> bool {
    let scheme: &[u8] = if tls { b"https://" } else { b"http://" };
    let host = headers.get(HOST).map(|host| host.as_bytes());
    origin.strip_prefix(scheme).zip(host).is_some_and(|(own, host)| own.eq_ignore_ascii_case(host))
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get("content-length").map(|length| length.as_bytes());
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

/// Whether a body is of a kind that a page may have a browser send without asking first. One of no kind is.
fn is_simple(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = kind.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let simple: [&[u8]; 3] = [b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"];
    kind.is_empty()
        || simple.iter().any(|simple| kind.eq_ignore_ascii_case(simple))
        || headers.get_all(CONTENT_TYPE).iter().count() > 1
}

/// Whether Host is a loopback address or `localhost`.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
