//! One real request, before anybody else's: it goes through the gate, the phases and back, over a connection on the
//! loopback interface that no other process can take.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use portcullis_snapshot::{Listener, ListenerKind};

use super::Gateway;
use crate::gate::accept::Acceptor;

/// What is asked: about the server as a whole, which the gateway answers itself (RFC 9110 section 9.3.7).
const REQUEST: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: portcullis.invalid\r\nConnection: close\r\n\r\n";
/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Gateway {
    /// Asks a plain HTTP listener for an answer, before or after it accepts. The status line is given; `None` when there is
    /// no listener that could be asked: with TLS, behind a PROXY protocol, or with a handler of its own.
    ///
    /// # Errors
    /// A sentence: what came in place of an answer.
    pub async fn prove(self: &Arc<Self>) -> Result<Option<String>, String> {
        let askable = |listener: &Listener| {
            let http1 = matches!(listener.kind, ListenerKind::Http { http1: true, .. });
            http1 && listener.tls.is_none() && listener.proxy_protocol.is_none()
        };
        let Some(current) = self.listeners.find(askable) else { return Ok(None) };
        let name = current.load().listener.name.clone();
        let asked = async {
            let private = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let local = private.local_addr()?;
            let mut client = TcpStream::connect(local).await?;
            let (served, peer) = accept_from(&private, client.local_addr()?).await?;
            let acceptor = Acceptor { gateway: self.clone(), current, local, stop: CancellationToken::new() };
            acceptor.admit(served, peer);
            client.write_all(REQUEST).await?;
            let mut answer = Vec::new();
            client.take(4096).read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(format!("listener {name}: the first request failed: {error}")),
            Err(_) => {
                return Err(format!("listener {name}: no answer to the first request in {}s", PATIENCE.as_secs()));
            }
        };
        let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        if line.starts_with("HTTP/1.") {
            Ok(Some(line))
        } else {
            Err(format!("listener {name}: the first request was answered with `{}`", line.escape_debug()))
        }
    }
}

/// The connection from one address; others that come meanwhile are closed.
async fn accept_from(private: &TcpListener, from: SocketAddr) -> std::io::Result<(TcpStream, SocketAddr)> {
    loop {
        let (served, peer) = private.accept().await?;
        if peer == from {
            return Ok((served, peer));
        }
    }
}
