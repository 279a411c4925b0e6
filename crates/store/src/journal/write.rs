//! The journal's files: appended, synced, closed when they are large or old, and the oldest deleted.
//!
//! Invariant: what [`Journal::append`] said was written is synced. After a failure the file ends with a whole line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_types::ByteSize;

use super::line::{Line, time};
use crate::error::StoreError;

/// The file that is written.
pub(super) const CURRENT: &str = "usage.ndjson";
/// How the names of closed ones begin and end.
const CLOSED: (&str, &str) = ("usage-", ".ndjson");
/// The longest line that is looked for at the end of a file: names are at most a few hundred bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// When a file is closed, and how many closed ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file that is this large is closed.
    pub size: ByteSize,
    /// One whose first line is this old is closed.
    pub age: Duration,
    /// Closed files that are kept. Older ones are deleted, with the use they tell of.
    pub keep: usize,
}

impl Default for Rotation {
    /// 64 MiB or a day, and thirty of them.
    fn default() -> Self {
        Self { size: ByteSize::mib(64), age: Duration::from_secs(86_400), keep: 30 }
    }
}

/// The journal, open.
pub(crate) struct Journal {
    directory: PathBuf,
    rotation: Rotation,
    file: File,
    /// How much of the file is whole lines that are synced.
    length: u64,
    /// The begin of the window of the file's first line, in milliseconds since 1970.
    began: Option<u64>,
    /// The last line that is there.
    last: Option<(u64, u64)>,
}

impl Journal {
    /// Opens the journal of a directory, and takes away a last line that was cut off.
    pub(crate) fn open(directory: &Path, rotation: Rotation) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|error| StoreError::io(directory, error))?;
        let path = directory.join(CURRENT);
        let opened = || -> io::Result<Self> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            sync_directory(directory)?;
            let (length, last) = repair(&mut file)?;
            let began = first_line(&mut file)?.map(|line| millis(&line));
            Ok(Self { directory: directory.to_owned(), rotation, file, length, began, last })
        };
        let mut journal = opened().map_err(|error| StoreError::io(&path, error))?;
        if journal.last.is_none() {
            journal.last = journal.last_closed().map_err(|error| StoreError::io(directory, error))?;
        }
        Ok(journal)
    }

    /// Appends lines and syncs them. Those that are there already, by their numbers, are left out.
    pub(crate) fn append(
        &mut self,
        gateway: u64,
        lines: &[(u64, Vec<u8>)],
        unix_millis: u64,
    ) -> Result<(), StoreError> {
        let path = self.directory.join(CURRENT);
        self.rotate(unix_millis).map_err(|error| StoreError::io(&self.directory, error))?;
        let new = |sequence: u64| self.last.is_none_or(|(other, last)| other != gateway || last < sequence);
        let lines: Vec<&(u64, Vec<u8>)> = lines.iter().filter(|(sequence, _)| new(*sequence)).collect();
        let Some((last, _)) = lines.last() else { return Ok(()) };
        let mut text = Vec::with_capacity(lines.iter().map(|(_, line)| line.len() + 1).sum());
        for (_, line) in &lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let length = self.length + text.len() as u64;
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A part may be there. If even this fails, opening the file again repairs it.
            let _ = self.file.set_len(self.length);
            return Err(StoreError::io(&path, error));
        }
        (self.length, self.last) = (length, Some((gateway, *last)));
        self.began = self.began.or(Some(unix_millis));
        Ok(())
    }

    /// Closes the file when it is large or old enough, and deletes the oldest beyond what is kept.
    fn rotate(&mut self, unix_millis: u64) -> io::Result<()> {
        let Some(began) = self.began else { return Ok(()) };
        let old = u128::from(unix_millis.saturating_sub(began)) >= self.rotation.age.as_millis();
        if self.length < self.rotation.size.0 && !old {
            return Ok(());
        }
        let (begin, end) = CLOSED;
        let (when, number) = (time(unix_millis).strftime("%Y%m%dT%H%M%SZ"), self.last.map_or(0, |(_, last)| last));
        let closed = self.directory.join(format!("{begin}{when}-{number:020}{end}"));
        fs::rename(self.directory.join(CURRENT), closed)?;
        self.file = OpenOptions::new().read(true).append(true).create(true).open(self.directory.join(CURRENT))?;
        (self.length, self.began) = (0, None);
        let closed = closed_files(&self.directory)?;
        for oldest in closed.iter().rev().skip(self.rotation.keep) {
            fs::remove_file(oldest)?;
        }
        sync_directory(&self.directory)
    }

    /// The last line of the newest closed file.
    fn last_closed(&self) -> io::Result<Option<(u64, u64)>> {
        let Some(newest) = closed_files(&self.directory)?.pop() else { return Ok(None) };
        let mut file = File::open(newest)?;
        Ok(last_line(&mut file)?.and_then(|(_, line)| line.numbers()))
    }
}

/// The closed files, oldest first.
pub(super) fn closed_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let (begin, end) = CLOSED;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let is_closed = name.to_str().is_some_and(|name| name.starts_with(begin) && name.ends_with(end));
        if is_closed {
            files.push(directory.join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// Cuts off what is behind the last whole line; its length and its numbers.
fn repair(file: &mut File) -> io::Result<(u64, Option<(u64, u64)>)> {
    let length = file.metadata()?.len();
    let last = last_line(file)?;
    let whole = last.as_ref().map_or(0, |(end, _)| *end);
    // A file of which nothing can be read is left as it is, and not written to.
    if last.is_none() && length > LONGEST_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "holds no lines of usage; move it away"));
    }
    if whole < length {
        file.set_len(whole)?;
        file.sync_data()?;
    }
    Ok((whole, last.and_then(|(_, line)| line.numbers())))
}

/// The last whole line, and where it ends.
fn last_line(file: &mut File) -> io::Result<Option<(u64, Line)>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LONGEST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut tail)?;
    let mut end = tail.len();
    while let Some(newline) = tail.get(..end).and_then(|tail| tail.iter().rposition(|byte| *byte == b'\n')) {
        let before = tail.get(..newline).unwrap_or_default();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if let Some(line) = before.get(start..).and_then(Line::parse) {
            return Ok(Some((from + newline as u64 + 1, line)));
        }
        end = newline;
    }
    Ok(None)
}

fn first_line(file: &mut File) -> io::Result<Option<Line>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut head)?;
    Ok(head.split(|byte| *byte == b'\n').next().and_then(Line::parse))
}

fn millis(line: &Line) -> u64 {
    u64::try_from(line.start.as_millisecond()).unwrap_or(0)
}

/// Makes names of files last.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
