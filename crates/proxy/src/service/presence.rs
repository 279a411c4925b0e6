//! Whether the client is still there while the gateway waits for something on its behalf.

use pingora_proxy::Session;

use portcullis_types::{ProxyError, Reason};

use crate::gate::conn::CONN;

/// What the wait ends with, unless the client leaves before.
pub(super) async fn while_there<T>(session: &mut Session, wait: impl Future<Output = T>) -> Result<T, ProxyError> {
    tokio::select! {
        biased;
        done = wait => Ok(done),
        () = gone(session) => Err(Reason::ClientClosed.into()),
    }
}

/// Resolves when the client has left. Of one that has not sent its whole request it cannot be told without reading, nor
/// of one that may shut down its sending side and wait.
async fn gone(session: &mut Session) {
    let half_close = CONN.try_with(|conn| conn.listener.half_close).unwrap_or(true);
    if (half_close && !session.is_http2()) || !session.as_mut().is_body_done() {
        return std::future::pending().await;
    }
    loop {
        if session.as_mut().read_body_or_idle(true).await.is_err() {
            return;
        }
    }
}
