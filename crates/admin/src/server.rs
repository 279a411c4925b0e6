//! The admin listeners: HTTP/1.1 on an address, with TLS where the config says so, and on a Unix socket; with bounds on
//! connections and heads.
//!
//! Bound first, served later, so that a port in use is known before anything changes.

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use portcullis_snapshot::settings::{Admin, AdminTls, SocketMode};
use portcullis_types::Seldom;

use crate::actor::{Handshake, Peer};
use crate::control::AdminState;
use crate::overrides::Overrides;
use crate::router::router;
use crate::socket::SocketFile;

/// Connections at once, of the address and of the socket each; those beyond wait in the operating system's queue.
const CONNECTIONS: usize = 64;
/// For a whole request head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request head.
const HEAD_BYTES: usize = 64 * 1024;
/// How long accepting pauses when the process has no descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How often the log says so while it lasts.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The admin listener cannot bind.
#[derive(Debug, thiserror::Error)]
#[error("admin: cannot bind {place}: {error}")]
pub struct AdminBindError {
    /// The address, or the path of the socket.
    pub place: String,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// An address that accepts, or will; where the config says it is, which may have port 0.
struct Tcp<S> {
    wanted: SocketAddr,
    local: SocketAddr,
    serves: S,
}

/// A socket that accepts, or will. It is removed with this, where it is still ours.
struct Unix<S> {
    path: PathBuf,
    file: SocketFile,
    serves: S,
}

/// Stops accepting when it is dropped; connections end with their requests.
struct Serving {
    stop: CancellationToken,
    accepting: TaskTracker,
    connections: TaskTracker,
}

impl Serving {
    /// Stops accepting; once it resolves, no connection is taken any more. Requests that are served get their answers.
    async fn stop_accepting(&self) {
        self.stop.cancel();
        self.accepting.close();
        self.accepting.wait().await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What another process had open, or still has.
#[derive(Debug, Default)]
pub struct Before {
    /// The listening socket for the address of the config.
    pub tcp: Option<std::net::TcpListener>,
    /// The path of the Unix socket at which that process accepts until this one takes its place.
    pub unix: Option<PathBuf>,
}

/// What a config's listeners need that do not serve yet: bound, for those that are new.
#[derive(Default)]
pub struct Prepared {
    /// `None` for no change.
    tcp: Option<Option<Tcp<TcpListener>>>,
    unix: Option<Option<Unix<UnixListener>>>,
    mode: SocketMode,
}

impl Prepared {
    /// Binds all that a config says. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When an address is in use or not this machine's, or a socket cannot be made.
    pub fn new(settings: Option<&Admin>, before: Before) -> Result<Self, AdminBindError> {
        Self::beside(settings, (None, None), before)
    }

    /// Binds what is not open already: an address, a socket.
    fn beside(
        settings: Option<&Admin>,
        open: (Option<SocketAddr>, Option<&Path>),
        before: Before,
    ) -> Result<Self, AdminBindError> {
        let address = settings.and_then(|admin| admin.bind);
        let socket = settings.and_then(|admin| admin.socket.as_ref());
        let mode = socket.map(|socket| socket.mode).unwrap_or_default();
        let new = open.0 != address || address.is_none();
        let tcp = new.then(|| address.map(|address| bind(address, before.tcp)).transpose()).transpose()?;
        let path = socket.map(|socket| socket.path.as_path());
        let make = |path: &Path| {
            let failed = |error| AdminBindError { place: path.display().to_string(), error };
            let beside = before.unix.as_deref() == Some(path);
            let made = if beside { SocketFile::beside(path, mode) } else { SocketFile::bind(path, mode) };
            let (file, serves) = made.map_err(failed)?;
            Ok(Unix { path: path.to_owned(), file, serves })
        };
        let unix = (open.1 != path || path.is_none()).then(|| path.map(make).transpose()).transpose()?;
        Ok(Self { tcp, unix, mode })
    }
}

/// Binds an address, or takes the socket that is open for it.
fn bind(wanted: SocketAddr, open: Option<std::net::TcpListener>) -> Result<Tcp<TcpListener>, AdminBindError> {
    let failed = |error| AdminBindError { place: wanted.to_string(), error };
    let listener = open.map_or_else(|| std::net::TcpListener::bind(wanted), Ok).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok(Tcp { wanted, local, serves: TcpListener::from_std(listener).map_err(failed)? })
}

/// The admin listeners as they are now; a reload may move them.
pub struct AdminListeners {
    state: Arc<AdminState>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    tcp: Option<Tcp<(Arc<TcpListener>, Serving)>>,
    unix: Option<Unix<Serving>>,
}

impl AdminListeners {
    /// None so far.
    #[must_use]
    pub fn new(state: Arc<AdminState>) -> Self {
        Self { state, open: Mutex::default() }
    }

    /// Binds what a config says and what is not open already. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn prepare(&self, settings: Option<&Admin>) -> Result<Prepared, AdminBindError> {
        let open = self.open.lock();
        let tcp = open.tcp.as_ref().map(|tcp| tcp.wanted);
        let unix = open.unix.as_ref().map(|unix| unix.path.as_path());
        Prepared::beside(settings, (tcp, unix), Before::default())
    }

    /// Serves what was bound, and stops what served before in its place.
    pub fn commit(&self, prepared: Prepared) {
        let Prepared { tcp, unix, mode } = prepared;
        let mut open = self.open.lock();
        if let Some(tcp) = tcp {
            open.tcp = tcp.map(|Tcp { wanted, local, serves }| {
                let listener = Arc::new(serves);
                let serving = self.serve(Door::Tcp(Arc::clone(&listener)));
                Tcp { wanted, local, serves: (listener, serving) }
            });
        }
        match (unix, &open.unix) {
            (Some(unix), _) => {
                open.unix = unix.map(|Unix { path, mut file, serves }| {
                    if let Err(error) = file.take_place() {
                        log::error!("admin: the socket {} cannot be put in its place: {error}", path.display());
                    }
                    let serving = self.serve(Door::Unix(serves));
                    Unix { path, file, serves: serving }
                });
            }
            (None, Some(unix)) => {
                if let Err(error) = unix.file.set_mode(mode) {
                    log::warn!("admin: the mode of {} cannot be changed: {error}", unix.path.display());
                }
            }
            (None, None) => {}
        }
    }

    fn serve(&self, door: Door) -> Serving {
        let (stop, accepting, connections) = (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        accepting.spawn(accept(door, self.state.clone(), stop.clone(), connections.clone()));
        Serving { stop, accepting, connections }
    }

    /// Stops accepting, and removes the Unix socket, unless another process has put its own in the place; what is given can
    /// be served again. Requests that are served get their answers.
    pub async fn retire(&self) -> Retired {
        let Open { tcp, unix } = std::mem::take(&mut *self.open.lock());
        let (mut socket, mut serving) = (None, Vec::new());
        if let Some(Tcp { wanted, serves: (listener, tcp), .. }) = tcp {
            let given = listener.as_fd().try_clone_to_owned();
            let given = given.inspect_err(|error| log::error!("admin: the socket cannot be kept: {error}"));
            socket = given.ok().map(|given| (wanted, given));
            serving.push(tcp);
        }
        serving.extend(unix.map(|unix| unix.serves));
        for one in &serving {
            one.stop_accepting().await;
        }
        Retired { socket, serving }
    }

    /// Serves again after [`AdminListeners::retire`], as the config says that serves, with the socket that was kept. Must be
    /// called inside a Tokio runtime.
    pub fn serve_again(&self, socket: Option<(SocketAddr, OwnedFd)>) {
        let snapshot = self.state.generations.current();
        let settings = snapshot.settings.admin.as_ref();
        let wanted = settings.and_then(|admin| admin.bind);
        let tcp = socket.filter(|(address, _)| wanted == Some(*address)).map(|(_, socket)| socket.into());
        match Prepared::new(settings, Before { tcp, unix: None }) {
            Ok(prepared) => self.commit(prepared),
            Err(error) => log::error!("{error}"),
        }
    }

    /// The socket of the address and that address in the config, for another process.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn tcp_socket(&self) -> io::Result<Option<(SocketAddr, OwnedFd)>> {
        let open = self.open.lock();
        let tcp = open.tcp.as_ref();
        tcp.map(|tcp| Ok((tcp.wanted, tcp.serves.0.as_fd().try_clone_to_owned()?))).transpose()
    }

    /// What operators said for a while.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        &self.state.overrides
    }

    /// Where it accepts: what port 0 became.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.open.lock().tcp.as_ref().map(|tcp| tcp.local)
    }

    /// The path of the Unix socket.
    #[must_use]
    pub fn socket(&self) -> Option<PathBuf> {
        self.open.lock().unix.as_ref().map(|unix| unix.path.clone())
    }
}

/// Admin listeners that do not accept any more.
pub struct Retired {
    socket: Option<(SocketAddr, OwnedFd)>,
    serving: Vec<Serving>,
}

impl Retired {
    /// Waits until the requests that are served have their answers, no longer than `within`; gives what is needed to serve
    /// again.
    pub async fn close(self, within: Duration) -> Option<(SocketAddr, OwnedFd)> {
        let end = tokio::time::Instant::now() + within;
        for one in &self.serving {
            one.connections.close();
            if tokio::time::timeout_at(end, one.connections.wait()).await.is_err() {
                log::warn!("admin: {} cut off", one.connections.len());
            }
        }
        self.socket
    }
}

enum Door {
    Tcp(Arc<TcpListener>),
    Unix(UnixListener),
}

enum Came {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<Came> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, address)| Came::Tcp(stream, address)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Came::Unix(stream)),
        }
    }
}

async fn accept(door: Door, state: Arc<AdminState>, stop: CancellationToken, connections: TaskTracker) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let router = router(state.clone());
    let mut said = Seldom::new(SAID_EVERY);
    loop {
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { return };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok(came) => {
                let (router, state, stop) = (router.clone(), state.clone(), stop.clone());
                connections.spawn(async move {
                    greet(came, router, &state, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                if said.is_due(Instant::now()) {
                    log::warn!(
                        "admin: accept failed: {error}; connections wait, and are tried again 20 times a second"
                    );
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Learns who is at the other end, and serves them.
async fn greet(came: Came, router: Router, state: &AdminState, stop: CancellationToken) {
    match came {
        Came::Unix(stream) => match stream.peer_cred() {
            Ok(peer) => {
                let uid = peer.uid();
                let trusted = uid == 0 || uid == rustix::process::geteuid().as_raw();
                serve(stream, router, Peer::Socket { uid, trusted }, stop).await;
            }
            Err(error) => log::warn!("admin: the system does not say who came to the socket: {error}"),
        },
        Came::Tcp(stream, address) => {
            // As the config is now: a reload changes certificates without a new listener.
            let tls = state.generations.peek().settings.admin.as_ref().and_then(|admin| admin.tls.clone());
            let Some(tls) = tls else { return serve(stream, router, Peer::Tcp { address, tls: None }, stop).await };
            let handshake = TlsAcceptor::from(tls.server.clone()).accept(stream);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => {
                    let tls = Some(said(stream.get_ref().1.peer_certificates(), &tls));
                    serve(stream, router, Peer::Tcp { address, tls }, stop).await;
                }
                Ok(Err(error)) => log::info!("admin: no TLS with {address}: {error}"),
                Err(_) => log::info!("admin: no TLS with {address} in time"),
            }
        }
    }
}

/// What a handshake said of the client. The subject is written as the filter `client_certificate` has it.
fn said(chain: Option<&[tokio_rustls::rustls::pki_types::CertificateDer<'_>]>, tls: &AdminTls) -> Handshake {
    let leaf = chain.and_then(<[_]>::first);
    let parsed = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let subject = parsed.map(|(_, certificate)| certificate.subject().to_string().into());
    Handshake { subject, clients: tls.clients_fingerprint }
}

/// One connection, to its end or to the end of the request that is served when the listener stops.
async fn serve<S>(stream: S, router: Router, peer: Peer, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.layer(Extension(peer))));
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        log::debug!("admin: a connection ended: {error}");
    }
}
