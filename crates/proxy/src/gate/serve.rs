//! One connection from accept to the protocol it speaks: PROXY protocol, caps, TLS, then HTTP/1, HTTP/2 or L4.

use bytes::BytesMut;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

use portcullis_snapshot::{Listener, ListenerKind};
use portcullis_types::{Downstream, ProxyError, Reason, TlsInfo};

use super::caps::ConnectionPermit;
use super::conn::{CONN, Conn};
use super::io::DownstreamIo;
use super::transport::Transport;
use super::{http1, http2, l4, proxy_header, reject, tls};
use crate::gateway::Gateway;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// A connection that has passed TLS.
struct Secured {
    transport: Transport,
    tls: Option<Arc<TlsInfo>>,
    http2: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    tcp: TcpStream,
    socket: Addresses,
    listener: Arc<Listener>,
    gateway: Arc<Gateway>,
    mut permit: ConnectionPermit,
) {
    let mut addresses = socket;
    // What a connection needs for a moment only is boxed: an idle one pays for the size of the largest state.
    let secured = Box::pin(open(tcp, &mut addresses, &listener, &gateway, &mut permit)).await;
    let secured = match secured {
        Ok(secured) => secured,
        Err(error) => return reject::connection(&gateway.core, &listener, addresses, error),
    };
    let downstream = Downstream {
        listener: listener.name.clone(),
        peer: addresses.peer,
        socket_peer: socket.peer,
        local: addresses.local,
        tls: secured.tls,
    };
    let conn = Arc::new(Conn::new(Arc::new(downstream), listener.clone(), gateway.core.clone(), permit));
    let io = Box::new(DownstreamIo::new(secured.transport, conn.clone()));
    let serving = async {
        match &listener.kind {
            ListenerKind::L4(handler) => Box::pin(l4::serve(io, &conn, handler)).await,
            ListenerKind::Http { .. } if secured.http2 => {
                Box::pin(http2::serve(io, &conn, &gateway, BytesMut::new())).await
            }
            ListenerKind::Http { http1, http2 } => {
                let speaks = http1::Speaks { http1: *http1, h2c: *http2 && !is_tls(&conn) };
                http1::serve(io, &conn, &gateway, speaks).await;
            }
        }
    };
    CONN.scope(conn.clone(), serving).await;
    listener.metrics.closed(None);
}

fn is_tls(conn: &Conn) -> bool {
    conn.downstream.tls.is_some()
}

async fn open(
    mut tcp: TcpStream,
    addresses: &mut Addresses,
    listener: &Listener,
    gateway: &Gateway,
    permit: &mut ConnectionPermit,
) -> Result<Secured, ProxyError> {
    let timeout = listener.limits.handshake_timeout;
    if listener.proxy_protocol.as_ref().is_some_and(|proxy| proxy.covers(addresses.peer.ip())) {
        let reading = proxy_header::read(&mut tcp);
        let late = |_| ProxyError::with_detail(Reason::ProxyProtocolInvalid, "no header in time");
        if let Some(named) = tokio::time::timeout(timeout, reading).await.map_err(late)?? {
            *addresses = named;
        }
        permit.enter_network(addresses.peer.ip(), listener.limits.connections_per_network)?;
    }
    let Some(settings) = &listener.tls else {
        return Ok(Secured { transport: Transport::Tcp(tcp), tls: None, http2: false });
    };
    let source = gateway.core.generations.peek().seams.certificates.clone();
    let handshake = tls::handshake(tcp, settings, source);
    let stream = tokio::time::timeout(timeout, handshake)
        .await
        .map_err(|_| ProxyError::new(Reason::TlsHandshakeTimeout))?
        .map_err(|error| ProxyError::with_detail(Reason::TlsHandshakeFailed, error.to_string()))?;
    listener.metrics.handshake();
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let info = tls::describe(&stream, settings.client_auth);
    Ok(Secured { transport: Transport::Tls(Box::new(stream)), tls: Some(Arc::new(info)), http2 })
}
