//! What an endpoint says of its own capacity: how full it is, that it drains, when to come back.
//!
//! A report is believed within bounds and for a while only: utilisation counts up to 2, loses its say within
//! [`REPORT_MEMORY`] of silence, and no endpoint can send requests away for longer than [`MOST_AWAY`] at a time. It
//! never makes an endpoint more wanted than one that reports nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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
    /// Pressure in 65536ths, and the second it was reported in, plus one; 0 before the first report.
    pressure: AtomicU64,
    /// Until when the endpoint is to be left alone.
    away_until: AtomicU64,
}

const SCALE: f64 = 65_536.0;

impl Reported {
    pub(crate) fn take_in(&self, now: Stamp, report: &CapacityReport) {
        if let Some(pressure) = report.pressure() {
            // Milliseconds in 44 bits are 500 years; pressure is at most 2 and takes 18 bits.
            let units = whole(pressure * SCALE);
            self.pressure.store((millis(now) + 1) << 20 | units, Relaxed);
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

    /// Pressure as far as it is still believed, and whether the endpoint is to be left alone.
    pub(crate) fn read(&self, now: Stamp) -> (f32, bool) {
        (self.pressure(now), self.away_until.load(Relaxed) > now.0)
    }

    fn pressure(&self, now: Stamp) -> f32 {
        let packed = self.pressure.load(Relaxed);
        if packed == 0 {
            return 0.0;
        }
        let age = (millis(now) + 1).saturating_sub(packed >> 20) as f32 * 1e-3;
        let believed = (1.0 - age / REPORT_MEMORY.as_secs_f32()).max(0.0);
        (packed & 0xf_ffff) as f32 / single(SCALE) * believed
    }

    /// For how much longer it wants to be left alone.
    pub(crate) fn away_for(&self, now: Stamp) -> Option<Duration> {
        let left = self.away_until.load(Relaxed).checked_sub(now.0)?;
        if left == 0 { None } else { Some(Duration::from_nanos(left)) }
    }
}

const fn millis(now: Stamp) -> u64 {
    now.0 / 1_000_000
}

/// The share of its requests that an endpoint so full still takes where the rule of choice does not look at load:
/// all up to 80 %, a tenth from 100 % on.
pub(crate) fn share_when(pressure: f32) -> f32 {
    (1.0 - (pressure - 0.8) * 4.5).clamp(0.1, 1.0)
}

/// How much longer an answer must be expected to take from an endpoint so full: queueing grows as 1 / (1 - u), here
/// from one half on and at most tenfold.
pub(crate) fn slower_when(pressure: f32) -> f32 {
    if pressure <= 0.5 { 1.0 } else { (0.5 / (1.0 - pressure).max(0.05)).min(10.0) }
}

#[cfg(test)]
mod tests;
