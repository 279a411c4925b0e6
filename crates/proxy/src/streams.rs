//! The long streams that are open: WebSockets and event streams, each with its endpoint, and those that the gateway ends
//! by itself.
//!
//! A stream outlives reloads. It ends by itself, or when it must: when the gateway drains, or when its endpoint has left
//! its cluster or has weight 0. Such ends are spread over a time, so that not all clients come back at once.

use parking_lot::Mutex;
use rand::RngExt as _;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use portcullis_balance::Endpoint;
use portcullis_snapshot::Snapshot;
use portcullis_types::ClusterName;

/// All open streams of a gateway.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<u64, Stream>>,
    next: AtomicU64,
}

struct Stream {
    /// Where it goes; one that the gateway ends by itself sees to its upstreams itself.
    to: Option<(ClusterName, Arc<Endpoint>)>,
    end: End,
    leaving: bool,
}

/// How a stream is told to end.
#[derive(Clone)]
enum End {
    /// The wrapper of its connection ends it.
    Tunnel(CancellationToken),
    /// Its handler does.
    Handler(watch::Sender<bool>),
}

impl End {
    fn now(&self) {
        match self {
            Self::Tunnel(end) => end.cancel(),
            Self::Handler(end) => drop(end.send_replace(true)),
        }
    }

    /// Resolves when the stream has ended, or has been told to.
    async fn over(&self) {
        match self {
            Self::Tunnel(end) => end.cancelled().await,
            Self::Handler(end) => end.closed().await,
        }
    }
}

/// An open stream, until it is dropped.
pub(crate) struct Open {
    streams: Weak<Streams>,
    id: u64,
    end: End,
}

impl Open {
    /// Whether the stream is to end.
    pub(crate) fn is_due(&self) -> bool {
        match &self.end {
            End::Tunnel(end) => end.is_cancelled(),
            End::Handler(end) => *end.borrow(),
        }
    }

    /// The stream is to end, and at once.
    pub(crate) fn end(&self) {
        self.end.now();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(streams) = self.streams.upgrade() {
            streams.open.lock().remove(&self.id);
        }
    }
}

impl Streams {
    /// Counts a stream in; `end` is cancelled when it is to end.
    pub(crate) fn open(
        self: &Arc<Self>,
        cluster: ClusterName,
        endpoint: Arc<Endpoint>,
        end: CancellationToken,
    ) -> Open {
        self.list(Some((cluster, endpoint)), End::Tunnel(end))
    }

    /// Counts in a stream that a handler ends; what is given turns `true` when it is to do so.
    pub(crate) fn open_own(self: &Arc<Self>) -> (Open, watch::Receiver<bool>) {
        let (end, told) = watch::channel(false);
        (self.list(None, End::Handler(end)), told)
    }

    fn list(self: &Arc<Self>, to: Option<(ClusterName, Arc<Endpoint>)>, end: End) -> Open {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().insert(id, Stream { to, end: end.clone(), leaving: false });
        Open { streams: Arc::downgrade(self), id, end }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// Ends all, spread over a time.
    pub(crate) fn end_all(&self, spread: Duration) {
        self.end_those(spread, |_| true);
    }

    /// Ends those whose endpoint takes no requests any more by the word of whoever runs the cluster.
    pub(crate) fn end_left(&self, serving: &[Arc<Snapshot>]) {
        let Some(current) = serving.first() else { return };
        let left = |stream: &Stream| serving.iter().all(|snapshot| has_left(stream, snapshot));
        self.end_those(current.settings.drain_streams, left);
    }

    fn end_those(&self, spread: Duration, which: impl Fn(&Stream) -> bool) {
        let mut open = self.open.lock();
        for stream in open.values_mut().filter(|stream| !stream.leaving) {
            if which(stream) {
                stream.leaving = true;
                let (end, part) = (stream.end.clone(), rand::rng().random::<f64>());
                tokio::spawn(async move {
                    tokio::select! {
                        () = tokio::time::sleep(spread.mul_f64(part)) => end.now(),
                        () = end.over() => {}
                    }
                });
            }
        }
    }
}

fn has_left(stream: &Stream, snapshot: &Snapshot) -> bool {
    let Some((cluster, endpoint)) = &stream.to else { return false };
    let Some(cluster) = snapshot.cluster_named(cluster.as_str()) else { return true };
    let spec = endpoint.spec();
    let members = cluster.fleet.members();
    // Without any endpoint nothing is known: discovery may not have answered yet.
    if members.endpoints.endpoints().is_empty() {
        return false;
    }
    let same = |other: &Arc<Endpoint>| {
        let other = other.spec();
        other.name == spec.name && other.address == spec.address && other.weight > 0
    };
    !members.endpoints.endpoints().iter().any(same)
}
