//! What a config says of a sink.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_types::ByteSize;

use super::{Emf, Hec, Only, Rotation, Syslog};
use crate::access_log::{Format, View};

/// A sink, as a config describes it. Two that are equal are the same sink: a reload leaves it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Its name: a label of metrics, so of the config only.
    pub name: Arc<str>,
    /// Where it goes and how.
    pub kind: LogKind,
    /// Which records it takes.
    pub only: Only,
    /// What it shows of them.
    pub view: View,
    /// The bound on what waits in memory.
    pub queue: ByteSize,
}

/// Where a sink goes and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogKind {
    /// Lines to standard output.
    Stdout(Format),
    /// Lines to a file.
    File {
        /// Which.
        path: PathBuf,
        /// How a line is written.
        format: Format,
        /// When it is closed and another begun; `None` when somebody else sees to it.
        rotation: Option<Rotation>,
    },
    /// Messages of RFC 5424.
    Syslog(Syslog),
    /// The embedded metric format of CloudWatch.
    Emf(Emf),
    /// The HTTP Event Collector of Splunk.
    SplunkHec(Hec),
}

impl LogKind {
    /// The kind's word in the config.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Stdout(_) => "stdout",
            Self::File { .. } => "file",
            Self::Syslog(_) => "syslog",
            Self::Emf(_) => "emf",
            Self::SplunkHec(_) => "splunk_hec",
        }
    }
}
