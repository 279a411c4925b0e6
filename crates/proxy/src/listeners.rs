//! Listeners: bound before anything changes, then added, changed and removed as one step.
//!
//! An address that a listener keeps over a reload keeps its socket, its connections and its counts; only what it does
//! with the next connection changes. Sockets are bound in [`Listeners::prepare`], which can fail and then leaves
//! nothing behind; [`Listeners::commit`] cannot fail. A socket that was open before this process began is taken rather
//! than bound. Loops accept only while the gate is open: a process that is not proven yet, or that handed its sockets on,
//! has them and leaves them alone.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Type};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use portcullis_snapshot::Listener;

use crate::gate::accept::{Acceptor, Bound, accept_loop};
use crate::gate::caps::ConnectionCaps;
use crate::gateway::Gateway;
use crate::inherited::Inherited;

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
pub(crate) struct Listeners {
    open: Mutex<Open>,
    /// Whether connections are accepted.
    gate: watch::Sender<bool>,
}

impl Default for Listeners {
    /// None, and the gate is shut.
    fn default() -> Self {
        Self { open: Mutex::default(), gate: watch::Sender::new(false) }
    }
}

/// A listening socket, to be given to another process.
#[derive(Debug)]
pub struct Socket {
    /// The listener's name.
    pub listener: String,
    /// The address of the config.
    pub bind: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
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
    /// Shared with the loop that accepts from it.
    socket: Arc<TcpListener>,
    current: Arc<ArcSwap<Bound>>,
    stop: CancellationToken,
}

/// What a new set of listeners needs, bound and ready.
pub(crate) struct Change {
    listeners: Vec<Arc<Listener>>,
    bound: HashMap<Place, (TcpListener, SocketAddr)>,
}

impl Listeners {
    /// Binds what is neither bound yet nor inherited.
    pub(crate) fn prepare(&self, listeners: &[Arc<Listener>], inherited: &Inherited) -> Result<Change, BindError> {
        let open = self.open.lock();
        let mut bound = HashMap::new();
        for listener in listeners {
            for &address in &listener.bind {
                let place = place(listener, address);
                if open.sockets.contains_key(&place) {
                    continue;
                }
                let socket = match inherited.take(listener.name.as_str(), address) {
                    Some(socket) => adopt(socket, address),
                    None => bind(address),
                };
                let failed = |error| BindError { listener: listener.name.to_string(), address, error };
                bound.insert(place, socket.map_err(failed)?);
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
                    (None, Some(new)) => spawn(new, next, gateway, self.gate.subscribe()),
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

    /// Opens the gate, or shuts it. Sockets stay open: connections wait in their queues for whoever has them.
    pub(crate) fn accept(&self, accept: bool) {
        self.gate.send_replace(accept);
    }

    /// Stops accepting for good. Sockets close when their loops see it.
    pub(crate) fn stop(&self) {
        for (_, socket) in self.open.lock().sockets.drain() {
            socket.stop.cancel();
        }
    }

    /// The sockets, for another process.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub(crate) fn sockets(&self) -> io::Result<Vec<Socket>> {
        let open = self.open.lock();
        let socket = |((bind, _), socket): (&Place, &Socketed)| {
            let listener = socket.current.load().listener.name.to_string();
            Ok(Socket { listener, bind: *bind, socket: socket.socket.as_fd().try_clone_to_owned()? })
        };
        open.sockets.iter().map(socket).collect()
    }

    /// What some listener does with a connection, if there is one that is right for `which`.
    pub(crate) fn find(&self, which: impl Fn(&Listener) -> bool) -> Option<Arc<ArcSwap<Bound>>> {
        let open = self.open.lock();
        open.sockets.values().find(|socket| which(&socket.current.load().listener)).map(|socket| socket.current.clone())
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

fn spawn(
    (socket, local): (TcpListener, SocketAddr),
    first: Arc<Bound>,
    gateway: &Arc<Gateway>,
    gate: watch::Receiver<bool>,
) -> Socketed {
    let stop = CancellationToken::new();
    let current = Arc::new(ArcSwap::new(first));
    let acceptor = Acceptor { gateway: gateway.clone(), current: current.clone(), local, stop: stop.clone() };
    // Connections have it from their listener. One that refuses it serves all the same, if later.
    drop(socket2::SockRef::from(&socket).set_tcp_nodelay(true));
    let socket = Arc::new(socket);
    tokio::spawn(accept_loop(socket.clone(), acceptor, gate));
    Socketed { local, socket, current, stop }
}

/// Takes a socket that was open before. Where it is bound elsewhere than the config says, that is said.
fn adopt(socket: std::net::TcpListener, bind: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?;
    if local != bind && bind.port() != 0 {
        log::warn!("the socket that was passed for {bind} is bound to {local}");
    }
    Ok((TcpListener::from_std(socket)?, local))
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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
