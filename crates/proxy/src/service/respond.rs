//! The gateway's own answers, through the same response filters as an upstream's.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, SERVER};
use http::{HeaderValue, Method, StatusCode};
use pingora_core::Result;
use pingora_proxy::Session;

use portcullis_filter::{Response, Source};

use super::context::Ctx;
use super::response;

/// Sends an answer; filters see its head and its body.
pub(super) async fn send(session: &mut Session, ctx: &mut Ctx, answer: Response) -> Result<()> {
    let Response { mut header, body } = answer;
    // Filters see the length of what they would change, as they do on an upstream's answer.
    header.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    let filtered = response::filters(session.req_header(), &mut header, ctx, Source::Gateway).await;
    filtered.map_err(|error| ctx.fail(error))?;
    let mut chunk = Some(body);
    response::body(session.req_header(), &mut chunk, true, ctx).map_err(|error| ctx.fail(error))?;
    let body = chunk.unwrap_or_default();
    let bodiless = matches!(header.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless {
        drop(header.remove_header(&CONTENT_LENGTH));
    } else {
        header.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    drop(header.remove_header(&SERVER));
    if session.is_http2() {
        header.insert_header(DATE, httpdate::fmt_http_date(std::time::SystemTime::now()))?;
    }
    ctx.record.status = header.status.as_u16();
    let silent = bodiless || body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(header), silent).await?;
    write_body(session, body, silent).await
}

async fn write_body(session: &mut Session, body: Bytes, silent: bool) -> Result<()> {
    if silent {
        return Ok(());
    }
    session.write_response_body(Some(body), true).await
}
