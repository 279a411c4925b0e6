//! Checks the head at once and the body as it streams; nothing is held back.

use http::HeaderMap;
use portcullis_filter::cx::Chunk;
use portcullis_filter::{BodyCx, BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_types::{ByteSize, ProxyError, Reason};

use super::config::LimitsConfig;

/// The `limits` filter.
pub struct Limits {
    config: LimitsConfig,
}

/// What is known of one request.
#[derive(Default)]
pub struct LimitsCtx {
    /// Body bytes so far.
    received: u64,
}

impl Filter for Limits {
    type Ctx = LimitsCtx;

    fn phases(&self) -> Phases {
        let head = Phases::of(Phase::RequestFilter);
        if self.config.body.is_none() {
            return head;
        }
        head.and(Phase::UpstreamRequestFilter).and(Phase::RequestBodyFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut LimitsCtx) -> Result<Verdict, ProxyError> {
        let LimitsConfig { body, fields, field_bytes, path, query } = self.config;
        let uri = &cx.request.uri;
        let headers = &cx.request.headers;
        within(length(uri.path()), path, Reason::TargetTooLong, "path")?;
        within(uri.query().map_or(0, length), query, Reason::TargetTooLong, "query")?;
        if let Some(most) = fields.filter(|most| headers.len() as u64 > u64::from(most.get())) {
            return Err(ProxyError::with_detail(Reason::HeadTooLarge, format!("more than {most} fields")));
        }
        if field_bytes.is_some() {
            within(size(headers), field_bytes, Reason::HeadTooLarge, "fields")?;
        }
        within(content_length(headers), body, Reason::BodyTooLarge, "body")?;
        Ok(Verdict::Continue)
    }

    /// Another attempt sends the body again from its start.
    async fn upstream_request_filter(&self, _cx: &mut RequestCx<'_>, ctx: &mut LimitsCtx) -> Result<(), ProxyError> {
        ctx.received = 0;
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        ctx: &mut LimitsCtx,
    ) -> Result<(), ProxyError> {
        ctx.received = ctx.received.saturating_add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        within(ctx.received, self.config.body, Reason::BodyTooLarge, "body")
    }
}

fn within(found: u64, most: Option<ByteSize>, reason: Reason, what: &str) -> Result<(), ProxyError> {
    match most {
        Some(most) if found > most.0 => Err(ProxyError::with_detail(reason, format!("the {what} may take {most}"))),
        Some(_) | None => Ok(()),
    }
}

fn length(text: &str) -> u64 {
    text.len() as u64
}

/// Names and values, without what separates them on the wire.
fn size(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}

/// The length a request announces; 0 when it does not. Core has refused one that is no number.
fn content_length(headers: &HeaderMap) -> u64 {
    let value = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    value.map_or(0, |value| value.trim().parse().unwrap_or(u64::MAX))
}

impl ConfiguredFilter for Limits {
    const NAME: &'static str = "limits";

    type Config = LimitsConfig;

    fn build(config: LimitsConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { config })
    }
}
