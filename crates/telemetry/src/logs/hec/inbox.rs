//! Where lines wait for the thread: bounded by bytes, one short lock a line.
//!
//! The bound counts what is here and what the thread holds in memory ([`Inbox::hold`]), so that the sink as a whole has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_types::ByteSize;
use smallvec::{SmallVec, smallvec};
use tokio::sync::Notify;

use super::HecBatch;
use crate::bound::Bound;
use crate::sink::{SinkStat, SinkStats};

/// Why events are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HecDrop {
    /// The queue is full: events come faster than they can be sent.
    QueueFull,
    /// The queue is full, since the spool behind it is.
    SpoolFull,
    /// The queue is full, since the spool behind it cannot be written.
    SpoolFailed,
    /// The collector refused the batch for good.
    Rejected,
    /// A file of the spool cannot be read.
    SpoolLost,
    /// They were neither delivered nor spooled when the sink ended, or came after.
    Closed,
}

impl HecDrop {
    const ALL: [Self; 6] =
        [Self::QueueFull, Self::SpoolFull, Self::SpoolFailed, Self::Rejected, Self::SpoolLost, Self::Closed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
            Self::Rejected => "rejected",
            Self::SpoolLost => "spool_lost",
            Self::Closed => "closed",
        }
    }
}

/// Lines that make a batch, and how many.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u64,
}

#[derive(Debug)]
struct State {
    lines: Lines,
    /// Bytes of batches in the thread's memory.
    held: usize,
    /// What stands in the way behind a queue that is full.
    behind: HecDrop,
    /// How long the end may take, once there is to be one.
    closing: Option<Duration>,
}

/// Where lines wait. See the module's text.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// To the thread: there is something new.
    pub(crate) news: Notify,
    limit: usize,
    batch: HecBatch,
    written: AtomicU64,
    drops: [AtomicU64; 6],
    bound: Arc<Bound>,
}

impl Inbox {
    pub(crate) fn new(queue: ByteSize, batch: HecBatch) -> Self {
        let state = State { lines: Lines::default(), held: 0, behind: HecDrop::QueueFull, closing: None };
        Self {
            state: Mutex::new(state),
            news: Notify::new(),
            limit: queue.as_usize(),
            batch,
            written: AtomicU64::new(0),
            drops: Default::default(),
            bound: Arc::new(Bound::new(queue.0)),
        }
    }

    /// Queues one line. Takes a short lock and one copy; a line that is refused is counted.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        let used = state.held + state.lines.bytes.len();
        if state.closing.is_some() || used.saturating_add(line.len()) > self.limit {
            let cause = if state.closing.is_some() { HecDrop::Closed } else { state.behind };
            drop(state);
            self.dropped(cause, 1);
            self.bound.refuse();
            return;
        }
        let (first, full) = (state.lines.count == 0, self.is_full(&state.lines));
        state.lines.bytes.extend_from_slice(line);
        state.lines.count += 1;
        let news = first || (!full && self.is_full(&state.lines));
        self.say_used(&state);
        drop(state);
        if news {
            self.news.notify_one();
        }
    }

    fn is_full(&self, lines: &Lines) -> bool {
        usize::try_from(lines.count).unwrap_or(usize::MAX) >= self.batch.events
            || lines.bytes.len() >= self.batch.bytes.as_usize()
    }

    /// Whether nothing waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().lines.count == 0
    }

    /// Whether a whole batch waits here, or the sink is closing.
    pub(crate) fn has_batch(&self) -> bool {
        let state = self.state.lock();
        self.is_full(&state.lines) || state.closing.is_some()
    }

    /// Takes at most a batch out; its bytes count as held from now on.
    pub(crate) fn take(&self) -> Option<Lines> {
        let mut state = self.state.lock();
        let mut bytes = 0;
        let mut count = 0;
        for line in state.lines.bytes.split_inclusive(|byte| *byte == b'\n').take(self.batch.events) {
            if count > 0 && bytes + line.len() > self.batch.bytes.as_usize() {
                break;
            }
            bytes += line.len();
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let rest = state.lines.bytes.split_off(bytes);
        let taken = std::mem::replace(&mut state.lines.bytes, rest);
        state.lines.count -= count;
        state.held += taken.len();
        Some(Lines { bytes: taken, count })
    }

    /// States what the thread holds in memory, and what stands in the way of more.
    pub(crate) fn hold(&self, held: usize, behind: HecDrop) {
        let mut state = self.state.lock();
        (state.held, state.behind) = (held, behind);
        self.say_used(&state);
    }

    fn say_used(&self, state: &State) {
        self.bound.set_used(u64::try_from(state.held + state.lines.bytes.len()).unwrap_or(u64::MAX));
    }

    /// From now on nothing is taken in, and what is here is to be gone soon.
    pub(crate) fn close(&self, within: Duration) {
        self.state.lock().closing = Some(within);
        self.news.notify_one();
    }

    /// How long the end may take, once there is to be one.
    pub(crate) fn closing(&self) -> Option<Duration> {
        self.state.lock().closing
    }

    pub(crate) fn wrote(&self, events: u64) {
        self.written.fetch_add(events, Relaxed);
    }

    pub(crate) fn dropped(&self, cause: HecDrop, events: u64) {
        if let Some(counter) = self.drops.get(cause as usize) {
            counter.fetch_add(events, Relaxed);
        }
    }

    /// How many were dropped for a cause.
    pub(crate) fn drops(&self, cause: HecDrop) -> u64 {
        self.drops.get(cause as usize).map_or(0, |counter| counter.load(Relaxed))
    }
}

impl SinkStats for Inbox {
    fn stats(&self) -> SmallVec<[SinkStat; 4]> {
        let mut stats: SmallVec<[SinkStat; 4]> = smallvec![SinkStat::Written(self.written.load(Relaxed))];
        let dropped = |cause: HecDrop| SinkStat::Dropped { cause: cause.as_str(), count: self.drops(cause) };
        stats.extend(HecDrop::ALL.map(dropped));
        stats
    }

    fn queue(&self) -> Option<Arc<Bound>> {
        Some(Arc::clone(&self.bound))
    }
}
