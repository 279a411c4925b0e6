//! The audit log: who did what, and who was refused.
//!
//! Every call that may change something and every refusal is one entry, in memory for `GET /api/audit` and, where the
//! config names a file, as a line of JSON there. Lines are handed to a [`Writer`] with a bound: a disk that is full or
//! gone delays no call and refuses none; what could not be written is counted, said in the log and in `/api/status`.

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use portcullis_telemetry::Writer;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use portcullis_types::RequestId;

use crate::actor::Actor;
use crate::api::moment;

/// Entries in memory, and how many of them may be refusals before these make room for each other alone: who is refused
/// cannot push out what was done.
const KEPT: usize = 200;
const KEPT_REFUSALS: usize = 100;
/// The longest path and the longest reason that are kept, in bytes.
const LONGEST: usize = 500;

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: SystemTime,
    pub(crate) id: RequestId,
    pub(crate) actor: Option<Actor>,
    pub(crate) peer: String,
    pub(crate) method: String,
    /// Without the query, which is only said to be there.
    pub(crate) path: String,
    /// `None` when the caller went away before there was an answer.
    pub(crate) status: Option<u16>,
    /// The problem's name, when it was refused by who asked.
    pub(crate) refused: Option<&'static str>,
    /// What the caller said of it: `reason` or `note`.
    pub(crate) reason: Option<String>,
    /// How many calls it stands for.
    pub(crate) times: u64,
}

impl Entry {
    fn to_json(&self) -> Value {
        let actor = self.actor.as_ref();
        json!({
            "at": moment(self.at),
            "id": self.id.to_string(),
            "actor": actor.map(|actor| &*actor.name),
            "role": actor.map(|actor| actor.role.as_str()),
            "via": actor.map(|actor| actor.via.as_str()),
            "peer": self.peer,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "refused": self.refused,
            "reason": self.reason,
            "times": self.times,
        })
    }
}

/// See the module's text.
pub struct Audit {
    entries: Mutex<VecDeque<Entry>>,
    writer: ArcSwapOption<Writer>,
    calls: AtomicU64,
    refusals: AtomicU64,
    /// What ids of calls begin with, drawn once a process, and the number of the next.
    drawn: u64,
    next: AtomicU64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            writer: ArcSwapOption::empty(),
            calls: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            drawn: RandomState::new().hash_one(0),
            next: AtomicU64::new(0),
        }
    }
}

impl Audit {
    /// Writes to another file from now on, or to none.
    pub fn write_to(&self, writer: Option<Arc<Writer>>) {
        self.writer.store(writer);
    }

    /// Calls that were let through and may have changed something, and calls that were refused by who asked.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.calls.load(Relaxed), self.refusals.load(Relaxed))
    }

    /// An id for a call.
    pub(crate) fn id(&self) -> RequestId {
        RequestId(u128::from(self.drawn) << 64 | u128::from(self.next.fetch_add(1, Relaxed)))
    }

    pub(crate) fn push(&self, mut entry: Entry) {
        cut(&mut entry.path);
        entry.reason.as_mut().map(cut);
        let (count, times) = if entry.refused.is_some() { (&self.refusals, entry.times) } else { (&self.calls, 1) };
        count.fetch_add(times, Relaxed);
        if let Some(writer) = &*self.writer.load() {
            let mut line = entry.to_json().to_string().into_bytes();
            line.push(b'\n');
            // A line that finds no room is counted by the writer.
            writer.push(&line);
        }
        let mut entries = self.entries.lock();
        let refusals = entries.iter().filter(|entry| entry.refused.is_some()).count();
        if entries.len() >= KEPT || (refusals >= KEPT_REFUSALS && entry.refused.is_some()) {
            let refusal = entries.iter().position(|entry| entry.refused.is_some());
            let goes = refusal.filter(|_| refusals >= KEPT_REFUSALS).unwrap_or(0);
            entries.remove(goes);
        }
        entries.push_back(entry);
    }

    /// The entries in memory, latest first.
    pub(crate) fn told(&self) -> Value {
        self.entries.lock().iter().rev().map(Entry::to_json).collect()
    }
}

/// Cuts a text to what is kept of it.
fn cut(text: &mut String) {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
}

/// An entry that is written when the call is over, also when its caller goes away before that.
pub(crate) struct Pending {
    audit: Arc<Audit>,
    entry: Option<Entry>,
}

impl Pending {
    pub(crate) fn new(audit: Arc<Audit>, entry: Entry) -> Self {
        Self { audit, entry: Some(entry) }
    }

    pub(crate) fn done(mut self, status: u16) {
        if let Some(entry) = &mut self.entry {
            entry.status = Some(status);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.audit.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, refused: Option<&'static str>) -> Entry {
        Entry {
            at: SystemTime::UNIX_EPOCH,
            id: RequestId(1),
            actor: None,
            peer: "p".to_owned(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            status: Some(200),
            refused,
            reason: None,
            times: 1,
        }
    }

    fn paths(audit: &Audit) -> Vec<String> {
        let told = audit.told();
        told.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_latest_are_kept_and_refusals_do_not_push_out_what_was_done() {
        let audit = Audit::default();
        (0..150).for_each(|n| audit.push(entry(&format!("done {n}"), None)));
        (0..1000).for_each(|n| audit.push(entry(&format!("refused {n}"), Some("unauthorized"))));
        let paths = paths(&audit);
        assert_eq!(paths.len(), KEPT);
        assert_eq!(paths[0], "refused 999");
        assert_eq!(paths.iter().filter(|path| path.starts_with("done")).count(), KEPT - KEPT_REFUSALS);
        assert_eq!(audit.counts(), (150, 1000));
        (0..300).for_each(|n| audit.push(entry(&format!("later {n}"), None)));
        assert_eq!(self::paths(&audit).iter().filter(|path| path.starts_with("later")).count(), KEPT);
    }

    #[test]
    fn a_caller_that_goes_away_leaves_its_entry_without_a_status() {
        let audit = Arc::new(Audit::default());
        drop(Pending::new(audit.clone(), Entry { status: None, ..entry("/gone", None) }));
        Pending::new(audit.clone(), Entry { status: None, ..entry("/done", None) }).done(204);
        let told = audit.told();
        assert_eq!((&told[0]["status"], &told[1]["status"]), (&json!(204), &Value::Null));
    }

    #[test]
    fn long_texts_are_cut() {
        let audit = Audit::default();
        audit.push(entry(&"ä".repeat(4000), None));
        assert!(paths(&audit)[0].len() <= LONGEST + '…'.len_utf8());
    }
}
