//! The access log: one line a record, as JSON or as compact text.
//!
//! A line is rendered on the request's thread into a buffer that the thread keeps, then copied into the
//! [`Writer`]'s queue. Invariants: a line holds no newline but its last byte, no control character, and only valid
//! UTF-8, whatever the request carried; a JSON line is one object of RFC 8259; a text line is fields separated by
//! single spaces, where a field with anything but plain characters is quoted.

mod escape;
mod json;
mod text;

use std::cell::RefCell;
use std::sync::Arc;

use crate::record::Record;
use crate::sink::RecordSink;
use crate::writer::Writer;

pub use json::{json, write_json};
pub use text::write_text;

/// Where rendering starts with a fresh buffer: more than nearly every line needs.
const LINE_BYTES: usize = 2048;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// One JSON object a line. Absent fields are left out; times are in milliseconds.
    #[default]
    Json,
    /// `time client listener "METHOD url" status total key=value…`.
    Text,
}

/// What of the records is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccessLogOptions {
    /// How lines are written.
    pub format: Format,
    /// Log failures only. The API's ring and the metrics still see every record.
    pub failures_only: bool,
}

/// The sink that writes the access log.
#[derive(Debug)]
pub struct AccessLog {
    options: AccessLogOptions,
    writer: Arc<Writer>,
}

impl AccessLog {
    /// An access log into a writer, which may serve several logs: lines are never mixed within.
    #[must_use]
    pub const fn new(options: AccessLogOptions, writer: Arc<Writer>) -> Self {
        Self { options, writer }
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl RecordSink for AccessLog {
    fn record(&self, record: &Arc<Record>) {
        if self.options.failures_only && !record.failed() {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            render(record, self.options.format, line);
            // A refused line is counted by the writer.
            let _ = self.writer.push(line);
        });
    }
}

/// Appends a record's line, newline included.
pub fn render(record: &Record, format: Format, out: &mut Vec<u8>) {
    out.reserve(LINE_BYTES);
    match format {
        Format::Json => write_json(record, out),
        Format::Text => write_text(record, out),
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
