//! Where the generations that were tried are kept.

use std::path::PathBuf;

use portcullis_types::ByteSize;

/// The history of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The folder; read at start only.
    pub path: PathBuf,
    /// The most entries.
    pub keep: usize,
    /// The most bytes of all entries together.
    pub bytes: ByteSize,
    /// Whether nobody asked for this folder by name.
    pub implied: bool,
}

impl History {
    /// The folder's name in the directory of what lasts.
    pub const FOLDER: &str = "history";
    /// The most entries when none is said.
    pub const KEEP: usize = 200;
    /// The most bytes when none is said.
    pub const BYTES: ByteSize = ByteSize::mib(64);
}
