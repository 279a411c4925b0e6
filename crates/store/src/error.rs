//! What can be wrong with what is kept on disk, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be kept, or read back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory could not be used.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the store.
    #[error("{path} is in use by another process; each gateway needs a store of its own", path = path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// The file is no store, or not any more.
    #[error(
        "{path} is damaged or no store ({what}); move it away to begin with nothing spent, or put a copy in its place",
        path = path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file was written by a release that is not understood.
    #[error("{path} was written in format {found}, and this release reads {known}", path = path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// The format it says.
        found: u64,
        /// The format of this release.
        known: u64,
    },
}

impl StoreError {
    /// Something of a path.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether it goes away when another process ends.
    pub(crate) const fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }

    /// Whether the disk, or what this process may use of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Self::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge),
            Self::InUse { .. } | Self::Damaged { .. } | Self::Format { .. } => false,
        }
    }
}
