//! Where lines go, and how to open it anew.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Opens an output; called at the start, for each reopening, and after a failure.
pub type Opener = Box<dyn Fn() -> io::Result<Box<dyn Write + Send>> + Send>;

/// Where a writer writes.
pub enum Output {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// A file, appended to, made with mode 0640 when it is not there.
    File(PathBuf),
    /// Anything else.
    Custom(Opener),
}

impl Output {
    /// Opens it. The standard streams are duplicated, so that nothing buffers or locks in between.
    pub(super) fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        match self {
            Self::Stdout => Ok(Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?))),
            Self::Stderr => Ok(Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?))),
            Self::File(path) => Ok(Box::new(OpenOptions::new().append(true).create(true).mode(0o640).open(path)?)),
            Self::Custom(open) => open(),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("Stdout"),
            Self::Stderr => f.write_str("Stderr"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}
