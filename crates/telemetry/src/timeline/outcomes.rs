//! Counting what became of requests, on their threads.

use std::sync::Arc;
use std::time::SystemTime;

use portcullis_types::{Fault, Reason};

use super::latency::{BUCKETS, Latencies, bucket};
use super::step::Step;
use crate::metrics::shard::{Counts, Sharded, Shards};
use crate::record::{Flag, Kind, Record};
use crate::sink::RecordSink;

/// Places of a side: all, failed, refused, then the buckets.
const REQUESTS: usize = 0;
const FAILED: usize = 1;
const REFUSED: usize = 2;
const FIRST_BUCKET: usize = 3;
const PLACES: usize = FIRST_BUCKET + BUCKETS;
const REASONS: usize = Reason::ALL.len();

/// Which of two groups of callers, while some are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Everybody else; everybody, when nobody is told apart.
    Usual,
    /// Those who are told apart: [`Flag::OnTrial`].
    OnTrial,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Usual, Self::OnTrial];

    fn of(record: &Record) -> Self {
        if record.flags.has(Flag::OnTrial) { Self::OnTrial } else { Self::Usual }
    }
}

#[derive(Debug, Default)]
struct Cells {
    sides: [Counts<PLACES>; 2],
    reasons: [Counts<REASONS>; 2],
}

/// The sink. Counts requests, not connections; an upgraded one has no latency.
#[derive(Debug)]
pub struct Outcomes(Sharded<Cells>);

impl Default for Outcomes {
    fn default() -> Self {
        Self(Sharded::new(Shards::new(None)))
    }
}

impl RecordSink for Outcomes {
    fn record(&self, record: &Arc<Record>) {
        if record.kind != Kind::Request {
            return;
        }
        let (cells, side) = (self.0.mine(), Side::of(record) as usize);
        let (Some(counts), Some(reasons)) = (cells.sides.get(side), cells.reasons.get(side)) else { return };
        counts.add(REQUESTS, 1);
        match record.reason.map(Reason::fault) {
            Some(Fault::Client) => counts.add(REFUSED, 1),
            Some(Fault::Gateway | Fault::Upstream) => counts.add(FAILED, 1),
            None if record.failed() => counts.add(FAILED, 1),
            None => {}
        }
        if let Some(reason) = record.reason {
            reasons.add(reason as usize, 1);
        }
        if !record.flags.has(Flag::Upgraded) {
            counts.add(FIRST_BUCKET + bucket(record.timers.total), 1);
        }
    }
}

/// All that was counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    sides: [Vec<u64>; 2],
    reasons: [Vec<u64>; 2],
}

impl Outcomes {
    pub(super) fn totals(&self) -> Totals {
        let counts =
            |side: usize, place: usize| self.0.sum(|cells| cells.sides.get(side).map_or(0, |counts| counts.get(place)));
        let reasons = |side: usize, place: usize| {
            self.0.sum(|cells| cells.reasons.get(side).map_or(0, |counts| counts.get(place)))
        };
        Totals {
            sides: [0, 1].map(|side| (0..PLACES).map(|place| counts(side, place)).collect()),
            reasons: [0, 1].map(|side| (0..REASONS).map(|place| reasons(side, place)).collect()),
        }
    }
}

impl Totals {
    /// What was added on a side since an earlier look.
    pub(super) fn since(&self, before: &Self, side: Side, now: SystemTime) -> Step {
        let added = |now: &[Vec<u64>; 2], then: &[Vec<u64>; 2], place: usize| {
            let at = |of: &[Vec<u64>; 2]| of.get(side as usize).and_then(|counts| counts.get(place)).copied();
            at(now).unwrap_or_default().wrapping_sub(at(then).unwrap_or_default())
        };
        let count = |place: usize| added(&self.sides, &before.sides, place);
        let mut latencies = Latencies::default();
        (0..BUCKETS).for_each(|bucket| latencies.set(bucket, count(FIRST_BUCKET + bucket)));
        let reasons = Reason::ALL.iter().enumerate();
        let reasons = reasons.map(|(place, reason)| (*reason, added(&self.reasons, &before.reasons, place)));
        Step {
            until: now,
            requests: count(REQUESTS),
            failed: count(FAILED),
            refused: count(REFUSED),
            reasons: reasons.filter(|(_, count)| *count > 0).collect(),
            latencies,
        }
    }
}
