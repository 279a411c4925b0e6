//! The request record, metric families, and the sinks for both.
//!
//! A request ends as one [`Record`]. It is observed by [`Metrics`] and handed to [`Sinks`]: the logs of the config, the
//! ring of the last records, and whatever a wing adds. Invariants: nothing here blocks a request (a sink that
//! cannot take a record drops it and counts the drop by cause), every buffer and every label set is bounded, and
//! no secret enters a record: query values pass [`Redaction`] before they are stored.

pub mod access_log;
pub mod bound;
pub mod collector;
pub mod logs;
pub mod metrics;
pub mod record;
pub mod redact;
pub mod ring;
pub mod sink;
pub mod timeline;
pub mod timestamp;
pub mod tracing;
pub mod writer;

pub use access_log::{Field, FieldSet, Format, Mask, View, json};
pub use bound::{Bound, Held};
pub use logs::{LogKind, LogSettings, LogSink, Only, OpenSink};
pub use metrics::{Handles, Metrics, MetricsOptions};
pub use record::{
    Attempt, Considered, Decision, Flag, Flags, Kept, Kind, Listed, Record, RecordOptions, RequestLine, Timers, Traced,
    Verdict,
};
pub use redact::Redaction;
pub use ring::{Query, QueryError, Ring, RingOptions};
pub use sink::{RecordSink, SinkStat, SinkStats, Sinks};
pub use timeline::{Outcomes, Step, Timeline};
pub use tracing::{Exporter, RouteTracing, TraceRules, TraceSettings, Traces};
pub use writer::{DropCause, Output, Writer, WriterOptions, WriterStats};

#[cfg(test)]
mod fixture;
