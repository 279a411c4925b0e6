//! The generations that were tried: on disk as long as the config says, and in memory what could not be written.
//!
//! Invariants: nothing here stops a change, what fails is said, counted and tried again; numbers only grow, over restarts
//! too, and of two processes each gives out numbers of its own; the order of entries is that of their numbers, whatever the clock said.

mod entry;
mod folder;
#[cfg(test)]
mod tests;
pub(crate) mod told;

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_admin::ReloadEntry;
use portcullis_snapshot::settings::History as Settings;
use portcullis_telemetry::Metrics;

pub(crate) use entry::{Entry, Fate, Meta, Verdict};
use folder::Folder;

/// How many reloads a status shows.
const RELOADS: usize = 50;
/// How many entries wait in memory for a disk that cannot be written.
const WAITING: usize = 20;
/// How long another process that writes is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// Shared between who reloads and who asks.
pub(crate) struct History {
    reloads: Mutex<VecDeque<ReloadEntry>>,
    /// `None` where the config keeps none.
    kept: Option<Mutex<Kept>>,
    metrics: Arc<Metrics>,
}

struct Kept {
    folder: Folder,
    settings: Settings,
    /// What could not be written.
    waiting: BTreeMap<u64, Entry>,
    /// The highest number that was given out here.
    given: u64,
    /// Numbers that were given out without a look at the folder: another process may have given them out too.
    unsure: BTreeSet<u64>,
    trouble: Option<(SystemTime, String)>,
}

/// How the history does, for a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) path: std::path::PathBuf,
    pub(crate) entries: usize,
    pub(crate) bytes: u64,
    pub(crate) waiting: usize,
    pub(crate) broken: Vec<String>,
    /// Since when it cannot be written, and why.
    pub(crate) trouble: Option<(SystemTime, String)>,
}

impl History {
    /// The history of a process that will write to it.
    pub(crate) fn open(settings: Option<&Settings>, metrics: Arc<Metrics>) -> Self {
        let kept = settings.map(|settings| Kept::open(settings, &metrics));
        let history = Self { reloads: Mutex::default(), kept: kept.map(Mutex::new), metrics };
        history.count();
        history
    }

    /// The history of a folder, to be looked at.
    pub(crate) fn look(path: &Path, metrics: Arc<Metrics>) -> Result<Self, String> {
        let folder = Folder::look(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let settings = Settings { path: path.to_owned(), keep: Settings::KEEP, bytes: Settings::BYTES, implied: false };
        let kept = Kept::new(folder, settings);
        Ok(Self { reloads: Mutex::default(), kept: Some(Mutex::new(kept)), metrics })
    }

    /// Notes a reload for the status.
    pub(crate) fn push(&self, entry: ReloadEntry) {
        let mut entries = self.reloads.lock();
        entries.truncate(RELOADS - 1);
        entries.push_front(entry);
    }

    /// The last reloads, latest first.
    pub(crate) fn reloads(&self) -> Vec<ReloadEntry> {
        self.reloads.lock().iter().cloned().collect()
    }

    /// A number for the next generation that is tried, above `serves`.
    pub(crate) fn number(&self, serves: u64) -> u64 {
        let Some(kept) = &self.kept else { return serves.saturating_add(1) };
        kept.lock().number(serves, &self.metrics)
    }

    /// Keeps an entry, in the place of one of the same number.
    pub(crate) fn keep(&self, entry: Entry) {
        let Some(kept) = &self.kept else { return };
        let mut kept = kept.lock();
        kept.waiting.insert(entry.meta.number, entry);
        kept.write(&self.metrics);
        drop(kept);
        self.count();
    }

    /// Tries again what could not be written, if anything.
    pub(crate) fn retry(&self) {
        let Some(kept) = &self.kept else { return };
        let mut kept = kept.lock();
        if !kept.waiting.is_empty() {
            kept.write(&self.metrics);
            drop(kept);
            self.count();
        }
    }

    /// Holds to other bounds; the folder stays.
    pub(crate) fn bound(&self, settings: Option<&Settings>) {
        if let (Some(kept), Some(settings)) = (&self.kept, settings) {
            let mut kept = kept.lock();
            (kept.settings.keep, kept.settings.bytes) = (settings.keep, settings.bytes);
        }
    }

    /// Notes what was found of a generation.
    pub(crate) fn judge(&self, number: u64, verdict: Verdict) {
        if let Ok(mut entry) = self.entry(number) {
            entry.meta.verdict = Some(verdict);
            self.keep(entry);
        }
    }

    /// All entries, newest first.
    pub(crate) fn metas(&self) -> Vec<Meta> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let mut kept = kept.lock();
        kept.refresh();
        let mut all: BTreeMap<u64, Meta> = kept.folder.metas().map(|meta| (meta.number, meta.clone())).collect();
        all.extend(kept.waiting.iter().map(|(number, entry)| (*number, entry.meta.clone())));
        all.into_values().rev().collect()
    }

    /// An entry as a whole; else a sentence.
    pub(crate) fn entry(&self, number: u64) -> Result<Entry, String> {
        let off = "the config keeps no history: `history: off`";
        let mut kept = self.kept.as_ref().ok_or(off)?.lock();
        kept.refresh();
        if let Some(entry) = kept.waiting.get(&number) {
            return Ok(entry.clone());
        }
        if !kept.folder.is_taken(number) {
            return Err(format!("the history has no generation {number}"));
        }
        kept.folder.entry(number)
    }

    /// The newest good generation whose texts are not these, and were not found bad in a later one; else a sentence.
    pub(crate) fn last_good(&self, but: Option<&str>) -> Result<Entry, String> {
        if self.kept.is_none() {
            return Err("the config keeps no history: `history: off`".to_owned());
        }
        let metas = self.metas();
        let mut bad = BTreeSet::new();
        let good = metas.iter().filter(|meta| {
            if meta.verdict.as_ref().is_some_and(|verdict| !verdict.good) {
                bad.insert(&*meta.texts);
            }
            meta.is_good() && Some(&*meta.texts) != but && !bad.contains(&*meta.texts)
        });
        // One that broke on disk is passed over.
        good.map(|meta| self.entry(meta.number)).find_map(Result::ok).ok_or_else(|| match but {
            Some(_) => "the history has no other good generation; name one to go to it".to_owned(),
            None => "the history has no good generation".to_owned(),
        })
    }

    /// How it does; `None` where none is kept.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let kept = self.kept.as_ref()?.lock();
        Some(Standing {
            path: kept.folder.path().to_owned(),
            entries: kept.folder.len(),
            bytes: kept.folder.bytes(),
            waiting: kept.waiting.len(),
            broken: kept.folder.broken(),
            trouble: kept.trouble.clone(),
        })
    }

    fn count(&self) {
        if let Some(standing) = self.standing() {
            let entries = u64::try_from(standing.entries).unwrap_or(u64::MAX);
            self.metrics.changes().set_history(standing.trouble.is_none(), entries, standing.bytes);
        }
    }
}

impl Kept {
    fn open(settings: &Settings, metrics: &Metrics) -> Self {
        let mut kept = Self::new(Folder::unknown(&settings.path), settings.clone());
        if let Err(error) = kept.folder.lock(PATIENCE) {
            // What is there can perhaps be read, so that numbers go on.
            kept.refresh();
            kept.fails(error.to_string(), metrics);
        }
        for broken in kept.folder.broken() {
            log::warn!("history: {broken}; it is left out");
        }
        kept
    }

    const fn new(folder: Folder, settings: Settings) -> Self {
        Self { folder, settings, waiting: BTreeMap::new(), given: 0, unsure: BTreeSet::new(), trouble: None }
    }

    /// Looks at what other processes did; where that cannot be seen, what is known stays.
    fn refresh(&mut self) {
        drop(self.folder.refresh());
    }

    /// Who did not let go once is not waited for again, so that no change waits for long.
    const fn patience(&self) -> Duration {
        if self.trouble.is_some() { Duration::ZERO } else { PATIENCE }
    }

    fn number(&mut self, serves: u64, metrics: &Metrics) -> u64 {
        let lock = self.folder.lock(self.patience());
        let next = serves.max(self.folder.highest()).max(self.given).saturating_add(1);
        self.given = next;
        if let Err(error) = lock.and_then(|lock| lock.give(next)) {
            self.unsure.insert(next);
            self.fails(error.to_string(), metrics);
        }
        next
    }

    /// Writes what waits. One that cannot be written keeps no other from it.
    fn write(&mut self, metrics: &Metrics) {
        let lock = match self.folder.lock(self.patience()) {
            Ok(lock) => lock,
            Err(error) => return self.fails(error.to_string(), metrics),
        };
        self.make_way();
        let mut trouble = None;
        for (number, entry) in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.folder.write(&lock, &entry) {
                trouble = Some(format!("generation {number}: {error}"));
                self.waiting.insert(number, entry);
            } else {
                self.unsure.remove(&number);
            }
        }
        let good = self.folder.metas().rev().filter(|meta| meta.is_good());
        let spared: Vec<u64> = good.take(2).map(|meta| meta.number).collect();
        self.folder.prune(&lock, (self.settings.keep, self.settings.bytes.0), &spared);
        match trouble {
            Some(trouble) => self.fails(trouble, metrics),
            None => {
                if let Some((_, why)) = self.trouble.take() {
                    log::info!("history: it is written again ({why})");
                }
            }
        }
    }

    /// The folder turned out to have more than was known when numbers were given out: what is there stays.
    fn make_way(&mut self) {
        for number in self.unsure.iter().filter(|number| self.folder.is_taken(**number)) {
            if self.waiting.remove(number).is_some() {
                log::warn!("history: a generation {number} of another process is there; the one of this is not kept");
            }
        }
    }

    fn fails(&mut self, why: String, metrics: &Metrics) {
        metrics.changes().history_failed();
        while self.waiting.len() > WAITING {
            if let Some((number, _)) = self.waiting.pop_first() {
                self.unsure.remove(&number);
                log::error!("history: generation {number} is lost: too many wait for {}", self.folder.path().display());
            }
        }
        if self.trouble.as_ref().is_none_or(|(_, known)| *known != why) {
            log::error!("history: {} cannot be written, the gateway goes on: {why}", self.folder.path().display());
        }
        let since = self.trouble.take().map_or_else(SystemTime::now, |(since, _)| since);
        self.trouble = Some((since, why));
    }
}
