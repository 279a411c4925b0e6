//! What is told of changes to the config beside their outcomes: whether the file says something else than what serves, and
//! how the history on disk does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::family::{Export, Family, Page};

/// How the config that serves stands to the file and to the history.
#[derive(Debug, Default)]
pub struct ChangeMetrics {
    drift: AtomicBool,
    last_good: AtomicBool,
    keeps: AtomicBool,
    failures: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl ChangeMetrics {
    /// Whether the file says something else than what serves.
    pub fn set_drift(&self, drifts: bool) {
        self.drift.store(drifts, Relaxed);
    }

    /// Whether the last good generation serves, since the file had errors at the start.
    pub fn set_last_good(&self, on: bool) {
        self.last_good.store(on, Relaxed);
    }

    /// How the history stands: whether the last entry was written, how many there are and how many bytes they take.
    pub fn set_history(&self, keeps: bool, entries: u64, bytes: u64) {
        self.keeps.store(keeps, Relaxed);
        self.entries.store(entries, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    /// An entry could not be written.
    pub fn history_failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// How often an entry could not be written.
    #[must_use]
    pub fn history_failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }
}

impl Export for ChangeMetrics {
    const FAMILIES: &'static [Family] = &[
        Family::gauge(
            "portcullis_config_drift",
            "1 while the file says something else than the config that serves.",
            &[],
        ),
        Family::gauge(
            "portcullis_config_last_good",
            "1 while the last good generation serves because the file had errors at the start.",
            &[],
        ),
        Family::gauge("portcullis_history_keeps", "1 while the history of the config is written to disk.", &[]),
        Family::counter("portcullis_history_failures_total", "Entries of the history that could not be written.", &[]),
        Family::gauge("portcullis_history_entries", "Generations in the history.", &[]),
        Family::gauge("portcullis_history_bytes", "What the history takes on disk.", &[]),
    ];

    fn export(&self, page: &mut Page) {
        page.count(0, &[], u64::from(self.drift.load(Relaxed)));
        page.count(1, &[], u64::from(self.last_good.load(Relaxed)));
        page.count(2, &[], u64::from(self.keeps.load(Relaxed)));
        page.count(3, &[], self.failures.load(Relaxed));
        page.count(4, &[], self.entries.load(Relaxed));
        page.count(5, &[], self.bytes.load(Relaxed));
    }
}
