//! From facts to findings.

mod rest;
mod traffic;

use std::time::SystemTime;

use crate::facts::{ClusterFacts, Facts};
use crate::finding::{About, Finding, Severity};
use crate::kind::Kind;

/// From when on something is worth a word.
pub mod thresholds {
    use std::time::Duration;

    /// Fewer requests than these in the last minute say nothing of shares.
    pub const REQUESTS: u64 = 20;
    /// A share of failed requests that is degraded, and one that is failing.
    pub const ERRORS: (f64, f64) = (0.05, 0.5);
    /// A reason that grows to this share of the requests, by at least this factor.
    pub const RISING: (f64, f64) = (0.01, 2.0);
    /// A reason that grows to this share is failing.
    pub const RISING_FAILS: f64 = 0.25;
    /// A share of refused requests that is worth a word when it doubles.
    pub const REFUSALS: f64 = 0.2;
    /// A share of a cluster's endpoints that may not be chosen.
    pub const OUT: f64 = 0.3;
    /// A certificate ends so soon.
    pub const CERTIFICATE: Duration = Duration::from_secs(14 * 86_400);
    /// A certificate ends so soon that it is failing.
    pub const CERTIFICATE_FAILS: Duration = Duration::from_secs(86_400);
    /// A bound of which so much is used.
    pub const ROOM: f64 = 0.9;
}

/// The most sentences of evidence that list single things.
const LISTED: usize = 5;

/// All that is to be known, in no order.
#[must_use]
pub fn judge(facts: &Facts, now: SystemTime) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.clusters.iter().filter_map(cluster).collect();
    found.extend(facts.clusters.iter().flat_map(rest::discovery));
    found.extend(traffic::traffic(&facts.traffic));
    found.extend(traffic::burns(&facts.burns));
    found.extend(facts.store.iter().filter_map(rest::store));
    found.extend(facts.link.iter().filter_map(rest::link));
    found.extend(facts.sinks.iter().map(rest::sink));
    found.extend(facts.certificates.iter().filter_map(|one| rest::certificate(one, now)));
    found.extend(facts.refuses.as_deref().map(rest::overload));
    found.extend(facts.rooms.iter().filter_map(rest::room));
    found.extend(rest::overrides(&facts.overrides));
    found.extend(facts.draining.then(rest::draining));
    found.extend(facts.found.iter().cloned());
    found
}

/// The worst that is to be said of a cluster.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn cluster(cluster: &ClusterFacts) -> Option<Finding> {
    let ClusterFacts { name, endpoints, available, ejected, panicking, trouble, out, .. } = cluster;
    let about = About::Cluster(name.clone());
    let unusable = endpoints.saturating_sub(*available);
    let (kind, severity, says) = if *endpoints == 0 {
        (Kind::ClusterDown, Severity::Failing, format!("the cluster {name} has no endpoints"))
    } else if *panicking {
        let says = format!("so few endpoints of the cluster {name} are good that all are used");
        (Kind::ClusterPanicking, Severity::Failing, says)
    } else if *available == 0 {
        let says = format!("no endpoint of the cluster {name} may be used");
        (Kind::ClusterDown, Severity::Failing, says)
    } else if unusable as f64 / *endpoints as f64 >= thresholds::OUT {
        let says = format!("{unusable} of {endpoints} endpoints of the cluster {name} may not be used");
        (Kind::ClusterDegraded, Severity::Degraded, says)
    } else if trouble.is_some() {
        let says = format!("the endpoints of the cluster {name} cannot be made up anew");
        (Kind::ClusterDegraded, Severity::Degraded, says)
    } else {
        return None;
    };
    let mut finding = Finding::new(kind, name, severity, says).about(about);
    finding.evidence.push(format!("{available} of {endpoints} available, {ejected} ejected"));
    finding.evidence.extend(trouble.clone());
    finding.evidence.extend(out.iter().take(LISTED).cloned());
    Some(finding)
}

/// A share in words.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}
