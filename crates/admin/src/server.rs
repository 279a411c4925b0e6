//! The admin listener: HTTP/1.1 on one address, with bounds on connections and heads.
//!
//! Bound first, served later, so that a port in use is known before anything changes.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::AdminState;
use crate::router::router;

/// Connections at once; those beyond wait in the operating system's queue.
const CONNECTIONS: usize = 64;
/// For a whole request head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request head.
const HEAD_BYTES: usize = 64 * 1024;
/// How long accepting pauses when the process has no descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// The admin listener cannot bind.
#[derive(Debug, thiserror::Error)]
#[error("admin: cannot bind {address}: {error}")]
pub struct AdminBindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// An address that is bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
}

/// An admin listener that serves. Dropping it stops accepting; connections end with their requests.
#[derive(Debug)]
pub struct AdminServer {
    local: SocketAddr,
    listener: Arc<TcpListener>,
    stop: CancellationToken,
    accepting: TaskTracker,
    connections: TaskTracker,
}

impl Bound {
    /// Binds an address. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the address is in use or not this machine's.
    pub fn bind(address: SocketAddr) -> Result<Self, AdminBindError> {
        let failed = |error| AdminBindError { address, error };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        Self::adopt(address, listener)
    }

    /// Takes a socket that was open before this process began, for the address of the config. Must be called inside a Tokio
    /// runtime.
    ///
    /// # Errors
    /// It is no listening socket.
    pub fn adopt(address: SocketAddr, listener: std::net::TcpListener) -> Result<Self, AdminBindError> {
        let failed = |error| AdminBindError { address, error };
        listener.set_nonblocking(true).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        Ok(Self { listener, local })
    }

    /// Serves the API on it.
    #[must_use]
    pub fn serve(self, state: Arc<AdminState>) -> AdminServer {
        let (listener, stop) = (Arc::new(self.listener), CancellationToken::new());
        let (accepting, connections) = (TaskTracker::new(), TaskTracker::new());
        accepting.spawn(accept(listener.clone(), router(state), stop.clone(), connections.clone()));
        AdminServer { local: self.local, listener, stop, accepting, connections }
    }
}

impl AdminServer {
    /// Where it accepts: what port 0 became.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The socket, for another process.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Stops accepting; once it resolves, this process takes no connection of the socket any more. Requests that are served
    /// get their answers.
    pub async fn stop_accepting(&self) {
        self.stop.cancel();
        self.accepting.close();
        self.accepting.wait().await;
    }

    /// Stops accepting, and waits until the requests that are served have their answers, as long as that may take.
    pub async fn close(self, within: Duration) {
        self.stop.cancel();
        self.connections.close();
        if tokio::time::timeout(within, self.connections.wait()).await.is_err() {
            log::warn!("admin: {} cut off", self.connections.len());
        }
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: Arc<TcpListener>, router: Router, stop: CancellationToken, connections: TaskTracker) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
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
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    serve(tcp, router, stop).await;
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

/// One connection, to its end or to the end of the request that is served when the listener stops.
async fn serve(tcp: TcpStream, router: Router, stop: CancellationToken) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
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
