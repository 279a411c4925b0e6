//! Who may use the API.
//!
//! With a token in the config, every request carries it as a bearer token (RFC 6750), compared in constant time.
//! Without one the listener is on a loopback address; what remains is a browser on the same machine that a web page
//! steers. Such a request names a host of that page (rebinding) or says that it comes from another site, and is
//! refused.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// Paths that a load balancer asks for, and that say nothing but yes or no.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

pub(crate) async fn check(State(state): State<Arc<AdminState>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    // The token of the config as it is now: a reload changes it without a new listener.
    let verdict = {
        let snapshot = state.generations.peek();
        let token = snapshot.settings.admin.as_ref().and_then(|admin| admin.token.as_deref());
        allowed(request.headers(), token)
    };
    match verdict {
        Ok(()) => next.run(request).await,
        Err(kind) => Problem::new(kind).into_response(),
    }
}

fn allowed(headers: &HeaderMap, token: Option<&str>) -> Result<(), Kind> {
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(Kind::CrossSite);
    }
    let Some(token) = token else {
        return if names_loopback(headers) { Ok(()) } else { Err(Kind::HostNotLoopback) };
    };
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).and_then(bearer);
    let same = given.is_some_and(|given| bool::from(given.ct_eq(token.as_bytes())));
    if same { Ok(()) } else { Err(Kind::Unauthorized) }
}

/// The token of `Bearer TOKEN`; the scheme is compared without case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
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
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_wanted_where_there_is_one() {
        let check = |given: Option<&'static str>, expected: Result<(), Kind>| {
            let fields: Vec<_> = given.map(|value| ("authorization", value)).into_iter().collect();
            assert_eq!(allowed(&headers(&fields), Some("s3cret")), expected, "{given:?}");
        };
        check(Some("Bearer s3cret"), Ok(()));
        check(Some("bearer  s3cret"), Ok(()));
        check(Some("Bearer s3cre"), Err(Kind::Unauthorized));
        check(Some("Bearer s3cretx"), Err(Kind::Unauthorized));
        check(Some("Basic s3cret"), Err(Kind::Unauthorized));
        check(Some("Bearer"), Err(Kind::Unauthorized));
        check(None, Err(Kind::Unauthorized));
    }

    #[test]
    fn without_a_token_the_host_must_be_loopback() {
        let check = |host: &'static str, ok: bool| {
            assert_eq!(allowed(&headers(&[("host", host)]), None).is_ok(), ok, "{host}");
        };
        check("127.0.0.1:9901", true);
        check("127.0.0.1", true);
        check("[::1]:9901", true);
        check("localhost:9901", true);
        check("LOCALHOST", true);
        check("evil.example.com:9901", false);
        check("10.0.0.1:9901", false);
        check("", false);
        assert!(allowed(&HeaderMap::new(), None).is_err());
    }

    #[test]
    fn a_page_of_another_site_is_refused_with_and_without_token() {
        let fields = [("host", "127.0.0.1"), ("sec-fetch-site", "cross-site"), ("authorization", "Bearer t")];
        assert_eq!(allowed(&headers(&fields), None), Err(Kind::CrossSite));
        assert_eq!(allowed(&headers(&fields), Some("t")), Err(Kind::CrossSite));
    }
}
