//! Active health checks: one task an endpoint, alive as long as some generation has that endpoint with those checks.
//!
//! The verdict is `balance`'s; here is only the asking. An endpoint that a reload keeps with the same checks keeps its
//! task, and with it its streak; anything else is stopped or started. Checks have connections of their own: they never
//! take one from a request, nor give one to it.

mod ask;
mod grpc;
mod keeper;
mod solana;

use parking_lot::Mutex;
use pingora_core::connectors::http::Connector;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use portcullis_snapshot::{Cluster, Generations, HealthCheck};

pub(crate) use keeper::keep;

/// Idle connections that checks keep: one an endpoint, up to this many.
const POOL: usize = 16 * 1024;

/// The checks that run now.
pub(crate) struct Probes {
    running: Mutex<HashMap<usize, Running>>,
    lines: Arc<Lines>,
}

/// How checks connect.
struct Lines {
    http: Connector,
    raw: TransportConnector,
}

/// The checks of an endpoint. It holds the endpoint's state, so that no other state can have its address.
struct Running {
    check: Arc<HealthCheck>,
    group: u64,
    target: Arc<ask::Target>,
    stop: CancellationToken,
}

impl Default for Probes {
    fn default() -> Self {
        let options = || Some(ConnectorOptions::new(POOL));
        let lines = Lines { http: Connector::new(options()), raw: TransportConnector::new(options()) };
        Self { running: Mutex::default(), lines: Arc::new(lines) }
    }
}

impl Probes {
    /// Checks what the generations that serve want checked, and nothing else. Where two want an endpoint checked in different ways,
    /// the current one has its way.
    pub(crate) fn follow(&self, generations: &Generations) {
        let mut running = self.running.lock();
        // Read under the lock: the last to call sees the newest.
        let clusters = generations.clusters();
        let mut before = std::mem::take(&mut *running);
        for cluster in &clusters {
            if let Some(check) = &cluster.health {
                self.follow_cluster(cluster, check, (&mut before, &mut running));
            }
        }
        for (_, gone) in before {
            gone.stop.cancel();
        }
    }

    fn follow_cluster(
        &self,
        cluster: &Arc<Cluster>,
        check: &HealthCheck,
        (before, running): (&mut HashMap<usize, Running>, &mut HashMap<usize, Running>),
    ) {
        let members = cluster.fleet.members();
        let fleet = members.endpoints.endpoints().len();
        let mut shared: Option<Arc<HealthCheck>> = None;
        for (endpoint, metrics) in members.each() {
            let key = Arc::as_ptr(endpoint.state()).addr();
            if running.contains_key(&key) {
                continue;
            }
            let same = |old: &Running| {
                let known = shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, &old.check));
                (known || *old.check == *check)
                    && old.group == cluster.connection_group
                    && old.target.heights == cluster.fleet.plan().tuning.heights
                    && Arc::ptr_eq(&old.target.metrics, metrics)
            };
            let now = before.remove(&key).filter(same).unwrap_or_else(|| {
                let check = shared.get_or_insert_with(|| Arc::new(check.clone())).clone();
                let target = Arc::new(ask::Target::new(cluster, check.clone(), (endpoint, metrics)));
                let stop = CancellationToken::new();
                let task = ask::run(target.clone(), self.lines.clone(), fleet);
                let watched = stop.clone();
                tokio::spawn(async move { watched.run_until_cancelled(task).await });
                Running { check, group: cluster.connection_group, target, stop }
            });
            shared.get_or_insert_with(|| now.check.clone());
            running.insert(key, now);
        }
    }

    /// Stops all checks.
    pub(crate) fn stop(&self) {
        for (_, check) in self.running.lock().drain() {
            check.stop.cancel();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
