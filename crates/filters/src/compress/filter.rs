//! Decides on the head whether and how an answer is compressed, then encodes its chunks as they pass.
//!
//! Invariants: what is sent decodes to what the upstream sent; nothing is held back that a live stream needs: an
//! answer without a Content-Length, server-sent events above all, is flushed with each chunk.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora_http::ResponseHeader;
use portcullis_filter::cx::Chunk;
use portcullis_filter::{BodyCx, BuildCx, ConfiguredFilter, Filter, Phase, Phases, ResponseCx, Source};
use portcullis_types::{ProxyError, Reason};

use super::config::CompressConfig;
use super::encoder::{Coding, Encoder};
use super::negotiate::negotiate;
use crate::fields::{Head, add_vary, members, remove_digests};

/// The `compress` filter.
pub struct Compress {
    config: CompressConfig,
}

/// What is known of one answer.
#[derive(Default)]
pub struct CompressCtx {
    encoder: Option<Encoder>,
    /// Each chunk must be decodable at once.
    flush: bool,
}

impl Filter for Compress {
    type Ctx = CompressCtx;

    fn phases(&self) -> Phases {
        Phases::of(Phase::ResponseFilter).and(Phase::ResponseBodyFilter)
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, ctx: &mut CompressCtx) -> Result<(), ProxyError> {
        if !self.compressible(cx.response, cx.source) {
            return Ok(());
        }
        add_vary(cx.response, "accept-encoding");
        if !carries_whole_body(&cx.request.method, cx.response.status) {
            return Ok(());
        }
        let Some(coding) = negotiate(&cx.request.headers, self.config.algorithms.as_slice()) else { return Ok(()) };
        ctx.encoder = Some(Encoder::new(coding, self.config.level).map_err(failed)?);
        ctx.flush = !cx.response.headers.contains_key(header::CONTENT_LENGTH) || is_event_stream(&cx.response.headers);
        rewrite(cx.response, coding);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        end: bool,
        ctx: &mut CompressCtx,
    ) -> Result<(), ProxyError> {
        let Some(mut encoder) = ctx.encoder.take() else { return Ok(()) };
        let plain = chunk.take().unwrap_or_default();
        let mut encoded = Bytes::new();
        if !plain.is_empty() {
            encoded = encoder.chunk(&plain, ctx.flush && !end).map_err(failed)?;
        }
        if end {
            let rest = encoder.finish().map_err(failed)?;
            encoded = if encoded.is_empty() { rest } else { [encoded, rest].concat().into() };
        } else {
            ctx.encoder = Some(encoder);
        }
        *chunk = (!encoded.is_empty()).then_some(encoded);
        Ok(())
    }
}

impl Compress {
    /// Whether the answer is one that some client would get compressed: its fields depend on Accept-Encoding then.
    /// An answer of the gateway's own is no stream: while its length is not known, it may be too small to be worth it.
    fn compressible(&self, response: &ResponseHeader, source: Source) -> bool {
        let headers = &response.headers;
        let encoded =
            members(headers, &header::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("identity"));
        let fixed = members(headers, &header::CACHE_CONTROL).any(|it| it.eq_ignore_ascii_case("no-transform"));
        let small = match content_length(headers) {
            Some(length) => length < self.config.min_size.0,
            None => source == Source::Gateway,
        };
        let of_type = text(headers, &header::CONTENT_TYPE).is_some_and(|it| self.config.types.name(it));
        of_type && !encoded && !fixed && !small && !headers.contains_key(header::CONTENT_RANGE)
    }
}

/// Whether a whole body follows the head.
fn carries_whole_body(method: &Method, status: StatusCode) -> bool {
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    *method != Method::HEAD && !bodiless && status != StatusCode::PARTIAL_CONTENT
}

/// The head of the encoded representation.
fn rewrite(response: &mut ResponseHeader, coding: Coding) {
    response.insert(&header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    response.remove(&header::CONTENT_LENGTH);
    response.remove(&header::ACCEPT_RANGES);
    remove_digests(response);
    // The bytes are others than those the validator was made for: RFC 9110 section 8.8.1.
    let strong = response.headers.get(header::ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""));
    let weak = strong.and_then(|etag| HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        response.insert(&header::ETAG, weak);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &header::CONTENT_LENGTH).and_then(|value| value.trim().parse().ok())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let essence = text(headers, &header::CONTENT_TYPE).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn failed(error: std::io::Error) -> ProxyError {
    ProxyError::with_detail(Reason::FilterFailed, format!("compress: {error}"))
}

impl ConfiguredFilter for Compress {
    const NAME: &'static str = "compress";

    type Config = CompressConfig;

    fn build(config: CompressConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { config })
    }
}
