//! What an endpoint says of its own capacity: how full it is, that it drains, when to come back.
//!
//! A report is believed within bounds and for a while only: utilisation counts up to 2, loses its say within
//! [`REPORT_MEMORY`] of silence, and no endpoint can send requests away for longer than [`MOST_AWAY`] at a time. It
//! never makes an endpoint more wanted than one that reports nothing.

use std::time::Duration;

use crate::atomics::{AtomicU64, Ordering::Relaxed};
use crate::number::{single, whole};
use crate::signals::Stamp;

mod orca;

pub use orca::{OrcaError, parse_orca};

/// A report loses its say over this long.
pub const REPORT_MEMORY: Duration = Duration::from_secs(10);
/// Longest that one report of draining, or one `Retry-After`, keeps requests away.
pub const MOST_AWAY: Duration = Duration::from_secs(60);
/// Utilisation past this counts as this.
const MOST_UTILISATION: f64 = 2.0;

/// What an endpoint reports, from whatever source.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CapacityReport {
    /// How full it is; 1 is full, more is past a soft limit.
    pub utilisation: Option<f64>,
    /// Requests per second that it serves, for all its clients.
    pub qps: Option<f64>,
    /// Errors per second.
    pub eps: Option<f64>,
    /// Whether it wants no new requests.
    pub drain: bool,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl CapacityReport {
    /// Utilisation with errors counted as load: an endpoint that fails a third of what it serves is fuller than its
    /// CPU says.
    fn pressure(&self) -> Option<f64> {
        let utilisation = self.utilisation.filter(|u| u.is_finite() && *u >= 0.0)?;
        let failing = match (self.eps, self.qps) {
            (Some(eps), Some(qps)) if eps > 0.0 && qps > 0.0 => (eps / qps).clamp(0.0, 1.0),
            (Some(_) | None, Some(_) | None) => 0.0,
        };
        Some((utilisation + failing).min(MOST_UTILISATION))
    }
}

/// The latest reports of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// A [`Level`]; 0 before the first report.
    level: AtomicU64,
    /// Until when the endpoint is to be left alone.
    away_until: AtomicU64,
}

/// How long the settled pressure remembers, in seconds.
const SETTLES: f64 = 5.0;
/// Units of pressure: the most there is fits into 16 bits.
const SCALE: f64 = 32_767.0;
/// Ticks in a second: 32 bits of them are eight years.
const TICKS: u64 = 16;

/// What an endpoint reports, and what it settles at: a mean of the last seconds.
///
/// Reports are measured over some time and so come late. Were requests sent by the latest alone, all would leave the
/// endpoint that was the busiest a while ago and make another the busiest, round and round.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// When, plus one.
    tick: u64,
    latest: u64,
    settled: u64,
}

impl Level {
    const fn unpack(bits: u64) -> Option<Self> {
        let level = Self { tick: bits >> 32, latest: (bits >> 16) & 0xffff, settled: bits & 0xffff };
        if level.tick == 0 { None } else { Some(level) }
    }

    const fn pack(self) -> u64 {
        self.tick << 32 | self.latest << 16 | self.settled
    }

    const fn now(now: Stamp) -> u64 {
        now.0 / (1_000_000_000 / TICKS) + 1
    }

    fn seconds_to(self, now: Stamp) -> f64 {
        Self::now(now).saturating_sub(self.tick) as f64 / TICKS as f64
    }

    /// With another report.
    fn and(before: Option<Self>, now: Stamp, pressure: f64) -> Self {
        let latest = pressure * SCALE;
        let settled = before.map_or(latest, |before| {
            let (seconds, settled) = (before.seconds_to(now), before.settled as f64);
            if seconds >= REPORT_MEMORY.as_secs_f64() {
                return latest;
            }
            settled + (latest - settled) * (seconds / (SETTLES + seconds))
        });
        Self { tick: Self::now(now), latest: whole(latest.round()), settled: whole(settled.round()) }
    }

    /// How far it is still believed.
    fn believed(self, now: Stamp) -> f32 {
        (1.0 - single(self.seconds_to(now)) / REPORT_MEMORY.as_secs_f32()).max(0.0)
    }
}

impl Reported {
    pub(crate) fn take_in(&self, now: Stamp, report: &CapacityReport) {
        if let Some(pressure) = report.pressure() {
            let before = Level::unpack(self.level.load(Relaxed));
            self.level.store(Level::and(before, now, pressure).pack(), Relaxed);
        }
        let away = match (report.drain, report.retry_after) {
            (true, _) => Some(MOST_AWAY),
            (false, Some(wait)) => Some(wait.min(MOST_AWAY)),
            (false, None) => None,
        };
        if let Some(away) = away {
            let nanos = u64::try_from(away.as_nanos()).unwrap_or(u64::MAX);
            self.away_until.fetch_max(now.0.saturating_add(nanos), Relaxed);
        }
    }

    /// Forgets that the endpoint wanted to be left alone.
    pub(crate) fn come_back(&self) {
        self.away_until.store(0, Relaxed);
    }

    /// The pressure that it has settled at, as far as it is still believed, and whether the endpoint is to be left alone.
    pub(crate) fn read(&self, now: Stamp) -> (f32, bool) {
        (self.pressure(now, |level| level.settled), self.away_until.load(Relaxed) > now.0)
    }

    /// The pressure that was reported last, as far as it is still believed.
    pub(crate) fn latest(&self, now: Stamp) -> f32 {
        self.pressure(now, |level| level.latest)
    }

    fn pressure(&self, now: Stamp, which: impl FnOnce(Level) -> u64) -> f32 {
        let Some(level) = Level::unpack(self.level.load(Relaxed)) else { return 0.0 };
        which(level) as f32 / single(SCALE) * level.believed(now)
    }

    /// For how much longer it wants to be left alone.
    pub(crate) fn away_for(&self, now: Stamp) -> Option<Duration> {
        let left = self.away_until.load(Relaxed).checked_sub(now.0)?;
        if left == 0 { None } else { Some(Duration::from_nanos(left)) }
    }
}

/// The share of its requests that an endpoint so full still takes where the rule of choice does not look at load:
/// all up to 80 %, half at 100 %, a tenth from 116 % on. Steeper, requests would swing between endpoints that are all about
/// full.
pub(crate) fn share_when(pressure: f32) -> f32 {
    (1.0 - (pressure - 0.8) * 2.5).clamp(0.1, 1.0)
}

/// How much longer an answer must be expected to take from an endpoint so full: queueing grows as 1 / (1 - u), here
/// from one half on and at most tenfold.
pub(crate) fn slower_when(pressure: f32) -> f32 {
    if pressure <= 0.5 { 1.0 } else { (0.5 / (1.0 - pressure).max(0.05)).min(10.0) }
}

#[cfg(test)]
mod tests;
