//! The batches that are not delivered yet, in order, with where each is and how far it got. No clock, no network.
//!
//! Places in the order are times in microseconds, made strictly increasing, so that what an earlier process left in the
//! spool comes first, and what two processes have during an upgrade is in the order of time.

use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use bytes::Bytes;

use super::inbox::Lines;
use super::spool::SpoolDir;

/// How often a batch is read in vain before it is given up.
const READS: u32 = 20;

/// How far a batch got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits.
    Waiting,
    /// It is on its way.
    Sending,
    /// The collector has it, and has not said yet that it is indexed.
    Sent {
        /// What to ask by.
        ack: u64,
        /// When it was sent.
        at: tokio::time::Instant,
    },
}

#[derive(Debug)]
struct Entry {
    events: u64,
    bytes: u64,
    /// `None`: in the spool.
    body: Option<Bytes>,
    stage: Stage,
    /// How often it could not be read.
    unread: u32,
}

/// Why a batch stays in memory.
#[derive(Debug)]
pub(super) enum NotSpooled {
    /// There is no spool, or another has it.
    None,
    /// It is full.
    Full,
    /// It cannot be written.
    Failed(io::Error),
}

/// The batches. See the module's text.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    entries: BTreeMap<u64, Entry>,
    last: u64,
    spool: Option<(SpoolDir, u64)>,
}

impl Backlog {
    /// Takes what lies in a spool; `most` bounds its bytes. How many events were found.
    pub(super) fn attach(&mut self, spool: SpoolDir, most: u64) -> io::Result<u64> {
        let mut events = 0;
        for found in spool.scan()? {
            events += found.events;
            self.last = self.last.max(found.place);
            let entry =
                Entry { events: found.events, bytes: found.bytes, body: None, stage: Stage::Waiting, unread: 0 };
            self.entries.insert(found.place, entry);
        }
        self.spool = Some((spool, most));
        Ok(events)
    }

    pub(super) const fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    /// Adds a batch at the end.
    pub(super) fn add(&mut self, lines: Lines, now: SystemTime) {
        let micros = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
        self.last = u64::try_from(micros).unwrap_or(u64::MAX).max(self.last.saturating_add(1));
        let bytes = u64::try_from(lines.bytes.len()).unwrap_or(u64::MAX);
        let entry =
            Entry { events: lines.count, bytes, body: Some(lines.bytes.into()), stage: Stage::Waiting, unread: 0 };
        self.entries.insert(self.last, entry);
    }

    /// Bytes in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.entries.values().filter_map(|entry| entry.body.as_ref()).map(Bytes::len).sum()
    }

    /// Batches in memory that wait.
    pub(super) fn waiting_in_memory(&self) -> usize {
        self.entries.values().filter(|entry| entry.body.is_some() && entry.stage == Stage::Waiting).count()
    }

    /// Bytes in the spool.
    pub(super) fn in_spool(&self) -> u64 {
        self.entries.values().filter(|entry| entry.body.is_none()).map(|entry| entry.bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Batches that are sent and not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry.stage, Stage::Sent { .. })).count()
    }

    /// Whether any waits.
    pub(super) fn has_waiting(&self) -> bool {
        self.entries.values().any(|entry| entry.stage == Stage::Waiting)
    }

    /// The oldest that waits, now on its way: its place and its body. What the spool has lost is left out; its events are
    /// told.
    ///
    /// # Errors
    /// The spool cannot be read now. After [`READS`] times a batch counts as lost, so that it does not hold up the rest.
    pub(super) fn begin(&mut self, lost: &mut u64) -> io::Result<Option<(u64, Bytes)>> {
        loop {
            let next = self.entries.iter_mut().find(|(_, entry)| entry.stage == Stage::Waiting);
            let Some((&place, entry)) = next else { return Ok(None) };
            let body = match (&entry.body, &self.spool) {
                (Some(body), _) => Ok(Some(body.clone())),
                (None, Some((spool, _))) => spool.read(place, entry.events).map(|body| body.map(Bytes::from)),
                (None, None) => Ok(None),
            };
            match body {
                Ok(Some(body)) => {
                    entry.stage = Stage::Sending;
                    return Ok(Some((place, body)));
                }
                Err(error) if entry.unread < READS => {
                    entry.unread += 1;
                    return Err(error);
                }
                Ok(None) | Err(_) => *lost += self.remove(place),
            }
        }
    }

    pub(super) fn set(&mut self, place: u64, stage: Stage) {
        if let Some(entry) = self.entries.get_mut(&place) {
            entry.stage = stage;
        }
    }

    /// The collector has a batch. One that waits for the same acknowledgement is of before a restart of the collector,
    /// which counts anew: nobody can say any more whether it is indexed, and it is sent again.
    pub(super) fn sent(&mut self, place: u64, ack: u64, at: tokio::time::Instant) {
        for entry in self.entries.values_mut() {
            if matches!(entry.stage, Stage::Sent { ack: other, .. } if other == ack) {
                entry.stage = Stage::Waiting;
            }
        }
        self.set(place, Stage::Sent { ack, at });
    }

    /// Forgets a batch, on disk too; how many events it had.
    pub(super) fn remove(&mut self, place: u64) -> u64 {
        let Some(entry) = self.entries.remove(&place) else { return 0 };
        if let (None, Some((spool, _))) = (&entry.body, &self.spool) {
            spool.delete(place, entry.events);
        }
        entry.events
    }

    /// What is to be asked after.
    pub(super) fn acks(&self) -> Vec<u64> {
        let ack = |entry: &Entry| match entry.stage {
            Stage::Sent { ack, .. } => Some(ack),
            Stage::Waiting | Stage::Sending => None,
        };
        self.entries.values().filter_map(ack).collect()
    }

    /// What is indexed is forgotten; how many events that were.
    pub(super) fn acknowledged(&mut self, acks: &[u64]) -> u64 {
        let is_done = |entry: &Entry| matches!(entry.stage, Stage::Sent { ack, .. } if acks.contains(&ack));
        let done: Vec<u64> = self.entries.iter().filter(|(_, entry)| is_done(entry)).map(|(place, _)| *place).collect();
        done.into_iter().map(|place| self.remove(place)).sum()
    }

    /// What was sent before a time and is not acknowledged is to be sent again; how many batches.
    pub(super) fn overdue(&mut self, before: tokio::time::Instant) -> usize {
        let late = |entry: &&mut Entry| matches!(entry.stage, Stage::Sent { at, .. } if at <= before);
        self.entries.values_mut().filter(late).map(|entry| entry.stage = Stage::Waiting).count()
    }

    /// Moves batches from memory to the spool, the oldest first, until none is left or it takes no more.
    pub(super) fn spool_all(&mut self) -> Result<(), NotSpooled> {
        let Some((spool, most)) = &self.spool else { return Err(NotSpooled::None) };
        let mut used: u64 = self.entries.values().filter(|entry| entry.body.is_none()).map(|entry| entry.bytes).sum();
        for (place, entry) in &mut self.entries {
            let Some(body) = &entry.body else { continue };
            if used.saturating_add(entry.bytes) > *most {
                return Err(NotSpooled::Full);
            }
            spool.write(*place, entry.events, body).map_err(NotSpooled::Failed)?;
            used += entry.bytes;
            entry.body = None;
        }
        Ok(())
    }

    /// The events that are in memory only.
    pub(super) fn events_in_memory(&self) -> u64 {
        self.entries.values().filter(|entry| entry.body.is_some()).map(|entry| entry.events).sum()
    }
}
