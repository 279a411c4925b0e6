//! `access_log:`.

use portcullis_types::ByteSize;
use portcullis_yaml::{Decode, Spanned};

/// The access log: a line per request.
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

/// How a line of the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawLogFormat {
    /// A JSON object.
    Json,
    /// A compact line of text.
    Text,
}
