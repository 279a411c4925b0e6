//! Batches on disk: a file each, named by its place in the order and by how many events it has.
//!
//! A file is written beside its name and renamed when it is synced, so that a crash leaves whole ones. The directory belongs
//! to one sink of one process at a time, by a lock on a file in it, which the kernel gives back when the process ends,
//! however it does.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the names of batches end with.
const END: &str = ".batch";
/// The file whose lock says whose the directory is.
const LOCK: &str = "lock";
/// And those of halves.
const PART: &str = ".part";

/// A batch that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// The directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct SpoolDir {
    path: PathBuf,
    _lock: File,
}

impl SpoolDir {
    /// Makes the directory if it is not there, and shows that it can be written.
    pub(super) fn make(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        lock_file(path).map(drop)
    }

    /// Takes the directory; `None` while somebody else has it.
    pub(super) fn lock(path: &Path) -> io::Result<Option<Self>> {
        let lock = lock_file(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), _lock: lock })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// What lies here, in order. Halves are deleted.
    pub(super) fn scan(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(PART) {
                fs::remove_file(entry.path())?;
            } else if let Some((place, events)) = parse(name) {
                found.push(Found { place, events, bytes: entry.metadata()?.len() });
            }
        }
        found.sort_by_key(|one| one.place);
        Ok(found)
    }

    pub(super) fn write(&self, place: u64, events: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = self.path.join(name(place, events));
        let part = whole.with_extension("part");
        let made =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_data()
            });
        made.and_then(|()| fs::rename(&part, &whole)).inspect_err(|_| drop(fs::remove_file(&part)))
    }

    /// A batch; `None` when it is gone, and not merely out of reach with the whole directory.
    pub(super) fn read(&self, place: u64, events: u64) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name(place, events))) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.join(LOCK).exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn delete(&self, place: u64, events: u64) {
        let path = self.path.join(name(place, events));
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("{} was delivered and cannot be deleted: {error}", path.display());
        }
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK))
}

fn name(place: u64, events: u64) -> String {
    format!("{place:020}-{events}{END}")
}

fn parse(name: &str) -> Option<(u64, u64)> {
    let (place, events) = name.strip_suffix(END)?.split_once('-')?;
    Some((place.parse().ok()?, events.parse().ok()?))
}
