//! What choosing reads of an endpoint, together in one cache line.
//!
//! All of it is fed by the gateway's own requests, except what the endpoint says of itself. Moments are nanoseconds
//! since the lineage began, plus one, so that 0 means never. Races between workers may lose a sample of an estimate;
//! they never lose a count.

use std::time::Duration;

use crate::atomics::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::capacity::Reported;
use crate::latency::Latency;

/// A moment, in nanoseconds since the lineage began, plus one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(pub(crate) u64);

impl Stamp {
    /// Seconds from an earlier moment to this one; 0 when it is not earlier.
    pub(crate) const fn seconds_since(self, earlier: u64) -> f32 {
        self.0.saturating_sub(earlier) as f32 * 1e-9
    }

    /// The time since the lineage began.
    pub(crate) const fn age(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(1))
    }
}

/// How long the share of failures remembers.
const TROUBLE_MEMORY: f32 = 0.3;
/// No outcome counts for less than this, so that a burst of failures shows within some tens of them.
const LEAST_SHARE: f32 = 0.02;
/// No failure counts for more than this: one that follows a long silence does not condemn.
const MOST_OF_FAILURE: f32 = 0.34;
/// No good answer counts for more than this: it takes a few to be trusted again.
const MOST_OF_SUCCESS: f32 = 0.5;
/// After so much silence, in seconds, half of what is held against an endpoint is forgotten.
const FADES_AFTER: f32 = 5.0;

/// See the module's text.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Signals {
    in_flight: AtomicU32,
    /// The share of failures of late, as the bits of an `f32`.
    trouble: AtomicU32,
    latency: Latency,
    /// The newest outcome of any kind.
    heard: AtomicU64,
    /// When the requests in flight began to wait: the last time that one came where none was.
    waiting: AtomicU64,
    /// When slow start began.
    ramp: AtomicU64,
    reported: Reported,
}

/// The signals of one endpoint at one moment, settled for a comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Requests in flight.
    pub(crate) in_flight: u32,
    /// Seconds; 0 when nothing is known.
    pub(crate) latency: f32,
    /// The share of failures of late.
    pub(crate) trouble: f32,
    /// Utilisation as the endpoint reports it; 0 when it reports none.
    pub(crate) utilisation: f32,
    /// Whether it asked to be left alone.
    pub(crate) away: bool,
    /// Seconds since anything was heard of it.
    pub(crate) silence: f32,
}

impl Signals {
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Counts a request in. Without a moment the wait that it begins is not measured.
    pub(crate) fn enter(&self, at: impl FnOnce() -> Option<Stamp>) {
        if self.in_flight.fetch_add(1, Relaxed) == 0 {
            self.waiting.store(at().map_or(0, |at| at.0), Relaxed);
        }
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn mean_latency(&self) -> Option<Duration> {
        self.latency.mean()
    }

    pub(crate) fn trouble(&self) -> f32 {
        f32::from_bits(self.trouble.load(Relaxed))
    }

    pub(crate) const fn reported(&self) -> &Reported {
        &self.reported
    }

    /// A good answer after this long.
    pub(crate) fn good(&self, at: Stamp, latency: Duration) {
        self.latency.record(at.age(), latency);
        self.outcome(at, false);
    }

    /// No answer after this long, when it was not waited for any more.
    pub(crate) fn outrun(&self, at: Stamp, waited: Duration) {
        self.latency.record(at.age(), waited);
    }

    /// A bad answer or none. Its latency says nothing of how long good answers take.
    pub(crate) fn bad(&self, at: Stamp) {
        self.outcome(at, true);
    }

    fn outcome(&self, at: Stamp, failed: bool) {
        let before = self.heard.fetch_max(at.0, Relaxed);
        let elapsed = if before == 0 { TROUBLE_MEMORY } else { at.seconds_since(before) };
        // Close to 1 - e^(-x), and exact at both ends, without the exponential.
        let x = elapsed / TROUBLE_MEMORY;
        let most = if failed { MOST_OF_FAILURE } else { MOST_OF_SUCCESS };
        let share = (x / (1.0 + x)).clamp(LEAST_SHARE, most);
        let trouble = self.trouble();
        if failed || trouble > 0.0 {
            let now = trouble + (f32::from(u8::from(failed)) - trouble) * share;
            self.trouble.store(if now < 1e-4 { 0.0 } else { now }.to_bits(), Relaxed);
        }
    }

    /// Begins slow start.
    pub(crate) fn begin_ramp(&self, at: Stamp) {
        self.ramp.store(at.0, Relaxed);
    }

    pub(crate) fn end_ramp(&self) {
        self.ramp.store(0, Relaxed);
    }

    /// When slow start began, if ever.
    pub(crate) fn ramp(&self) -> u64 {
        self.ramp.load(Relaxed)
    }

    /// Reads all of it. What is held against an endpoint fades while nothing is heard of it, so that it is tried
    /// again; a wait that is longer than the latency known counts as the latency.
    pub(crate) fn read(&self, now: Stamp) -> Reading {
        let in_flight = self.in_flight();
        let heard = self.heard.load(Relaxed);
        let silence = now.seconds_since(heard);
        let (mut latency, mut trouble) = (self.latency.seconds(), self.trouble());
        if in_flight == 0 {
            if silence > 1.0 {
                let kept = FADES_AFTER / (FADES_AFTER + silence);
                (latency, trouble) = (latency * kept, trouble * kept);
            }
        } else {
            let waiting = self.waiting.load(Relaxed);
            if waiting != 0 {
                latency = latency.max(now.seconds_since(waiting.max(heard)));
            }
        }
        let (utilisation, away) = self.reported.read(now);
        Reading { in_flight, latency, trouble, utilisation, away, silence }
    }
}
