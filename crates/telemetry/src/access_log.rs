//! A record as a line: as JSON or as compact text.
//!
//! Invariants: a line holds no newline but its last byte, no control character, and only valid
//! UTF-8, whatever the request carried; a JSON line is one object of RFC 8259; a text line is fields separated by
//! single spaces, where a field with anything but plain characters is quoted.

pub(crate) mod escape;
mod field;
mod json;
mod text;
mod view;

use crate::record::Record;

pub use field::{Field, FieldSet};
pub use json::{json, write_json};
pub(crate) use json::{write_members, write_shown};
pub use text::write_text;
pub use view::{Mask, View};

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

/// Appends a record's line, newline included.
pub fn render(record: &Record, format: Format, view: &View, out: &mut Vec<u8>) {
    out.reserve(LINE_BYTES);
    match format {
        Format::Json => write_shown(record, view, out),
        Format::Text => write_text(record, view, out),
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
