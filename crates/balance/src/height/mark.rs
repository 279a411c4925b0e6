//! What is known of one endpoint's height. Requests write it without a lock; checks and verdicts are rare and take one.

use std::time::Instant;

use super::reference::{Reference, View, between};
use super::{Bearing, HeightPolicy, HeightStanding, OwnWord, Sounding};
use crate::atomics::{AtomicU8, AtomicU64, Mutex, Ordering::Relaxed};
use crate::signals::Stamp;

/// See the module's text. Two atomics that belong together may be read one before and one after a change: a height is
/// then taken for a little older or newer than it is.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// The height plus one; 0 before anything was heard.
    height: AtomicU64,
    /// When that was so.
    at: AtomicU64,
    /// When an answer to a request last confirmed it.
    told: AtomicU64,
    /// The verdict's code, for readers that must not wait.
    code: AtomicU8,
    verdict: Mutex<Verdict>,
}

/// Who said that it is not well is well again after so many checks that say so.
const WELL_AFTER: u32 = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Verdict {
    own: OwnWord,
    /// Checks in a row that found it well.
    well: u32,
    bearing: Bearing,
    since: Option<Instant>,
    near: Option<(u64, Stamp)>,
}

impl Verdict {
    fn hear(&mut self, own: OwnWord) {
        self.well = if own == OwnWord::Well { self.well.saturating_add(1) } else { 0 };
        if own != OwnWord::Well || self.well >= WELL_AFTER {
            self.own = own;
        }
    }
}

impl Mark {
    /// What a check found. It stands, whatever was known: a node that starts anew may have fallen.
    pub(crate) fn sound(&self, at: Stamp, sounding: Sounding) {
        self.height.store(sounding.height.saturating_add(1), Relaxed);
        self.at.store(at.0, Relaxed);
        self.verdict.lock().hear(sounding.own);
    }

    /// What an answer says that the endpoint has reached. Less than what is known says nothing.
    pub(crate) fn hear(&self, at: Stamp, least: u64) {
        let least = least.saturating_add(1);
        if self.height.fetch_max(least, Relaxed) <= least {
            self.at.fetch_max(at.0, Relaxed);
            self.told.store(at.0, Relaxed);
        }
    }

    pub(crate) fn height(&self) -> Option<u64> {
        self.height.load(Relaxed).checked_sub(1)
    }

    pub(crate) fn told(&self) -> Stamp {
        Stamp(self.told.load(Relaxed))
    }

    /// Whether it takes no requests while others may.
    pub(crate) fn is_out(&self) -> bool {
        matches!(self.code.load(Relaxed), 2 | 4)
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.code.load(Relaxed) == 2
    }

    pub(crate) fn is_level(&self) -> bool {
        self.code.load(Relaxed) == 1
    }

    pub(crate) fn is_ahead(&self) -> bool {
        matches!(self.code.load(Relaxed), 3 | 4)
    }

    /// The verdict, and since when it stands.
    pub(crate) fn bearing(&self) -> (Bearing, Option<Instant>) {
        let verdict = self.verdict.lock();
        (verdict.bearing, verdict.since)
    }

    pub(super) fn view(&self, now: Stamp, policy: &HeightPolicy) -> View {
        let verdict = *self.verdict.lock();
        let age = between(Stamp(self.at.load(Relaxed)), now);
        let fresh = self.height().filter(|_| age <= policy.fresh);
        let height = fresh.map(|height| height.saturating_add(policy.grown(age)));
        View { height, own: verdict.own, was: verdict.bearing, near: verdict.near }
    }

    /// Takes a verdict; answers with how long the one before had stood when it is another.
    pub(super) fn judge(
        &self,
        bearing: Bearing,
        near: Option<(u64, Stamp)>,
        now: Instant,
    ) -> Option<(Bearing, std::time::Duration)> {
        let mut verdict = self.verdict.lock();
        verdict.near = near;
        let before = verdict.bearing;
        verdict.bearing = bearing;
        self.code.store(bearing.code(), Relaxed);
        if before.code() == bearing.code() {
            return None;
        }
        let lasted = verdict.since.map_or_else(Default::default, |since| now.saturating_duration_since(since));
        verdict.since = Some(now);
        Some((before, lasted))
    }

    /// In numbers; `None` before anything was heard.
    pub(super) fn standing(
        &self,
        now: Stamp,
        reference: Option<Reference>,
        policy: &HeightPolicy,
    ) -> Option<HeightStanding> {
        Some(HeightStanding {
            unit: policy.unit,
            height: self.height()?,
            age: between(Stamp(self.at.load(Relaxed)), now),
            reference: reference.map(|reference| reference.height),
            bearing: self.verdict.lock().bearing,
        })
    }

    /// Forgets everything.
    pub(crate) fn forget(&self) {
        for part in [&self.height, &self.at, &self.told] {
            part.store(0, Relaxed);
        }
        *self.verdict.lock() = Verdict::default();
        self.code.store(0, Relaxed);
    }
}
