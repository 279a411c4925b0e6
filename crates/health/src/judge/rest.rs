//! What is not of a cluster's endpoints or of requests.

use std::time::{Duration, SystemTime};

use super::{LISTED, percent, thresholds};
use crate::facts::{CertificateFacts, ClusterFacts, LinkFacts, Overrides, RoomFacts, SinkFacts, StoreFacts};
use crate::finding::{About, Finding, Severity};
use crate::kind::Kind;

pub(super) fn discovery(cluster: &ClusterFacts) -> Vec<Finding> {
    let one = |source: &crate::facts::SourceFacts| {
        let says = format!("{} does not say which endpoints the cluster {} has", source.name, cluster.name);
        let kept = match source.kept {
            0 => "it never answered".to_owned(),
            kept => format!("{kept} endpoints of its last good answer go on"),
        };
        Finding::new(Kind::Discovery, format!("{}/{}", cluster.name, source.name), Severity::Degraded, says)
            .known_by(format!("for {}: {}", span(source.lasts), source.why))
            .known_by(kept)
            .about(About::Cluster(cluster.name.clone()))
    };
    cluster.failing.iter().map(one).collect()
}

pub(super) fn store(store: &StoreFacts) -> Option<Finding> {
    let trouble = store.trouble.as_ref()?;
    let says = format!("what callers spend and use is not written: the store is {trouble}");
    let mut finding = Finding::new(Kind::Store, "", Severity::Degraded, says);
    finding.evidence.push(format!("{} quotas and usages wait in memory", store.pending));
    finding.evidence.extend(store.last_error.clone());
    Some(finding)
}

pub(super) fn link(link: &LinkFacts) -> Option<Finding> {
    let trouble = link.trouble.as_ref()?;
    let says = format!("caps are not shared between gateways: the link to Redis is {trouble}");
    let mut finding = Finding::new(Kind::CapsUnshared, "", Severity::Degraded, says);
    finding.evidence.extend(link.last_error.clone());
    finding.evidence.push("each shared cap goes by its `outage` until the link works".to_owned());
    Some(finding)
}

pub(super) fn sink(sink: &SinkFacts) -> Finding {
    let says = format!("records do not reach {}: {} were dropped ({})", sink.name, sink.dropped.by, sink.cause);
    Finding::new(Kind::RecordsDropped, format!("{}/{}", sink.name, sink.cause), Severity::Degraded, says)
        .known_by(format!("{} in all, last {} ago", sink.dropped.count, span(sink.dropped.ago)))
}

pub(super) fn certificate(one: &CertificateFacts, now: SystemTime) -> Option<Finding> {
    let left = one.ends.duration_since(now).ok();
    let severity = match left {
        None => Severity::Failing,
        Some(left) if left <= thresholds::CERTIFICATE_FAILS => Severity::Failing,
        Some(left) if left <= thresholds::CERTIFICATE => Severity::Degraded,
        Some(_) => return None,
    };
    let says = match left {
        None => format!("the certificate {} of the listener {} is over", one.subject, one.listener),
        Some(left) => {
            format!("the certificate {} of the listener {} ends in {}", one.subject, one.listener, span(left))
        }
    };
    Some(Finding::new(Kind::Certificate, format!("{}/{}", one.listener, one.subject), severity, says))
}

pub(super) fn overload(refuses: &str) -> Finding {
    let says = "the process refuses work to stay alive";
    Finding::new(Kind::Overload, "", Severity::Failing, says).known_by(refuses).about(About::All)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(super) fn room(room: &RoomFacts) -> Option<Finding> {
    let share = if room.limit == 0 { 0.0 } else { room.used as f64 / room.limit as f64 };
    (share >= thresholds::ROOM).then(|| {
        let says = format!("{} are {} full", room.name, percent(share));
        let evidence = format!("{} of {}", room.used, room.limit);
        Finding::new(Kind::BoundNear, room.name.replace(' ', "_"), Severity::Degraded, says).known_by(evidence)
    })
}

pub(super) fn overrides(overrides: &Overrides) -> Option<Finding> {
    let Overrides { endpoints, caps, bans } = overrides;
    let all = [(endpoints.len(), "endpoint"), (caps.len(), "cap"), (bans.len(), "network")];
    let said: Vec<String> = all
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if said.is_empty() {
        return None;
    }
    let says = format!("overridden by operators: {}", said.join(", "));
    let mut finding = Finding::new(Kind::Overrides, "", Severity::Information, says);
    finding.evidence.extend(endpoints.iter().chain(caps).chain(bans).take(LISTED).cloned());
    Some(finding)
}

pub(super) fn draining() -> Finding {
    Finding::new(Kind::Draining, "", Severity::Degraded, "the gateway drains: it takes no new connections")
        .about(About::All)
}

/// A span of time in words, to its largest unit.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 2 * 86_400 => format!("{} days", seconds / 86_400),
        seconds if seconds >= 2 * 3600 => format!("{} h", seconds / 3600),
        seconds if seconds >= 120 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
