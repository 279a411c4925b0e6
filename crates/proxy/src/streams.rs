//! The long streams that are open: WebSockets and event streams, each with its endpoint, and those that the gateway ends
//! by itself.
//!
//! A stream outlives reloads. It ends by itself, or when it must: when the gateway drains, or when its endpoint has left
//! its cluster or has weight 0. Such ends are spread over a time, so that not all clients come back at once. And it ends
//! when its guards say that it may not go on: they are asked once a round, all by one task, and hear of bytes that pass.
//! Who then does not end by itself within some rounds, since no close frame may stand or nobody reads, is cut.

use parking_lot::Mutex;
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use portcullis_balance::Endpoint;
use portcullis_filter::seam::{EndStream, StreamGuards};
use portcullis_snapshot::Snapshot;
use portcullis_types::{ClusterName, ProxyError, Reason};

use crate::core::Core;

/// How often every open stream's guards are asked.
const ROUND: Duration = Duration::from_secs(1);
/// How many streams are asked before others may use the list.
const SLICE: usize = 1024;
/// Rounds in which a tunnel that may not go on ends by itself; in the next one it is cut.
const GRACE: u8 = 3;
/// The same for a stream that a handler ends, which may have a goodbye to say.
const OWN_GRACE: u8 = 8;

/// All open streams of a gateway, in the order in which they came.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<BTreeMap<u64, Stream>>,
    next: AtomicU64,
}

struct Stream {
    /// Where it goes; one that the gateway ends by itself sees to its upstreams itself.
    to: Option<(ClusterName, Arc<Endpoint>)>,
    end: EndStream,
    leaving: bool,
    guards: Option<Arc<StreamGuards>>,
    /// Rounds in which its guards have said that it may not go on.
    overdue: u8,
}

/// An open stream, until it is dropped.
pub(crate) struct Open {
    streams: Weak<Streams>,
    id: u64,
    end: EndStream,
    guards: Option<Arc<StreamGuards>>,
}

impl Open {
    /// Why the stream is to end, if it is.
    pub(crate) fn told(&self) -> Option<ProxyError> {
        self.end.why()
    }

    /// The gateway drains: the stream is to end, and at once.
    pub(crate) fn drain(&self) {
        self.end.tell(drained());
    }

    /// So many bytes pass in a tunnel: its guards may end it.
    pub(crate) fn passes(&self, bytes: u64) {
        if let Some(Err(why)) = self.guards.as_ref().map(|guards| guards.passes(bytes)) {
            self.end.tell(why);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(streams) = self.streams.upgrade() {
            streams.open.lock().remove(&self.id);
        }
    }
}

/// What a stream is told when the gateway, its generation or its endpoint goes.
fn drained() -> ProxyError {
    ProxyError::with_detail(Reason::Draining, "stream_drained")
}

impl Streams {
    /// Counts a stream in; `end` is told when it is to end.
    pub(crate) fn open(
        self: &Arc<Self>,
        to: (ClusterName, Arc<Endpoint>),
        end: EndStream,
        guards: Option<Arc<StreamGuards>>,
    ) -> Open {
        self.list(Some(to), end, guards)
    }

    /// Counts in a stream that a handler ends.
    pub(crate) fn open_own(self: &Arc<Self>, end: EndStream, guards: Option<Arc<StreamGuards>>) -> Open {
        self.list(None, end, guards)
    }

    fn list(
        self: &Arc<Self>,
        to: Option<(ClusterName, Arc<Endpoint>)>,
        end: EndStream,
        guards: Option<Arc<StreamGuards>>,
    ) -> Open {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let stream = Stream { to, end: end.clone(), leaving: false, guards: guards.clone(), overdue: 0 };
        self.open.lock().insert(id, stream);
        Open { streams: Arc::downgrade(self), id, end, guards }
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
        portcullis_mutants::when!(ReloadCutsWebsockets => for stream in self.open.lock().values() {
            stream.end.tell(drained());
            stream.end.cut();
        });
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
                    tokio::time::sleep(spread.mul_f64(part)).await;
                    end.tell(drained());
                });
            }
        }
    }

    /// Asks the guards of every stream once; who may not go on is told to end, and cut when it does not.
    async fn round(&self) {
        let mut from = Some(0);
        while let Some(first) = from {
            let (asked, next) = self.slice(first);
            for (id, end, guards) in asked {
                if let Err(why) = guards.may_go_on() {
                    end.tell(why);
                    self.overdue(id, &end);
                }
            }
            from = next;
            tokio::task::yield_now().await;
        }
    }

    /// The guarded ones among the streams from that one on, and where the next slice begins.
    fn slice(&self, first: u64) -> (Vec<Guarded>, Option<u64>) {
        let open = self.open.lock();
        let mut last = None;
        let slice = open.range(first..).take(SLICE).inspect(|(id, _)| last = Some(**id));
        let guarded =
            slice.filter_map(|(id, stream)| Some((*id, stream.end.clone(), stream.guards.clone()?))).collect();
        (guarded, last.map(|last| last + 1))
    }

    fn overdue(&self, id: u64, end: &EndStream) {
        let mut open = self.open.lock();
        let Some(stream) = open.get_mut(&id) else { return };
        stream.overdue = stream.overdue.saturating_add(1);
        let grace = if stream.to.is_some() { GRACE } else { OWN_GRACE };
        if stream.overdue > grace {
            end.cut();
        }
    }
}

/// A stream that is judged: its number, how it is ended, and by whom it is judged.
type Guarded = (u64, EndStream, Arc<StreamGuards>);

/// Has every stream judged once a round, as long as the gateway lives.
pub(crate) async fn watch(core: Weak<Core>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(core) = core.upgrade() else { return };
        core.streams.round().await;
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
