//! Hubs: what clients share of a cluster, whichever route they came by and whichever generation let them in.
//!
//! A hub has a number of lines. A subscription's key says which line it is on, so that the same one is on the same line
//! without anything to be looked up. Hubs live as long as a client or a generation holds them.

use foldhash::fast::FixedState;
use http::uri::PathAndQuery;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use portcullis_filter::seam::Upstreams;
use portcullis_telemetry::metrics::{RpcMetrics, WebsocketMetrics};
use portcullis_types::ClusterName;

use super::line::{self, Command, Dial};
use super::table::{Key, Terms};

/// What tells one hub from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubKey {
    /// The cluster.
    pub cluster: ClusterName,
    /// The path of the handshake.
    pub path: PathAndQuery,
    /// How many lines.
    pub lines: u8,
    /// The largest message of an upstream.
    pub message: usize,
    /// How long things may take.
    pub terms: Terms,
}

/// All hubs of a gateway.
#[derive(Default)]
pub struct Hubs(Mutex<HashMap<HubKey, Weak<Hub>>>);

impl Hubs {
    /// The hub of a key.
    pub fn get(&self, key: HubKey, upstreams: &Arc<dyn Upstreams>, metrics: &RpcMetrics) -> Arc<Hub> {
        let mut hubs = self.0.lock();
        if let Some(hub) = hubs.get(&key).and_then(Weak::upgrade) {
            return hub;
        }
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let hub = Arc::new(Hub::new(&key, Arc::clone(upstreams), metrics.websockets(&key.cluster)));
        hubs.insert(key, Arc::downgrade(&hub));
        hub
    }
}

/// See the module's text.
pub struct Hub {
    dial: Arc<Dial>,
    terms: Terms,
    lines: Box<[Mutex<Option<UnboundedSender<Command>>>]>,
}

impl Hub {
    fn new(key: &HubKey, upstreams: Arc<dyn Upstreams>, metrics: Arc<WebsocketMetrics>) -> Self {
        let HubKey { cluster, path, lines, message, terms } = key.clone();
        let dial = Arc::new(Dial { upstreams, cluster, path, message, metrics });
        Self { dial, terms, lines: (0..lines.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Where its clients and its lines count.
    #[must_use]
    pub fn metrics(&self) -> &Arc<WebsocketMetrics> {
        &self.dial.metrics
    }

    /// The line that a subscription is on.
    #[must_use]
    pub fn line_of(&self, key: &Key) -> u8 {
        self.line_by(FixedState::default().hash_one(key))
    }

    /// The line of a client's other calls, by a number of its.
    #[must_use]
    pub fn line_by(&self, number: u64) -> u8 {
        u8::try_from(number % self.lines.len().max(1) as u64).unwrap_or(0)
    }

    /// Sends a command to a line, which is begun if it is not there. Lines take what comes: what a client may send is
    /// bounded by how many of its requests may wait, and by how many subscriptions it may hold.
    pub fn send(&self, line: u8, mut command: Command) {
        let Some(place) = self.lines.get(usize::from(line)) else { return };
        let mut line = place.lock();
        // One that ended takes nothing; it is begun anew.
        for _ in 0..2 {
            match line.get_or_insert_with(|| self.begin()).send(command) {
                Ok(()) => return,
                Err(unsent) => (command, *line) = (unsent.0, None),
            }
        }
    }

    /// Tells a line that a subscription is over. One that is not there knows it already.
    pub fn unsubscribe(&self, line: u8, number: u64) {
        if let Some(line) = self.lines.get(usize::from(line)).and_then(|place| place.lock().clone()) {
            // A line that ended holds no subscription.
            let _ended = line.send(Command::Unsubscribe(number));
        }
    }

    fn begin(&self) -> UnboundedSender<Command> {
        let (sender, commands) = unbounded_channel();
        tokio::spawn(line::run(commands, Arc::clone(&self.dial), self.terms));
        sender
    }
}

/// The next number of a subscription, as a client knows it: no two of a process are the same, and those of two processes
/// hardly ever, so that a client that reconnects does not take one for the other. It stays below 2^53, which is what
/// JavaScript counts to.
pub(super) fn next_number() -> u64 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new((1 << 40) + (u64::from(rand::random::<u32>()) << 12)));
    NEXT.fetch_add(1, Ordering::Relaxed)
}
