//! What a route's action makes of a request: a cluster, a redirect, another path and host, an error in a dialect.

use http::header::{self, CONTENT_TYPE, HOST, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use pingora_http::RequestHeader;
use std::sync::Arc;
use std::time::Duration;

use portcullis_filter::seam::{CachedResponse, StaleResponse};
use portcullis_filter::{Facts, Notes, Response};
use portcullis_policy::{Match, Params, PathMatcher, Redirect, stable_hash};
use portcullis_types::{BodyView, Dialect, ProxyError, Reason, RequestId, RequestView};

use crate::cluster::ClusterIdx;
use crate::route::{Forward, HostData, RouteData, Target};

/// The cluster of a target, once the filters have noted what they know.
#[must_use]
pub fn cluster(target: &Target, view: &RequestView<'_>, notes: &Notes, id: RequestId) -> ClusterIdx {
    match target {
        Target::Cluster(index) | Target::Subset { cluster: index, .. } => *index,
        Target::Split { split, sticky } => {
            // Without a key the id decides: uniform, and the same again in `explain`.
            let drawn = || stable_hash(0, &id.0.to_le_bytes());
            *split.pick(sticky.as_ref().map_or_else(drawn, |key| key.hash_or_client(view, notes)))
        }
    }
}

/// What the template of a route's path captured, by name.
#[must_use]
pub fn captured<R>(found: &Match<'_, R>, path: &str) -> Vec<(Arc<str>, Box<str>)> {
    named(found.route.path(), &found.params, path)
}

/// What was captured of a path, by name.
#[must_use]
pub fn named(matcher: &PathMatcher, params: &Params, path: &str) -> Vec<(Arc<str>, Box<str>)> {
    let names = matcher.param_names().iter().enumerate();
    names.filter_map(|(at, name)| Some(((&**name).into(), params.get(at, path)?.into()))).collect()
}

/// A stale copy out of a cache, as an answer: its age (RFC 9111 section 5.1) is said in place of what was stored of that,
/// and its staleness behind what caches before said of theirs (RFC 9211). Warning is obsolete (RFC 9111 section 5.5).
#[must_use]
pub fn stale_response(stale: StaleResponse, server_name: &str) -> Response {
    let StaleResponse { response: CachedResponse { mut header, body }, age, past } = stale;
    drop(header.insert_header(header::AGE, HeaderValue::from(age.as_secs())));
    let left = i64::try_from(past.as_secs()).map_or(i64::MIN, |past| -past);
    // The gateway's name is a token, as a Structured Field has it.
    if let Ok(value) = HeaderValue::from_str(&format!("{server_name}; hit; ttl={left}")) {
        drop(header.append_header(CACHE_STATUS, value));
    }
    Response { header, body }
}

/// A route's redirect as an answer.
///
/// # Errors
/// None that an input could cause; a location that is no field value would be a fault of the policy.
pub fn redirect(
    redirect: &Redirect,
    params: &Params,
    route: &RouteData,
    view: &RequestView<'_>,
) -> Result<Response, ProxyError> {
    let internal =
        || ProxyError::with_detail(Reason::Internal, format!("the redirect of {} has no location", route.label));
    let location = HeaderValue::from_str(&redirect.location(view, params)).map_err(|_| internal())?;
    let status = StatusCode::from_u16(redirect.status.code()).map_err(|_| internal())?;
    Ok(Response::new(status).with_field(LOCATION, location))
}

/// Writes another path and host into the head that goes upstream, as the route says. `original` is the head as it was
/// routed on.
///
/// # Errors
/// None that an input could cause; a rewritten path that is none would be a fault of the policy.
pub fn rewrite(
    request: &mut RequestHeader,
    original: &RequestHeader,
    forward: &Forward,
    params: &Params,
) -> Result<(), ProxyError> {
    let internal = |what: &'static str| ProxyError::with_detail(Reason::Internal, what);
    if let Some(rewrite) = &forward.rewrite {
        let path = rewrite.apply(original.uri.path(), params);
        let target = match original.uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        let target: PathAndQuery = target.parse().map_err(|_| internal("the rewritten path is none"))?;
        request.set_uri(Uri::from(target));
    }
    if let Some(host) = &forward.host {
        request.insert_header(HOST, host.clone()).map_err(|_| internal("the rewritten host is none"))?;
    }
    Ok(())
}

/// The dialect of an error: a filter's word, the route's, the host's; a gRPC request is answered in gRPC whatever they
/// say.
#[must_use]
pub fn dialect(headers: &HeaderMap, notes: &Notes, route: Option<&RouteData>, host: Option<&HostData>) -> Dialect {
    if headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return Dialect::Grpc;
    }
    let configured = route.map(|route| route.dialect).or(host.map(|host| host.dialect));
    notes.dialect.or(configured).unwrap_or_default()
}

/// When a client may come back if no endpoint could take its request.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a cache did for an answer (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Names a failure in its answer, whoever wrote that: Proxy-Status (RFC 9209) and Retry-After.
pub fn label_failure(response: &mut Response, error: &ProxyError, server_name: &str) {
    if let Ok(value) = HeaderValue::from_str(&error.proxy_status(server_name)) {
        drop(response.header.insert_header(HeaderName::from_static("proxy-status"), value));
    }
    // Whoever is refused for what may be over soon is told to come back, also where nobody knows when.
    let unknown = (error.reason.status() == 503).then_some(RETRY_AFTER.as_secs());
    if let Some(seconds) = error.retry_after_seconds().or(unknown) {
        drop(response.header.insert_header(header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
}

/// A failure as an answer in a dialect, before any filter or Proxy-Status.
#[must_use]
pub fn error_response(error: &ProxyError, dialect: Dialect, facts: &Facts) -> Response {
    let call = facts.body.as_deref().and_then(BodyView::id);
    let answer = dialect.write(error, facts.id, call);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(status);
    for (name, value) in &answer.fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            response = response.with_field(HeaderName::from_static(name), value);
        }
    }
    response.body = answer.body.into();
    response
}
