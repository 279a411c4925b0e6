//! The sinks of records: the access log of the config, and what the binary plugged in; and the file of the audit log.
//!
//! A new log is opened before anything changes, and the old one is closed after; lines already queued are
//! written.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_admin::{Audit, SinkLine};
use portcullis_snapshot::{AccessLog as AccessLogSettings, AccessLogFormat, Settings};
use portcullis_telemetry::{
    AccessLog, AccessLogOptions, Format, Metrics, Output, RecordSink, SinkStats as _, Sinks, Writer, WriterOptions,
};
use portcullis_types::ByteSize;

const NAME: &str = "access_log";
const AUDIT: &str = "audit";

/// How long the last lines may take when the process ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The sinks of a gateway.
pub(crate) struct Logs {
    sinks: Arc<ArcSwap<Sinks>>,
    metrics: Arc<Metrics>,
    plugged: Vec<Arc<dyn RecordSink>>,
    audit: Arc<Audit>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    settings: Option<AccessLogSettings>,
    writer: Option<Arc<Writer>>,
    audit_file: Option<PathBuf>,
    audit: Option<Arc<Writer>>,
}

/// Logs that are open and not used yet; those that stay are those of before.
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

    /// Opens what a config says; `None` when all that is open already.
    pub(crate) fn prepare(&self, settings: &Settings) -> io::Result<Option<Prepared>> {
        let open = self.open.lock();
        let log = settings.access_log.as_ref();
        let audit_file = settings.admin.as_ref().and_then(|admin| admin.audit.as_ref());
        let (same_log, same_audit) = (open.settings.as_ref() == log, open.audit_file.as_ref() == audit_file);
        if same_log && same_audit {
            return Ok(None);
        }
        let writer = if same_log { open.writer.clone() } else { log.map(start).transpose()?.map(Arc::new) };
        let audit = match (same_audit, audit_file) {
            (true, _) => open.audit.clone(),
            (false, path) => path.map(|path| start_audit(path.as_path())).transpose()?.map(Arc::new),
        };
        Ok(Some(Prepared(Open { settings: log.cloned(), writer, audit_file: audit_file.cloned(), audit })))
    }

    /// Uses prepared logs. Old ones are closed here, which may wait for their last lines.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let Prepared(next) = prepared;
        let kept: Vec<Arc<Writer>> = next.writer.iter().chain(&next.audit).cloned().collect();
        for (name, writer) in [(NAME, &next.writer), (AUDIT, &next.audit)] {
            if let Some(writer) = writer {
                self.metrics.attach_sink(name, writer.stats().clone());
            }
        }
        self.publish(&next);
        self.audit.write_to(next.audit.clone());
        let before = std::mem::replace(&mut *self.open.lock(), next);
        for writer in before.writer.iter().chain(&before.audit) {
            if !kept.iter().any(|kept| Arc::ptr_eq(kept, writer)) {
                writer.close(CLOSE_WITHIN);
            }
        }
    }

    fn publish(&self, open: &Open) {
        let mut sinks = Sinks::default();
        if let (Some(settings), Some(writer)) = (&open.settings, &open.writer) {
            let options = AccessLogOptions { format: format(settings.format), failures_only: false };
            sinks = sinks.with(Arc::new(AccessLog::new(options, writer.clone())));
        }
        sinks = self.plugged.iter().fold(sinks, |sinks, sink| sinks.with(sink.clone()));
        self.sinks.store(Arc::new(sinks));
    }

    /// Opens the files anew, as logrotate asks for.
    pub(crate) fn reopen(&self) {
        let open = self.open.lock();
        open.writer.iter().chain(&open.audit).for_each(|writer| writer.reopen());
    }

    /// Writes the last lines. Gives how many of the access log were lost; what is lost of the audit log is said here.
    pub(crate) fn close(&self) -> u64 {
        let (writer, audit) = {
            let mut open = self.open.lock();
            (open.writer.take(), open.audit.take())
        };
        let unwritten = audit.map_or(0, |audit| audit.close(CLOSE_WITHIN));
        if unwritten > 0 {
            log::warn!("audit log: the last {unwritten} lines could not be written");
        }
        writer.map_or(0, |writer| writer.close(CLOSE_WITHIN))
    }

    /// What the logs say of themselves.
    pub(crate) fn lines(&self) -> Vec<SinkLine> {
        let open = self.open.lock();
        let logs = [(NAME, &open.writer), (AUDIT, &open.audit)];
        let line = |(name, writer): (&'static str, &Option<Arc<Writer>>)| {
            writer.as_ref().map(|writer| SinkLine { name, stats: writer.stats().stats().to_vec() })
        };
        logs.into_iter().filter_map(line).collect()
    }
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

fn start(settings: &AccessLogSettings) -> io::Result<Writer> {
    let output = settings.path.clone().map_or(Output::Stdout, Output::File);
    let queue = ByteSize(u64::try_from(settings.buffer).unwrap_or(u64::MAX));
    let started = Writer::start("access", output, WriterOptions { queue, ..WriterOptions::default() });
    started.map_err(|error| {
        let to = settings.path.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        io::Error::new(error.kind(), format!("the access log cannot be opened at {to}: {error}"))
    })
}

const fn format(format: AccessLogFormat) -> Format {
    match format {
        AccessLogFormat::Json => Format::Json,
        AccessLogFormat::Text => Format::Text,
    }
}
