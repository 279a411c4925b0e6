//! The HTTP Event Collector of Splunk: events in batches, acknowledged, spooled while the far end is down.
//!
//! A record is an event, a line of JSON. Lines wait in the [`Inbox`], bounded by bytes; a thread with a runtime of its own
//! makes batches of them and keeps these in the [`Backlog`](backlog::Backlog) until they are delivered: in memory, or in the
//! spool on disk while the far end does not take them. Invariants: a batch leaves the backlog when the collector has
//! answered 200 with code 0 and, where acknowledgement is on, has said that it is indexed; so each event is delivered at
//! least once. Batches are sent oldest first. Drops happen in two places only, each counted: the inbox is full (of
//! which the cause is the state of what lies behind it), or the collector refuses a batch for good.

mod backlog;
mod client;
mod inbox;
mod spool;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use portcullis_types::ByteSize;

use crate::access_log::escape::{number, string};
use crate::access_log::{View, write_shown};
use crate::collector::{LineError, Tcp};
use crate::record::Record;

pub(super) use inbox::Inbox;
pub(super) use worker::Handle;

/// A sink of events.
#[derive(Clone, PartialEq, Eq)]
pub struct Hec {
    /// `http` or `https`, host and port, perhaps with a path before `/services/collector`.
    pub url: String,
    /// The token. Never shown.
    pub token: String,
    /// CAs of the collector as PEM; the system's when there are none.
    pub authorities: Option<String>,
    /// What each event says of itself, where the collector is not to choose.
    pub index: Option<String>,
    /// As `index`.
    pub source: Option<String>,
    /// As `index`.
    pub sourcetype: Option<String>,
    /// How events are batched.
    pub batch: HecBatch,
    /// Whether batches are compressed.
    pub gzip: bool,
    /// Whether the indexer's acknowledgement is waited for, and how long before a batch is sent again.
    pub ack: Option<Duration>,
    /// The longest an answer may take.
    pub timeout: Duration,
    /// Where batches go while the far end does not take them.
    pub spool: Option<Spool>,
}

impl std::fmt::Debug for Hec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hec").field("url", &self.url).field("spool", &self.spool).finish_non_exhaustive()
    }
}

/// When a batch is full: what comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HecBatch {
    /// So many events.
    pub events: usize,
    /// So many bytes, before compression.
    pub bytes: ByteSize,
    /// So long after its first event.
    pub wait: Duration,
}

impl Default for HecBatch {
    /// 1,000 events, 512 KiB, a second.
    fn default() -> Self {
        Self { events: 1000, bytes: ByteSize::kib(512), wait: Duration::from_secs(1) }
    }
}

/// A directory for batches that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Which; of this sink alone.
    pub path: PathBuf,
    /// The bound on what lies there.
    pub size: ByteSize,
}

/// Why a sink of events cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum HecError {
    /// The URL or the CAs cannot be used.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The spool cannot be used.
    #[error("the spool at {}: {error}", path.display())]
    Spool {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The thread cannot be started.
    #[error("its thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// How a record becomes an event.
#[derive(Debug)]
pub(super) struct HecStyle {
    /// `,"host":…,"source":…,…,"event":`
    metadata: Vec<u8>,
}

impl HecStyle {
    pub(super) fn new(settings: &Hec, host: &str) -> Self {
        let mut metadata = Vec::new();
        let pairs = [
            (",\"host\":", Some(host)),
            (",\"source\":", settings.source.as_deref()),
            (",\"sourcetype\":", settings.sourcetype.as_deref()),
            (",\"index\":", settings.index.as_deref()),
        ];
        for (key, value) in pairs {
            if let Some(value) = value {
                metadata.extend_from_slice(key.as_bytes());
                string(&mut metadata, value);
            }
        }
        metadata.extend_from_slice(b",\"event\":");
        Self { metadata }
    }

    pub(super) fn render(&self, record: &Record, view: &View, out: &mut Vec<u8>) {
        let since = record.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.extend_from_slice(b"{\"time\":");
        number(out, since.as_secs());
        let millis = since.subsec_millis();
        out.push(b'.');
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            out.push(b'0' + digit.to_le_bytes()[0]);
        }
        out.extend_from_slice(&self.metadata);
        write_shown(record, view, out);
        out.extend_from_slice(b"}\n");
    }
}

/// Starts the thread of a sink that connects over TCP.
///
/// # Errors
/// See [`HecError`].
pub(super) fn open(name: &Arc<str>, settings: &Hec, queue: ByteSize) -> Result<Handle, HecError> {
    let client = client::Client::new(settings, Box::new(Tcp))?;
    worker::start(name, settings, queue, client)
}

#[cfg(test)]
mod tests;
