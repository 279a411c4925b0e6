//! Spans made of request records, and their export to a collector of OTLP over HTTP.
//!
//! A request that is traced carries ids and no more (`record::Traced`); whether its trace is kept is decided when it is over
//! ([`Record::kept`](portcullis_telemetry::Record::kept)). A record that is kept waits in the queue, and a thread of its own
//! makes spans of it: a server span for the request, a client span for each attempt. Invariants: a request waits for nothing
//! here but one short lock; the queue is bounded in spans, those on their way included; every span that is not delivered is
//! counted by its cause; a trouble is said once, then seldom, then that it is over. Batches are tried again for as long as
//! the collector is away; what comes when the queue is full is dropped.

mod exporter;
mod inbox;
mod spans;
mod worker;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_telemetry::collector::{LineError, Tcp};
use portcullis_telemetry::metrics::TraceMetrics;
use portcullis_telemetry::{Exporter, RecordSink};
use tokio::runtime::Builder;

use inbox::Inbox;
use worker::Worker;

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL or the CAs cannot be used.
    #[error("traces cannot be exported: {0}")]
    Line(#[from] LineError),
    /// A field of the requests is none.
    #[error("traces cannot be exported: the header `{0}` is no field, or its value is none")]
    Header(String),
    /// The exporter refuses its settings.
    #[error("traces cannot be exported: {0}")]
    Exporter(String),
    /// The thread cannot be started.
    #[error("traces cannot be exported: {0}")]
    Thread(#[from] std::io::Error),
}

/// An exporter that takes records.
#[derive(Debug)]
pub struct OpenTraces {
    settings: Exporter,
    inbox: Arc<Inbox>,
    /// Nothing is ever sent; it ends with the thread.
    ended: Mutex<Receiver<()>>,
}

impl OpenTraces {
    /// Starts an exporter. A collector that is down is no error: it is waited for.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(settings: &Exporter, metrics: &Arc<TraceMetrics>) -> Result<Self, OpenError> {
        let collector = exporter::Collector::new(settings, Box::new(Tcp))?;
        let inbox = Arc::new(Inbox::new(settings.queue, settings.batch, metrics));
        let worker = Worker::new(settings, collector, Arc::clone(&inbox));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (alive, ended) = channel();
        thread::Builder::new().name("traces".to_owned()).spawn(move || {
            runtime.block_on(worker.run());
            drop(alive);
        })?;
        Ok(Self { settings: settings.clone(), inbox, ended: Mutex::new(ended) })
    }

    /// What the config says of it.
    #[must_use]
    pub const fn settings(&self) -> &Exporter {
        &self.settings
    }

    /// What records are handed to.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn RecordSink> {
        Arc::clone(&self.inbox) as Arc<dyn RecordSink>
    }

    /// Delivers what waits, as far as that goes in time, and ends. How many spans were lost.
    pub fn close(&self, within: Duration) -> u64 {
        self.inbox.close(within);
        if self.ended.lock().recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            // It is not waited for any longer.
            self.inbox.lose();
        }
        self.inbox.lost()
    }
}

impl Drop for OpenTraces {
    /// One that was opened and never used: nobody waits for its end.
    fn drop(&mut self) {
        self.inbox.close(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests;
