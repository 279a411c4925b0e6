//! Calls in flight that others wait for.
//!
//! The first of several identical calls leads; the others wait for what it is answered. A lead ends when it is dropped, with
//! an answer or without one, and then its flight is no more: who comes later finds none and leads.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

use portcullis_telemetry::Bound;
use portcullis_telemetry::metrics::RpcStoreMetrics;

use super::Bounds;
use super::answer::Answer;

type Landed = Option<Arc<Answer>>;

/// All of them.
#[derive(Clone)]
pub(super) struct Flights {
    table: Arc<Mutex<HashMap<Arc<[u8]>, Flight>>>,
    most: usize,
    most_waiting: usize,
    /// What is told of the number of them.
    told: Arc<Bound>,
}

struct Flight {
    landed: watch::Receiver<Landed>,
    waiting: Arc<AtomicUsize>,
}

/// The place of a call among those that are identical to it.
pub(super) enum Joined {
    /// Others may wait for it.
    Lead(Lead),
    /// It may wait for another.
    Behind(Waiting),
    /// There is no room for either.
    Alone,
}

impl Flights {
    pub(super) fn new(bounds: &Bounds, metrics: &RpcStoreMetrics) -> Self {
        let told = Arc::clone(&metrics.flights);
        told.set_limit(bounds.flights as u64);
        Self { table: Arc::default(), most: bounds.flights, most_waiting: bounds.waiting, told }
    }

    /// Joins the flight of a key, or begins it.
    pub(super) fn join(&self, key: &Arc<[u8]>) -> Joined {
        let mut table = self.table.lock();
        if let Some(flight) = table.get(key) {
            // Nobody adds to it without the lock, so the bound holds.
            if flight.waiting.load(Ordering::Relaxed) >= self.most_waiting {
                return Joined::Alone;
            }
            flight.waiting.fetch_add(1, Ordering::Relaxed);
            return Joined::Behind(Waiting { landed: flight.landed.clone(), place: Place(flight.waiting.clone()) });
        }
        if table.len() >= self.most {
            self.told.refuse();
            return Joined::Alone;
        }
        let (landing, landed) = watch::channel(None);
        table.insert(key.clone(), Flight { landed, waiting: Arc::default() });
        self.told.set_used(table.len() as u64);
        Joined::Lead(Lead { flights: self.clone(), key: key.clone(), landing })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.lock().len()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.table.lock().values().map(|flight| flight.waiting.load(Ordering::Relaxed)).sum()
    }
}

/// The call that others wait for.
pub(super) struct Lead {
    flights: Flights,
    key: Arc<[u8]>,
    landing: watch::Sender<Landed>,
}

impl Lead {
    /// Gives the answer to all who wait.
    pub(super) fn land(self, answer: Arc<Answer>) {
        self.landing.send_replace(Some(answer));
    }
}

impl Drop for Lead {
    /// The flight leaves the table before those who wait are woken by the end of the channel, so that one of them can begin
    /// the next.
    fn drop(&mut self) {
        let mut table = self.flights.table.lock();
        table.remove(&self.key);
        self.flights.told.set_used(table.len() as u64);
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").finish_non_exhaustive()
    }
}

/// A call that waits.
pub(super) struct Waiting {
    landed: watch::Receiver<Landed>,
    place: Place,
}

impl Waiting {
    /// The answer; `None` when the one that was waited for got none to share.
    pub(super) async fn answer(mut self) -> Landed {
        let landed = self.landed.wait_for(Option::is_some).await.ok()?.clone();
        drop(self.place);
        landed
    }
}

/// One among those who wait, for as long as it does.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
