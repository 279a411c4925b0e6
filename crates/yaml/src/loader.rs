//! The world outside the config text: files and environment variables, behind a trait.
//!
//! Everything that reads a file or a variable on behalf of a config goes through a [`Loader`], so that tests, the
//! fuzzer and `check` against another environment can put their own world there.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::glob;

/// Reads files and variables for a config.
pub trait Loader {
    /// The whole file as UTF-8.
    ///
    /// # Errors
    /// Whatever reading says; `InvalidData` when the file is not UTF-8 or is larger than the loader takes.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// An environment variable; `None` when it is not set or not Unicode.
    fn env(&self, name: &str) -> Option<String>;

    /// The files that match, sorted. `pattern` is relative to `base`; `*` stands for any characters inside one
    /// component (not for a leading dot), `?` for one.
    ///
    /// # Errors
    /// Whatever listing a folder says. A folder that does not exist matches nothing.
    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>>;
}

/// The files and variables of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsLoader;

impl OsLoader {
    /// The largest file that is read, so that a device or a runaway file cannot fill the memory: 256 MiB.
    pub const MAX_BYTES: u64 = 256 << 20;
}

impl Loader for OsLoader {
    fn read(&self, path: &Path) -> io::Result<String> {
        let file = std::fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.take(Self::MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > Self::MAX_BYTES) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
        }
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8"))
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        glob::expand(base, pattern, &list_dir, &|path| path.is_file())
    }
}

fn list_dir(path: &Path) -> io::Result<Vec<String>> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Files and variables that stand in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryLoader {
    files: BTreeMap<PathBuf, String>,
    env: BTreeMap<String, String>,
}

impl MemoryLoader {
    /// No files, no variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The names directly inside a folder, each once.
    fn list(&self, folder: &Path) -> Vec<String> {
        let inside = |path: &PathBuf| {
            let rest = path.strip_prefix(folder).ok()?;
            rest.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = self.files.keys().filter_map(inside).collect();
        names.dedup();
        names
    }
}

impl Loader for MemoryLoader {
    fn read(&self, path: &Path) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        self.files.get(path).cloned().ok_or_else(missing)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        glob::expand(base, pattern, &|folder| Ok(self.list(folder)), &|path| self.files.contains_key(path))
    }
}
