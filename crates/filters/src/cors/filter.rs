//! The CORS protocol (Fetch standard, section 3.2), on the upstream's answers and the gateway's own alike.
//!
//! Invariants: what the upstream says about CORS never reaches the client; `Vary: Origin` is on every answer whose
//! fields depend on the origin, also when this request had none.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Response, ResponseCx, Verdict};
use portcullis_types::ProxyError;

use super::config::CorsConfig;
use crate::fields::{Head, add_vary};

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The fields that are ours alone.
const OURS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    ALLOW_PRIVATE_NETWORK,
];

/// The `cors` filter.
pub struct Cors {
    config: CorsConfig,
    /// The answer to a preflight from an allowed origin, but for what depends on the request.
    preflight: Response,
    /// The answer to a preflight from any other origin.
    refusal: Response,
}

/// What is known of one request.
#[derive(Default)]
pub struct CorsCtx {
    /// The answer is ours and complete.
    answered: bool,
}

impl Filter for Cors {
    type Ctx = CorsCtx;

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter).and(Phase::ResponseFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, ctx: &mut CorsCtx) -> Result<Verdict, ProxyError> {
        let headers = &cx.request.headers;
        let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let Some(origin) = headers.get(header::ORIGIN).filter(|_| asks && cx.request.method == Method::OPTIONS) else {
            return Ok(Verdict::Continue);
        };
        ctx.answered = true;
        let Some(allowed) = self.allowed(origin) else {
            cx.notes.annotate("cors", "origin_not_allowed");
            return Ok(Verdict::Respond(Box::new(self.refusal.clone())));
        };
        let mut answer = self.preflight.clone().with_field(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let private = headers.get(REQUEST_PRIVATE_NETWORK).is_some_and(|value| value == "true");
        if private && self.config.private_network {
            answer = answer.with_field(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        Ok(Verdict::Respond(Box::new(answer)))
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, ctx: &mut CorsCtx) -> Result<(), ProxyError> {
        if ctx.answered {
            return Ok(());
        }
        if cx.response.headers.keys().any(|name| name.as_str().starts_with("access-control-")) {
            OURS.iter().for_each(|name| cx.response.remove(name));
        }
        if self.depends_on_origin() {
            add_vary(cx.response, "origin");
        }
        let Some(allowed) = cx.request.headers.get(header::ORIGIN).and_then(|origin| self.allowed(origin)) else {
            return Ok(());
        };
        cx.response.insert(&header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.config.credentials {
            cx.response.insert(&header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.config.expose {
            cx.response.insert(&header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.value().clone());
        }
        Ok(())
    }
}

impl Cors {
    /// With all origins allowed (which the config refuses with credentials) the answer is the same for each.
    fn depends_on_origin(&self) -> bool {
        !self.config.origins.any()
    }

    /// The value of Access-Control-Allow-Origin for an origin that is allowed.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.config.origins.any() {
            return Some(HeaderValue::from_static("*"));
        }
        let allowed = origin.to_str().is_ok_and(|origin| self.config.origins.allow(origin));
        allowed.then(|| origin.clone())
    }
}

impl ConfiguredFilter for Cors {
    const NAME: &'static str = "cors";

    type Config = CorsConfig;

    fn build(config: CorsConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        let vary = if config.origins.any() {
            "access-control-request-method, access-control-request-headers"
        } else {
            "origin, access-control-request-method, access-control-request-headers"
        };
        let refusal = Response::new(StatusCode::NO_CONTENT).with_field(header::VARY, HeaderValue::from_static(vary));
        let mut preflight = refusal
            .clone()
            .with_field(header::ACCESS_CONTROL_ALLOW_METHODS, config.methods.value().clone())
            .with_field(header::ACCESS_CONTROL_MAX_AGE, config.max_age.value());
        if let Some(headers) = &config.headers {
            preflight = preflight.with_field(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.value().clone());
        }
        if config.credentials {
            let yes = HeaderValue::from_static("true");
            preflight = preflight.with_field(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        Ok(Self { config, preflight, refusal })
    }
}
