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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use portcullis_snapshot::settings::{Admin, AdminTls, SocketMode};

use crate::actor::{Handshake, Peer};
use crate::control::AdminState;
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
struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
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
    pub fn new(settings: Option<&Admin>) -> Result<Self, AdminBindError> {
        Self::beside(settings, (None, None))
    }

    /// Binds what is not open already: an address, a socket.
    fn beside(settings: Option<&Admin>, open: (Option<SocketAddr>, Option<&Path>)) -> Result<Self, AdminBindError> {
        let address = settings.and_then(|admin| admin.bind);
        let socket = settings.and_then(|admin| admin.socket.as_ref());
        let mode = socket.map(|socket| socket.mode).unwrap_or_default();
        let tcp = (open.0 != address || address.is_none()).then(|| address.map(bind).transpose()).transpose()?;
        let path = socket.map(|socket| socket.path.as_path());
        let make = |path: &Path| {
            let failed = |error| AdminBindError { place: path.display().to_string(), error };
            let (file, serves) = SocketFile::bind(path, mode).map_err(failed)?;
            Ok(Unix { path: path.to_owned(), file, serves })
        };
        let unix = (open.1 != path || path.is_none()).then(|| path.map(make).transpose()).transpose()?;
        Ok(Self { tcp, unix, mode })
    }
}

fn bind(wanted: SocketAddr) -> Result<Tcp<TcpListener>, AdminBindError> {
    let failed = |error| AdminBindError { place: wanted.to_string(), error };
    let listener = std::net::TcpListener::bind(wanted).map_err(failed)?;
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
    tcp: Option<Tcp<Stop>>,
    unix: Option<Unix<Stop>>,
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
        Prepared::beside(settings, (tcp, open.unix.as_ref().map(|unix| unix.path.as_path())))
    }

    /// Serves what was bound, and stops what served before in its place.
    pub fn commit(&self, prepared: Prepared) {
        let Prepared { tcp, unix, mode } = prepared;
        let mut open = self.open.lock();
        if let Some(tcp) = tcp {
            open.tcp = tcp.map(|Tcp { wanted, local, serves }| {
                let stop = self.serve(Door::Tcp(serves));
                Tcp { wanted, local, serves: stop }
            });
        }
        match (unix, &open.unix) {
            (Some(unix), _) => {
                open.unix = unix.map(|Unix { path, file, serves }| {
                    let stop = self.serve(Door::Unix(serves));
                    Unix { path, file, serves: stop }
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

    fn serve(&self, door: Door) -> Stop {
        let stop = CancellationToken::new();
        tokio::spawn(accept(door, self.state.clone(), stop.clone()));
        Stop(stop)
    }

    /// Stops accepting, and removes the socket.
    pub fn close(&self) {
        *self.open.lock() = Open::default();
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

enum Door {
    Tcp(TcpListener),
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

async fn accept(door: Door, state: Arc<AdminState>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let router = router(state.clone());
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok(came) => {
                let (router, state, stop) = (router.clone(), state.clone(), stop.clone());
                tokio::spawn(async move {
                    greet(came, router, &state, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                log::warn!("admin: accept failed: {error}");
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
