//! The folder of a history: a file an entry, written as a whole or not at all.
//!
//! Several processes may use it at once, such as the two of a binary that is being replaced: each holds the lock for as
//! long as it gives out a number or writes, and looks again at what the others did.
//!
//! Invariants: an entry's number is in its file's name, and no number is given out twice, also where a file was broken
//! since; only who holds the lock writes or deletes; files are readable by their owner alone, as is the folder where it is
//! made here.

mod lock;

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::{Broken, Entry, HEADER, Header, META, Meta};

pub(super) use lock::Lock;

const EXTENSION: &str = "entry";
/// What a file is called while it is written.
const UNFINISHED: &str = "unfinished";
/// The largest file that is read: the texts of a config have a bound below it.
const LARGEST: u64 = 1 << 30;
const FOREIGN_NUMBER: &str = "it has the number of another";

/// A folder, as far as it is known.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: BTreeMap<u64, Known>,
    /// The highest number of any file that was ever seen, broken ones included.
    highest: u64,
}

/// A file that was looked at.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// What it has; else why it is no entry.
    found: Result<Meta, String>,
}

/// By what a file is known again: each write makes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self { inode: data.ino(), bytes: data.size(), changed: (data.mtime(), data.mtime_nsec()) }
    }
}

impl Folder {
    /// Looks at a folder; one that is not there is empty.
    pub(super) fn look(path: &Path) -> io::Result<Self> {
        let mut folder = Self::unknown(path);
        folder.refresh()?;
        Ok(folder)
    }

    /// A folder of which nothing can be known.
    pub(super) fn unknown(path: &Path) -> Self {
        Self { path: path.to_owned(), files: BTreeMap::new(), highest: 0 }
    }

    /// Looks again; what did not change since is not read anew.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let found = match fs::read_dir(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.files.clear();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut files = BTreeMap::new();
        for file in found {
            let path = file?.path();
            let Some(number) = number_of(&path) else { continue };
            let known = self.files.remove(&number);
            // Whoever may deletes at any time.
            let Ok(data) = fs::metadata(&path) else { continue };
            let stamp = Stamp::of(&data);
            let known = known.filter(|known| known.stamp == stamp);
            files.insert(number, known.unwrap_or_else(|| Known { stamp, found: read_meta(&path, number) }));
            self.highest = self.highest.max(number);
        }
        self.files = files;
        Ok(())
    }

    /// Makes this process the one that writes for as long as the lock is held, and looks again. Waits for no longer than
    /// `patience` for another.
    pub(super) fn lock(&mut self, patience: Duration) -> io::Result<Lock> {
        let lock = Lock::take(&self.path, patience)?;
        self.sweep();
        self.refresh()?;
        self.highest = self.highest.max(lock.last());
        Ok(lock)
    }

    /// Deletes what a process left that was killed while it wrote.
    fn sweep(&self) {
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|file| file.path());
        let left = files.filter(|path| path.extension().is_some_and(|extension| extension == UNFINISHED));
        // What cannot be deleted is tried again with the next write, and is written over meanwhile.
        left.for_each(|path| drop(fs::remove_file(path)));
    }

    /// Writes an entry, in the place of one of the same number.
    pub(super) fn write(&mut self, _lock: &Lock, entry: &Entry) -> io::Result<()> {
        let bytes = entry.encode();
        let number = entry.meta.number;
        let place = self.file(number);
        let unfinished = place.with_extension(UNFINISHED);
        let written = write_whole(&unfinished, &bytes).and_then(|stamp| {
            fs::rename(&unfinished, &place)?;
            Ok(stamp)
        });
        let stamp = written.inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
        self.highest = self.highest.max(number);
        self.files.insert(number, Known { stamp, found: Ok(entry.meta.clone()) });
        File::open(&self.path)?.sync_all()
    }

    /// Deletes the oldest entries until there are no more than so many, of no more bytes. Those that have no part in a
    /// rollback go first; what `spared` holds stays.
    pub(super) fn prune(&mut self, _lock: &Lock, (most, bytes): (usize, u64), spared: &[u64]) {
        while self.len() > most || self.bytes() > bytes {
            let may_go = |meta: &&Meta| !spared.contains(&meta.number);
            let oldest = |good: bool| self.metas().filter(may_go).find(|meta| meta.is_good() == good);
            // Entries that were refused take no more than a quarter, so that they cannot push out what one rolls back to.
            let refused = self.metas().filter(|meta| !meta.is_good()).count();
            let bad_first = oldest(false).filter(|_| refused > most / 4);
            let next = bad_first.or_else(|| self.metas().find(may_go)).map(|meta| meta.number);
            let Some(number) = next else { return };
            if fs::remove_file(self.file(number)).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                return;
            }
            self.files.remove(&number);
        }
    }

    /// An entry as a whole.
    pub(super) fn entry(&self, number: u64) -> Result<Entry, String> {
        let path = self.file(number);
        let read = File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LARGEST).read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let entry = Entry::decode(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        if entry.meta.number == number { Ok(entry) } else { Err(format!("{}: {FOREIGN_NUMBER}", path.display())) }
    }

    pub(super) fn metas(&self) -> impl DoubleEndedIterator<Item = &Meta> {
        self.files.values().filter_map(|file| file.found.as_ref().ok())
    }

    /// Whether there is a file of this number, be it broken.
    pub(super) fn is_taken(&self, number: u64) -> bool {
        self.files.contains_key(&number)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.values().filter(|file| file.found.is_ok()).map(|file| file.stamp.bytes).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.metas().count()
    }

    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    /// Files that are no entries, and why.
    pub(super) fn broken(&self) -> Vec<String> {
        let broken = self.files.iter().filter_map(|(number, file)| Some((number, file.found.as_ref().err()?)));
        broken.map(|(number, why)| format!("{}: {why}", self.file(*number).display())).collect()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:010}.{EXTENSION}"))
    }
}

/// The number of an entry's file; `None` for what is none by its name.
fn number_of(path: &Path) -> Option<u64> {
    let is_entry = path.extension().is_some_and(|extension| extension == EXTENSION);
    path.file_stem()?.to_str().filter(|_| is_entry)?.parse().ok()
}

fn read_meta(path: &Path, number: u64) -> Result<Meta, String> {
    let text = |error: io::Error| error.to_string();
    let file = File::open(path).map_err(text)?;
    let length = file.metadata().map_err(text)?.len();
    let mut start = Vec::new();
    file.take((HEADER + META) as u64).read_to_end(&mut start).map_err(text)?;
    let header = Header::read(&start).map_err(|error| error.to_string())?;
    let meta = header.meta(&start).map_err(|error| error.to_string())?;
    if header.whole() != length {
        return Err(Broken::Changed.to_string());
    }
    if meta.number == number { Ok(meta) } else { Err(FOREIGN_NUMBER.to_owned()) }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<Stamp> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(Stamp::of(&file.metadata()?))
}
