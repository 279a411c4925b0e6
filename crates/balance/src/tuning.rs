//! What a cluster may be tuned by beside its rule of choice. Without any of it a set behaves as its options say.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::Percent;

use crate::height::HeightPolicy;
use crate::options::SetOptions;
use crate::outlier::OutlierPolicy;

/// The knobs. The default has all of them off; [`Tuning::recommended`] is what a cluster gets that says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    /// How an endpoint that is new, or comes back, is led up to its full share.
    pub slow_start: Option<SlowStart>,
    /// When a priority hands part of its requests to the next.
    pub overprovisioning: Option<Overprovisioning>,
    /// Which zone's endpoints are preferred.
    pub zone: Option<ZonePreference>,
    /// How endpoints are judged by the requests they get.
    pub outliers: Option<OutlierPolicy>,
    /// How far endpoints may lag behind the others, where they follow one history.
    pub heights: Option<HeightPolicy>,
}

impl Tuning {
    /// The defaults of the config: slow start, overprovisioning by 1.4 and outlier detection; no zone.
    #[must_use]
    pub fn recommended() -> Self {
        Self {
            slow_start: Some(SlowStart::default()),
            overprovisioning: Some(Overprovisioning::default()),
            zone: None,
            outliers: Some(OutlierPolicy::default()),
            heights: None,
        }
    }
}

/// A ramp from a small share to the full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    /// How long the ramp is.
    pub window: Duration,
    /// The share it begins with.
    pub from: Percent,
}

impl Default for SlowStart {
    /// Ten seconds, from 10 %.
    fn default() -> Self {
        Self { window: Duration::from_secs(10), from: percent(100_000) }
    }
}

impl SlowStart {
    /// The share so long after the start.
    pub(crate) fn share(&self, seconds: f32) -> f32 {
        let window = self.window.as_secs_f32();
        let from = self.from.millionths() as f32 * 1e-6;
        if seconds >= window { 1.0 } else { from + (1.0 - from) * (seconds / window) }
    }
}

/// How much more than its part an endpoint can carry, in per cent: with 140, a priority keeps all its requests until
/// less than 1 / 1.4 = 71 % of its endpoints are available, then hands on what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overprovisioning(u32);

impl Overprovisioning {
    /// A factor in per cent; `None` under 100.
    #[must_use]
    pub const fn from_percent(percent: u32) -> Option<Self> {
        if percent >= 100 { Some(Self(percent)) } else { None }
    }

    /// The factor in per cent.
    #[must_use]
    pub const fn percent(self) -> u32 {
        self.0
    }

    /// The share of its due that a group can carry with so much of its weight available.
    pub(crate) fn capacity(self, available: u64, of: f64) -> f64 {
        if of <= 0.0 { 0.0 } else { (available as f64 * f64::from(self.0) / 100.0 / of).min(1.0) }
    }
}

impl Default for Overprovisioning {
    /// 140 %.
    fn default() -> Self {
        Self(140)
    }
}

/// Keeps requests in the gateway's own zone as far as its endpoints can carry them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonePreference {
    /// The gateway's zone.
    pub zone: Arc<str>,
    /// The part of all the cluster's requests that come in through this zone's gateways; `None` takes all zones for
    /// equal.
    pub traffic: Option<Percent>,
    /// How many requests an endpoint may hold, where that is bounded: one that holds as many is full.
    pub per_endpoint: Option<u32>,
}

/// All that a set is made with. Made from [`SetOptions`] alone, or with [`SetOptions::tuned`].
#[derive(Debug, Clone, Default)]
pub struct TunedOptions {
    pub(crate) options: SetOptions,
    pub(crate) tuning: Tuning,
}

impl From<SetOptions> for TunedOptions {
    fn from(options: SetOptions) -> Self {
        Self { options, tuning: Tuning::default() }
    }
}

impl SetOptions {
    /// These options with some tuning.
    #[must_use]
    pub const fn tuned(self, tuning: Tuning) -> TunedOptions {
        TunedOptions { options: self, tuning }
    }
}

pub(crate) const fn percent(millionths: u32) -> Percent {
    match Percent::from_millionths(millionths) {
        Some(percent) => percent,
        None => Percent::ALL,
    }
}
