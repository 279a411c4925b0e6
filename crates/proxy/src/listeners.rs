//! Listeners: bound before anything changes, then added, changed and removed as one step.
//!
//! An address that a listener keeps over a reload keeps its socket, its connections and its counts; only what it does
//! with the next connection changes. Sockets are bound in [`Listeners::prepare`], which can fail and then leaves
//! nothing behind; [`Listeners::commit`] cannot fail.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use portcullis_snapshot::Listener;

use crate::gate::accept::{Acceptor, Bound, accept_loop};
use crate::gate::caps::ConnectionCaps;
use crate::gateway::Gateway;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A listener that cannot bind.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener}: cannot bind {address}: {error}")]
pub struct BindError {
    /// Which listener.
    pub listener: String,
    /// Which address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// The listeners that accept now.
#[derive(Default)]
pub(crate) struct Listeners {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sockets: HashMap<Place, Socketed>,
    /// The connections of each listener, by its name.
    caps: HashMap<String, Arc<ConnectionCaps>>,
}

/// An address of the config. Port 0 is a new port for each listener that names it.
type Place = (SocketAddr, Option<String>);

struct Socketed {
    local: SocketAddr,
    current: Arc<ArcSwap<Bound>>,
    stop: CancellationToken,
}

/// What a new set of listeners needs, bound and ready.
pub(crate) struct Change {
    listeners: Vec<Arc<Listener>>,
    bound: HashMap<Place, (TcpListener, SocketAddr)>,
}

impl Listeners {
    /// Binds what is not bound yet.
    pub(crate) fn prepare(&self, listeners: &[Arc<Listener>]) -> Result<Change, BindError> {
        let open = self.open.lock();
        let mut bound = HashMap::new();
        for listener in listeners {
            for &address in &listener.bind {
                let place = place(listener, address);
                if open.sockets.contains_key(&place) {
                    continue;
                }
                let socket =
                    bind(address).map_err(|error| BindError { listener: listener.name.to_string(), address, error })?;
                bound.insert(place, socket);
            }
        }
        Ok(Change { listeners: listeners.to_vec(), bound })
    }

    /// Puts a prepared set in place.
    pub(crate) fn commit(&self, change: Change, gateway: &Arc<Gateway>) {
        let Change { listeners, mut bound } = change;
        let mut open = self.open.lock();
        let mut kept = HashMap::new();
        for listener in &listeners {
            let caps = open.caps.entry(listener.name.to_string()).or_default().clone();
            for &address in &listener.bind {
                let place = place(listener, address);
                let next = Arc::new(Bound { listener: listener.clone(), caps: caps.clone() });
                let socket = match (open.sockets.remove(&place), bound.remove(&place)) {
                    (Some(socket), _) => {
                        socket.current.store(next);
                        socket
                    }
                    (None, Some(new)) => spawn(new, next, gateway),
                    (None, None) => continue,
                };
                kept.insert(place, socket);
            }
        }
        for (_, gone) in std::mem::replace(&mut open.sockets, kept) {
            gone.stop.cancel();
        }
        open.caps.retain(|name, _| listeners.iter().any(|listener| listener.name.as_str() == name));
    }

    /// Stops accepting. Sockets close when their loops see it.
    pub(crate) fn stop(&self) {
        for socket in self.open.lock().sockets.values() {
            socket.stop.cancel();
        }
    }

    /// Where each listener accepts.
    pub(crate) fn addresses(&self) -> Vec<(String, Vec<SocketAddr>)> {
        let open = self.open.lock();
        let mut by_name: HashMap<String, Vec<SocketAddr>> = HashMap::new();
        for socket in open.sockets.values() {
            by_name.entry(socket.current.load().listener.name.to_string()).or_default().push(socket.local);
        }
        let mut list: Vec<_> = by_name.into_iter().collect();
        list.sort();
        list
    }
}

fn place(listener: &Listener, address: SocketAddr) -> Place {
    (address, (address.port() == 0).then(|| listener.name.to_string()))
}

fn spawn((socket, local): (TcpListener, SocketAddr), first: Arc<Bound>, gateway: &Arc<Gateway>) -> Socketed {
    let stop = CancellationToken::new();
    let current = Arc::new(ArcSwap::new(first));
    let acceptor = Acceptor { gateway: gateway.clone(), current: current.clone(), local, stop: stop.clone() };
    tokio::spawn(accept_loop(socket, acceptor));
    Socketed { local, current, stop }
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses; each is bound by its own line of the config.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}
