//! The accept loop of one address of a listener.

use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use portcullis_snapshot::Listener;
use portcullis_telemetry::Held;
use portcullis_types::{Reason, Seldom};

use super::caps::{ConnectionCaps, ConnectionPermit};
use super::{reject, serve};
use crate::gateway::Gateway;

/// How long accepting pauses when the process has no descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How often the log says so while it lasts.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What an accept loop works with. The listener is swapped by a reload while the loop runs.
pub(crate) struct Acceptor {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) current: Arc<ArcSwap<Bound>>,
    pub(crate) local: SocketAddr,
    pub(crate) stop: CancellationToken,
}

/// The listener that owns a socket now, and its open connections.
pub(crate) struct Bound {
    pub(crate) listener: Arc<Listener>,
    pub(crate) caps: Arc<ConnectionCaps>,
}

/// Accepts while the gate is open, until it is told to stop; connections it accepted live on in tasks of their own.
pub(crate) async fn accept_loop(socket: Arc<TcpListener>, acceptor: Acceptor, mut gate: watch::Receiver<bool>) {
    let mut said = Seldom::new(SAID_EVERY);
    loop {
        let open = *gate.borrow_and_update();
        let accepted = tokio::select! {
            biased;
            () = acceptor.stop.cancelled() => return,
            changed = gate.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            accepted = socket.accept(), if open => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => acceptor.admit(tcp, peer),
            Err(error) => wait_out(&acceptor, &error, &mut said).await,
        }
    }
}

/// A connection that died in the queue costs nothing; a lack of descriptors needs a pause, or the loop would spin.
async fn wait_out(acceptor: &Acceptor, error: &io::Error, said: &mut Seldom) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    acceptor.current.load().listener.metrics.accept_failed();
    if said.is_due(Instant::now()) {
        log::warn!("accept failed: {error}; connections wait, and are tried again 20 times a second");
    }
    portcullis_mutants::when!(SpinningAccept => return);
    tokio::time::sleep(EXHAUSTED_PAUSE).await;
}

impl Acceptor {
    /// Serves a connection, or refuses it.
    pub(crate) fn admit(&self, tcp: TcpStream, peer: SocketAddr) {
        let bound = self.current.load_full();
        let listener = bound.listener.clone();
        listener.metrics.accepted();
        portcullis_mutants::when!(LeakedDescriptor => if portcullis_mutants::one_in(50) { portcullis_mutants::leak_descriptor() });
        let permit = self.gateway.core.guard.connection().and_then(|process| bound.permit(peer, process));
        // Bound to one address, connections come to that one.
        let any = self.local.ip().is_unspecified();
        let local = if any { tcp.local_addr().unwrap_or(self.local) } else { self.local };
        let addresses = serve::Addresses { peer, local };
        match permit {
            Ok(permit) => {
                let gateway = self.gateway.clone();
                let serving = serve::serve(tcp, addresses, listener, gateway, permit);
                portcullis_mutants::when!(FatConnection => {
                    self.gateway.core.tasks.spawn(portcullis_mutants::burdened(10 << 10, serving));
                    return;
                });
                self.gateway.core.tasks.spawn(serving);
            }
            Err(reason) => reject::connection(&self.gateway.core, &listener, addresses, reason.into()),
        }
    }
}

impl Bound {
    /// Behind a PROXY protocol the client is not known yet: its network is asked for once it is.
    fn permit(&self, peer: SocketAddr, process: Option<Held>) -> Result<ConnectionPermit, Reason> {
        let listener = &self.listener;
        let mut permit = self.caps.enter(listener.limits.connections, listener.metrics.connections(), process)?;
        let direct = !listener.proxy_protocol.as_ref().is_some_and(|proxy| proxy.covers(peer.ip()));
        if direct {
            permit.enter_network(peer.ip(), listener.limits.connections_per_network)?;
        }
        Ok(permit)
    }
}
