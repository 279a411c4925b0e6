//! Maps the gateway's own failures in `fail_to_proxy`, and the upstream's error answers on their way through.
//!
//! Invariant: a mapping changes what the client sees, never what the record says: the reason stays, and the
//! upstream's own status is annotated.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use portcullis_filter::cx::Chunk;
use portcullis_filter::{
    BodyCx, BuildCx, ConfiguredFilter, ErrorCx, Filter, Phase, Phases, Response, ResponseCx, Source,
};
use portcullis_types::ProxyError;

use super::config::{Answer, ErrorsConfig, Mapping};
use crate::answer::is_bodiless;
use crate::fields::{Answering, Head, remove_body_fields, set};
use crate::template::{Failure, Vars};

/// The `errors` filter.
pub struct Errors {
    mappings: Box<[Mapping]>,
}

/// What becomes of an answer's body.
#[derive(Default)]
pub enum ErrorsCtx {
    /// It passes.
    #[default]
    Pass,
    /// This is sent in its place.
    Replace(Bytes),
    /// It was replaced: nothing more is sent.
    Replaced,
}

impl Filter for Errors {
    type Ctx = ErrorsCtx;

    fn phases(&self) -> Phases {
        let mut phases = Phases::NONE;
        if self.mappings.iter().any(|mapping| !mapping.reasons.is_empty()) {
            phases = phases.and(Phase::FailToProxy);
        }
        if self.mappings.iter().any(|mapping| !mapping.statuses.is_empty()) {
            let body = Phases::of(Phase::ResponseBodyFilter).and(Phase::ResponseTrailerFilter);
            phases = phases.union(body).and(Phase::ResponseFilter);
        }
        phases
    }

    fn fail_to_proxy(&self, cx: &mut ErrorCx<'_>, _ctx: &mut ErrorsCtx) -> Option<Response> {
        let mapping = self.mappings.iter().find(|mapping| mapping.reasons.contains(&cx.error.reason))?;
        let own = StatusCode::from_u16(cx.error.reason.status()).ok();
        let status = mapping.to.status.or(own).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Response::new(status);
        if let Some(seconds) = cx.error.retry_after_seconds() {
            answer = answer.with_field(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let vars = Vars::of_error(cx, status.as_u16());
        if let Some(body) = &mapping.to.body {
            answer = answer.with_body(body.content_type.clone(), body.bytes(&vars));
        }
        let mut answering = Answering { head: &mut answer.header, vars };
        mapping.to.headers.iter().for_each(|field| set(&mut answering, field));
        Some(answer)
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, ctx: &mut ErrorsCtx) -> Result<(), ProxyError> {
        let found = cx.response.status;
        let of_upstream = cx.source == Source::Upstream;
        let mapping = self.mappings.iter().find(|mapping| of_upstream && mapping.names(found));
        if let Some(mapping) = mapping {
            cx.notes.annotate("upstream_status", found.as_str());
            *ctx = map_answer(&mapping.to, cx);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        ctx: &mut ErrorsCtx,
    ) -> Result<(), ProxyError> {
        match std::mem::replace(ctx, ErrorsCtx::Replaced) {
            ErrorsCtx::Pass => *ctx = ErrorsCtx::Pass,
            ErrorsCtx::Replace(body) => *chunk = (!body.is_empty()).then_some(body),
            ErrorsCtx::Replaced => *chunk = None,
        }
        Ok(())
    }

    fn response_trailer_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        trailers: &mut HeaderMap,
        ctx: &mut ErrorsCtx,
    ) -> Result<(), ProxyError> {
        if !matches!(ctx, ErrorsCtx::Pass) {
            trailers.clear();
        }
        Ok(())
    }
}

/// Rewrites the head of an upstream's answer, and says what becomes of its body.
fn map_answer(to: &Answer, cx: &mut ResponseCx<'_>) -> ErrorsCtx {
    let status = to.status.unwrap_or(cx.response.status);
    let failure = Some(Failure { status: status.as_u16(), ..Failure::default() });
    let vars = Vars { request: cx.request, facts: cx.facts, notes: cx.notes, failure };
    let head = &mut *cx.response;
    if status != head.status {
        // A typed status is always taken, and the upstream's own phrase goes with its status.
        drop(head.set_status(status));
        drop(head.set_reason_phrase(None));
    }
    let mut of_body = ErrorsCtx::Pass;
    if is_bodiless(status) {
        remove_body_fields(head);
        of_body = ErrorsCtx::Replaced;
    } else if let Some(body) = &to.body {
        // Content-Length is the proxy's: another filter may change the body that follows.
        remove_body_fields(head);
        head.insert(&header::CONTENT_TYPE, body.content_type.clone());
        let head_only = cx.request.method == Method::HEAD;
        of_body = if head_only { ErrorsCtx::Replaced } else { ErrorsCtx::Replace(body.bytes(&vars)) };
    }
    let mut answering = Answering { head, vars };
    to.headers.iter().for_each(|field| set(&mut answering, field));
    of_body
}

impl Mapping {
    /// Whether it maps an upstream's answer of a status.
    fn names(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| range.contains(status))
    }
}

impl ConfiguredFilter for Errors {
    const NAME: &'static str = "errors";

    type Config = ErrorsConfig;

    fn build(config: ErrorsConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { mappings: config.map.into() })
    }
}
