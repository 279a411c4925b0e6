//! One line of the journal.

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_caps::Amount;
use serde::{Deserialize, Serialize};

/// What a consumer used of one method within a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The gateway's number in hexadecimal, a dash, the line's number.
    pub id: String,
    /// The begin of the window, UTC.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Who.
    pub consumer: String,
    /// Which method: a name, a pattern of a plan, or `(http)`, `(other)`, `(batch)`.
    pub method: String,
    /// Calls.
    pub requests: u64,
    /// What they cost.
    pub credits: u64,
    /// Bytes both ways.
    pub bytes: u64,
}

impl Line {
    /// A line with an id, a window in milliseconds since 1970, who and what.
    #[must_use]
    pub fn new(
        (gateway, sequence): (u64, u64),
        (start, end): (u64, u64),
        (consumer, method): (&str, &str),
        amount: Amount,
    ) -> Self {
        let Amount { requests, credits, bytes } = amount;
        let (id, start, end) = (format!("{gateway:x}-{sequence}"), time(start), time(end));
        Self { id, start, end, consumer: consumer.to_owned(), method: method.to_owned(), requests, credits, bytes }
    }

    /// The line's numbers: its gateway's and its own.
    #[must_use]
    pub fn numbers(&self) -> Option<(u64, u64)> {
        let (gateway, sequence) = self.id.split_once('-')?;
        Some((u64::from_str_radix(gateway, 16).ok()?, sequence.parse().ok()?))
    }

    /// How much.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        Amount { requests: self.requests, credits: self.credits, bytes: self.bytes }
    }

    /// As it stands in the file, without the end of the line.
    pub(crate) fn to_json(&self) -> String {
        // Strings, times and numbers: there is nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_else(|error| {
            let mut text = String::new();
            let _ = write!(text, "{{\"error\":\"{error}\"}}");
            text
        })
    }

    /// Reads a line of the file.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

/// Milliseconds since 1970 as a time; the last one there is for what no calendar knows.
pub(crate) fn time(unix_millis: u64) -> Timestamp {
    i64::try_from(unix_millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let amount = Amount { requests: 3, credits: 30, bytes: u64::MAX };
        let line = Line::new((0x1f, 17), (1_772_323_200_000, 1_772_323_260_500), ("a\"cme", "getBlock"), amount);
        let json = "{\"id\":\"1f-17\",\"start\":\"2026-03-01T00:00:00Z\",\"end\":\"2026-03-01T00:01:00.5Z\",\
                    \"consumer\":\"a\\\"cme\",\"method\":\"getBlock\",\"requests\":3,\"credits\":30,\
                    \"bytes\":18446744073709551615}";
        assert_eq!(line.to_json(), json);
        let read = Line::parse(json.as_bytes()).unwrap();
        assert_eq!((read.numbers(), read.amount(), read), (Some((0x1f, 17)), amount, line));
        assert_eq!(Line::parse(&json.as_bytes()[..90]), None);
    }
}
