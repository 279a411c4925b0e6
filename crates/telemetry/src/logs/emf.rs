//! The embedded metric format of CloudWatch: a JSON object a record, of whose members `_aws` names some as metrics and
//! some as dimensions.
//!
//! A dimension is a name of the config or a closed word: what a client sends is never one, since each new value is a
//! metric that is paid for. Invariants of the format that hold by construction: a dimension set has at most
//! [`MOST_DIMENSIONS`] members, every member that is named is there, dimensions are texts that are not empty and have at
//! most 1,024 characters, metrics are numbers.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use super::network::Address;
use super::rotate::Rotation;
use crate::access_log::escape::{number, string};
use crate::access_log::{Field, View, write_members};
use crate::record::Record;

/// How many members a set of dimensions has at most.
const MOST_DIMENSIONS: usize = 30;

/// Where objects go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmfTarget {
    /// Standard output: where a log driver takes it.
    Stdout,
    /// A file that an agent reads.
    File(PathBuf, Option<Rotation>),
    /// The agent's own port, a line an object.
    Tcp(Address),
}

/// What records are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The listener.
    Listener,
    /// The virtual host.
    VirtualHost,
    /// The route.
    Route,
    /// The cluster that was decided on.
    Cluster,
    /// `1xx` to `5xx`, or `none`.
    StatusClass,
    /// Why it failed, or `none`.
    Reason,
    /// Whose fault that is, or `none`.
    Fault,
}

impl Dimension {
    /// Every one.
    pub const ALL: &'static [Self] =
        &[Self::Listener, Self::VirtualHost, Self::Route, Self::Cluster, Self::StatusClass, Self::Reason, Self::Fault];

    /// The member's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::VirtualHost => "virtual_host",
            Self::Route => "route",
            Self::Cluster => "cluster",
            Self::StatusClass => "status_class",
            Self::Reason => "reason",
            Self::Fault => "fault",
        }
    }

    /// The member of the record that it is, if it is one.
    const fn field(self) -> Option<Field> {
        match self {
            Self::Listener => Some(Field::Listener),
            Self::VirtualHost => Some(Field::VirtualHost),
            Self::Route => Some(Field::Route),
            Self::Cluster => Some(Field::Cluster),
            Self::Reason => Some(Field::Reason),
            Self::Fault => Some(Field::Fault),
            Self::StatusClass => None,
        }
    }

    /// What is to be added to the record's own members, so that the dimension has a value.
    fn missing(self, record: &Record) -> Option<&'static str> {
        let absent = match self {
            Self::Listener => false,
            Self::VirtualHost => record.virtual_host.is_none(),
            Self::Route => record.route.is_none(),
            Self::Cluster => record.decision.cluster().is_none(),
            Self::Reason | Self::Fault => record.reason.is_none(),
            Self::StatusClass => return Some(status_class(record.status)),
        };
        absent.then_some("none")
    }
}

const fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

/// A sink of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emf {
    /// Where it goes.
    pub target: EmfTarget,
    /// Under which namespace.
    pub namespace: String,
    /// The sets of dimensions; an empty set is the sum of all.
    pub dimensions: Vec<Vec<Dimension>>,
}

/// How a record becomes an object.
#[derive(Debug)]
pub(super) struct EmfStyle {
    /// `,"CloudWatchMetrics":[{"Namespace":…,"Dimensions":…,"Metrics":[…` up to the metrics that every record has.
    directive: Vec<u8>,
    used: Vec<Dimension>,
    view: View,
}

/// The metrics of every record, as the directive names them.
const METRICS: &str = concat!(
    r#"{"Name":"requests","Unit":"Count"},{"Name":"errors","Unit":"Count"},"#,
    r#"{"Name":"total_ms","Unit":"Milliseconds"},{"Name":"bytes_in","Unit":"Bytes"},{"Name":"bytes_out","Unit":"Bytes"}"#
);
/// And of those that an upstream answered.
const FIRST_BYTE: &str = r#",{"Name":"first_byte_ms","Unit":"Milliseconds"}"#;

impl EmfStyle {
    /// Members that metrics and dimensions need are shown whatever the view leaves out.
    pub(super) fn new(settings: &Emf, view: &View) -> Self {
        let mut directive = b",\"CloudWatchMetrics\":[{\"Namespace\":".to_vec();
        string(&mut directive, &settings.namespace);
        directive.extend_from_slice(b",\"Dimensions\":[");
        for (place, set) in settings.dimensions.iter().enumerate() {
            directive.extend_from_slice(if place == 0 { b"[" } else { b",[" });
            for (place, dimension) in set.iter().take(MOST_DIMENSIONS).enumerate() {
                if place > 0 {
                    directive.push(b',');
                }
                string(&mut directive, dimension.name());
            }
            directive.push(b']');
        }
        directive.extend_from_slice(b"],\"Metrics\":[");
        directive.extend_from_slice(METRICS.as_bytes());
        let used: Vec<Dimension> = Dimension::ALL
            .iter()
            .copied()
            .filter(|one| settings.dimensions.iter().any(|set| set.contains(one)))
            .collect();
        let metrics = [Field::TotalMs, Field::BytesIn, Field::BytesOut, Field::FirstByteMs];
        let needed = metrics.into_iter().chain(used.iter().filter_map(|one| one.field()));
        let fields = needed.fold(view.fields, |shown, field| shown.with(field));
        Self { directive, used, view: View { fields, ..view.clone() } }
    }

    /// Appends a record. The sink's view is in here, with what is needed beside it.
    pub(super) fn render(&self, record: &Record, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"_aws\":{\"Timestamp\":");
        let since = record.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        number(out, u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        out.extend_from_slice(&self.directive);
        if record.timers.first_byte.is_some() {
            out.extend_from_slice(FIRST_BYTE.as_bytes());
        }
        out.extend_from_slice(b"]}]},\"requests\":");
        let is_request = record.kind == crate::record::Kind::Request;
        out.push(if is_request { b'1' } else { b'0' });
        out.extend_from_slice(b",\"errors\":");
        out.push(if record.failed() { b'1' } else { b'0' });
        for dimension in &self.used {
            if let Some(value) = dimension.missing(record) {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(dimension.name().as_bytes());
                out.extend_from_slice(b"\":\"");
                out.extend_from_slice(value.as_bytes());
                out.push(b'"');
            }
        }
        write_members(record, &self.view, out);
        out.extend_from_slice(b"}\n");
    }
}
