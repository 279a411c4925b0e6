//! From one directory to the next: by reading a whole file again, or by single changes.
//!
//! Reading a file again costs, for a consumer that did not change, finding the end of its text, hashing it and one
//! probe; only other texts are parsed.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use super::Directory;
use super::edit::Transaction;
use super::entries::Content;
use super::problem::{Problem, ReloadError};
use super::slots::Held;
use super::source::{self, Entry};
use crate::consumer::{Consumer, ConsumerSpec, FieldError, Format, parse};

/// What a file may ask of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one consumer's text.
    pub text: usize,
    /// Consumers.
    pub consumers: usize,
}

impl Default for Limits {
    /// 64 KiB and 2,000,000.
    fn default() -> Self {
        Self { text: 64 * 1024, consumers: 2_000_000 }
    }
}

/// One change, from a store that knows what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This consumer is new, or replaces the one of its id.
    Put(Box<ConsumerSpec>),
    /// The consumer of this id is gone.
    Remove(Box<str>),
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Consumers that are the very ones of before.
    pub kept: usize,
    /// Consumers that are new.
    pub added: usize,
    /// Consumers that were there and are other now.
    pub changed: usize,
    /// Consumers that are gone.
    pub removed: usize,
    /// Shards of the key table.
    pub shards: usize,
    /// Shards of the key table that are the very ones of before.
    pub shards_kept: usize,
}

impl Directory {
    /// The directory that a file says, made from this one.
    ///
    /// # Errors
    /// Everything that is wrong with the file; this directory stays what it is either way.
    pub fn rebuild_from(
        &self,
        format: Format,
        reader: &mut dyn BufRead,
        limits: Limits,
    ) -> Result<(Self, Summary), ReloadError> {
        let mut transaction = Transaction::new(self);
        let mut read = FileReader { old: self, format, limits, met: 0, new: Vec::new(), transaction: &mut transaction };
        let outcome = source::read(format, reader, limits.text, &mut |line, entry| read.entry(line, entry));
        let new = std::mem::take(&mut read.new);
        let met = read.met;
        if let Err(error) = outcome {
            transaction.problems.push(Problem::Read(error.to_string()));
        }
        if met > limits.consumers {
            transaction.problems.push(Problem::TooMany { most: limits.consumers });
        }
        for (line, held) in new {
            transaction.put(line, held);
        }
        transaction.remove_unmet();
        transaction.commit()
    }

    /// The directory after these changes; of several for one id, the last counts. Lines in errors are the numbers of
    /// the changes, from 1.
    ///
    /// # Errors
    /// Everything that is wrong with the changes; this directory stays what it is either way.
    pub fn apply(&self, changes: Vec<Change>, limits: Limits) -> Result<(Self, Summary), ReloadError> {
        let last: HashMap<Box<str>, u32> =
            (1..).zip(&changes).map(|(line, change)| (change.id().into(), line)).collect();
        let mut transaction = Transaction::new(self);
        for (line, change) in (1..).zip(changes).filter(|(line, change)| last.get(change.id()) == Some(line)) {
            match change {
                Change::Put(spec) => match Consumer::build(*spec, &mut transaction.plans) {
                    Ok(consumer) => transaction.put(line, Held { consumer: Arc::new(consumer), content: None }),
                    Err(FieldError { key, problem }) => {
                        transaction.problems.push(Problem::Invalid { line, key: Some(key), problem });
                    }
                },
                Change::Remove(id) => transaction.remove(line, id),
            }
        }
        if transaction.len() > limits.consumers {
            transaction.problems.push(Problem::TooMany { most: limits.consumers });
        }
        transaction.commit()
    }
}

impl Change {
    fn id(&self) -> &str {
        match self {
            Self::Put(spec) => &spec.id,
            Self::Remove(id) => id,
        }
    }
}

/// Reads a file against an old directory.
struct FileReader<'a, 'b> {
    old: &'a Directory,
    format: Format,
    limits: Limits,
    met: usize,
    new: Vec<(u32, Held)>,
    transaction: &'b mut Transaction<'a>,
}

impl FileReader<'_, '_> {
    fn entry(&mut self, line: u32, entry: Entry<'_>) {
        let whole = |problem: String| Problem::Invalid { line, key: None, problem };
        match entry {
            Entry::Text(text) => {
                self.met += 1;
                // Past the limit nothing is kept, so that a file without end costs no memory.
                if self.met <= self.limits.consumers {
                    self.text(line, text);
                }
            }
            Entry::TooLong => {
                let problem = format!("longer than {} bytes", self.limits.text);
                self.transaction.problems.push(whole(problem));
            }
            Entry::Stray => {
                let problem = "expected a list of consumers, each beginning with `- ` at the left edge";
                self.transaction.problems.push(whole(problem.to_owned()));
            }
        }
    }

    fn text(&mut self, line: u32, text: &[u8]) {
        let content = Content::of(text);
        let tags = self.old.contents.probe(content.home());
        let known = tags.map(|tag| tag.slot).find(|slot| self.old.slots.content(*slot) == Some(content));
        if known.is_some_and(|slot| self.transaction.meet(line, slot)) {
            return;
        }
        match self.parse(text) {
            Ok(consumer) => self.new.push((line, Held { consumer: Arc::new(consumer), content: Some(content) })),
            Err((on, key, problem)) => {
                let line = line.saturating_add(on);
                self.transaction.problems.push(Problem::Invalid { line, key, problem });
            }
        }
    }

    fn parse(&mut self, text: &[u8]) -> Result<Consumer, (u32, Option<String>, String)> {
        let spec = parse(self.format, text).map_err(|error| (error.lines_on, error.key, error.problem))?;
        let plans = &mut self.transaction.plans;
        Consumer::build(spec, plans).map_err(|error| (0, Some(error.key), error.problem))
    }
}
