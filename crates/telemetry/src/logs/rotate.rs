//! A file that is closed when it is large or old enough, kept under the time of that, and in the end deleted.
//!
//! `access.log` becomes `access.log.20261129T224500.123Z`, perhaps with `.zst` or `.gz` behind it. Names in the order of
//! time sort, so that nothing is renamed twice and a crash between two steps leaves whole files: what was not
//! compressed is compressed at the next rotation, a half of a compressed file is deleted then. Compressing has a thread of its own,
//! one at a time. A rotation that fails (no right to the folder) is said and tried again later; lines go on into the file as it
//! is. Lines are never split over two files. Two may write one file for a while, when a reload or an upgrade replaces a log: each
//! looks before it writes whether the file is still the one of that name, and how long it has become.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use portcullis_types::ByteSize;

use crate::timestamp::timestamp;

/// After a rotation that failed, the next is tried this much later.
const AGAIN: Duration = Duration::from_secs(10);

/// How closed files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

impl Compression {
    const fn extension(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// When a file is closed, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Before it grows beyond this.
    pub size: Option<ByteSize>,
    /// At each multiple of this since 1970, UTC: `1d` is midnight.
    pub every: Option<Duration>,
    /// How many closed files stay.
    pub keep: usize,
    /// How they are compressed.
    pub compress: Option<Compression>,
}

/// The wall clock, or a test's.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The file that is written, with its rotation. See the module's text.
pub(super) struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    clock: Clock,
    file: File,
    /// The file's device and inode.
    identity: (u64, u64),
    size: u64,
    /// The period that its lines are of.
    period: u64,
    /// It ends within a line.
    torn: bool,
    not_before: SystemTime,
    tidying: Arc<Mutex<()>>,
}

impl RotatingFile {
    pub(super) fn open(path: &Path, rotation: Rotation, clock: Clock, tidying: Arc<Mutex<()>>) -> io::Result<Self> {
        let (file, facts) = append_to(path)?;
        let size = facts.len();
        let period = period(rotation, if size == 0 { clock() } else { facts.modified()? });
        Ok(Self {
            path: path.to_owned(),
            rotation,
            clock,
            file,
            identity: identity(&facts),
            size,
            period,
            torn: false,
            not_before: UNIX_EPOCH,
            tidying,
        })
    }

    /// Goes over to the file that has the name now, if another has closed the one of before. Where none has it, the one of
    /// before is as good as any.
    fn follow(&mut self, now: SystemTime) -> io::Result<()> {
        let Ok(facts) = fs::metadata(&self.path) else { return Ok(()) };
        if identity(&facts) == self.identity {
            self.size = facts.len();
        } else if !self.torn {
            self.begin(now)?;
        }
        Ok(())
    }

    /// Opens the file that has the name, or makes it.
    fn begin(&mut self, now: SystemTime) -> io::Result<()> {
        let (file, facts) = append_to(&self.path)?;
        (self.file, self.identity) = (file, identity(&facts));
        (self.size, self.period) = (facts.len(), period(self.rotation, now));
        Ok(())
    }

    fn is_due(&self, now: SystemTime, next_line: u64) -> bool {
        let full = self.rotation.size.is_some_and(|most| self.size.saturating_add(next_line) > most.0);
        let old = period(self.rotation, now) > self.period;
        self.size > 0 && !self.torn && (full || old) && now >= self.not_before
    }

    /// Closes the file and begins another.
    fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        let closed = free_name(&self.path, now)?;
        match fs::rename(&self.path, &closed) {
            // Somebody moved it away; the new one is due all the same.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.begin(now)?;
        let (path, rotation, tidying) = (self.path.clone(), self.rotation, Arc::clone(&self.tidying));
        let work = move || {
            let _one = tidying.lock();
            if let Err(error) = tidy(&path, rotation) {
                log::warn!("{}: closed files cannot be tidied: {error}", path.display());
            }
        };
        // Without a thread the next rotation does it.
        thread::Builder::new().name("log-tidy".to_owned()).spawn(work).map(drop)
    }

    /// How many bytes of whole lines fit; at least those of the first line.
    fn room_for(&self, bytes: &[u8], first: usize) -> usize {
        let Some(most) = self.rotation.size else { return bytes.len() };
        let room = usize::try_from(most.0.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return bytes.len();
        }
        let fits = bytes.get(..room).unwrap_or_default();
        fits.iter().rposition(|byte| *byte == b'\n').map_or(first, |at| at + 1).max(first)
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let now = (self.clock)();
        self.follow(now)?;
        if self.is_due(now, u64::try_from(first).unwrap_or(u64::MAX))
            && let Err(error) = self.rotate(now)
        {
            self.not_before = now + AGAIN;
            log::warn!("{} cannot be rotated: {error}; it grows on", self.path.display());
        }
        let most = if now < self.not_before { bytes.len() } else { self.room_for(bytes, first) };
        let part = bytes.get(..most).unwrap_or(bytes);
        let written = self.file.write(part)?;
        self.size += u64::try_from(written).unwrap_or(0);
        if let Some(last) = part.get(..written).and_then(<[u8]>::last) {
            self.torn = *last != b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a file to append to, with what the system says of it.
fn append_to(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let facts = file.metadata()?;
    Ok((file, facts))
}

/// What tells a file from all others, whatever it is called.
fn identity(facts: &Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

/// Which multiple of [`Rotation::every`] a time is in; always the same without it.
fn period(rotation: Rotation, at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let every = rotation.every.map_or(0, |every| every.as_secs());
    since.as_secs().checked_div(every).unwrap_or(0)
}

/// A name for a file that is closed now, which nothing has yet.
fn free_name(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    for later in 0..1000 {
        let stamp = timestamp(now + Duration::from_millis(later)).replace(['-', ':'], "");
        let plain = beside(path, &format!(".{stamp}"));
        let taken = |extension: &str| beside(&plain, extension).exists();
        if !taken("") && !taken(".zst") && !taken(".gz") {
            return Ok(plain);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name for the closed file is taken"))
}

/// The same path with more behind its name.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(more));
    PathBuf::from(name)
}

/// Compresses what is closed and deletes what is too much.
fn tidy(path: &Path, rotation: Rotation) -> io::Result<()> {
    let mut closed = closed_files(path)?;
    let much = closed.len().saturating_sub(rotation.keep);
    for old in closed.drain(..much) {
        fs::remove_file(old)?;
    }
    let Some(compression) = rotation.compress else { return Ok(()) };
    for plain in closed.iter().filter(|path| path.extension().is_some_and(|end| end.as_encoded_bytes().ends_with(b"Z")))
    {
        compress(plain, compression)?;
    }
    Ok(())
}

/// The closed files of a path, oldest first. Halves of compressed ones, which a crash left, are deleted.
pub(super) fn closed_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut closed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let stamp = file.file_name().unwrap_or_default().as_encoded_bytes().strip_prefix(name);
        let Some(stamp) = stamp.and_then(|rest| rest.strip_prefix(b".")) else { continue };
        match split_stamp(stamp) {
            Some(b"" | b".zst" | b".gz") => closed.push(file),
            Some(b".zst.part" | b".gz.part") => fs::remove_file(&file)?,
            Some(_) | None => {}
        }
    }
    closed.sort();
    Ok(closed)
}

/// What stands behind the time in a closed file's name: `20261129T224500.123Z`.
fn split_stamp(name: &[u8]) -> Option<&[u8]> {
    let (stamp, rest) = name.split_at_checked(20)?;
    let is_stamp = stamp.iter().enumerate().all(|(at, byte)| match at {
        8 => *byte == b'T',
        15 => *byte == b'.',
        19 => *byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    is_stamp.then_some(rest)
}

/// Compresses a file beside itself; the plain one goes when the other is whole and on disk.
fn compress(plain: &Path, compression: Compression) -> io::Result<()> {
    let whole = beside(plain, compression.extension());
    let part = beside(&whole, ".part");
    let mut from = File::open(plain)?;
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&part)?;
    let made = match compression {
        Compression::Zstd => zstd::Encoder::new(to, 3).and_then(|mut encoder| {
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()
        }),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::default());
            io::copy(&mut from, &mut encoder).and_then(|_| encoder.finish())
        }
    };
    match made.and_then(|to| to.sync_all()) {
        Ok(()) => {
            fs::rename(&part, &whole)?;
            fs::remove_file(plain)
        }
        Err(error) => {
            // The plain file stays: it is whole.
            drop(fs::remove_file(&part));
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
