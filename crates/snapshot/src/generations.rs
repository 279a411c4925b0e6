//! The generations that live: the current one, and older ones that requests still hold.
//!
//! For a while a second one may serve a share of those who call beside the current one (a [`Canary`]); then it becomes the
//! current one, or goes to the older ones.
//!
//! A large generation takes milliseconds to free. So an older one is kept here until [`Generations::reap`] takes it, and
//! the last request to let go of it never pays for that.

mod canary;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use portcullis_types::GenerationId;

use crate::{Cluster, Snapshot};

pub use canary::Canary;

/// The handle of the current generation, and a list of the older ones.
pub struct Generations {
    current: ArcSwap<Snapshot>,
    older: Mutex<Vec<Arc<Snapshot>>>,
    canary: ArcSwapOption<Canary>,
    /// Whether there is a canary: asked on every request, seldom so.
    is_shared: AtomicBool,
}

/// Who holds a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// Which generation.
    pub id: GenerationId,
    /// When it was made.
    pub created: SystemTime,
    /// Requests in flight on it, by route, routes without any left out.
    pub requests: Vec<(Arc<str>, u32)>,
}

impl Generations {
    /// Starts with a first generation.
    #[must_use]
    pub fn new(first: Arc<Snapshot>) -> Self {
        Self {
            current: ArcSwap::new(first),
            older: Mutex::new(Vec::new()),
            canary: ArcSwapOption::empty(),
            is_shared: AtomicBool::new(false),
        }
    }

    /// The current generation, held for the life of a request.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The current generation for a glance; not to be kept across an await.
    #[must_use]
    pub fn peek(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Puts a new generation in place, and returns the one before it.
    pub fn replace(&self, next: Arc<Snapshot>) -> Arc<Snapshot> {
        let before = self.current.swap(next);
        portcullis_mutants::when!(GenerationKept => std::mem::forget(Arc::clone(&before)));
        self.older.lock().push(before.clone());
        before
    }

    /// Who is told apart from the others now, and perhaps served by another generation.
    #[must_use]
    pub fn canary(&self) -> Option<Arc<Canary>> {
        if self.is_shared.load(Ordering::Acquire) { self.canary.load_full() } else { None }
    }

    /// Tells some apart, in place of those who were before. A generation that served those goes to the older ones, unless
    /// it serves now in one way or the other.
    pub fn set_canary(&self, canary: Option<Canary>) {
        let canary = canary.map(Arc::new);
        self.is_shared.store(canary.is_some(), Ordering::Release);
        let before = self.canary.swap(canary);
        let Some(served) = before.as_ref().and_then(|before| before.snapshot()) else { return };
        if !self.serving().iter().any(|serves| Arc::ptr_eq(serves, served)) {
            self.older.lock().push(Arc::clone(served));
        }
    }

    /// The generations that new requests may run on: the current one first.
    #[must_use]
    pub fn serving(&self) -> Vec<Arc<Snapshot>> {
        let canary = self.canary().and_then(|canary| canary.snapshot().cloned());
        std::iter::once(self.current()).chain(canary).collect()
    }

    /// The clusters of the generations that serve, each once.
    #[must_use]
    pub fn clusters(&self) -> Vec<Arc<Cluster>> {
        let mut known = HashSet::new();
        let serving = self.serving();
        let all = serving.iter().flat_map(|snapshot| &snapshot.clusters);
        all.filter(|cluster| known.insert(Arc::as_ptr(cluster))).cloned().collect()
    }

    /// Older generations that still live, oldest first.
    #[must_use]
    pub fn older(&self) -> Vec<Arc<Snapshot>> {
        self.older.lock().iter().filter(|snapshot| is_held(snapshot)).cloned().collect()
    }

    /// Takes out the older generations that nobody holds any more, for the caller to drop where it harms nobody, and
    /// says how many are still held.
    #[must_use]
    pub fn reap(&self) -> (Vec<Arc<Snapshot>>, usize) {
        let mut older = self.older.lock();
        let unheld = older.extract_if(.., |snapshot| !is_held(snapshot)).collect();
        (unheld, older.len())
    }

    /// All generations that live, newest first, with who holds them.
    #[must_use]
    pub fn holders(&self) -> Vec<Holders> {
        let mut all = self.older();
        all.extend(self.serving());
        all.iter().rev().map(|snapshot| holders(snapshot)).collect()
    }
}

/// Whether anybody but the list holds it.
fn is_held(snapshot: &Arc<Snapshot>) -> bool {
    Arc::strong_count(snapshot) > 1
}

fn holders(snapshot: &Snapshot) -> Holders {
    let routes = snapshot.router.hosts().flat_map(|host| host.routes());
    let in_flight = routes.filter_map(|route| {
        let data = route.data();
        let count = data.in_flight.load(Ordering::Relaxed);
        (count > 0).then(|| (data.label.clone(), count))
    });
    Holders { id: snapshot.id, created: snapshot.created, requests: in_flight.collect() }
}
