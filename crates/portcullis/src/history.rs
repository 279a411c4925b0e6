//! The reloads that were tried: the last fifty, latest first.

use parking_lot::Mutex;
use std::collections::VecDeque;

use portcullis_admin::ReloadEntry;

/// How many are kept.
const KEPT: usize = 50;

/// Shared between who reloads and who asks.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<ReloadEntry>>);

impl History {
    pub(crate) fn push(&self, entry: ReloadEntry) {
        let mut entries = self.0.lock();
        entries.truncate(KEPT - 1);
        entries.push_front(entry);
    }

    pub(crate) fn entries(&self) -> Vec<ReloadEntry> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_telemetry::metrics::ReloadOutcome;
    use portcullis_types::GenerationId;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_latest_fifty_are_kept_latest_first() {
        let history = History::default();
        for id in 0..60 {
            history.push(ReloadEntry {
                at: SystemTime::UNIX_EPOCH,
                trigger: "watch",
                outcome: ReloadOutcome::Applied,
                generation: GenerationId(id),
                took: Duration::ZERO,
                summary: String::new(),
            });
        }
        let ids: Vec<u64> = history.entries().iter().map(|entry| entry.generation.0).collect();
        assert_eq!((ids.len(), ids[0], ids[49]), (50, 59, 10));
    }
}
