//! A fleet at work: one thread, a port per replica, sockets that never block.

mod connection;
mod worker;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Failure;

use super::plan::Plan;

use worker::Worker;

/// The length of a bucket of attempts.
const BUCKET: Duration = Duration::from_millis(100);

/// What a fleet saw.
#[derive(Debug)]
pub struct Observed {
    /// Attempts of each replica in each tenth of a second since the beginning.
    pub attempts: Vec<Vec<u32>>,
    /// Numbers of the requests that a replica had when it was killed, unanswered.
    pub held: HashSet<u64>,
}

/// Buckets that are kept: a load is minutes long at most.
const BUCKETS: usize = 100_000;

impl Observed {
    fn new(replicas: usize) -> Self {
        Self { attempts: vec![Vec::new(); replicas], held: HashSet::new() }
    }

    fn count(&mut self, replica: usize, moment: Duration) {
        let index = bucket(moment);
        if let Some(buckets) = self.attempts.get_mut(replica).filter(|_| index < BUCKETS) {
            buckets.resize(buckets.len().max(index + 1), 0);
            if let Some(count) = buckets.get_mut(index) {
                *count += 1;
            }
        }
    }

    /// Attempts of a replica from one moment to another, in whole tenths of a second.
    #[must_use]
    pub fn attempts(&self, replica: usize, from: Duration, to: Duration) -> u64 {
        let buckets = self.attempts.get(replica).map(Vec::as_slice).unwrap_or_default();
        let from = bucket(from).min(buckets.len());
        let to = bucket(to).clamp(from, buckets.len());
        buckets.get(from..to).unwrap_or_default().iter().copied().map(u64::from).sum()
    }
}

fn bucket(moment: Duration) -> usize {
    usize::try_from(moment.as_millis() / BUCKET.as_millis()).unwrap_or(usize::MAX)
}

#[derive(Debug, Default)]
struct Signals {
    begin: OnceLock<Instant>,
    stop: AtomicBool,
}

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    addresses: Vec<SocketAddr>,
    signals: Arc<Signals>,
    thread: Option<JoinHandle<Result<Observed, Failure>>>,
}

impl Fleet {
    /// Starts to serve. The script waits for [`Fleet::begin`].
    ///
    /// # Errors
    ///
    /// When no ports are free.
    pub fn start(plan: Plan) -> Result<Self, Failure> {
        let signals = Arc::new(Signals::default());
        let mut worker = Worker::new(plan, Arc::clone(&signals))?;
        let addresses = worker.addresses();
        let thread = std::thread::Builder::new().name("replicas".to_owned()).spawn(move || {
            worker.run()?;
            Ok(worker.observed)
        })?;
        Ok(Self { addresses, signals, thread: Some(thread) })
    }

    /// The replicas' addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The moment from which the script and the attempts count. Only the first call has an effect.
    pub fn begin(&self, at: Instant) {
        self.signals.begin.get_or_init(|| at);
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// When it had ended by itself, for want of descriptors.
    pub fn stop(mut self) -> Result<Observed, Failure> {
        self.signals.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("it has ended")?;
        thread.join().map_err(|_| "the replicas panicked")?
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.signals.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
