//! A proxy that does harm: it stands between two sides of TCP and delays, slows, resets, half-closes or swallows.
//!
//! It is userland alone, so it needs no right that a test has not. What it does can be changed at any time, for
//! connections that are open too.
//!
//! Invariants: bytes that pass are passed in order and unchanged; the proxy's thread ends with it.

mod pacer;
mod pipe;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::Failure;

/// What is done to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fault {
    /// Every byte arrives so much later, in both directions.
    pub latency: Duration,
    /// Bytes a second in each direction of a connection.
    pub bandwidth: Option<u64>,
    /// What happens to them else.
    pub harm: Harm,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    #[default]
    None,
    /// They are reset when so many bytes of the answer have passed; those that are open too, at once if they have.
    Reset {
        /// Bytes of the server's.
        after: u64,
    },
    /// The server's direction ends when so many of its bytes have passed, and the client's goes on.
    HalfClose {
        /// Bytes of the server's.
        after: u64,
    },
    /// Nothing passes in either direction, and nothing ends.
    BlackHole,
}

/// What has passed.
#[derive(Debug, Default)]
pub struct Passed {
    /// Connections that were accepted.
    pub connections: AtomicU64,
    /// Connections that were reset.
    pub resets: AtomicU64,
    /// Bytes of the clients'.
    pub up: AtomicU64,
    /// Bytes of the servers'.
    pub down: AtomicU64,
}

/// A proxy. It ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    passed: Arc<Passed>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts one before a server, which does no harm yet.
    ///
    /// # Errors
    ///
    /// When there is no port or no thread.
    pub fn start(server: SocketAddr) -> Result<Self, Failure> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (fault, watched) = watch::channel(Fault::default());
        let (stop, stopped) = oneshot::channel();
        let passed = Arc::<Passed>::default();
        let counted = Arc::clone(&passed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("fault".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, server, watched, counted) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, fault, passed, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it accepts.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// What has passed so far.
    #[must_use]
    pub fn passed(&self) -> &Passed {
        &self.passed
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            drop(thread.join());
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    server: SocketAddr,
    fault: watch::Receiver<Fault>,
    passed: Arc<Passed>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors, most likely; somebody may give one back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        passed.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(connection(client, server, fault.clone(), Arc::clone(&passed)));
    }
}

async fn connection(client: TcpStream, server: SocketAddr, mut fault: watch::Receiver<Fault>, passed: Arc<Passed>) {
    // A black hole reaches nobody.
    if fault.wait_for(|fault| fault.harm != Harm::BlackHole).await.is_err() {
        return;
    }
    // The client sees that there is no server as a reset.
    let Ok(upstream) = TcpStream::connect(server).await else { return reset(&client, &passed) };
    let delayed = client.set_nodelay(true).and_then(|()| upstream.set_nodelay(true));
    if delayed.is_err() {
        return;
    }
    if pipe::both(&client, &upstream, &fault, &passed).await == pipe::End::Reset {
        reset(&client, &passed);
        reset(&upstream, &passed);
    }
}

/// Closing a socket that lingers for no time sends a reset.
fn reset(stream: &TcpStream, passed: &Passed) {
    if socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).is_ok() {
        passed.resets.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
