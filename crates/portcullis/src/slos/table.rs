//! From a record to what counts for it.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_snapshot::Snapshot;
use portcullis_snapshot::settings::Good;
use portcullis_telemetry::record::Kind;
use portcullis_telemetry::{Flag, Record};
use portcullis_types::{Fault, GenerationId, Reason, RouteName};

use super::Track;

/// The objectives of one generation.
pub(super) struct Table {
    pub(super) generation: GenerationId,
    /// By the address of the virtual host's name.
    hosts: HashMap<usize, Host>,
}

struct Host {
    /// Holds the address.
    _name: Arc<str>,
    /// What counts for all of its requests.
    all: Vec<Arc<Track>>,
    /// What counts for those of a route, by the address of its name, which is held.
    routes: HashMap<usize, (RouteName, Vec<Arc<Track>>)>,
}

fn address(name: &str) -> usize {
    name.as_ptr() as usize
}

impl Table {
    pub(super) fn new(snapshot: &Snapshot, tracks: &[Arc<Track>]) -> Self {
        let mut hosts = HashMap::new();
        for host in snapshot.router.hosts() {
            let name = host.data().name.clone();
            let of_host = |track: &&Arc<Track>| track.slo.host == name;
            let all =
                tracks.iter().filter(of_host).filter(|track| track.slo.route.is_none()).cloned().collect::<Vec<_>>();
            let mut routes = HashMap::new();
            for track in tracks.iter().filter(of_host) {
                let Some(wanted) = track.slo.route.as_deref() else { continue };
                let found = host.routes().iter().find(|route| route.data().name.as_str() == wanted);
                let Some(route) = found.map(|route| route.data().name.clone()) else { continue };
                let entry = routes.entry(address(route.as_str())).or_insert_with(|| (route, Vec::new()));
                entry.1.push(Arc::clone(track));
            }
            if !all.is_empty() || !routes.is_empty() {
                hosts.insert(address(&name), Host { _name: name.clone(), all, routes });
            }
        }
        Self { generation: snapshot.id, hosts }
    }

    /// Counts a record where it belongs.
    pub(super) fn count(&self, record: &Record) {
        if self.hosts.is_empty() || record.kind != Kind::Request {
            return;
        }
        let Some(host) = record.virtual_host.as_ref().and_then(|name| self.hosts.get(&address(name))) else { return };
        host.all.iter().for_each(|track| track.count(record));
        let Some(route) = &record.route else { return };
        if let Some((_, tracks)) = host.routes.get(&address(route.as_str())) {
            tracks.iter().for_each(|track| track.count(record));
        }
    }
}

/// Whether a record counts, and went well.
pub(super) fn judge(good: &Good, record: &Record) -> Option<bool> {
    // An answer of 5xx without a reason of ours is the upstream's.
    let fault = record.reason.map(Reason::fault).or_else(|| record.failed().then_some(Fault::Upstream));
    match (good, fault) {
        (Good::Available(_), None) => Some(true),
        (Good::Available(faults), Some(fault)) => faults.contains(&fault).then_some(false),
        (Good::Within(latency), None) if !record.flags.has(Flag::Upgraded) => Some(record.timers.total <= *latency),
        (Good::Within(_), _) => None,
    }
}
