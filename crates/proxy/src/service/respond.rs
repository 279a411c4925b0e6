//! Answers that no upstream gives now, the gateway's own and those out of a cache, through the same response filters.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, EXPECT, SERVER};
use http::{HeaderValue, Method, StatusCode};
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession as HttpSession;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use portcullis_filter::{Response, Source};

use super::context::Ctx;
use super::response;

/// A 100 that passes must not end keep-alive, and an answer before the body must: Pingora decides by this flag at each
/// head it writes, so it is off only while a 1xx may come.
pub(super) fn expect(session: &mut Session) {
    if session.req_header().headers.contains_key(EXPECT) {
        session.set_close_on_response_before_downstream_finish(false);
    }
}

/// The final head is about to be written: what it says of the connection's end is decided now. See [`expect`]; and in a
/// drain, the answer to a request that was in flight is its connection's last.
pub(super) fn settle(session: &mut Session, response: &ResponseHeader, ctx: &Ctx) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        // The deadline of a request's body is not one of a stream: the upstream's idle timeout bounds both directions.
        session.set_read_timeout(None);
    }
    if response.status.is_informational() {
        return;
    }
    if session.req_header().headers.contains_key(EXPECT) {
        session.set_close_on_response_before_downstream_finish(true);
    }
    if *ctx.core.drain.borrow() {
        session.set_keepalive(None);
    }
}

/// Sends an answer; filters see its head and its body, and whose it is: what a cache kept is the upstream's.
pub(super) async fn send(session: &mut Session, ctx: &mut Ctx, (answer, source): (Response, Source)) -> Result<()> {
    let Response { mut header, body } = answer;
    // Filters see the length of what they would change, as they do on an upstream's answer.
    header.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    let filtered = response::filters(session.req_header(), &mut header, ctx, source).await;
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
    settle(session, &header, ctx);
    let silent = bodiless || body.is_empty() || session.req_header().method == Method::HEAD;
    if let (true, HttpSession::H2(stream)) = (silent, session.as_mut()) {
        // Pingora's own call would leave the stream open, and an answer of gRPC in trailers alone must end it.
        return stream.write_response_header(Box::new(header), true);
    }
    session.write_response_header(Box::new(header), silent).await?;
    write_body(session, body, silent).await
}

async fn write_body(session: &mut Session, body: Bytes, silent: bool) -> Result<()> {
    if silent {
        return Ok(());
    }
    session.write_response_body(Some(body), true).await
}
