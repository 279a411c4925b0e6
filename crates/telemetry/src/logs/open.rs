//! A sink of the config, opened.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::emf::{EmfStyle, EmfTarget};
use super::hec::{self, HecStyle};
use super::network::{Datagrams, Framing, Stream};
use super::rotate::{Clock, RotatingFile, Rotation};
use super::settings::{LogKind, LogSettings};
use super::sink::{LogSink, Outlet, Style};
use super::syslog::{SyslogStyle, SyslogTarget};
use crate::sink::{RecordSink, SinkStats};
use crate::writer::{Output, Writer, WriterOptions};

/// A far end that is down is tried this often.
const RETRY: Duration = Duration::from_millis(500);

/// What takes the lines.
#[derive(Debug)]
enum End {
    Writer(Arc<Writer>),
    Hec(hec::Handle),
}

/// A sink that takes records, or is about to.
#[derive(Debug)]
pub struct OpenSink {
    settings: LogSettings,
    sink: Arc<LogSink>,
    end: End,
}

/// A sink cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the log `{name}` cannot be opened{}: {why}", at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default())]
pub struct OpenError {
    name: Arc<str>,
    at: Option<String>,
    why: String,
}

impl OpenSink {
    /// Opens a sink. A far end that is down is no error: it is waited for.
    ///
    /// # Errors
    /// A file or a spool that cannot be written, a URL or CAs that are none: an operator's mistakes.
    pub fn open(settings: &LogSettings) -> Result<Self, OpenError> {
        let (style, end) = begin(settings)?;
        let outlet = match &end {
            End::Writer(writer) => Outlet::Writer(Arc::clone(writer)),
            End::Hec(handle) => Outlet::Inbox(Arc::clone(&handle.inbox)),
        };
        let sink = LogSink::new((settings.only.clone(), settings.view.clone()), style, outlet);
        Ok(Self { settings: settings.clone(), sink: Arc::new(sink), end })
    }

    /// What the config says of it.
    #[must_use]
    pub const fn settings(&self) -> &LogSettings {
        &self.settings
    }

    /// What records are handed to.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn RecordSink> {
        Arc::clone(&self.sink) as Arc<dyn RecordSink>
    }

    /// What it says of itself.
    #[must_use]
    pub fn stats(&self) -> Arc<dyn SinkStats> {
        match &self.end {
            End::Writer(writer) => Arc::clone(writer.stats()) as Arc<dyn SinkStats>,
            End::Hec(handle) => Arc::clone(&handle.inbox) as Arc<dyn SinkStats>,
        }
    }

    /// Opens its file or its connection anew, as after SIGHUP.
    pub fn reopen(&self) {
        match &self.end {
            End::Writer(writer) => writer.reopen(),
            // Its connections are made anew when they break, and its files are its own.
            End::Hec(_) => {}
        }
    }

    /// Delivers what waits, as far as that goes in time, and ends it. How many records were lost.
    pub fn close(&self, within: Duration) -> u64 {
        match &self.end {
            End::Writer(writer) => writer.close(within),
            End::Hec(handle) => handle.close(within),
        }
    }
}

fn begin(settings: &LogSettings) -> Result<(Style, End), OpenError> {
    let (name, queue) = (&settings.name, settings.queue);
    let host = host_name();
    let (style, output, keep) = match &settings.kind {
        LogKind::Stdout(format) => (Style::Plain(*format), Output::Stdout, false),
        LogKind::File { path, format, rotation } => (Style::Plain(*format), file(path, *rotation), false),
        LogKind::Syslog(syslog) => (Style::Syslog(SyslogStyle::new(syslog, &host)), messages(&syslog.target), true),
        LogKind::Emf(emf) => {
            let (output, keep) = match &emf.target {
                EmfTarget::Stdout => (Output::Stdout, false),
                EmfTarget::File(path, rotation) => (file(path, *rotation), false),
                EmfTarget::Tcp(to) => (stream(to, Framing::Lines), true),
            };
            (Style::Emf(EmfStyle::new(emf, &settings.view)), output, keep)
        }
        LogKind::SplunkHec(splunk) => {
            let handle = hec::open(name, splunk, queue);
            let handle = handle.map_err(|error| OpenError { name: name.clone(), at: None, why: error.to_string() })?;
            return Ok((Style::Hec(HecStyle::new(splunk, &host)), End::Hec(handle)));
        }
    };
    let retry_after = if keep { RETRY } else { WriterOptions::default().retry_after };
    let options = WriterOptions { queue, keep, retry_after, ..WriterOptions::default() };
    let writer = Writer::start(name, output, options);
    let writer =
        writer.map_err(|error| OpenError { name: name.clone(), at: place(&settings.kind), why: error.to_string() })?;
    Ok((style, End::Writer(Arc::new(writer))))
}

/// Where a sink writes, for an error.
fn place(kind: &LogKind) -> Option<String> {
    match kind {
        LogKind::File { path, .. } => Some(path.display().to_string()),
        LogKind::Emf(emf) => match &emf.target {
            EmfTarget::File(path, _) => Some(path.display().to_string()),
            EmfTarget::Stdout | EmfTarget::Tcp(_) => None,
        },
        LogKind::Stdout(_) | LogKind::Syslog(_) | LogKind::SplunkHec(_) => None,
    }
}

fn file(path: &std::path::Path, rotation: Option<Rotation>) -> Output {
    let path = path.to_owned();
    let Some(rotation) = rotation else { return Output::File(path) };
    let (clock, tidying): (Clock, _) = (Arc::new(SystemTime::now), Arc::default());
    Output::Custom(Box::new(move || {
        let file = RotatingFile::open(&path, rotation, Arc::clone(&clock), Arc::clone(&tidying))?;
        Ok(Box::new(file))
    }))
}

fn messages(target: &SyslogTarget) -> Output {
    match target {
        SyslogTarget::Unix(path) => {
            let path = path.clone();
            custom(move || Datagrams::unix(&path))
        }
        SyslogTarget::Udp(to) => {
            let to = to.clone();
            custom(move || Datagrams::udp(&to))
        }
        SyslogTarget::Tcp(to) => stream(to, Framing::Counted),
    }
}

fn stream(to: &super::Address, framing: Framing) -> Output {
    let to = to.clone();
    custom(move || Stream::connect(&to, framing))
}

fn custom<W: io::Write + Send + 'static>(open: impl Fn() -> io::Result<W> + Send + 'static) -> Output {
    Output::Custom(Box::new(move || Ok(Box::new(open()?))))
}

/// The machine's name, as the kernel tells it; empty when it does not.
fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
