//! What a gateway knows that is in no file: it goes to the process that follows.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use portcullis_caps::{Effect, Override as CapOverride, Target};
use portcullis_identity::Timestamp;
use portcullis_identity::throttle::BanKind;
use portcullis_snapshot::Snapshot;
use portcullis_snapshot::cluster::overrides::{Action, Override as EndpointOverride};

use crate::reload::{Current, Reloader};
use crate::world::World;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Carried {
    pub(super) pid: u32,
    pub(super) version: String,
    /// The generation that serves.
    pub(super) generation: u64,
    /// The main file's text, where the admin API put another in its place.
    pub(super) text: Option<String>,
    caps: Vec<Cap>,
    endpoints: Vec<Endpoint>,
    bans: Vec<Ban>,
}

/// An override of caps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cap {
    consumer: Option<String>,
    plan: Option<String>,
    cap: Option<String>,
    /// In thousandths; none lifts.
    multiply: Option<NonZeroU32>,
    until: u64,
    reason: String,
}

/// An override of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Endpoint {
    cluster: String,
    endpoint: String,
    action: Verb,
    reason: String,
    since_unix_ms: u64,
    ends_in_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Add { weight: u32, priority: u8, zone: Option<String>, labels: BTreeMap<String, String> },
    Drain,
    Weigh(u32),
    Remove,
}

/// A ban by an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ban {
    network: String,
    since_unix_ms: u64,
    until_unix_ms: Option<u64>,
    reason: String,
}

impl Carried {
    /// What there is, while no change of the config can come between.
    pub(super) fn gather(reloader: &Reloader, current: &Current, version: &str) -> Self {
        let snapshot = reloader.gateway.generations().current();
        let world = &reloader.world;
        let caps = world.caps.ledger().overrides(world.caps.now().unix());
        let now = Instant::now();
        let endpoints = snapshot.clusters.iter().flat_map(|cluster| {
            let name = cluster.name.as_str().to_owned();
            cluster.fleet.overrides().into_iter().map(move |one| endpoint(name.clone(), one, now))
        });
        let bans = world.consumers.identities.book().throttle.bans(timestamp());
        let bans = bans.into_iter().filter(|ban| ban.kind == BanKind::Operator);
        Self {
            pid: std::process::id(),
            version: version.to_owned(),
            generation: current.id.0,
            text: current.applied.clone(),
            caps: caps.into_iter().map(cap).collect(),
            endpoints: endpoints.collect(),
            bans: bans
                .map(|ban| Ban {
                    network: ban.network.to_string(),
                    since_unix_ms: ban.since.millis(),
                    until_unix_ms: ban.until.map(Timestamp::millis),
                    reason: ban.reason.into(),
                })
                .collect(),
        }
    }

    /// Puts overrides and bans in force; what does not fit the new config is said.
    pub(super) fn restore(&self, world: &World, snapshot: &Snapshot) {
        let unix = world.caps.now().unix();
        for one in &self.caps {
            let target = match (&one.consumer, &one.plan) {
                (Some(id), _) => Target::Consumer(id.as_str().into()),
                (None, Some(plan)) => Target::Plan(plan.as_str().into()),
                (None, None) => continue,
            };
            let effect = one.multiply.map_or(Effect::Lift, Effect::Multiply);
            let (cap, reason) = (one.cap.as_deref().map(Arc::from), one.reason.as_str().into());
            world.caps.ledger().set_override(CapOverride { target, cap, effect, until: one.until, reason }, unix);
        }
        let now = Instant::now();
        for one in &self.endpoints {
            let Some(cluster) = snapshot.cluster_named(&one.cluster) else {
                log::warn!("the override of {} ends here: there is no cluster {} any more", one.endpoint, one.cluster);
                continue;
            };
            if let Err(error) = cluster.fleet.change(one.read(now), now) {
                log::warn!("the override of {} in {} ends here: {error}", one.endpoint, one.cluster);
            }
        }
        let throttle = Arc::clone(&world.consumers.identities.book().throttle);
        for ban in &self.bans {
            let until = ban.until_unix_ms.map(Timestamp::from_millis);
            // It began when it began.
            let since = Timestamp::from_millis(ban.since_unix_ms);
            let Ok(network) = ban.network.parse::<IpNet>() else { continue };
            if let Err(error) = throttle.ban(network, until, &ban.reason, since) {
                log::warn!("the ban of {} ends here: {error}", ban.network);
            }
        }
    }
}

fn cap(one: CapOverride) -> Cap {
    let CapOverride { target, cap, effect, until, reason } = one;
    let (consumer, plan) = match target {
        Target::Consumer(id) => (Some(id.to_string()), None),
        Target::Plan(name) => (None, Some(name.to_string())),
    };
    let multiply = match effect {
        Effect::Lift => None,
        Effect::Multiply(factor) => Some(factor),
    };
    let (cap, reason) = (cap.as_deref().map(str::to_owned), reason.to_string());
    Cap { consumer, plan, cap, multiply, until, reason }
}

fn endpoint(cluster: String, one: EndpointOverride, now: Instant) -> Endpoint {
    let action = match one.action {
        Action::Add { weight, priority, zone, labels } => {
            Verb::Add { weight, priority, zone: zone.as_deref().map(str::to_owned), labels }
        }
        Action::Drain => Verb::Drain,
        Action::Weigh(weight) => Verb::Weigh(weight),
        Action::Remove => Verb::Remove,
    };
    Endpoint {
        cluster,
        endpoint: one.endpoint.to_string(),
        action,
        reason: one.reason,
        since_unix_ms: millis(one.since.duration_since(UNIX_EPOCH).unwrap_or_default()),
        ends_in_ms: millis(one.until.saturating_duration_since(now)),
    }
}

impl Endpoint {
    fn read(&self, now: Instant) -> EndpointOverride {
        let action = match self.action.clone() {
            Verb::Add { weight, priority, zone, labels } => {
                Action::Add { weight, priority, zone: zone.map(Arc::from), labels }
            }
            Verb::Drain => Action::Drain,
            Verb::Weigh(weight) => Action::Weigh(weight),
            Verb::Remove => Action::Remove,
        };
        EndpointOverride {
            endpoint: self.endpoint.as_str().into(),
            action,
            reason: self.reason.clone(),
            since: UNIX_EPOCH + Duration::from_millis(self.since_unix_ms),
            until: now + Duration::from_millis(self.ends_in_ms),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn timestamp() -> Timestamp {
    Timestamp::from_millis(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}
