//! The dashboard: static files that are in the binary.
//!
//! They hold nothing of the gateway, so they are served to anybody who reaches the listener; what they show they ask the API for,
//! as whoever signs in. Invariants: a page may load and ask nothing but this listener (Content-Security-Policy), and nothing in it
//! is made from text that came with a request.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Problem};

/// What a page may do. Inline styles are set by script alone, which this allows.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file: its path, its type, its content.
struct Asset(&'static str, &'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($path:literal, $kind:ident) => {
        Asset(concat!("/", $path), $kind, include_str!(concat!("../assets/", $path)))
    };
}

const ASSETS: &[Asset] = &[
    Asset("/", HTML, include_str!("../assets/index.html")),
    asset!("app.css", CSS),
    asset!("vendor/uPlot.min.css", CSS),
    asset!("vendor/uPlot.min.js", SCRIPT),
    asset!("js/main.js", SCRIPT),
    asset!("js/api.js", SCRIPT),
    asset!("js/dom.js", SCRIPT),
    asset!("js/chart.js", SCRIPT),
    asset!("js/views/overview.js", SCRIPT),
    asset!("js/views/map.js", SCRIPT),
    asset!("js/views/consumers.js", SCRIPT),
    asset!("js/views/changes.js", SCRIPT),
    asset!("js/views/requests.js", SCRIPT),
    asset!("js/views/explain.js", SCRIPT),
];

/// The paths of all of them.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ASSETS.iter().map(|Asset(path, ..)| *path)
}

/// One of them.
pub(crate) async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    let Some(Asset(_, kind, content)) = ASSETS.iter().find(|Asset(known, ..)| *known == path) else {
        return Problem::new(Kind::NotFound).into_response();
    };
    let tag = format!("\"{:016x}\"", fingerprint(content.as_bytes()));
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut response = Response::new(if known { Body::empty() } else { Body::from(*content) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Asked for each time, and sent only when another binary serves.
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        fields.insert(ETAG, tag);
    }
    response
}

/// FNV-1a: tells one build's file from another's, no more.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
