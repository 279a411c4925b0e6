//! The sinks of records: the logs of the config, its traces, and what the binary plugged in; and the file of the audit log.
//!
//! A log, or the exporter of traces, that the config did not change goes on as it is: its queue, its connection, its spool. New ones are opened before
//! anything changes, and those that are gone are closed after; what was queued is written.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use portcullis_admin::{Audit, SinkLine};
use portcullis_snapshot::Settings;
use portcullis_telemetry::{
    LogSettings, Metrics, OpenSink, Output, RecordSink, SinkStats as _, Sinks, Writer, WriterOptions,
};
use portcullis_tracing::OpenTraces;

const AUDIT: &str = "audit";
/// What the exporter of traces is called among the sinks.
const TRACING: &str = "tracing";

/// How long the last records may take when a log ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The sinks of a gateway.
pub(crate) struct Logs {
    sinks: Arc<ArcSwap<Sinks>>,
    metrics: Arc<Metrics>,
    plugged: Vec<Arc<dyn RecordSink>>,
    audit: Arc<Audit>,
    open: Mutex<Open>,
}

/// What is open.
#[derive(Clone, Default)]
struct Open {
    /// In the order of the config.
    logs: Vec<Arc<OpenSink>>,
    /// The exporter of traces.
    traces: Option<Arc<OpenTraces>>,
    /// The audit log's file, and who writes it.
    audit: Option<(PathBuf, Arc<Writer>)>,
}

/// The logs of a config, open; those that are new are not used yet.
pub(crate) struct Prepared(Open);

impl Logs {
    pub(crate) fn new(metrics: Arc<Metrics>, plugged: Vec<Arc<dyn RecordSink>>, audit: Arc<Audit>) -> Self {
        let logs = Self { sinks: Arc::default(), metrics, plugged, audit, open: Mutex::default() };
        logs.publish(&Open::default());
        logs
    }

    /// What the gateway hands records to.
    pub(crate) fn sinks(&self) -> Arc<ArcSwap<Sinks>> {
        self.sinks.clone()
    }

    /// Opens what a config says and is not open already.
    ///
    /// # Errors
    /// A sentence: which log cannot be opened, and why.
    pub(crate) fn prepare(&self, settings: &Settings) -> Result<Prepared, String> {
        let open = self.open.lock().clone();
        let one = |wanted: &LogSettings| match open.logs.iter().find(|log| log.settings() == wanted) {
            Some(log) => Ok(log.clone()),
            None => OpenSink::open(wanted).map(Arc::new).map_err(|error| error.to_string()),
        };
        let logs = settings.logs.iter().map(one).collect::<Result<_, _>>()?;
        let traces = match (settings.tracing.as_ref().map(|tracing| &tracing.exporter), open.traces) {
            (Some(wanted), Some(open)) if open.settings() == wanted => Some(open),
            (Some(wanted), _) => {
                let opened = OpenTraces::open(wanted, self.metrics.traces());
                Some(Arc::new(opened.map_err(|error| error.to_string())?))
            }
            (None, _) => None,
        };
        let wanted = settings.admin.as_ref().and_then(|admin| admin.audit.clone());
        let audit = match (wanted, open.audit) {
            (Some(path), Some((known, writer))) if known == path => Some((known, writer)),
            (Some(path), _) => {
                let writer = start_audit(&path).map_err(|error| error.to_string())?;
                Some((path, Arc::new(writer)))
            }
            (None, _) => None,
        };
        Ok(Prepared(Open { logs, traces, audit }))
    }

    /// Uses prepared logs. Those that are gone are closed here, which may wait for their last records.
    pub(crate) fn commit(&self, Prepared(next): Prepared) {
        self.publish(&next);
        let traces = self.metrics.traces();
        traces.set_on(next.traces.is_some());
        // Without a limit the queue is not exported.
        traces.queue().set_limit(next.traces.as_ref().map_or(0, |traces| traces.settings().queue as u64));
        self.audit.write_to(next.audit.as_ref().map(|(_, writer)| writer.clone()));
        let before = std::mem::replace(&mut *self.open.lock(), next.clone());
        let is_in = |list: &[Arc<OpenSink>], log: &Arc<OpenSink>| list.iter().any(|other| Arc::ptr_eq(other, log));
        let gone: Vec<_> = before.logs.iter().filter(|log| !is_in(&next.logs, log)).cloned().collect();
        gone.iter().for_each(|log| self.metrics.detach_sink(&log.settings().name));
        for log in next.logs.iter().filter(|log| !is_in(&before.logs, log)) {
            self.metrics.attach_sink(&log.settings().name, log.stats());
        }
        let lost = close(&gone);
        if lost > 0 {
            log::warn!("logs: {lost} records of logs that are gone could not be written");
        }
        let gone = before.traces.filter(|old| next.traces.as_ref().is_none_or(|new| !Arc::ptr_eq(old, new)));
        let lost = gone.map_or(0, |traces| traces.close(CLOSE_WITHIN));
        if lost > 0 {
            log::warn!("traces: {lost} spans of an exporter that is gone could not be delivered");
        }
        self.change_audit(before.audit, next.audit);
    }

    fn change_audit(&self, before: Option<(PathBuf, Arc<Writer>)>, next: Option<(PathBuf, Arc<Writer>)>) {
        let (before, next) = (before.map(|(_, writer)| writer), next.map(|(_, writer)| writer));
        if before.as_ref().map(Arc::as_ptr) == next.as_ref().map(Arc::as_ptr) {
            return;
        }
        if let Some(writer) = before {
            self.metrics.detach_sink(AUDIT);
            writer.close(CLOSE_WITHIN);
        }
        if let Some(writer) = next {
            self.metrics.attach_sink(AUDIT, writer.stats().clone());
        }
    }

    fn publish(&self, open: &Open) {
        let sinks = open.logs.iter().fold(Sinks::default(), |sinks, log| sinks.with(log.sink()));
        let sinks = open.traces.iter().fold(sinks, |sinks, traces| sinks.with(traces.sink()));
        let sinks = self.plugged.iter().fold(sinks, |sinks, sink| sinks.with(sink.clone()));
        self.sinks.store(Arc::new(sinks));
    }

    /// Opens files and connections anew, as logrotate asks for.
    pub(crate) fn reopen(&self) {
        let open = self.open.lock().clone();
        open.logs.iter().for_each(|log| log.reopen());
        open.audit.iter().for_each(|(_, writer)| writer.reopen());
    }

    /// Writes the last records. Gives how many were lost; what is lost of the audit log is said here.
    pub(crate) fn close(&self) -> u64 {
        let open = std::mem::take(&mut *self.open.lock());
        let unwritten = open.audit.map_or(0, |(_, audit)| audit.close(CLOSE_WITHIN));
        if unwritten > 0 {
            log::warn!("audit log: the last {unwritten} lines could not be written");
        }
        thread::scope(|scope| {
            let traces = open.traces.as_ref().map(|traces| scope.spawn(|| traces.close(CLOSE_WITHIN)));
            let lost = close(&open.logs);
            let spans = traces.map_or(0, |traces| traces.join().unwrap_or_default());
            if spans > 0 {
                log::warn!("traces: the last {spans} spans could not be delivered");
            }
            lost
        })
    }

    /// What the logs say of themselves.
    pub(crate) fn lines(&self) -> Vec<SinkLine> {
        let open = self.open.lock().clone();
        let line = |log: &Arc<OpenSink>| SinkLine {
            name: log.settings().name.to_string(),
            stats: log.stats().stats().to_vec(),
        };
        let audit = open.audit.iter();
        let audit =
            audit.map(|(_, writer)| SinkLine { name: AUDIT.to_owned(), stats: writer.stats().stats().to_vec() });
        let traces = open.traces.iter();
        let traces =
            traces.map(|_| SinkLine { name: TRACING.to_owned(), stats: self.metrics.traces().stats().to_vec() });
        open.logs.iter().map(line).chain(traces).chain(audit).collect()
    }
}

/// Closes logs side by side, since each may take its time. How many records were lost.
fn close(logs: &[Arc<OpenSink>]) -> u64 {
    thread::scope(|scope| {
        let closing: Vec<_> = logs.iter().map(|log| scope.spawn(move || log.close(CLOSE_WITHIN))).collect();
        closing.into_iter().map(|one| one.join().unwrap_or_default()).sum()
    })
}

/// The file of the audit log: for its owner alone, since it says who may do what.
fn start_audit(path: &Path) -> io::Result<Writer> {
    let file = path.to_owned();
    let open = move || {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&file)?;
        Ok(Box::new(file) as Box<dyn io::Write + Send>)
    };
    let started = Writer::start("audit", Output::Custom(Box::new(open)), WriterOptions::default());
    started.map_err(|error| {
        io::Error::new(error.kind(), format!("the audit log cannot be opened at {}: {error}", path.display()))
    })
}
