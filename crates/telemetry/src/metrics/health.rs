//! What is counted of the health of a cluster's endpoints: checks, ejections, load reports.
//!
//! Gauges are set by whoever looks at the cluster every second, not by requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use portcullis_types::ClusterName;

use super::cluster::Clusters;
use super::family::{Export, Family, Page};
use super::live::OTHER;
use super::shard::Counts;

/// Results of checks: passing first, then the ways to fail.
const RESULTS: [&str; 13] = [
    "pass",
    "connect_timeout",
    "connect_refused",
    "unreachable",
    "reset",
    "timeout",
    "tls_failed",
    "certificate_invalid",
    "malformed",
    "status",
    "body_mismatch",
    "rpc_error",
    "other",
];

/// Causes of ejections.
const CAUSES: [&str; 4] = ["consecutive_failures", "failure_rate", "slow", "other"];

/// What an endpoint said of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// An ORCA report.
    Orca,
    /// The configured field.
    Utilisation,
    /// It wants no new requests.
    Drain,
    /// It wants to be left alone for a while.
    RetryAfter,
    /// It has no resources left (gRPC).
    Exhausted,
    /// Something that could not be read.
    Unreadable,
}

impl Report {
    const ALL: [Self; 6] =
        [Self::Orca, Self::Utilisation, Self::Drain, Self::RetryAfter, Self::Exhausted, Self::Unreadable];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orca => "orca",
            Self::Utilisation => "utilisation",
            Self::Drain => "drain",
            Self::RetryAfter => "retry_after",
            Self::Exhausted => "exhausted",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How a cluster's endpoints stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Endpoints that may be chosen.
    pub available: u64,
    /// Endpoints that outlier detection keeps out.
    pub ejected: u64,
    /// Whether health is ignored.
    pub panicking: bool,
    /// The part of the requests that leaves the gateway's zone, in thousandths.
    pub leaving_zone: u32,
}

/// The health numbers of a cluster.
#[derive(Debug, Default)]
pub struct HealthMetrics {
    checks: Counts<{ RESULTS.len() }>,
    ejections: Counts<{ CAUSES.len() }>,
    reports: Counts<{ Report::ALL.len() }>,
    available: AtomicU64,
    ejected: AtomicU64,
    panicking: AtomicU64,
    leaving_zone: AtomicU32,
}

impl HealthMetrics {
    /// Counts a check: `None` when it passed, else how it failed.
    pub fn checked(&self, failure: Option<&str>) {
        self.checks.add(place(&RESULTS, failure.unwrap_or("pass")), 1);
    }

    /// Counts an ejection.
    pub fn ejected(&self, cause: &str) {
        self.ejections.add(place(&CAUSES, cause), 1);
    }

    /// Counts what an endpoint said of its load.
    pub fn reported(&self, report: Report) {
        self.reports.add(report as usize, 1);
    }

    /// States how the endpoints stand. Whether a panic began or ended with it.
    #[must_use]
    pub fn set(&self, standing: Standing) -> bool {
        self.available.store(standing.available, Relaxed);
        self.ejected.store(standing.ejected, Relaxed);
        self.leaving_zone.store(standing.leaving_zone, Relaxed);
        let now = u64::from(standing.panicking);
        self.panicking.swap(now, Relaxed) != now
    }

    fn export(&self, name: &str, page: &mut Page) {
        for (at, result) in RESULTS.into_iter().enumerate() {
            page.count_seen(0, &[name, result], self.checks.get(at));
        }
        for (at, cause) in CAUSES.into_iter().enumerate() {
            page.count_seen(1, &[name, cause], self.ejections.get(at));
        }
        for report in Report::ALL {
            page.count_seen(2, &[name, report.as_str()], self.reports.get(report as usize));
        }
        page.count(3, &[name], self.available.load(Relaxed));
        page.count(4, &[name], self.ejected.load(Relaxed));
        page.count(5, &[name], self.panicking.load(Relaxed));
        let leaving = self.leaving_zone.load(Relaxed);
        if leaving > 0 {
            page.add(6, &[name], f64::from(leaving) / 1000.0);
        }
    }
}

/// The place of a word; the last place for one that is not known.
fn place(words: &[&str], word: &str) -> usize {
    words.iter().position(|known| *known == word).unwrap_or(words.len() - 1)
}

/// The health of the clusters of all living generations.
#[derive(Debug)]
pub(super) struct ClustersHealth(pub(super) Arc<Clusters>);

impl Export for ClustersHealth {
    const FAMILIES: &'static [Family] = &[
        Family::counter(
            "portcullis_cluster_health_checks_total",
            "Active health checks that ended, by result: pass, or how they failed.",
            &["cluster", "result"],
        ),
        Family::counter(
            "portcullis_cluster_ejections_total",
            "Endpoints that outlier detection took out, by cause.",
            &["cluster", "cause"],
        ),
        Family::counter(
            "portcullis_cluster_load_reports_total",
            "What endpoints said of their own load, by kind; unreadable: a field that is none of its kind.",
            &["cluster", "kind"],
        ),
        Family::gauge("portcullis_cluster_available", "Endpoints that may be chosen now.", &["cluster"]),
        Family::gauge("portcullis_cluster_ejected", "Endpoints that outlier detection keeps out.", &["cluster"]),
        Family::gauge(
            "portcullis_cluster_panicking",
            "1 while health is ignored, because too few endpoints are available.",
            &["cluster"],
        ),
        Family::gauge(
            "portcullis_cluster_leaving_zone",
            "The part of the requests that goes to other zones, since the endpoints of the gateway's own are too few or too \
             full; none while all stay.",
            &["cluster"],
        ),
    ];

    fn export(&self, page: &mut Page) {
        self.0.0.each(|name, cluster| cluster.health().export(name.map_or(OTHER, ClusterName::as_str), page));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_is_counted_as_other() {
        for (word, expected) in [("pass", 0), ("body_mismatch", 10), ("other", 12), ("made_up", 12)] {
            assert_eq!(place(&RESULTS, word), expected, "{word}");
        }
        for (at, report) in Report::ALL.into_iter().enumerate() {
            assert_eq!(report as usize, at);
        }
    }
}
