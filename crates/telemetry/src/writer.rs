//! A bounded writer that never makes a request wait for a disk, a pipe or a terminal.
//!
//! Requests append lines to chunks in memory under a short lock; one thread of the operating system takes all full
//! chunks at once and writes them. Invariants: `push` never waits for output; queued bytes, those being written
//! included, never pass [`WriterOptions::queue`]; every line is written whole, or counted as dropped with its cause;
//! an output that fails is tried again for as long as the writer lives.

mod output;
mod queue;
mod report;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use portcullis_types::ByteSize;
use smallvec::{SmallVec, smallvec};

pub use output::{Opener, Output};

use crate::bound::Bound;
use crate::sink::{SinkStat, SinkStats};
use queue::Queue;
use worker::Worker;

/// How a writer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// The bound on queued bytes: 8 MiB by default.
    pub queue: ByteSize,
    /// How long lines may gather before they are written: 50 ms by default.
    pub gather: Duration,
    /// How long to wait after a failure before the next try: 200 ms by default.
    pub retry_after: Duration,
    /// A trouble that lasts is said again after this long: 10 s by default.
    pub remind_after: Duration,
    /// How long [`Drop`] waits for queued lines: 2 s by default.
    pub close_within: Duration,
    /// Whether lines that the output refuses wait for it to come back, as for a far end that is down, rather than being
    /// dropped, as for a disk that is full. Off by default.
    pub keep: bool,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            queue: ByteSize::mib(8),
            gather: Duration::from_millis(50),
            retry_after: Duration::from_millis(200),
            remind_after: Duration::from_secs(10),
            close_within: Duration::from_secs(2),
            keep: false,
        }
    }
}

/// Why a line was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropCause {
    /// The queue was at its bound: the output is slower than the requests.
    QueueFull,
    /// The output refused it: disk full, pipe closed.
    WriteFailed,
    /// It was still queued when the time for closing ran out, or came after.
    Closed,
}

impl DropCause {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::WriteFailed => "write_failed",
            Self::Closed => "closed",
        }
    }
}

/// What a writer has done so far, and how full its queue is.
#[derive(Debug)]
pub struct WriterStats {
    written: AtomicU64,
    queue_full: AtomicU64,
    write_failed: AtomicU64,
    closed: AtomicU64,
    queue: Arc<Bound>,
}

impl WriterStats {
    fn new(queue: ByteSize) -> Self {
        let zero = || AtomicU64::new(0);
        let queue = Arc::new(Bound::new(queue.0));
        Self { written: zero(), queue_full: zero(), write_failed: zero(), closed: zero(), queue }
    }

    /// Lines that reached the output.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Lines dropped for one cause.
    #[must_use]
    pub fn dropped(&self, cause: DropCause) -> u64 {
        self.drops(cause).load(Relaxed)
    }

    fn add_written(&self, lines: u64) {
        self.written.fetch_add(lines, Relaxed);
    }

    fn add_dropped(&self, cause: DropCause, lines: u64) {
        self.drops(cause).fetch_add(lines, Relaxed);
    }

    const fn drops(&self, cause: DropCause) -> &AtomicU64 {
        match cause {
            DropCause::QueueFull => &self.queue_full,
            DropCause::WriteFailed => &self.write_failed,
            DropCause::Closed => &self.closed,
        }
    }
}

impl SinkStats for WriterStats {
    fn stats(&self) -> SmallVec<[SinkStat; 4]> {
        let dropped = |cause: DropCause| SinkStat::Dropped { cause: cause.as_str(), count: self.dropped(cause) };
        smallvec![
            SinkStat::Written(self.written()),
            dropped(DropCause::QueueFull),
            dropped(DropCause::WriteFailed),
            dropped(DropCause::Closed),
        ]
    }

    fn queue(&self) -> Option<Arc<Bound>> {
        Some(Arc::clone(&self.queue))
    }
}

/// The handle that requests push to. See the module's text.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    stats: Arc<WriterStats>,
    close_within: Duration,
}

impl Writer {
    /// Opens the output and starts the thread. `name` is for the thread and the process's own log.
    ///
    /// # Errors
    /// When the output cannot be opened or the thread cannot be started: at start that is an operator's mistake.
    pub fn start(name: &str, output: Output, options: WriterOptions) -> io::Result<Self> {
        let stats = Arc::new(WriterStats::new(options.queue));
        let queue = Arc::new(Queue::new(Arc::clone(&stats)));
        let worker = Worker::new(name, output, options, Arc::clone(&queue))?;
        thread::Builder::new().name(format!("log-{name}")).spawn(move || worker.run())?;
        Ok(Self { queue, stats, close_within: options.close_within })
    }

    /// Queues one line, newline included. Takes one uncontended lock and one copy; never waits for the output.
    /// `false` when the line was dropped, which is counted.
    pub fn push(&self, line: &[u8]) -> bool {
        self.queue.push(line)
    }

    /// Opens the output anew before the next line, as logrotate asks for. Lines queued so far go to the old one.
    pub fn reopen(&self) {
        self.queue.ask_reopen();
    }

    /// Waits until every line queued so far is written or dropped; `false` when that took longer than `within`.
    /// Not for a request's thread.
    #[must_use]
    pub fn flush(&self, within: Duration) -> bool {
        self.queue.flush(within)
    }

    /// Writes what is queued and ends the thread. Lines that are left after `within` are counted as dropped, and so
    /// is every later push; their number is returned. An output that hangs does not hold the process.
    pub fn close(&self, within: Duration) -> u64 {
        self.queue.close(within)
    }

    /// What it has done so far.
    #[must_use]
    pub const fn stats(&self) -> &Arc<WriterStats> {
        &self.stats
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After an explicit close there is nothing left to wait for.
        if !self.queue.is_closing() {
            self.close(self.close_within);
        }
    }
}

#[cfg(test)]
mod tests;
