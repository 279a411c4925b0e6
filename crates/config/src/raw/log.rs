//! `access_log:` and `logs:`.

use http::HeaderName;
use portcullis_types::{ByteSize, Percent};
use portcullis_yaml::{Decode, Secret, Spanned};
use std::time::Duration;

use super::words::{CollectorWord, EmfTargetWord, FieldWord, ReasonWord, StatusesWord, SyslogTargetWord};

/// The access log: a line per request. It is the short form of a log of the name `access_log`.
#[derive(Debug, Decode)]
pub(crate) struct RawAccessLog {
    /// The file to append to, relative to the file that says so.
    pub(crate) path: Option<Spanned<String>>,
    /// Write to standard output in place of a file.
    pub(crate) stdout: Option<Spanned<bool>>,
    /// How a line is written. Default: json.
    pub(crate) format: Option<RawLogFormat>,
    /// What may wait to be written; lines beyond it are dropped and counted. Default: 4MiB.
    pub(crate) buffer: Option<ByteSize>,
    /// Whether the query is logged, with the values of secret keys redacted. Default: true.
    pub(crate) query: Option<bool>,
}

/// How a line of a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawLogFormat {
    /// A JSON object.
    Json,
    /// A compact line of text.
    Text,
}

/// A log: where records of requests go, which, and what is shown of them.
#[derive(Debug, Decode)]
pub(crate) struct RawLog {
    #[config(flatten)]
    pub(crate) kind: RawLogKind,
    /// Which records it takes. Default: all.
    pub(crate) only: Option<RawOnly>,
    /// Which members the JSON objects have. Default: all.
    pub(crate) fields: Option<Spanned<RawFields>>,
    /// Fields of the request's header that are shown, at most 16 in all logs together. Values that look like secrets by
    /// their field's name are hidden. Default: none.
    pub(crate) headers: Option<Vec<Spanned<HeaderName>>>,
    /// Whether the query is shown, with the values of secret keys hidden. Default: true.
    pub(crate) query: Option<bool>,
    /// Query keys whose values this log hides beside those that no log shows.
    pub(crate) hide_query_keys: Option<Vec<String>>,
    /// How many bits of the client's address are shown. Default: all.
    pub(crate) mask: Option<Spanned<RawMask>>,
    /// What may wait in memory; records beyond it are dropped and counted. Default: 4MiB, 8MiB for `splunk_hec`.
    pub(crate) buffer: Option<Spanned<ByteSize>>,
}

/// Where records go.
#[derive(Debug, Decode)]
pub(crate) enum RawLogKind {
    /// Lines to standard output.
    Stdout(RawStdout),
    /// Lines to a file.
    File(RawLogFile),
    /// Messages of RFC 5424.
    Syslog(RawSyslog),
    /// The embedded metric format of CloudWatch.
    Emf(RawEmf),
    /// The HTTP Event Collector of Splunk.
    SplunkHec(Box<RawHec>),
}

/// Lines to standard output.
#[derive(Debug, Decode)]
pub(crate) struct RawStdout {
    /// How a line is written. Default: json.
    pub(crate) format: Option<RawLogFormat>,
}

/// Lines to a file.
#[derive(Debug, Decode)]
pub(crate) struct RawLogFile {
    /// The file to append to, relative to the file that says so.
    pub(crate) path: Spanned<String>,
    /// How a line is written. Default: json.
    pub(crate) format: Option<RawLogFormat>,
    /// When the file is closed and another begun. Left out, that is somebody else's work, and SIGHUP opens it anew.
    pub(crate) rotate: Option<Spanned<RawRotate>>,
}

/// When a file is closed and another begun.
#[derive(Debug, Decode)]
pub(crate) struct RawRotate {
    /// Before it grows beyond this, 64KiB to 64GiB.
    pub(crate) size: Option<Spanned<ByteSize>>,
    /// At each multiple of this, UTC, 1m to 7d: `1d` is midnight.
    pub(crate) every: Option<Spanned<Duration>>,
    /// Closed files that are kept, 1 to 10000; the oldest beyond it are deleted. Default: 10.
    pub(crate) keep: Option<Spanned<u32>>,
    /// How closed files are compressed. Default: not.
    pub(crate) compress: Option<RawCompress>,
}

/// How closed files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawCompress {
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

/// Messages of RFC 5424.
#[derive(Debug, Decode)]
pub(crate) struct RawSyslog {
    /// Where messages go: `unix:/dev/log`, `udp:host:port`, or `tcp:host:port` with octet counting.
    pub(crate) to: SyslogTargetWord,
    /// What the record is in a message: its text as `json` or `text`, or its structured data. Default: json.
    pub(crate) format: Option<RawSyslogFormat>,
    /// What messages are said to come from. Default: local0.
    pub(crate) facility: Option<RawFacility>,
    /// By which program they are said to be sent: 1 to 48 printable characters of ASCII. Default: portcullis.
    pub(crate) app_name: Option<Spanned<String>>,
}

/// What a record is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawSyslogFormat {
    /// A JSON object as the message.
    Json,
    /// A compact line of text as the message.
    Text,
    /// Structured data, and no message.
    Structured,
}

/// A facility of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawFacility {
    /// Of users.
    User,
    /// Of the system's services.
    Daemon,
    /// Of what guards access.
    Authpriv,
    /// For local use.
    Local0,
    /// For local use.
    Local1,
    /// For local use.
    Local2,
    /// For local use.
    Local3,
    /// For local use.
    Local4,
    /// For local use.
    Local5,
    /// For local use.
    Local6,
    /// For local use.
    Local7,
}

/// The embedded metric format of CloudWatch.
#[derive(Debug, Decode)]
pub(crate) struct RawEmf {
    /// Where objects go: `stdout`, `file:path`, or `tcp:host:port` of the agent.
    pub(crate) to: Spanned<EmfTargetWord>,
    /// When the file is closed and another begun.
    pub(crate) rotate: Option<Spanned<RawRotate>>,
    /// The namespace of the metrics, 1 to 255 characters. Default: Portcullis.
    pub(crate) namespace: Option<Spanned<String>>,
    /// The sets of dimensions, 1 to 30; `[]` is the sum of all. Default: `[[], [virtual_host, route]]`.
    pub(crate) dimensions: Option<Spanned<Vec<Vec<RawDimension>>>>,
}

/// What metrics are told apart by: names of the config and closed words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawDimension {
    /// The listener.
    Listener,
    /// The virtual host.
    VirtualHost,
    /// The route.
    Route,
    /// The cluster that was decided on.
    Cluster,
    /// `1xx` to `5xx`.
    StatusClass,
    /// Why it failed.
    Reason,
    /// Whose fault that is.
    Fault,
}

/// The HTTP Event Collector of Splunk.
#[derive(Debug, Decode)]
pub(crate) struct RawHec {
    /// Where it is: `http` or `https`, host and port, perhaps with what stands before `/services/collector`.
    pub(crate) url: Spanned<CollectorWord>,
    /// Its token.
    pub(crate) token: Secret,
    /// CAs of the collector, a file of PEM relative to the file that says so. Default: the system's.
    pub(crate) ca: Option<Spanned<String>>,
    /// The index of the events. Default: the token's.
    pub(crate) index: Option<String>,
    /// The source of the events. Default: the token's.
    pub(crate) source: Option<String>,
    /// The type of the events. Default: the token's.
    pub(crate) sourcetype: Option<String>,
    /// When events are sent: what comes first.
    pub(crate) batch: Option<RawBatch>,
    /// Whether batches are compressed. Default: true.
    pub(crate) gzip: Option<bool>,
    /// How long the indexer's acknowledgement is waited for before a batch is sent again, 5s to 1h. Left out, an answer is
    /// enough.
    pub(crate) ack: Option<Spanned<Duration>>,
    /// The longest an answer may take. Default: 30s.
    pub(crate) timeout: Option<Spanned<Duration>>,
    /// Where events wait on disk while the collector does not take them. Left out, they wait in memory only.
    pub(crate) spool: Option<RawSpool>,
}

/// When events are sent: what comes first.
#[derive(Debug, Decode)]
pub(crate) struct RawBatch {
    /// So many wait, 1 to 100000. Default: 1000.
    pub(crate) events: Option<Spanned<u32>>,
    /// So many bytes of them, 1KiB to 16MiB. Default: 512KiB.
    pub(crate) bytes: Option<Spanned<ByteSize>>,
    /// The first of them waits so long, 10ms to 1m. Default: 1s.
    pub(crate) wait: Option<Spanned<Duration>>,
}

/// Where events wait on disk.
#[derive(Debug, Decode)]
pub(crate) struct RawSpool {
    /// The directory, of this log alone, relative to the file that says so. It is made when it is not there.
    pub(crate) path: Spanned<String>,
    /// What may lie there, 1MiB to 1TiB. Default: 1GiB.
    pub(crate) size: Option<Spanned<ByteSize>>,
}

/// Which records a log takes. `hosts`, `statuses` and `reasons` hold for all records; failures are exempt from `slower_than`
/// and `share`.
#[derive(Debug, Decode)]
#[config(deny_empty)]
pub(crate) struct RawOnly {
    /// Those of these virtual hosts, by the first of their names.
    pub(crate) hosts: Option<Vec<Spanned<String>>>,
    /// Those answered with one of these: `5xx`, `404`, or `none`.
    pub(crate) statuses: Option<Vec<StatusesWord>>,
    /// Those that failed or were refused for one of these.
    pub(crate) reasons: Option<Vec<ReasonWord>>,
    /// Those that took longer.
    pub(crate) slower_than: Option<Duration>,
    /// A share of them, by their ids: every gateway chooses the same ones.
    pub(crate) share: Option<Percent>,
    /// Whether failures are kept whatever `slower_than` and `share` say. Default: true.
    pub(crate) failures: Option<bool>,
}

/// Which members the JSON objects have.
#[derive(Debug, Decode)]
pub(crate) enum RawFields {
    /// These only.
    Only(Vec<FieldWord>),
    /// All but these.
    Without(Vec<FieldWord>),
}

/// How many bits of the client's address are shown.
#[derive(Debug, Decode)]
pub(crate) struct RawMask {
    /// Of IPv4, 0 to 32.
    pub(crate) v4: Spanned<u32>,
    /// Of IPv6, 0 to 128.
    pub(crate) v6: Spanned<u32>,
}
