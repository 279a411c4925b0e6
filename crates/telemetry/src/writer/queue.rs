//! The queue between requests and the writing thread: chunks of whole lines under one short lock.
//!
//! Invariants: `queued` counts the bytes of the chunks here and of those the thread holds, and never passes the
//! limit; the lock is held for a copy of one line, or for handing over a list, never for output.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{DropCause, WriterStats};

/// A chunk is handed over when it has this many bytes; it also bounds what one `push` may have to allocate.
const CHUNK_BYTES: usize = 64 * 1024;
/// Lines gather no longer when so many chunks are full, or half of what may be queued: each time costs the thread a wake-up, and
/// whoever watches the file another.
const READY_CHUNKS: usize = 4;
/// Empty chunks kept for reuse.
const SPARE_CHUNKS: usize = 8;

/// Whole lines, and how many.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// Open the output anew before these lines.
    pub(super) reopen: bool,
}

impl Chunk {
    /// What it counts for in [`State::pushed`]: its lines, and one for the reopening.
    fn weight(&self) -> u64 {
        self.lines + u64::from(self.reopen)
    }
}

/// What the thread is to do next.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) chunks: VecDeque<Chunk>,
    /// End, once the chunks are written.
    pub(super) close: bool,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    queued: usize,
    /// Lines and reopenings taken in, and those done with, since the start.
    pushed: u64,
    handled: u64,
    /// Lines the thread holds.
    taken: u64,
    /// The thread sleeps and must be woken by the next line.
    idle: bool,
    /// Somebody waits for the queue to be empty: gather no longer.
    hurry: bool,
    closing: bool,
    ended: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// To the thread: there is something to do.
    work: Condvar,
    /// From the thread: lines were handled.
    done: Condvar,
    limit: usize,
    /// Full chunks that are not to gather longer.
    ready: usize,
    pub(super) stats: Arc<WriterStats>,
}

impl Queue {
    pub(super) fn new(stats: Arc<WriterStats>) -> Self {
        let limit = usize::try_from(stats.queue.limit()).unwrap_or(usize::MAX);
        let ready = (limit / 2 / CHUNK_BYTES).clamp(1, READY_CHUNKS);
        Self { state: Mutex::default(), work: Condvar::new(), done: Condvar::new(), limit, ready, stats }
    }

    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut state = self.state.lock();
        let refused = match (state.closing, state.queued.saturating_add(line.len()) > self.limit) {
            (true, _) => Some(DropCause::Closed),
            (false, true) => Some(DropCause::QueueFull),
            (false, false) => None,
        };
        if let Some(cause) = refused {
            drop(state);
            self.refuse(cause);
            return false;
        }
        let ready = state.append(line) && state.chunks.len() > self.ready;
        self.stats.queue.set_used(bytes(state.queued));
        let wake = std::mem::take(&mut state.idle) || ready;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        true
    }

    #[cold]
    fn refuse(&self, cause: DropCause) {
        self.stats.add_dropped(cause, 1);
        self.stats.queue.refuse();
    }

    pub(super) fn ask_reopen(&self) {
        let mut state = self.state.lock();
        // An empty chunk that already asks for it is the last thing in the queue: once is enough.
        if state.chunks.back().is_none_or(|last| !last.reopen || last.lines > 0) {
            state.pushed += 1;
            state.chunks.push_back(Chunk { reopen: true, ..Chunk::default() });
        }
        state.idle = false;
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.state.lock();
        let target = state.pushed;
        self.hurry(&mut state);
        while state.handled < target && !state.ended {
            if self.done.wait_until(&mut state, deadline).timed_out() {
                return state.handled >= target;
            }
        }
        state.handled >= target
    }

    pub(super) fn close(&self, within: Duration) -> u64 {
        let deadline = Instant::now() + within;
        let mut state = self.state.lock();
        let before = self.stats.dropped(DropCause::Closed);
        state.closing = true;
        self.hurry(&mut state);
        while !state.ended {
            if self.done.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        self.abandon(&mut state);
        state.taken + self.stats.dropped(DropCause::Closed) - before
    }

    /// Counts what the thread has not taken, and takes it away from it. What it is writing this moment it counts
    /// itself, if it ever comes back.
    fn abandon(&self, state: &mut MutexGuard<'_, State>) {
        let left = std::mem::take(&mut state.chunks);
        let lines: u64 = left.iter().map(|chunk| chunk.lines).sum();
        state.queued -= left.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        state.handled += left.iter().map(Chunk::weight).sum::<u64>();
        self.stats.add_dropped(DropCause::Closed, lines);
        self.stats.queue.set_used(bytes(state.queued));
    }

    fn hurry(&self, state: &mut MutexGuard<'_, State>) {
        state.hurry = true;
        self.work.notify_one();
    }

    /// Waits for something to do, then lets lines gather for a while.
    pub(super) fn next(&self, gather: Duration) -> Task {
        let mut state = self.state.lock();
        while state.chunks.is_empty() && !state.closing {
            state.idle = true;
            state.hurry = false;
            self.work.wait(&mut state);
        }
        state.idle = false;
        let deadline = Instant::now() + gather;
        while !state.hurry && !state.closing && state.chunks.len() <= self.ready {
            if self.work.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        let chunks = std::mem::take(&mut state.chunks);
        state.taken = chunks.iter().map(|chunk| chunk.lines).sum();
        Task { chunks, close: state.closing }
    }

    /// Waits after a failure; somebody in a hurry ends the wait.
    pub(super) fn pause(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.hurry && !state.closing {
            if self.work.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Waits after a failure for the next try of the same lines; `false` when the queue is closing, and there is none.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.closing {
            if self.work.wait_until(&mut state, deadline).timed_out() {
                return true;
            }
        }
        false
    }

    /// Takes a chunk back after its lines were written or dropped.
    pub(super) fn handled(&self, mut chunk: Chunk) {
        let mut state = self.state.lock();
        state.queued = state.queued.saturating_sub(chunk.bytes.len());
        state.handled += chunk.weight();
        state.taken = state.taken.saturating_sub(chunk.lines);
        self.stats.queue.set_used(bytes(state.queued));
        // A chunk that one huge line has grown is not kept.
        if state.spare.len() < SPARE_CHUNKS && (CHUNK_BYTES..=2 * CHUNK_BYTES).contains(&chunk.bytes.capacity()) {
            chunk.bytes.clear();
            state.spare.push(chunk.bytes);
        }
        drop(state);
        self.done.notify_all();
    }

    /// Whether a close has been asked for.
    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.done.notify_all();
    }
}

impl State {
    /// Appends a line to the last chunk, or to a new one; `true` when it begins one.
    fn append(&mut self, line: &[u8]) -> bool {
        self.queued += line.len();
        self.pushed += 1;
        let fits = |chunk: &&mut Chunk| chunk.bytes.len() + line.len() <= CHUNK_BYTES;
        if let Some(chunk) = self.chunks.back_mut().filter(fits) {
            chunk.bytes.extend_from_slice(line);
            chunk.lines += 1;
            return false;
        }
        let mut bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES));
        bytes.extend_from_slice(line);
        self.chunks.push_back(Chunk { bytes, lines: 1, reopen: false });
        true
    }
}

fn bytes(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
