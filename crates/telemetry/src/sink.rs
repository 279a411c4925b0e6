//! Where records go: the trait, and the fan-out to all of them.
//!
//! A sink is called on the request's thread, once a record. It must not block: it takes the record, or drops it
//! and counts the drop by cause in its [`SinkStats`].

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::bound::Bound;
use crate::record::Record;

/// Takes finished records. A wing adds its own (a log stream, a ledger of credits).
pub trait RecordSink: Send + Sync {
    /// Takes one record. The `Arc` is there to be kept: a sink that works later clones it and copies nothing.
    fn record(&self, record: &Arc<Record>);
}

/// One number of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkStat {
    /// Records that reached their end.
    Written(u64),
    /// Records that were dropped, by cause. The cause is a metric label: a fixed word.
    Dropped {
        /// Why.
        cause: &'static str,
        /// How many.
        count: u64,
    },
}

/// What a sink tells the metrics when they are read.
pub trait SinkStats: Send + Sync {
    /// Every number, each time in the same order; causes with a count of 0 included.
    fn stats(&self) -> SmallVec<[SinkStat; 4]>;

    /// The sink's queue, when it has one.
    fn queue(&self) -> Option<Arc<Bound>> {
        None
    }
}

/// The sinks of a gateway, in order. Empty: records cost nothing more.
#[derive(Clone, Default)]
pub struct Sinks(SmallVec<[Arc<dyn RecordSink>; 4]>);

impl Sinks {
    /// Adds a sink behind those already there.
    #[must_use]
    pub fn with(mut self, sink: Arc<dyn RecordSink>) -> Self {
        self.0.push(sink);
        self
    }

    /// Whether nobody listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl RecordSink for Sinks {
    fn record(&self, record: &Arc<Record>) {
        portcullis_mutants::when!(SlowLog => if portcullis_mutants::one_in(100) {
            std::thread::sleep(std::time::Duration::from_millis(50));
        });
        for sink in &self.0 {
            sink.record(record);
        }
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sinks").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Arc<Record>>>);

    impl RecordSink for Kept {
        fn record(&self, record: &Arc<Record>) {
            self.0.lock().push(Arc::clone(record));
        }
    }

    #[test]
    fn every_sink_gets_the_same_record() {
        let (first, second) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
        let sinks = Sinks::default().with(first.clone()).with(second.clone());
        let record = Arc::new(fixture::typical(1));
        sinks.record(&record);
        assert!(Arc::ptr_eq(&first.0.lock()[0], &record));
        assert!(Arc::ptr_eq(&second.0.lock()[0], &record));
        assert!(!sinks.is_empty() && Sinks::default().is_empty());
    }
}
