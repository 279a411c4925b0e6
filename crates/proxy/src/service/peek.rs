//! Reads a body before the route is chosen, for body matchers. Pingora's retry buffer holds it and replays it to the
//! upstream, which is why it is bounded by that buffer.

use bytes::BytesMut;
use pingora_proxy::Session;
use std::sync::Arc;
use std::time::Duration;

use portcullis_filter::seam::{BodyPeek, PEEK_LIMIT};
use portcullis_types::{BodyView, ProxyError, Reason};

use crate::gate::conn::CONN;

/// How long a part of a body may take where no listener says.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// What the body says; `None` when the reader does not know its form.
pub(super) async fn read(
    session: &mut Session,
    reader: &dyn BodyPeek,
) -> Result<Option<Arc<dyn BodyView>>, ProxyError> {
    session.enable_retry_buffering();
    let mut body = BytesMut::new();
    loop {
        let patience = CONN.try_with(|conn| conn.limits().body_timeout).unwrap_or(DEFAULT_PATIENCE);
        let chunk = tokio::time::timeout(patience, session.read_request_body()).await;
        let chunk = chunk.map_err(|_| ProxyError::new(Reason::BodyTimeout))?.map_err(|_| {
            let fault = CONN.try_with(|conn| conn.take_fault()).ok().flatten();
            fault.unwrap_or_else(|| ProxyError::with_detail(Reason::ClientClosed, "in the middle of a body"))
        })?;
        let Some(chunk) = chunk else { break };
        body.extend_from_slice(&chunk);
        if body.len() > PEEK_LIMIT {
            let detail = format!("over {PEEK_LIMIT} bytes on a route that looks into the body");
            return Err(ProxyError::with_detail(Reason::BodyTooLarge, detail));
        }
    }
    Ok(reader.peek(&session.req_header().headers, &body.freeze()))
}
