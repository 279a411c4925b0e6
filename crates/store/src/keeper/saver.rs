//! From the ledger to the disk, step by step.
//!
//! Invariants:
//! - What was taken waits in memory until a commit has it; after a failure the file is opened anew, since redb refuses to
//!   go on with one that failed.
//! - A line is forgotten by the store only when it is synced in the journal.
//! - While the disk fails and a million entries wait, nothing more is taken: it stays in the ledger, which is bounded. Of a
//!   patient store that never could be opened they are forgotten: it refuses nobody for want of a disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use portcullis_caps::{Ledger, Moment};

use super::handed::{Handed, SharedStands};
use super::status::{Saving, SavingStatus};
use super::{StoreOptions, journal_of};
use crate::error::StoreError;
use crate::file::Store;
use crate::index::Index;
use crate::journal::{Journal, Rotation, Sums, UsageQuery};
use crate::pending::{MethodNames, Pending};
use crate::spending::Spending;

/// Entries that wait in memory, beyond which nothing is taken while the disk fails.
const MOST_PENDING: usize = 1 << 20;
/// Places of the ledger that are looked at for idle consumers in a second.
const SWEPT: usize = 1 << 16;
/// How long a failing disk is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How often windows that are over are dropped.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Who is kept.
struct Attached {
    ledger: Arc<Ledger>,
    names: MethodNames,
}

/// What writes.
pub(super) struct Saver {
    directory: PathBuf,
    window: u64,
    rotation: Rotation,
    patient: bool,
    store: Option<Store>,
    /// Whether the file was open before.
    was_open: bool,
    gateway: u64,
    journal: Option<Journal>,
    index: Arc<Index>,
    pending: Pending,
    kept: Option<Attached>,
    shared: SharedStands,
    /// What is spent while the process that follows this one has the store.
    handed: Option<Handed>,
    /// Whether there may be lines that are not in the journal.
    lines_wait: bool,
    /// When the disk is tried again, and windows are purged: nanoseconds of the monotonic clock.
    try_at: u64,
    purge_at: u64,
    status: SavingStatus,
}

impl Saver {
    /// Opens the store of a directory.
    pub(super) fn open(options: &StoreOptions, index: Arc<Index>, now: Moment) -> Result<Self, StoreError> {
        let directory = options.path.clone();
        let mut saver = Self {
            directory,
            window: u64::try_from(options.window.as_millis()).unwrap_or(u64::MAX).max(1),
            rotation: options.rotation,
            patient: options.patient,
            store: None,
            was_open: false,
            // One that is not known yet shares nothing it could be mistaken in.
            gateway: rand::random::<u64>() >> 12 | 1,
            journal: None,
            index,
            pending: Pending::default(),
            kept: None,
            shared: SharedStands::default(),
            handed: None,
            lines_wait: true,
            try_at: 0,
            purge_at: now.plus(PURGE_EVERY).nanos,
            status: SavingStatus { since: now.unix_millis, saved_at: now.unix_millis, ..SavingStatus::default() },
        };
        match saver.reopen(now) {
            Err(error) if error.is_in_use() || saver.patient => saver.failed(&error, now),
            other => other?,
        }
        Ok(saver)
    }

    /// Which gateway this is.
    pub(super) const fn gateway(&self) -> u64 {
        self.gateway
    }

    /// Begins to keep a ledger.
    pub(super) fn attach(&mut self, ledger: &Arc<Ledger>, names: MethodNames, now: Moment) {
        self.kept = Some(Attached { ledger: Arc::clone(ledger), names });
        self.import(now, false);
    }

    /// Whether there may be a journal; where there is no directory for one, reading it would only fail.
    pub(super) const fn has_files(&self) -> bool {
        self.was_open || !self.patient
    }

    pub(super) fn status(&self) -> SavingStatus {
        let handed = self.handed.as_ref().map_or(0, Handed::len);
        let (pending, consumers) = ((self.pending.len() + handed) as u64, self.index.consumers() as u64);
        SavingStatus { pending, consumers, ..self.status.clone() }
    }

    /// Takes what changed and writes it; closes the journal's window when its time is over.
    pub(super) fn tick(&mut self, now: Moment) {
        self.take();
        if self.handed.is_none() && now.nanos >= self.try_at {
            let written = self.write(now, false);
            self.note(written, now);
        }
        if !self.was_open && now.nanos >= self.purge_at {
            // Without a file there is memory alone to be freed.
            self.purge_at = now.plus(PURGE_EVERY).nanos;
            self.index.purge(first_windows(now.unix()));
        }
        if let Some(kept) = &self.kept {
            kept.ledger.sweep(now, SWEPT);
        }
    }

    /// Takes and writes the rest, and closes the window.
    pub(super) fn finish(&mut self, now: Moment) {
        self.take();
        if self.handed.is_some() {
            return;
        }
        let written = self.write(now, true);
        self.note(written, now);
        if !self.pending.is_empty() {
            log::error!("the store ends with {} entries that could not be written", self.pending.len());
        }
    }

    fn take(&mut self) {
        if self.status.state != Saving::Good && self.pending.len() >= MOST_PENDING {
            if !self.patient || self.was_open {
                return;
            }
            log::error!(
                "the store could never be opened: {} entries that waited for it are forgotten",
                self.pending.len()
            );
            self.pending.clear();
        }
        if let Some(kept) = &self.kept {
            let changes = kept.ledger.take_changes();
            match &mut self.handed {
                Some(handed) => handed.add(&changes.quotas, &self.index, &mut self.shared),
                None => changes.quotas.iter().for_each(|quota| self.shared.note(quota)),
            }
            self.pending.add(changes, &kept.names, &self.index);
        }
    }

    /// Writes all and closes the store, for the process that follows this one to open it. What is spent from now on waits
    /// to be sent there.
    pub(super) fn hand_over(&mut self, now: Moment) -> Result<(), StoreError> {
        self.take();
        let written = self.write(now, false);
        let failed = written.as_ref().err().map(ToString::to_string);
        if let Err(error) = &written {
            self.failed(error, now);
        }
        (self.store, self.journal) = (None, None);
        // What could not be written is sent with the rest; its quotas are no differences, and stay here.
        self.handed = Some(Handed::default());
        (self.status.state, self.status.since) = (Saving::HandedOver, now.unix_millis);
        self.status.last_error = failed.or_else(|| self.status.last_error.take());
        written
    }

    /// What is to be sent to the process that has the store, with its number.
    pub(super) fn unsent(&mut self) -> Option<(u64, Spending)> {
        self.take();
        let handed = self.handed.as_mut()?;
        // Quotas as they stand are kept for the case that the store comes back.
        handed.send(self.pending.usage.drain())
    }

    /// All that was sent up to a number is on disk.
    pub(super) fn received(&mut self, number: u64) {
        if let Some(handed) = &mut self.handed {
            handed.kept(number);
            if handed.len() == 0 && self.pending.usage.is_empty() {
                self.pending.clear();
            }
        }
    }

    /// The process that had the store is gone: opens it again, with what was not known to be written.
    pub(super) fn take_back(&mut self, now: Moment) {
        let Some(handed) = self.handed.take() else { return };
        self.pending.add_usage(handed.take_back());
        // As after one that ended: what it wrote is read, and the greater of two words holds.
        (self.status.state, self.try_at) = (Saving::Waiting, 0);
        self.tick(now);
    }

    /// Adds what another process spent, and writes it. Whether it is on disk.
    pub(super) fn add(&mut self, spending: Spending, now: Moment) -> bool {
        let lost = self.kept.as_ref().map_or(0, |kept| kept.ledger.add_spent(now, spending.quotas));
        if lost > 0 {
            log::warn!("{lost} quotas of the process before found no room");
        }
        self.pending.add_usage(spending.usage.into_iter().map(|(consumer, method, used)| ((consumer, method), used)));
        self.try_at = 0;
        self.tick(now);
        self.status.state == Saving::Good
    }

    fn note(&mut self, written: Result<(), StoreError>, now: Moment) {
        match written {
            Ok(()) => {
                if self.status.state != Saving::Good {
                    log::info!("the store writes again");
                    (self.status.state, self.status.since) = (Saving::Good, now.unix_millis);
                }
                self.status.saved_at = now.unix_millis;
            }
            Err(error) => self.failed(&error, now),
        }
    }

    fn failed(&mut self, error: &StoreError, now: Moment) {
        let state = match error {
            error if error.is_in_use() => Saving::Waiting,
            error if error.is_full() => Saving::Full,
            _ => Saving::Failing,
        };
        if self.status.state != state {
            log::error!("the store cannot write, what is spent waits in memory: {error}");
            (self.status.state, self.status.since) = (state, now.unix_millis);
        }
        self.status.last_error = Some(error.to_string());
        self.status.failures += 1;
        (self.store, self.journal) = (None, None);
        self.try_at = now.plus(PAUSE).nanos;
    }

    fn write(&mut self, now: Moment, last: bool) -> Result<(), StoreError> {
        if self.store.is_none() {
            let first = !self.was_open;
            self.reopen(now)?;
            // Meanwhile consumers began with nothing spent.
            self.import(now, first || self.status.state == Saving::Waiting);
        }
        let Some(store) = &self.store else { return Ok(()) };
        if !self.pending.is_empty() {
            store.commit(&self.pending, now.unix_millis)?;
            self.pending.clear();
            self.status.commits += 1;
        }
        let window = self.window;
        let is_over = |(start, _): &(u64, u64)| last || start / window != now.unix_millis / window;
        if store.window()?.filter(is_over).is_some() {
            store.seal(now.unix_millis)?;
            self.lines_wait = true;
        }
        if now.nanos >= self.purge_at {
            self.purge_at = now.plus(PURGE_EVERY).nanos;
            let first = first_windows(now.unix());
            self.index.purge(first);
            store.purge(first)?;
        }
        self.write_lines(now)
    }

    /// Moves lines from the store to the journal.
    fn write_lines(&mut self, now: Moment) -> Result<(), StoreError> {
        let Some(store) = self.store.as_ref().filter(|_| self.lines_wait) else { return Ok(()) };
        let journal = match &mut self.journal {
            Some(journal) => journal,
            None => self.journal.insert(Journal::open(&journal_of(&self.directory), self.rotation)?),
        };
        loop {
            let lines = store.lines_after(0)?;
            let Some((last, _)) = lines.last() else { break };
            journal.append(self.gateway, &lines, now.unix_millis)?;
            store.forget_lines(*last)?;
            self.status.lines += lines.len() as u64;
        }
        self.lines_wait = false;
        Ok(())
    }

    /// Opens the file, and closes the window that a process left open when it ended: none spans the time between.
    fn reopen(&mut self, now: Moment) -> Result<(), StoreError> {
        std::fs::create_dir_all(&self.directory).map_err(|error| StoreError::io(&self.directory, error))?;
        let index = Arc::clone(&self.index);
        let (day, month) = first_windows(now.unix());
        let is_over = |by_day: bool, window: u32| window < if by_day { day } else { month };
        let store = Store::open(&self.directory.join("store.redb"), |quota| {
            if !is_over(quota.period == portcullis_caps::Period::Day, quota.window) {
                index.put(&quota);
            }
        })?;
        let is_first = self.status.commits == 0;
        if let Some((_, last)) = store.window()?.filter(|_| is_first) {
            store.seal(last)?;
        }
        self.lines_wait = true;
        self.gateway = store.gateway();
        (self.store, self.was_open) = (Some(store), true);
        Ok(())
    }

    /// Gives the ledger what all share of routes and plans. Consumers are looked up when they come, unless `all` are to
    /// be given.
    fn import(&mut self, now: Moment, all: bool) {
        let (Some(store), Some(kept)) = (&self.store, &self.kept) else { return };
        let mut lost = 0;
        let mut shared = Vec::new();
        let read = store.read(|quota| {
            if quota.consumer.is_none() {
                shared.push(quota.clone());
            }
            if all || quota.consumer.is_none() {
                lost += kept.ledger.import(now, [quota]);
            }
        });
        shared.iter().for_each(|quota| self.shared.note(quota));
        if let Err(error) = read {
            log::error!("what was saved of quotas could not be read back: {error}");
        }
        if lost > 0 {
            log::warn!("{lost} saved quotas found no room");
        }
    }

    /// Adds what is not in the journal's files, and says up to which line they count.
    pub(super) fn add_usage(&self, query: &UsageQuery, sums: &mut Sums<'_>) -> Result<(), StoreError> {
        let now_open = |start: u64| query.is_within(crate::journal::time(start));
        if let Some(store) = &self.store {
            sums.leave_out_after(self.gateway, store.sequence()?);
            let mut lines = store.lines_after(0)?;
            while let Some((last, _)) = lines.last() {
                lines.iter().for_each(|(_, line)| sums.add_line(line));
                lines = store.lines_after(*last)?;
            }
            if store.window()?.is_some_and(|(start, _)| now_open(start)) {
                store.open_usage(|consumer, method, amount| {
                    if query.is_of(consumer) {
                        sums.totals.add(consumer, method, amount);
                    }
                })?;
            }
        }
        if now_open(self.status.saved_at) {
            for ((consumer, method), amount) in self.pending.usage.iter().filter(|((of, _), _)| query.is_of(of)) {
                sums.totals.add(consumer, method, *amount);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Saver {
    pub(super) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Goes so many steps of what a window's end does, as if the process ended then.
    pub(super) fn crash_at(&mut self, step: usize, now: Moment) {
        let store = self.store.as_ref().unwrap();
        let mut journal = Journal::open(&journal_of(&self.directory), self.rotation).unwrap();
        if step > 0 {
            store.seal(now.unix_millis).unwrap();
        }
        let lines = store.lines_after(0).unwrap();
        match step {
            // The lines are on disk in a part.
            2 => {
                let (_, line) = lines.first().unwrap();
                let path = journal_of(&self.directory).join("usage.ndjson");
                std::fs::write(path, line.get(..line.len() / 2).unwrap()).unwrap();
            }
            3 | 4 => journal.append(self.gateway, &lines, now.unix_millis).unwrap(),
            _ => {}
        }
        if step == 4 {
            store.forget_lines(lines.last().unwrap().0).unwrap();
        }
    }
}

/// The first day and the first month that may still count somewhere: zones are up to 14 hours from UTC, and clocks wrong.
pub(super) fn first_windows(unix: u64) -> (u32, u32) {
    let day = u32::try_from(unix / 86_400).unwrap_or(u32::MAX);
    let date = crate::journal::time(unix.saturating_mul(1000)).to_zoned(TimeZone::UTC).date();
    let month = (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1;
    (day.saturating_sub(2), u32::try_from(month).unwrap_or(0).saturating_sub(1))
}
