//! The sinks of records: the access log of the config, and what the binary plugged in.
//!
//! A new access log is opened before anything changes, and the old one is closed after; lines already queued are
//! written.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_admin::SinkLine;
use portcullis_snapshot::{AccessLog as Settings, AccessLogFormat};
use portcullis_telemetry::{
    AccessLog, AccessLogOptions, Format, Metrics, Output, RecordSink, SinkStats as _, Sinks, Writer, WriterOptions,
};
use portcullis_types::ByteSize;

const NAME: &str = "access_log";

/// How long the last lines may take when the process ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The sinks of a gateway.
pub(crate) struct Logs {
    sinks: Arc<ArcSwap<Sinks>>,
    metrics: Arc<Metrics>,
    plugged: Vec<Arc<dyn RecordSink>>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    settings: Option<Settings>,
    writer: Option<Arc<Writer>>,
}

/// An access log that is open and not used yet.
pub(crate) struct Prepared(Open);

impl Logs {
    pub(crate) fn new(metrics: Arc<Metrics>, plugged: Vec<Arc<dyn RecordSink>>) -> Self {
        let logs = Self { sinks: Arc::default(), metrics, plugged, open: Mutex::default() };
        logs.publish(&Open::default());
        logs
    }

    /// What the gateway hands records to.
    pub(crate) fn sinks(&self) -> Arc<ArcSwap<Sinks>> {
        self.sinks.clone()
    }

    /// Opens what a config says; `None` when that is open already.
    pub(crate) fn prepare(&self, settings: Option<&Settings>) -> io::Result<Option<Prepared>> {
        if self.open.lock().settings.as_ref() == settings {
            return Ok(None);
        }
        let writer = settings.map(start).transpose()?.map(Arc::new);
        Ok(Some(Prepared(Open { settings: settings.cloned(), writer })))
    }

    /// Uses a prepared log. The old one is closed here, which may wait for its last lines.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let Prepared(next) = prepared;
        if let Some(writer) = &next.writer {
            self.metrics.attach_sink(NAME, writer.stats().clone());
        }
        self.publish(&next);
        let before = std::mem::replace(&mut *self.open.lock(), next);
        if let Some(writer) = before.writer {
            writer.close(CLOSE_WITHIN);
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

    /// Opens the file anew, as logrotate asks for.
    pub(crate) fn reopen(&self) {
        if let Some(writer) = &self.open.lock().writer {
            writer.reopen();
        }
    }

    /// Writes the last lines. Gives how many were lost.
    pub(crate) fn close(&self) -> u64 {
        let writer = self.open.lock().writer.take();
        writer.map_or(0, |writer| writer.close(CLOSE_WITHIN))
    }

    /// What the log says of itself.
    pub(crate) fn lines(&self) -> Vec<SinkLine> {
        let open = self.open.lock();
        let line = |writer: &Arc<Writer>| SinkLine { name: NAME, stats: writer.stats().stats().to_vec() };
        open.writer.iter().map(line).collect()
    }
}

fn start(settings: &Settings) -> io::Result<Writer> {
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
