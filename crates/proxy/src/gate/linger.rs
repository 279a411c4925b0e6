//! Closing politely: the answer is sent, our side is shut, and what the client still sends is read and thrown away for
//! a bounded time. Closing with unread bytes would make the kernel send a reset, which can destroy the answer before
//! the client has read it (RFC 9112 section 9.6).

use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

use super::conn::Conn;
use super::transport::Transport;

/// How long a closed connection is read on.
const LINGER: Duration = Duration::from_secs(1);

/// How much is read and thrown away at most.
const MAX_BYTES: usize = 1024 * 1024;

/// Closes a connection in a task of its own.
pub(crate) fn spawn(transport: BufWriter<Transport>, conn: &Arc<Conn>) {
    let held = conn.clone();
    conn.gateway.tasks.spawn(async move {
        close(transport).await;
        // The connection counts against its caps until it is really gone.
        drop(held);
    });
}

/// Closes a connection.
async fn close(mut transport: BufWriter<Transport>) {
    let reading = async {
        transport.get_mut().cork();
        transport.shutdown().await?;
        let mut scratch = [0u8; 4096];
        let mut left = MAX_BYTES;
        loop {
            let read = transport.read(&mut scratch).await?;
            if read == 0 || read > left {
                return std::io::Result::Ok(());
            }
            left -= read;
        }
    };
    // Whatever goes wrong, the connection is closed when this returns.
    drop(tokio::time::timeout(LINGER, reading).await);
}
