//! Reads a body before the route is chosen, for body matchers. Pingora's retry buffer holds it and replays it to the
//! upstream, which is why it is bounded by that buffer.

use bytes::BytesMut;
use pingora_proxy::Session;

use portcullis_filter::seam::{BodyPeek, PEEK_LIMIT};
use portcullis_types::{BodyView, ProxyError, Reason};

/// What the body says; `None` when the reader does not know its form.
pub(super) async fn read(session: &mut Session, reader: &dyn BodyPeek) -> Result<Option<Box<dyn BodyView>>, ProxyError> {
    session.enable_retry_buffering();
    let mut body = BytesMut::new();
    loop {
        let chunk = session.read_request_body().await;
        let chunk = chunk.map_err(|_| {
            let fault = crate::gate::conn::CONN.try_with(|conn| conn.take_fault()).ok().flatten();
            fault.unwrap_or_else(|| ProxyError::with_detail(Reason::ClientClosed, "in the middle of a body"))
        })?;
        let Some(chunk) = chunk else { break };
        body.extend_from_slice(&chunk);
        if body.len() > PEEK_LIMIT {
            let detail = format!("over {PEEK_LIMIT} bytes on a route that looks into the body");
            return Err(ProxyError::with_detail(Reason::BodyTooLarge, detail));
        }
    }
    Ok(reader.peek(&session.req_header().headers, &body))
}
