//! A request is brought into the one form that is routed on, recorded and forwarded; or refused.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, Version};
use pingora_http::RequestHeader;
use std::borrow::Cow;
use std::net::IpAddr;

use portcullis_snapshot::{HostData, Settings};
use portcullis_telemetry::record::RequestLine;
use portcullis_types::{Protocol, ProxyError, Reason, RequestId};
use portcullis_wire::forwarded::client_address;
use portcullis_wire::target::PathPolicy;
use portcullis_wire::{normalize, normalize_host};

use super::context::Ctx;

/// Takes what the head says about who asks and which host is asked for.
pub(super) fn head(request: &mut RequestHeader, ctx: &mut Ctx) -> Result<(), ProxyError> {
    ctx.record.protocol = Some(match request.version {
        Version::HTTP_2 => Protocol::Http2,
        Version::HTTP_10 => Protocol::Http10,
        _ => Protocol::Http11,
    });
    let settings = &ctx.snapshot()?.settings;
    client(request, ctx, settings);
    if request.method == Method::CONNECT {
        // HTTP/1 CONNECT never comes here; this is HTTP/2's.
        return Err(Reason::ConnectRefused.into());
    }
    authority(request, ctx)?;
    misdirected(ctx)
}

/// Who asks: the connection's peer, or, when that is trusted, whom it names.
fn client(request: &RequestHeader, ctx: &mut Ctx, settings: &Settings) {
    let peer = ctx.facts.downstream.peer.ip().to_canonical();
    let trusted = |address: IpAddr| settings.trusted_networks.iter().any(|network| network.contains(&address));
    if settings.trusted_networks.is_empty() || !trusted(peer) {
        return;
    }
    ctx.facts.trusted = true;
    let named: Vec<&str> =
        request.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    ctx.facts.client = client_address(peer, named, trusted);
    ctx.record.client = ctx.facts.client;
    if let Some(id) = request.headers.get("x-request-id").and_then(trusted_id) {
        ctx.facts.id = id;
        ctx.record.id = id;
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

/// Brings the authority into normal form: the facts, Host and the URI then say the same.
fn authority(request: &mut RequestHeader, ctx: &mut Ctx) -> Result<(), ProxyError> {
    let invalid = |detail: &'static str| ProxyError::with_detail(Reason::HostInvalid, detail);
    let from_uri = request.uri.authority().map(|authority| authority.as_str());
    let from_field = request.headers.get(HOST).map(HeaderValue::to_str).transpose();
    let text = match (from_uri, from_field.map_err(|_| invalid("host_invalid"))?) {
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) if request.version == Version::HTTP_10 => return Ok(()),
        (None, None) => return Err(invalid("host_missing")),
    };
    let normal = normalize_host(text).map_err(|error| invalid(error.name()))?;
    ctx.facts.port = normal.port;
    ctx.facts.host = normal.host.as_ref().into();
    let written = match normal.port {
        Some(port) => Cow::Owned(format!("{}:{port}", normal.host)),
        None => normal.host,
    };
    let agrees = request.headers.get(HOST).is_some_and(|host| host.as_bytes() == written.as_bytes());
    let written = if agrees { None } else { HeaderValue::from_str(&written).ok() };
    if let Some(written) = written {
        request.insert_header(HOST, written).map_err(|_| invalid("host_invalid"))?;
    }
    if request.uri.authority().is_some() {
        let path = request.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        request.set_uri(Uri::from(path));
    }
    Ok(())
}

/// A client certificate was given for a server name; it says nothing about another host (RFC 9110 section 7.4).
fn misdirected(ctx: &Ctx) -> Result<(), ProxyError> {
    let Some(tls) = &ctx.facts.downstream.tls else { return Ok(()) };
    let agrees = tls.sni.as_deref().is_none_or(|sni| sni == &*ctx.facts.host);
    if tls.client_auth && !agrees { Err(Reason::Misdirected.into()) } else { Ok(()) }
}

/// Brings the path into the host's normal form; what is routed on is what is forwarded.
pub(super) fn path(request: &mut RequestHeader, host: Option<&HostData>) -> Result<(), ProxyError> {
    let policy = host.map_or_else(PathPolicy::default, |host| host.path_policy);
    let path = request.uri.path();
    if path == "*" && request.method == Method::OPTIONS {
        return Ok(());
    }
    let normal = match normalize(path, &policy) {
        Ok(Cow::Borrowed(_)) if !path.is_empty() => return Ok(()),
        Ok(normal) => normal,
        Err(error) => return Err(ProxyError::with_detail(Reason::PathInvalid, error.name())),
    };
    let target = match request.uri.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal.into_owned(),
    };
    let target: PathAndQuery =
        target.parse().map_err(|_| ProxyError::with_detail(Reason::PathInvalid, "path_byte"))?;
    request.set_uri(Uri::from(target));
    Ok(())
}

/// Writes the request's line into the record, as it is routed on.
pub(super) fn note(request: &RequestHeader, ctx: &mut Ctx) {
    if !ctx.core.observes() {
        return;
    }
    let user_agent = request.headers.get(http::header::USER_AGENT);
    let line = RequestLine {
        method: request.method.as_str().as_bytes(),
        host: ctx.facts.host.as_bytes(),
        path: request.uri.path().as_bytes(),
        query: request.uri.query().map(str::as_bytes),
        user_agent: user_agent.map(HeaderValue::as_bytes),
    };
    ctx.record.set_head(&line, &ctx.core.record_options());
}
