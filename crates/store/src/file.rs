//! The embedded store: one file, written by redb, in which every commit is whole and on disk before it counts.
//!
//! Why redb: pure Rust without threads or settings of its own, a copy-on-write tree in one file with checksums, a stable
//! format. A commit ends with `fsync`, and a file that was cut off in the middle of one opens as it was before it
//! (`quick_repair` keeps that opening fast). A log-structured store would write less for each second, but brings
//! compaction threads and a directory of files, for a table that fits in memory.
//!
//! Tables: quotas as they stand; usage of the open window, added up; lines of the journal that are not known to be in
//! its files yet; a few numbers. Usage moves from one table to the next in one commit, together with the number of the
//! line, so a crash between any two steps finds it in exactly one place.

use std::path::{Path, PathBuf};

use portcullis_caps::{Amount, SavedQuota};
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition};

use crate::error::StoreError;
use crate::journal::Line;
use crate::pending::Pending;
use crate::rows::{is_by_day, quota_of, usage_key, usage_of};

const QUOTAS: TableDefinition<'_, &[u8], (u32, u64)> = TableDefinition::new("quotas");
const USAGE: TableDefinition<'_, &[u8], (u64, u64, u64)> = TableDefinition::new("usage");
const LINES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lines");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The format of the tables.
const FORMAT: u64 = 1;
/// What redb may hold of the file in memory.
const CACHE: usize = 16 << 20;
/// Lines that are read at once.
const LINES_AT_ONCE: usize = 4_096;

/// The file, open.
pub(crate) struct Store {
    database: Database,
    path: PathBuf,
    gateway: u64,
}

/// Any failure of redb, by way of its one error.
type Failed = redb::Error;

impl Store {
    /// Opens the file or makes it, and gives every quota that is in it.
    pub(crate) fn open(path: &Path, each: impl FnMut(SavedQuota)) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE).create(path);
        let database = opened.map_err(|error| opening(path, error))?;
        let store = Self { database, path: path.to_owned(), gateway: 0 };
        let (format, gateway) = store.begin().map_err(|error| store.failed(error))?;
        if format != FORMAT {
            return Err(StoreError::Format { path: path.to_owned(), found: format, known: FORMAT });
        }
        store.read(each)?;
        Ok(Self { gateway, ..store })
    }

    /// Which gateway this is, over all restarts.
    pub(crate) const fn gateway(&self) -> u64 {
        self.gateway
    }

    /// Makes the tables where there are none; answers with the format and the gateway's number.
    fn begin(&self) -> Result<(u64, u64), Failed> {
        let change = self.change()?;
        let (format, gateway);
        {
            change.open_table(QUOTAS)?;
            change.open_table(USAGE)?;
            change.open_table(LINES)?;
            let mut numbers = change.open_table(NUMBERS)?;
            format = number(&numbers, "format")?.unwrap_or(FORMAT);
            // Numbers of JSON and of Lua are exact to 2^53.
            gateway = number(&numbers, "gateway")?.unwrap_or_else(|| rand::random::<u64>() >> 12 | 1);
            numbers.insert("format", format)?;
            numbers.insert("gateway", gateway)?;
        }
        change.commit()?;
        Ok((format, gateway))
    }

    /// Gives every quota that is in the file.
    pub(crate) fn read(&self, mut each: impl FnMut(SavedQuota)) -> Result<(), StoreError> {
        let mut read = || -> Result<(), Failed> {
            let table = self.database.begin_read()?.open_table(QUOTAS)?;
            for row in table.iter()? {
                let (key, value) = row?;
                quota_of(key.value(), value.value()).into_iter().for_each(&mut each);
            }
            Ok(())
        };
        read().map_err(|error| self.failed(error))
    }

    /// Writes what waits, and returns when it is on disk.
    pub(crate) fn commit(&self, pending: &Pending, unix_millis: u64) -> Result<(), StoreError> {
        self.try_commit(pending, unix_millis).map_err(|error| self.failed(error))
    }

    fn try_commit(&self, pending: &Pending, unix_millis: u64) -> Result<(), Failed> {
        let change = self.change()?;
        {
            let mut quotas = change.open_table(QUOTAS)?;
            for (key, value) in &pending.quotas {
                // What another process wrote before it ended may be more.
                let greater = quotas.get(key.as_slice())?.is_some_and(|held| held.value() > *value);
                if !greater {
                    quotas.insert(key.as_slice(), *value)?;
                }
            }
        }
        if !pending.usage.is_empty() {
            let mut usage = change.open_table(USAGE)?;
            for ((consumer, method), amount) in &pending.usage {
                let key = usage_key(consumer, method);
                let mut sum = usage.get(key.as_slice())?.map(|held| amount_of(held.value())).unwrap_or_default();
                sum += *amount;
                usage.insert(key.as_slice(), (sum.requests, sum.credits, sum.bytes))?;
            }
            let mut numbers = change.open_table(NUMBERS)?;
            if number(&numbers, "start")?.unwrap_or(0) == 0 {
                numbers.insert("start", unix_millis)?;
            }
            numbers.insert("last", unix_millis)?;
        }
        change.commit()?;
        Ok(())
    }

    /// When the first usage of the open window was committed, and the last; `None` when there is none.
    pub(crate) fn window(&self) -> Result<Option<(u64, u64)>, StoreError> {
        let read = || -> Result<_, Failed> {
            let numbers = self.database.begin_read()?.open_table(NUMBERS)?;
            let start = number(&numbers, "start")?.filter(|start| *start > 0);
            Ok(start.zip(number(&numbers, "last")?))
        };
        read().map_err(|error| self.failed(error))
    }

    /// Closes the open window: its usage becomes lines with numbers. Answers how many.
    pub(crate) fn seal(&self, end: u64) -> Result<u64, StoreError> {
        self.try_seal(end).map_err(|error| self.failed(error))
    }

    fn try_seal(&self, end: u64) -> Result<u64, Failed> {
        let change = self.change()?;
        let mut made = 0;
        {
            let mut usage = change.open_table(USAGE)?;
            let mut lines = change.open_table(LINES)?;
            let mut numbers = change.open_table(NUMBERS)?;
            let start = number(&numbers, "start")?.unwrap_or(end);
            let mut sequence = number(&numbers, "sequence")?.unwrap_or(0);
            for row in usage.iter()? {
                let (key, value) = row?;
                let Some((consumer, method)) = usage_of(key.value()) else { continue };
                sequence += 1;
                made += 1;
                let amount = amount_of(value.value());
                let line = Line::new((self.gateway, sequence), (start, end.max(start)), (&consumer, &method), amount);
                lines.insert(sequence, line.to_json().as_bytes())?;
            }
            usage.retain(|_, _| false)?;
            numbers.insert("sequence", sequence)?;
            numbers.insert("start", 0)?;
        }
        change.commit()?;
        Ok(made)
    }

    /// The number of the last line that was made.
    pub(crate) fn sequence(&self) -> Result<u64, StoreError> {
        let read = || -> Result<_, Failed> {
            let numbers = self.database.begin_read()?.open_table(NUMBERS)?;
            Ok(number(&numbers, "sequence")?.unwrap_or(0))
        };
        read().map_err(|error| self.failed(error))
    }

    /// Some of the lines that are not known to be in the journal's files, the next after a number.
    pub(crate) fn lines_after(&self, after: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let read = || -> Result<_, Failed> {
            let table = self.database.begin_read()?.open_table(LINES)?;
            let mut lines = Vec::new();
            for row in table.range(after.saturating_add(1)..)?.take(LINES_AT_ONCE) {
                let (sequence, line) = row?;
                lines.push((sequence.value(), line.value().to_vec()));
            }
            Ok(lines)
        };
        read().map_err(|error| self.failed(error))
    }

    /// Forgets lines up to a number, once they are safe in the journal's files.
    pub(crate) fn forget_lines(&self, until: u64) -> Result<(), StoreError> {
        let forget = || -> Result<(), Failed> {
            let change = self.change()?;
            change.open_table(LINES)?.retain_in(..=until, |_, _| false)?;
            change.commit()?;
            Ok(())
        };
        forget().map_err(|error| self.failed(error))
    }

    /// What was used in the open window, by consumer and method.
    pub(crate) fn open_usage(&self, mut each: impl FnMut(&str, &str, Amount)) -> Result<(), StoreError> {
        let mut read = || -> Result<(), Failed> {
            let table = self.database.begin_read()?.open_table(USAGE)?;
            for row in table.iter()? {
                let (key, value) = row?;
                if let Some((consumer, method)) = usage_of(key.value()) {
                    each(&consumer, &method, amount_of(value.value()));
                }
            }
            Ok(())
        };
        read().map_err(|error| self.failed(error))
    }

    /// Drops quotas whose windows are over: days before the first number, months before the second.
    pub(crate) fn purge(&self, (day, month): (u32, u32)) -> Result<(), StoreError> {
        let purge = || -> Result<(), Failed> {
            let change = self.change()?;
            let keeps = |key: &[u8], (window, _): (u32, u64)| window >= if is_by_day(key) { day } else { month };
            change.open_table(QUOTAS)?.retain(keeps)?;
            change.commit()?;
            Ok(())
        };
        purge().map_err(|error| self.failed(error))
    }

    fn change(&self) -> Result<redb::WriteTransaction, Failed> {
        let mut change = self.database.begin_write()?;
        change.set_durability(Durability::Immediate)?;
        // Two syncs rather than one, and no walk over the file after a crash.
        change.set_quick_repair(true);
        Ok(change)
    }

    fn failed(&self, error: Failed) -> StoreError {
        said(&self.path, error)
    }
}

fn number(table: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<Option<u64>, Failed> {
    Ok(table.get(name)?.map(|value| value.value()))
}

const fn amount_of((requests, credits, bytes): (u64, u64, u64)) -> Amount {
    Amount { requests, credits, bytes }
}

fn opening(path: &Path, error: DatabaseError) -> StoreError {
    if let DatabaseError::Storage(StorageError::Io(source)) = &error
        && source.kind() == std::io::ErrorKind::InvalidData
    {
        return StoreError::Damaged { path: path.to_owned(), what: source.to_string() };
    }
    said(path, error.into())
}

fn said(path: &Path, error: Failed) -> StoreError {
    let path_of = || path.to_owned();
    if let Failed::Io(source) = error {
        StoreError::io(path, source)
    } else if matches!(error, Failed::PreviousIo) {
        StoreError::io(path, std::io::Error::other("an earlier write failed"))
    } else if matches!(error, Failed::DatabaseAlreadyOpen) {
        StoreError::InUse { path: path_of() }
    } else {
        StoreError::Damaged { path: path_of(), what: error.to_string() }
    }
}
