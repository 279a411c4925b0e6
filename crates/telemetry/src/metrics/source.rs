//! What is counted of a source of endpoints: a name, a file, a wing's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::family::{Export, Family, Page};
use super::live::{Live, OTHER};

/// The handle of a source.
#[derive(Debug, Default)]
pub struct SourceMetrics {
    endpoints: AtomicU64,
    changes: AtomicU64,
    failures: AtomicU64,
    failing: AtomicBool,
}

impl SourceMetrics {
    /// It answered with so many endpoints; whether they are others than before.
    pub fn answered(&self, endpoints: u64, changed: bool) {
        self.endpoints.store(endpoints, Relaxed);
        self.changes.fetch_add(u64::from(changed), Relaxed);
        self.failing.store(false, Relaxed);
    }

    /// It gave no good answer; the last one is kept.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.failing.store(true, Relaxed);
    }

    fn export(&self, name: &str, page: &mut Page) {
        page.count(0, &[name], self.endpoints.load(Relaxed));
        page.count(1, &[name], self.changes.load(Relaxed));
        page.count(2, &[name], self.failures.load(Relaxed));
        page.count(3, &[name], u64::from(self.failing.load(Relaxed)));
    }
}

/// The sources of all living generations.
#[derive(Debug)]
pub(super) struct Sources(pub(super) Live<Arc<str>, SourceMetrics>);

impl Export for Sources {
    const FAMILIES: &'static [Family] = &[
        Family::gauge("portcullis_source_endpoints", "Endpoints in a source's last good answer.", &["source"]),
        Family::counter("portcullis_source_changes_total", "Answers that changed the endpoints.", &["source"]),
        Family::counter(
            "portcullis_source_failures_total",
            "Times that a source gave no good answer; the last good one is kept.",
            &["source"],
        ),
        Family::gauge("portcullis_source_failing", "1 while a source's last good answer is kept.", &["source"]),
    ];

    fn export(&self, page: &mut Page) {
        self.0.each(|name, source| source.export(name.map_or(OTHER, |name| name), page));
    }
}
