//! The folder of a history: a file an entry, written as a whole or not at all.
//!
//! Invariants: an entry's number is in its file's name, and no number is given out twice, also where a file was broken
//! since; only who holds the lock writes or deletes; files are readable by their owner alone, as is the folder where it is
//! made here.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::entry::{Broken, Entry, HEADER, Header, META, Meta};

const LOCK: &str = "lock";
const EXTENSION: &str = "entry";
/// What a file is called while it is written.
const UNFINISHED: &str = "unfinished";
/// The largest file that is read: the texts of a config have a bound below it.
const LARGEST: u64 = 1 << 30;

/// A folder, as far as it is known.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held while this process may write.
    lock: Option<File>,
    entries: BTreeMap<u64, (Meta, u64)>,
    /// The highest number of any file, broken ones included.
    highest: u64,
    /// Files that are no entries, and why.
    broken: Vec<String>,
}

impl Folder {
    /// Looks at a folder; one that is not there is empty.
    pub(super) fn look(path: &Path) -> io::Result<Self> {
        let mut folder = Self::unknown(path);
        folder.scan()?;
        Ok(folder)
    }

    /// A folder of which nothing can be known.
    pub(super) fn unknown(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None, entries: BTreeMap::new(), highest: 0, broken: Vec::new() }
    }

    fn scan(&mut self) -> io::Result<()> {
        self.entries.clear();
        self.broken.clear();
        let found = match fs::read_dir(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for file in found {
            let path = file?.path();
            let Some(number) = number_of(&path) else { continue };
            self.highest = self.highest.max(number);
            match read_meta(&path) {
                Ok((meta, bytes)) if meta.number == number => {
                    self.entries.insert(number, (meta, bytes));
                }
                Ok(_) => self.broken.push(format!("{}: it has the number of another", path.display())),
                Err(error) => self.broken.push(format!("{}: {error}", path.display())),
            }
        }
        self.broken.sort();
        Ok(())
    }

    /// Makes this process the one that writes, and looks again. Whoever has done so already keeps it.
    pub(super) fn claim(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let options = &mut OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = "another process keeps its history here; each gateway needs a folder of its own";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        self.lock = Some(file);
        self.sweep();
        self.scan()
    }

    /// Lets another process write.
    pub(super) fn release(&mut self) {
        self.lock = None;
    }

    /// Deletes what a process left that was killed while it wrote.
    fn sweep(&self) {
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|file| file.path());
        let left = files.filter(|path| path.extension().is_some_and(|extension| extension == UNFINISHED));
        // What cannot be deleted is tried again at the next start, and is written over meanwhile.
        left.for_each(|path| drop(fs::remove_file(path)));
    }

    /// Writes an entry, in the place of one of the same number.
    pub(super) fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let bytes = entry.encode();
        let place = self.file(entry.meta.number);
        let unfinished = place.with_extension(UNFINISHED);
        let written = write_whole(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, &place));
        if let Err(error) = written {
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        self.highest = self.highest.max(entry.meta.number);
        self.entries.insert(entry.meta.number, (entry.meta.clone(), bytes.len() as u64));
        File::open(&self.path)?.sync_all()
    }

    /// Deletes the oldest entries until there are no more than so many, of no more bytes. Those that have no part in a
    /// rollback go first; what `spared` holds stays.
    pub(super) fn prune(&mut self, most: usize, bytes: u64, spared: &[u64]) {
        while self.entries.len() > most || self.bytes() > bytes {
            let may_go = |(number, _): &(&u64, &(Meta, u64))| !spared.contains(number);
            let oldest = |good: bool| {
                let mut all = self.entries.iter().filter(may_go);
                all.find(|(_, (meta, _))| meta.is_good() == good).map(|(number, _)| *number)
            };
            // Entries that were refused take no more than a quarter, so that they cannot push out what one rolls back to.
            let refused = self.entries.values().filter(|(meta, _)| !meta.is_good()).count();
            let bad_first = oldest(false).filter(|_| refused > most / 4);
            let next = bad_first.or_else(|| self.entries.iter().find(may_go).map(|(number, _)| *number));
            let Some(number) = next else { return };
            if fs::remove_file(self.file(number)).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                return;
            }
            self.entries.remove(&number);
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
        Entry::decode(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(super) fn metas(&self) -> impl DoubleEndedIterator<Item = &Meta> {
        self.entries.values().map(|(meta, _)| meta)
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.entries.contains_key(&number)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries.values().map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn broken(&self) -> &[String] {
        &self.broken
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

fn read_meta(path: &Path) -> Result<(Meta, u64), String> {
    let text = |error: io::Error| error.to_string();
    let file = File::open(path).map_err(text)?;
    let length = file.metadata().map_err(text)?.len();
    let mut start = Vec::new();
    file.take((HEADER + META) as u64).read_to_end(&mut start).map_err(text)?;
    let header = Header::read(&start).map_err(|error| error.to_string())?;
    let meta = header.meta(&start).map_err(|error| error.to_string())?;
    if header.whole() == length { Ok((meta, length)) } else { Err(Broken::Changed.to_string()) }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
