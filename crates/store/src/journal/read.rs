//! Sums over the journal's files.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use portcullis_caps::Amount;

use super::line::Line;
use super::seen::Seen;
use super::write::{CURRENT, closed_files};
use crate::error::StoreError;

/// Whose use is asked for, and when.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// Whose; everybody's when there is none.
    pub consumer: Option<String>,
    /// Windows that begin at this time or later.
    pub from: Option<Timestamp>,
    /// Windows that begin before this time.
    pub until: Option<Timestamp>,
}

/// What was used, by consumer and method.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// By consumer, and for each by method.
    pub consumers: BTreeMap<String, BTreeMap<String, Amount>>,
    /// Lines that could not be read: not ours, or cut off.
    pub unreadable: u64,
    /// Lines that were there more than once.
    pub repeated: u64,
}

impl UsageQuery {
    /// Whether a window that begins then counts.
    pub(crate) fn is_within(&self, start: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= start) && self.until.is_none_or(|until| start < until)
    }

    /// Whether a consumer's use counts.
    pub(crate) fn is_of(&self, consumer: &str) -> bool {
        self.consumer.as_deref().is_none_or(|asked| asked == consumer)
    }
}

impl Totals {
    /// Adds an amount.
    pub(crate) fn add(&mut self, consumer: &str, method: &str, amount: Amount) {
        let methods = match self.consumers.get_mut(consumer) {
            Some(methods) => methods,
            None => self.consumers.entry(consumer.to_owned()).or_default(),
        };
        *methods.entry(method.to_owned()).or_default() += amount;
    }

    /// All methods of a consumer together.
    #[must_use]
    pub fn of(&self, consumer: &str) -> Amount {
        let mut sum = Amount::default();
        self.consumers.get(consumer).into_iter().flat_map(BTreeMap::values).for_each(|amount| sum += *amount);
        sum
    }
}

/// Adds up a journal's files, each line once. A gateway may be writing them meanwhile.
///
/// # Errors
/// A file cannot be read.
pub fn read_usage(directory: &Path, query: &UsageQuery) -> Result<Totals, StoreError> {
    let mut sums = Sums::new(query);
    sums.add_files(directory)?;
    Ok(sums.totals)
}

/// Sums that are being made.
pub(crate) struct Sums<'a> {
    query: &'a UsageQuery,
    pub(crate) totals: Totals,
    seen: HashMap<u64, Seen>,
    /// A gateway and its last line that counts: what is in later ones is counted elsewhere.
    until: Option<(u64, u64)>,
}

impl<'a> Sums<'a> {
    pub(crate) fn new(query: &'a UsageQuery) -> Self {
        Self { query, totals: Totals::default(), seen: HashMap::new(), until: None }
    }

    /// Leaves out lines of a gateway after a number.
    pub(crate) fn leave_out_after(&mut self, gateway: u64, sequence: u64) {
        self.until = Some((gateway, sequence));
    }

    /// Adds one line.
    pub(crate) fn add_line(&mut self, text: &[u8]) {
        let numbered = Line::parse(text).and_then(|line| line.numbers().map(|id| (line, id)));
        let Some((line, (gateway, sequence))) = numbered else {
            self.totals.unreadable += 1;
            return;
        };
        if self.until.is_some_and(|(of, last)| of == gateway && last < sequence) {
            return;
        }
        if !self.seen.entry(gateway).or_default().insert(sequence) {
            self.totals.repeated += 1;
        } else if self.query.is_within(line.start) && self.query.is_of(&line.consumer) {
            self.totals.add(&line.consumer, &line.method, line.amount());
        }
    }

    /// Adds all files. The one that is written is opened first: when it is closed meanwhile it is read twice rather than
    /// not at all.
    pub(crate) fn add_files(&mut self, directory: &Path) -> Result<(), StoreError> {
        let current = directory.join(CURRENT);
        let written = match File::open(&current) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(&current, error)),
        };
        let closed = match closed_files(directory) {
            // Nothing was written yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|error| StoreError::io(directory, error))?,
        };
        for path in closed {
            match File::open(&path) {
                Ok(file) => self.add_file(file).map_err(|error| StoreError::io(&path, error))?,
                // The oldest, deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io(&path, error)),
            }
        }
        written.map_or(Ok(()), |file| self.add_file(file)).map_err(|error| StoreError::io(&current, error))
    }

    fn add_file(&mut self, file: File) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text)? > 0 {
            self.add_line(text.strip_suffix(b"\n").unwrap_or_default());
            text.clear();
        }
        Ok(())
    }
}
