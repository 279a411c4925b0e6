//! The thread that writes.
//!
//! An output that is to be waited for ([`WriterOptions::keep`]) is opened anew and gets the rest of the chunk. With any
//! other it drops the rest of the chunk it was writing, counts it, opens the output anew and goes on with the next chunk.
//! A line that was cut by the failure is closed with a newline first, so that it spoils no other.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::output::Output;
use super::queue::{Chunk, Queue};
use super::report::{Report, Reporter};
use super::{DropCause, WriterOptions};

/// How long to wait before an output that takes nothing right now (a non-blocking pipe) is asked again.
const BUSY_WAIT: Duration = Duration::from_millis(5);

pub(super) struct Worker {
    name: String,
    output: Output,
    /// `None` after a failure, until it is opened anew.
    open: Option<Box<dyn Write + Send>>,
    /// The output ends within a line.
    torn: bool,
    options: WriterOptions,
    queue: Arc<Queue>,
    reporter: Reporter,
}

impl Worker {
    pub(super) fn new(name: &str, output: Output, options: WriterOptions, queue: Arc<Queue>) -> io::Result<Self> {
        // What is waited for may be down, and may take its time to say so: the thread opens it.
        let open = if options.keep { None } else { Some(output.open()?) };
        let reporter = Reporter::new(options.remind_after);
        Ok(Self { name: name.to_owned(), output, open, torn: false, options, queue, reporter })
    }

    pub(super) fn run(mut self) {
        loop {
            let task = self.queue.next(self.options.gather);
            let mut failed = false;
            for chunk in task.chunks {
                failed |= !self.write(chunk);
            }
            self.report();
            if task.close {
                break;
            }
            if failed {
                self.queue.pause(self.options.retry_after);
            }
        }
        self.queue.end();
    }

    /// Writes a chunk and gives it back; `false` when lines of it were lost.
    fn write(&mut self, chunk: Chunk) -> bool {
        if chunk.reopen {
            // A reopening that fails shows with the next line, which tries again.
            self.open = self.output.open().ok();
            self.torn = false;
        }
        let mut done = 0;
        let lost = loop {
            let rest = chunk.bytes.get(done..).unwrap_or_default();
            let lines = whole_lines(rest);
            let (written, result) = self.write_bytes(rest);
            let Err(error) = result else {
                self.queue.stats.add_written(lines);
                break 0;
            };
            let sent = rest.get(..written).unwrap_or_default();
            let whole = whole_lines(sent);
            self.queue.stats.add_written(whole);
            self.reporter.failed(&error);
            if !self.options.keep {
                self.torn |= written > 0 && sent.last() != Some(&b'\n');
                self.open = None;
                break lines - whole;
            }
            done += through_last_line(sent);
            if error.kind() == io::ErrorKind::InvalidData {
                // The line is at fault, not the output: it would be refused forever.
                done += first_line(chunk.bytes.get(done..).unwrap_or_default());
                self.queue.stats.add_dropped(DropCause::WriteFailed, 1);
                continue;
            }
            self.open = None;
            if !self.wait() {
                // The end did not wait either; what is left was never delivered.
                self.queue.stats.add_dropped(DropCause::Closed, lines - whole);
                self.queue.handled(chunk);
                return false;
            }
        };
        self.queue.stats.add_dropped(DropCause::WriteFailed, lost);
        self.queue.handled(chunk);
        lost == 0
    }

    /// Says what is wrong and waits for the next try; `false` when the time for tries is over.
    fn wait(&mut self) -> bool {
        self.report();
        self.queue.rest(self.options.retry_after)
    }

    /// Writes bytes; how many went out, and how it ended.
    fn write_bytes(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        if self.open.is_none() {
            match self.output.open() {
                Ok(open) => self.open = Some(open),
                Err(error) => return (0, Err(error)),
            }
        }
        let Some(open) = self.open.as_mut() else { return (0, Err(io::ErrorKind::NotConnected.into())) };
        if self.torn {
            if let (_, Err(error)) = write_all(open, b"\n", &self.queue) {
                return (0, Err(error));
            }
            self.torn = false;
        }
        write_all(open, bytes, &self.queue)
    }

    fn report(&mut self) {
        let full = self.queue.stats.dropped(DropCause::QueueFull);
        let failed = self.queue.stats.dropped(DropCause::WriteFailed);
        let name = &self.name;
        match self.reporter.due(full, failed, Instant::now()) {
            Some(Report::Failing { error, lost }) => {
                log::warn!("log `{name}`: cannot write: {error}; {lost} lines lost")
            }
            Some(Report::Slow { lost }) => log::warn!("log `{name}`: the output is too slow; {lost} lines lost"),
            Some(Report::Recovered { lost }) => log::info!("log `{name}`: writes again; {lost} lines were lost"),
            None => {}
        }
    }
}

/// Writes until all is out or something fails. A closing writer does not wait for an output that is busy.
fn write_all(open: &mut (dyn Write + Send), bytes: &[u8], queue: &Queue) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match open.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !queue.is_closing() => thread::sleep(BUSY_WAIT),
            Err(error) => return (written, Err(error)),
        }
    }
    (written, open.flush())
}

/// How many bytes the whole lines at the start are.
fn through_last_line(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// How many bytes the first line is.
fn first_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

fn whole_lines(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u64::MAX)
}
