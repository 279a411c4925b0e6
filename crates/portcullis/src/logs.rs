//! The sinks of records: the logs of the config, and what the binary plugged in.
//!
//! A log that the config did not change goes on as it is: its queue, its connection, its spool. New ones are opened before
//! anything changes, and those that are gone are closed after; what was queued is written.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use portcullis_admin::SinkLine;
use portcullis_telemetry::logs::OpenError;
use portcullis_telemetry::{LogSettings, Metrics, OpenSink, RecordSink, Sinks};

/// How long the last records may take when a log ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The sinks of a gateway.
pub(crate) struct Logs {
    sinks: Arc<ArcSwap<Sinks>>,
    metrics: Arc<Metrics>,
    plugged: Vec<Arc<dyn RecordSink>>,
    /// In the order of the config.
    open: Mutex<Vec<Arc<OpenSink>>>,
}

/// The logs of a config, open; those that are new are not used yet.
pub(crate) struct Prepared(Vec<Arc<OpenSink>>);

impl Logs {
    pub(crate) fn new(metrics: Arc<Metrics>, plugged: Vec<Arc<dyn RecordSink>>) -> Self {
        let logs = Self { sinks: Arc::default(), metrics, plugged, open: Mutex::default() };
        logs.publish(&[]);
        logs
    }

    /// What the gateway hands records to.
    pub(crate) fn sinks(&self) -> Arc<ArcSwap<Sinks>> {
        self.sinks.clone()
    }

    /// Opens what a config says and is not open already.
    pub(crate) fn prepare(&self, settings: &[LogSettings]) -> Result<Prepared, OpenError> {
        let open = self.open.lock().clone();
        let one = |wanted: &LogSettings| match open.iter().find(|log| log.settings() == wanted) {
            Some(log) => Ok(log.clone()),
            None => OpenSink::open(wanted).map(Arc::new),
        };
        settings.iter().map(one).collect::<Result<_, _>>().map(Prepared)
    }

    /// Uses prepared logs. Those that are gone are closed here, which may wait for their last records.
    pub(crate) fn commit(&self, Prepared(next): Prepared) {
        self.publish(&next);
        let before = std::mem::replace(&mut *self.open.lock(), next.clone());
        let is_in = |list: &[Arc<OpenSink>], log: &Arc<OpenSink>| list.iter().any(|other| Arc::ptr_eq(other, log));
        let gone: Vec<_> = before.iter().filter(|log| !is_in(&next, log)).cloned().collect();
        gone.iter().for_each(|log| self.metrics.detach_sink(&log.settings().name));
        for log in next.iter().filter(|log| !is_in(&before, log)) {
            self.metrics.attach_sink(&log.settings().name, log.stats());
        }
        let lost = close(&gone);
        if lost > 0 {
            log::warn!("logs: {lost} records of logs that are gone could not be written");
        }
    }

    fn publish(&self, open: &[Arc<OpenSink>]) {
        let sinks = open.iter().fold(Sinks::default(), |sinks, log| sinks.with(log.sink()));
        let sinks = self.plugged.iter().fold(sinks, |sinks, sink| sinks.with(sink.clone()));
        self.sinks.store(Arc::new(sinks));
    }

    /// Opens files and connections anew, as logrotate asks for.
    pub(crate) fn reopen(&self) {
        self.open.lock().iter().for_each(|log| log.reopen());
    }

    /// Writes the last records. Gives how many were lost.
    pub(crate) fn close(&self) -> u64 {
        let open = std::mem::take(&mut *self.open.lock());
        close(&open)
    }

    /// What the logs say of themselves.
    pub(crate) fn lines(&self) -> Vec<SinkLine> {
        let line = |log: &Arc<OpenSink>| SinkLine {
            name: log.settings().name.to_string(),
            stats: log.stats().stats().to_vec(),
        };
        self.open.lock().iter().map(line).collect()
    }
}

/// Closes logs side by side, since each may take its time. How many records were lost.
fn close(logs: &[Arc<OpenSink>]) -> u64 {
    thread::scope(|scope| {
        let closing: Vec<_> = logs.iter().map(|log| scope.spawn(move || log.close(CLOSE_WITHIN))).collect();
        closing.into_iter().map(|one| one.join().unwrap_or_default()).sum()
    })
}
