//! The facts that a verdict is made of.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_filters::caps::CapLedger;
use portcullis_health::{
    CertificateFacts, ClusterFacts, Facts, Overrides, RoomFacts, SinkFacts, SourceFacts, Traffic, Window,
};
use portcullis_identity::Timestamp;
use portcullis_identity::throttle::BanKind;
use portcullis_snapshot::{Cluster, Listener, Snapshot};
use portcullis_telemetry::{SinkStat, Step};
use portcullis_types::Fault;

use x509_parser::extensions::GeneralName;

use crate::api::caps::says;
use crate::control::{AdminState, Readiness};

/// What is now.
const NOW: Duration = Duration::from_secs(60);
/// What is going on at this moment.
const LATEST: Duration = Duration::from_secs(10);
/// What was before, what is now included.
const BEFORE: Duration = Duration::from_secs(900);
/// Endpoints that are told of a cluster.
const OUT: usize = 5;

impl AdminState {
    pub(super) fn gather(&self, now: SystemTime) -> Facts {
        let snapshot = self.generations.current();
        let moment = Instant::now();
        let mut facts = self.control.facts();
        facts.clusters.extend(snapshot.clusters.iter().map(|one| cluster(one, moment)));
        facts.traffic = self.traffic();
        facts.sinks.extend(self.dropping(now));
        facts.certificates.extend(self.certificates(&snapshot));
        facts.rooms.extend(rooms(&snapshot));
        facts.overrides = self.overrides(&snapshot, (now, moment));
        facts.draining |= self.control.readiness() == Readiness::Draining;
        facts
    }

    fn traffic(&self) -> Traffic {
        let (now, all) = (window(&self.timeline.sum(NOW)), window(&self.timeline.sum(BEFORE)));
        let earlier = |reason: &str| now.reasons.iter().find(|one| one.0 == reason).map_or(0, |one| one.2);
        let before = Window {
            requests: all.requests.saturating_sub(now.requests),
            failed: all.failed.saturating_sub(now.failed),
            refused: all.refused.saturating_sub(now.refused),
            reasons: all
                .reasons
                .iter()
                .map(|(reason, client, count)| (*reason, *client, count.saturating_sub(earlier(reason))))
                .collect(),
        };
        Traffic { now, before, latest: window(&self.timeline.sum(LATEST)) }
    }

    /// Sinks whose drops rose of late.
    fn dropping(&self, now: SystemTime) -> Vec<SinkFacts> {
        let mut memory = self.health.memory.lock();
        let mut dropping = Vec::new();
        for line in self.control.sinks() {
            for stat in &line.stats {
                let SinkStat::Dropped { cause, count } = stat else { continue };
                let (name, cause) = (line.name.to_string(), (*cause).to_owned());
                let risen = memory.rises(&format!("{name}/{cause}"), *count, now);
                dropping.extend(risen.map(|dropped| SinkFacts { name, cause, dropped }));
            }
        }
        dropping
    }

    fn certificates(&self, snapshot: &Snapshot) -> Vec<CertificateFacts> {
        let mut kept = self.health.certificates.lock();
        match &*kept {
            Some((id, facts)) if *id == snapshot.id => facts.clone(),
            _ => {
                let facts: Vec<CertificateFacts> = snapshot.listeners.iter().flat_map(certificates).collect();
                *kept = Some((snapshot.id, facts.clone()));
                facts
            }
        }
    }

    fn overrides(&self, snapshot: &Snapshot, (now, moment): (SystemTime, Instant)) -> Overrides {
        let endpoints = snapshot.clusters.iter().flat_map(|cluster| {
            let name = cluster.name.as_str();
            cluster.fleet.overrides().into_iter().map(move |one| format!("{name}: {}", one.says(moment)))
        });
        let caps = snapshot.services.get::<CapLedger>().map(|caps| {
            let unix = caps.now().unix();
            caps.ledger().overrides(unix).iter().map(|one| says(one, unix)).collect()
        });
        let unix = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix = Timestamp::from_millis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        let bans = self.identities.book().throttle.bans(unix);
        let made = bans.iter().filter(|ban| ban.kind == BanKind::Operator);
        Overrides {
            endpoints: endpoints.collect(),
            caps: caps.unwrap_or_default(),
            bans: made.map(|ban| format!("{} is banned: {}", ban.network, ban.reason)).collect(),
        }
    }
}

fn cluster(cluster: &Cluster, now: Instant) -> ClusterFacts {
    let set = &cluster.fleet.members().endpoints;
    let (endpoints, available) = (set.endpoints().len(), set.available());
    let out = if available < endpoints {
        let standings = set.explain(now);
        let out = standings.iter().filter(|standing| !standing.place.takes_requests());
        out.take(OUT).map(ToString::to_string).collect()
    } else {
        Vec::new()
    };
    let failing = cluster.fleet.plan().feeds().filter_map(|feed| {
        let status = feed.status(now);
        let (lasts, why) = status.failing?;
        Some(SourceFacts { name: feed.key().to_string(), why, kept: status.endpoints, lasts })
    });
    ClusterFacts {
        name: cluster.name.as_str().to_owned(),
        endpoints,
        available,
        ejected: set.ejected(),
        panicking: set.is_panicking(),
        trouble: cluster.fleet.trouble(),
        failing: failing.collect(),
        out,
    }
}

fn window(step: &Step) -> Window {
    let reasons = step.reasons.iter();
    let reasons = reasons.map(|(reason, count)| (reason.name(), reason.fault() == Fault::Client, *count));
    Window { requests: step.requests, failed: step.failed, refused: step.refused, reasons: reasons.collect() }
}

fn rooms(snapshot: &Snapshot) -> Vec<RoomFacts> {
    let listeners = snapshot.listeners.iter().map(|listener| RoomFacts {
        name: format!("connections of the listener {}", listener.name.as_str()),
        used: listener.metrics.connections().used(),
        limit: listener.metrics.connections().limit(),
    });
    let clusters = snapshot.clusters.iter().filter_map(|cluster| {
        let limits = cluster.limits.as_ref()?;
        limits.rules.requests.map(|_| RoomFacts {
            name: format!("requests of the cluster {}", cluster.name.as_str()),
            used: u64::from(limits.gate.in_flight()),
            limit: u64::from(limits.gate.limit()),
        })
    });
    listeners.chain(clusters).collect()
}

fn certificates(listener: &Arc<Listener>) -> Vec<CertificateFacts> {
    let Some(tls) = &listener.tls else { return Vec::new() };
    let one = |key: &Arc<rustls::sign::CertifiedKey>| {
        let (_, leaf) = x509_parser::parse_x509_certificate(key.cert.first()?).ok()?;
        let ends = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
        let names = leaf.subject_alternative_name().ok().flatten();
        let dns = names.as_ref().and_then(|names| {
            names.value.general_names.iter().find_map(|name| {
                let GeneralName::DNSName(dns) = name else { return None };
                Some((*dns).to_owned())
            })
        });
        Some(CertificateFacts {
            listener: listener.name.as_str().to_owned(),
            subject: dns.unwrap_or_else(|| leaf.subject().to_string()),
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(ends),
        })
    };
    tls.certificates.each().into_iter().filter_map(one).collect()
}
