//! The gateway as a whole: starts on a snapshot, takes the next one, drains.

mod proof;

use pingora_core::apps::HttpServerOptions;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use portcullis_snapshot::generations::Canary;
use portcullis_snapshot::{Generations, Snapshot};

use crate::core::{Core, Observers};
use crate::inherited::Inherited;
use crate::listeners::{BindError, Listeners, Socket};
use crate::overload::{self, OverloadState};
use crate::probe::{Probes, keep};
use crate::service::Service;
use crate::streams;

/// Attempts of one request that Pingora may make; how many a route makes is decided per attempt.
const MAX_ATTEMPTS: usize = 32;

/// Idle upstream connections kept, over all clusters.
const UPSTREAM_POOL: usize = 1024;

/// A running gateway.
pub struct Gateway {
    pub(crate) core: Arc<Core>,
    pub(crate) proxy: Arc<HttpProxy<Service>>,
    pub(super) listeners: Listeners,
    probes: Probes,
}

/// Why a snapshot could not be put in place. The one before stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A listener could not bind.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The gateway is draining.
    #[error("the gateway is draining")]
    Draining,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Whether every connection ended by itself.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// Connections that were cut off.
    pub left: usize,
}

/// How often older generations are looked at until the last is free.
const REAP_INTERVAL: Duration = Duration::from_millis(250);

/// Frees older generations that nobody holds any more, on a thread that serves no requests.
async fn reap(gateway: Weak<Gateway>) {
    loop {
        tokio::time::sleep(REAP_INTERVAL).await;
        let Some(gateway) = gateway.upgrade() else { return };
        let (unheld, held) = gateway.core.generations.reap();
        if !unheld.is_empty() {
            drop(tokio::task::spawn_blocking(move || drop(unheld)).await);
            gateway.count_generations();
        }
        if held == 0 {
            return;
        }
    }
}

/// Puts the limits of a generation in force.
fn enforce_limits(snapshot: &Snapshot) {
    let now = Instant::now();
    let of_clusters = snapshot.clusters.iter().filter_map(|cluster| cluster.limits.as_ref());
    of_clusters.for_each(|limits| limits.enforce(now));
    let routes = snapshot.router.hosts().flat_map(|host| host.routes());
    for route in routes {
        if let Some(limits) = &route.data().limits {
            limits.enforce(now);
        }
    }
}

impl Gateway {
    /// Binds the listeners of the first generation, as far as their sockets are not inherited, and is ready to accept: see
    /// [`Gateway::open`]. Runs on the current Tokio runtime.
    ///
    /// # Errors
    /// When a listener cannot bind; then nothing is left bound.
    pub fn prepare(first: Arc<Snapshot>, observers: Observers, inherited: &Inherited) -> Result<Arc<Self>, BindError> {
        let conf = ServerConf {
            threads: first.settings.threads,
            max_retries: MAX_ATTEMPTS,
            upstream_keepalive_pool_size: UPSTREAM_POOL,
            ..ServerConf::default()
        };
        let core = Arc::new(Core::new(Arc::new(Generations::new(first.clone())), observers));
        let mut proxy = http_proxy(&Arc::new(conf), Service::new(core.clone()));
        // CONNECT is refused by us, with a record; Pingora's own refusal has none.
        let mut options = HttpServerOptions::default();
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        let proxy = Arc::new(proxy);
        let gateway = Arc::new(Self { core, proxy, listeners: Listeners::default(), probes: Probes::default() });
        let change = gateway.listeners.prepare(&first.listeners, inherited)?;
        gateway.listeners.commit(change, &gateway);
        gateway.probes.follow(&gateway.core.generations);
        gateway.core.follow(&first.settings);
        gateway.core.guard.show(&gateway.core.observers.metrics);
        enforce_limits(&first);
        tokio::spawn(overload::watch(Arc::downgrade(&gateway.core)));
        tokio::spawn(streams::watch(Arc::downgrade(&gateway.core)));
        gateway.count_generations();
        tokio::spawn(keep(Arc::downgrade(&gateway)));
        Ok(gateway)
    }

    /// Begins to accept.
    pub fn open(&self) {
        self.listeners.accept(true);
    }

    /// The listening sockets, for a process that is to follow this one.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn sockets(&self) -> std::io::Result<Vec<Socket>> {
        self.listeners.sockets()
    }

    /// Puts a new generation in place: all of it, or nothing.
    ///
    /// # Errors
    /// When a new listener cannot bind, or the gateway drains. The generation before stays as it is.
    pub fn apply(self: &Arc<Self>, next: Arc<Snapshot>) -> Result<Arc<Snapshot>, ApplyError> {
        if *self.core.drain.borrow() {
            return Err(ApplyError::Draining);
        }
        let change = self.listeners.prepare(&next.listeners, &Inherited::default())?;
        let before = self.core.generations.replace(next.clone());
        self.listeners.commit(change, self);
        if *self.core.drain.borrow() {
            // A drain began meanwhile: what was just bound must not accept.
            self.listeners.stop();
        }
        self.probes.follow(&self.core.generations);
        self.core.follow(&next.settings);
        enforce_limits(&next);
        self.core.streams.end_left(&self.core.generations.serving());
        self.bound_generations(&next);
        self.count_generations();
        tokio::spawn(reap(Arc::downgrade(self)));
        Ok(before)
    }

    /// Tells some of those who call apart, and perhaps lets another generation serve them; `None` ends that. Listeners and the
    /// process's settings stay those of the current generation.
    ///
    /// # Errors
    /// The gateway drains.
    pub fn set_canary(self: &Arc<Self>, canary: Option<Canary>) -> Result<(), ApplyError> {
        if *self.core.drain.borrow() {
            return Err(ApplyError::Draining);
        }
        if let Some(snapshot) = canary.as_ref().and_then(Canary::snapshot) {
            enforce_limits(snapshot);
        }
        self.core.generations.set_canary(canary);
        self.follow();
        self.count_generations();
        tokio::spawn(reap(Arc::downgrade(self)));
        Ok(())
    }

    /// Lets what is kept for each endpoint follow endpoints that changed without a generation.
    pub(crate) fn follow(&self) {
        if self.is_ready() {
            self.probes.follow(&self.core.generations);
            self.core.streams.end_left(&self.core.generations.serving());
        }
    }

    /// Begins to drain the oldest generations when more live than may.
    fn bound_generations(&self, now: &Snapshot) {
        let older = self.core.generations.older();
        let keep = now.settings.generations.max(1) - 1;
        let excess = older.len().saturating_sub(keep);
        let oldest_kept = older.get(excess).map_or(now.id, |generation| generation.id);
        if excess > 0 {
            self.core.drain_generations(oldest_kept, now.settings.drain_timeout);
        }
    }

    /// Tells the metrics how many generations live.
    pub fn count_generations(&self) {
        let generations = &self.core.generations;
        let live = (generations.serving().len() + generations.older().len()) as u64;
        self.core.observers.metrics.gateway().set_generations(self.core.generations.peek().id, live);
    }

    /// The generations that live.
    #[must_use]
    pub fn generations(&self) -> &Arc<Generations> {
        &self.core.generations
    }

    /// The addresses each listener accepts at, by name: what port 0 became.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, Vec<std::net::SocketAddr>)> {
        self.listeners.addresses()
    }

    /// How many WebSockets and event streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.core.streams.count()
    }

    /// The process's guards as they are now.
    #[must_use]
    pub fn overload(&self) -> OverloadState {
        self.core.guard.state()
    }

    /// Whether requests of no particular priority are taken: the process's guards refuse none of them.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.core.guard.is_open()
    }

    /// Whether the gateway takes new work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !*self.core.drain.borrow()
    }

    /// Drains: stops accepting, lets requests in flight end, closes idle connections politely. Ends as soon as the last
    /// connection does, at the latest after the generation's `drain_timeout`.
    pub async fn drain(&self) -> DrainReport {
        self.core.drain.send_replace(true);
        self.listeners.stop();
        self.end_requests().await
    }

    /// The same for one whose sockets another process has taken: they stay open, so that [`Gateway::resume`] can go on
    /// with them. What this future has begun is not undone when it is dropped.
    pub async fn step_back(&self) -> DrainReport {
        self.listeners.accept(false);
        self.core.drain.send_replace(true);
        self.end_requests().await
    }

    /// Accepts again after [`Gateway::step_back`]. Connections that were told to end, end.
    pub fn resume(&self) {
        self.core.tasks.reopen();
        self.core.drain.send_replace(false);
        self.probes.follow(&self.core.generations);
        self.listeners.accept(true);
    }

    /// Connections that are open, and what they started.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.core.tasks.len()
    }

    async fn end_requests(&self) -> DrainReport {
        let started = Instant::now();
        let (timeout, streams) = {
            let settings = &self.core.generations.peek().settings;
            (settings.drain_timeout, settings.drain_streams)
        };
        self.probes.stop();
        // The last of them still has time to be answered.
        self.core.streams.end_all(streams.min(timeout * 4 / 5));
        self.core.tasks.close();
        let complete = tokio::time::timeout(timeout, self.core.tasks.wait()).await.is_ok();
        DrainReport { complete, took: started.elapsed(), left: self.core.tasks.len() }
    }
}
