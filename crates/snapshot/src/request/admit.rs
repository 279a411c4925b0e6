//! A request is brought into the one form that is routed on, recorded and forwarded; or refused.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, Version};
use pingora_http::RequestHeader;
use std::borrow::Cow;
use std::net::IpAddr;

use portcullis_filter::Facts;
use portcullis_types::{ProxyError, Reason, RequestId};
use portcullis_wire::forwarded::client_address;
use portcullis_wire::target::PathPolicy;
use portcullis_wire::{normalize, normalize_host};

use super::forwarding;
use crate::Snapshot;
use crate::settings::Settings;

/// Takes what the head says about who asks and which host is asked for; the facts, Host and the URI then say the
/// same.
///
/// # Errors
/// A CONNECT that came this far (HTTP/2's), a host that is none, or one that the connection was not made for.
pub fn head(request: &mut RequestHeader, facts: &mut Facts, snapshot: &Snapshot) -> Result<(), ProxyError> {
    client(request, facts, &snapshot.settings);
    snapshot.claims.strip(request);
    if request.method == Method::CONNECT {
        return Err(Reason::ConnectRefused.into());
    }
    authority(request, facts)?;
    forwarding::settle(request, facts);
    misdirected(facts)
}

/// Who asks: the connection's peer, or, when that is trusted, whom it names.
fn client(request: &RequestHeader, facts: &mut Facts, settings: &Settings) {
    let peer = facts.downstream.peer.ip().to_canonical();
    let trusted = |address: IpAddr| settings.trusted_networks.iter().any(|network| network.contains(&address));
    if settings.trusted_networks.is_empty() || !trusted(peer) {
        return;
    }
    facts.trusted = true;
    let named: Vec<&str> =
        request.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    facts.client = client_address(peer, named, trusted);
    if let Some(id) = request.headers.get("x-request-id").and_then(trusted_id) {
        facts.id = id;
    }
}

/// An id that a trusted peer gave: 32 hex digits, or a UUID.
fn trusted_id(value: &HeaderValue) -> Option<RequestId> {
    let text = value.to_str().ok()?;
    if text.len() == 32 {
        return RequestId::from_hex(text);
    }
    (text.len() == 36).then(|| RequestId::from_hex(&text.replace('-', "")))?
}

/// Brings the authority into normal form.
fn authority(request: &mut RequestHeader, facts: &mut Facts) -> Result<(), ProxyError> {
    let invalid = |detail: &'static str| ProxyError::with_detail(Reason::HostInvalid, detail);
    let from_uri = request.uri.authority().map(http::uri::Authority::as_str);
    let from_field = request.headers.get(HOST).map(HeaderValue::to_str).transpose();
    let text = match (from_uri, from_field.map_err(|_| invalid("host_invalid"))?) {
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) if request.version == Version::HTTP_10 => return Ok(()),
        (None, None) => return Err(invalid("host_missing")),
    };
    let normal = normalize_host(text).map_err(|error| invalid(error.name()))?;
    facts.port = normal.port;
    facts.host = normal.host.as_ref().into();
    let written = match normal.port {
        Some(port) => Cow::Owned(format!("{}:{port}", normal.host)),
        None => normal.host,
    };
    let agrees = request.headers.get(HOST).is_some_and(|host| host.as_bytes() == written.as_bytes());
    let written = if agrees { None } else { HeaderValue::from_str(&written).ok() };
    if let Some(written) = written {
        request.insert_header(HOST, written).map_err(|_| invalid("host_invalid"))?;
    }
    // Absolute-form is written anew as origin-form, so that nobody behind reads another host out of it.
    if !matches!(request.raw_path().first(), Some(b'/' | b'*')) || request.uri.authority().is_some() {
        let path = request.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        request.set_uri(Uri::from(path));
    }
    Ok(())
}

/// A client certificate was given for a server name; it says nothing about another host (RFC 9110 section 7.4).
fn misdirected(facts: &Facts) -> Result<(), ProxyError> {
    let Some(tls) = &facts.downstream.tls else { return Ok(()) };
    let agrees = tls.sni.as_deref().is_none_or(|sni| sni == &*facts.host);
    if tls.client_auth && !agrees { Err(Reason::Misdirected.into()) } else { Ok(()) }
}

/// Brings the path into a host's normal form; what is routed on is what is forwarded.
///
/// # Errors
/// The first rule of [`portcullis_wire::target`] that the path breaks.
pub fn path(request: &mut RequestHeader, policy: &PathPolicy) -> Result<(), ProxyError> {
    let path = request.uri.path();
    if path == "*" && request.method == Method::OPTIONS {
        return Ok(());
    }
    let normal = match normalize(path, policy) {
        Ok(Cow::Borrowed(_)) if !path.is_empty() => return Ok(()),
        Ok(normal) => normal,
        Err(error) => return Err(ProxyError::with_detail(Reason::PathInvalid, error.name())),
    };
    let target = match request.uri.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal.into_owned(),
    };
    let target: PathAndQuery = target.parse().map_err(|_| ProxyError::with_detail(Reason::PathInvalid, "path_byte"))?;
    request.set_uri(Uri::from(target));
    Ok(())
}
