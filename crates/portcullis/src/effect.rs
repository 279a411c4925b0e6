//! What a change would do to the traffic: the share of the last minutes that everything it touches carried, and which of the
//! recorded requests would go elsewhere.
//!
//! Shares stand on counters, the replay on the records that are kept. The work is bounded in records and in time, and is
//! done where a change is made, never on a worker's thread.

mod told;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use portcullis_admin::Effect;
use portcullis_config::Diff;
use portcullis_identity::Directory;
use portcullis_snapshot::Snapshot;
use portcullis_snapshot::replay::{Way, both, is_replayable};
use portcullis_telemetry::ring::Query;
use portcullis_telemetry::{Metrics, Ring};
use portcullis_types::RequestId;

use crate::traffic::{Carried, Traffic};

/// The most records that are replayed, latest first.
const RECORDS: usize = 5_000;
/// How long a replay may take.
const WITHIN: Duration = Duration::from_secs(2);
/// Examples of each kind.
const EXAMPLES: usize = 2;

/// What is compared.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) serves: &'a Snapshot,
    pub(crate) next: &'a Snapshot,
    pub(crate) diff: &'a Diff,
}

/// What the gateway has seen.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) traffic: &'a Traffic,
    pub(crate) recent: &'a Ring,
    pub(crate) metrics: &'a Metrics,
}

/// A thing that a change touches, and what it carried.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Share {
    name: String,
    requests: u64,
}

/// Everything that is said.
#[derive(Debug, Default)]
struct Found {
    window: Duration,
    total: u64,
    hosts: Vec<Share>,
    routes: Vec<Share>,
    clusters: Vec<Share>,
    /// The consumers of each plan that differs.
    plans: Vec<(String, usize)>,
    replay: Replay,
}

/// What came of the recorded requests.
#[derive(Debug, Default)]
struct Replay {
    recorded: usize,
    /// Those that were never routed, or whose head was cut.
    not_replayable: usize,
    same: usize,
    /// Those that the time was too short for.
    left_out: usize,
    open: BTreeMap<&'static str, usize>,
    moved: BTreeMap<(Way, Way), Group>,
}

/// Requests that go from one way to another.
#[derive(Debug, Default)]
struct Group {
    count: usize,
    examples: Vec<RequestId>,
}

/// What a change would do.
pub(crate) fn of(sides: Sides<'_>, seen: Seen<'_>, consumers: &Directory) -> Effect {
    let carried = seen.traffic.carried(sides.serves, seen.metrics, Instant::now());
    let diff = sides.diff;
    let found = Found {
        window: carried.window,
        total: carried.total,
        hosts: shares(&diff.hosts, |host| of_host(&carried, host)),
        routes: shares(&diff.routes, |route| carried.routes.get(route).copied().unwrap_or_default()),
        clusters: shares(&diff.clusters, |cluster| carried.clusters.get(cluster).copied().unwrap_or_default()),
        plans: plans(&diff.plans, consumers),
        replay: Replay::of(sides, seen.recent),
    };
    Effect { json: found.to_json(), text: found.to_string() }
}

/// What a host's routes carried.
fn of_host(carried: &Carried, host: &str) -> u64 {
    let of_it = |label: &str| label.strip_prefix(host).is_some_and(|rest| rest.starts_with('/'));
    carried.routes.iter().filter(|(label, _)| of_it(label)).map(|(_, count)| count).sum()
}

/// Each with what it carried, the busiest first.
fn shares(names: &BTreeSet<String>, requests: impl Fn(&str) -> u64) -> Vec<Share> {
    let mut shares: Vec<Share> =
        names.iter().map(|name| Share { name: name.clone(), requests: requests(name) }).collect();
    shares.sort_by_key(|share| Reverse(share.requests));
    shares
}

fn plans(names: &BTreeSet<String>, consumers: &Directory) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = names.iter().map(|name| (name.as_str(), 0)).collect();
    if !counts.is_empty() {
        for consumer in consumers.iter() {
            if let Some(count) = counts.get_mut(consumer.plan().name()) {
                *count += 1;
            }
        }
    }
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

impl Replay {
    fn of(sides: Sides<'_>, recent: &Ring) -> Self {
        let records = recent.query(&Query { limit: RECORDS, ..Query::default() });
        let mut replay = Self { recorded: records.len(), ..Self::default() };
        let end = Instant::now() + WITHIN;
        for (done, record) in records.iter().enumerate() {
            if done % 16 == 0 && Instant::now() >= end {
                replay.left_out = records.len() - done;
                break;
            }
            if is_replayable(record) {
                replay.take(both(sides.serves, sides.next, record), record.id);
            } else {
                replay.not_replayable += 1;
            }
        }
        replay
    }

    fn take(&mut self, ways: (Way, Way), id: RequestId) {
        match ways {
            (Way::Open(what), _) | (_, Way::Open(what)) => *self.open.entry(what).or_default() += 1,
            (before, after) if before == after => self.same += 1,
            moved => {
                let group = self.moved.entry(moved).or_default();
                group.count += 1;
                if group.examples.len() < EXAMPLES {
                    group.examples.push(id);
                }
            }
        }
    }

    /// Those that go elsewhere, most first.
    fn moved(&self) -> Vec<(&(Way, Way), &Group)> {
        let mut moved: Vec<_> = self.moved.iter().collect();
        moved.sort_by_key(|(_, group)| Reverse(group.count));
        moved
    }

    fn moves(&self) -> usize {
        self.moved.values().map(|group| group.count).sum()
    }
}
