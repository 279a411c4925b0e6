//! How a cluster chooses.

use std::fmt;
use std::sync::Arc;

use portcullis_types::Percent;

use crate::algorithm::ChoicePolicy;
use crate::health::HealthPolicy;

/// The rule by which one of the available endpoints is taken. All of them respect weights.
#[derive(Clone, Default)]
pub enum Algorithm {
    /// In turn: over a period each endpoint is taken exactly as often as its weight says, evenly spread.
    RoundRobin,
    /// By chance.
    Random,
    /// Of a few drawn by chance, the one that would answer soonest, unless it holds more requests than most: the
    /// hot/cold rule of Prequal. Endpoints that fail attract nothing.
    #[default]
    LeastLoaded,
    /// By the request's key, so that equal keys meet on one endpoint; by chance for a request without one.
    Hash(LoadBound),
    /// By a rule that is not built in.
    Custom(Arc<dyn ChoicePolicy>),
}

impl Algorithm {
    /// The word in the config; `custom` for one that is not built in.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::LeastLoaded => "least_loaded",
            Self::Hash(_) => "hash",
            Self::Custom(_) => "custom",
        }
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(bound) => write!(f, "hash({}%)", bound.percent()),
            Self::RoundRobin | Self::Random | Self::LeastLoaded | Self::Custom(_) => f.write_str(self.as_str()),
        }
    }
}

/// How much more than its fair share of the requests in flight an endpoint may hold before keys spill over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoadBound(u32);

impl LoadBound {
    /// A bound in per cent of the fair share; `None` under 100, where not every request would find a place.
    #[must_use]
    pub const fn from_percent(percent: u32) -> Option<Self> {
        if percent >= 100 { Some(Self(percent)) } else { None }
    }

    /// The bound in per cent.
    #[must_use]
    pub const fn percent(self) -> u32 {
        self.0
    }

    /// The most an endpoint may hold, the new request included, when the cluster holds `total` with it. The fair
    /// share is rounded up first, so that a cluster with little to do keeps its affinity.
    pub(crate) fn cap(self, total: u64, weight: u32, weights: u64) -> u64 {
        let fair = total.saturating_mul(u64::from(weight)).div_ceil(weights.max(1));
        fair.saturating_mul(u64::from(self.0)).div_ceil(100)
    }
}

impl Default for LoadBound {
    /// 125 %.
    fn default() -> Self {
        Self(125)
    }
}

/// What a set needs to know beside its endpoints.
#[derive(Debug, Clone, Default)]
pub struct SetOptions {
    /// The rule of choice.
    pub algorithm: Algorithm,
    /// How the endpoints are checked; `None` when they are not, which makes all of them available.
    pub health: Option<HealthPolicy>,
    /// Below this share of available endpoints in every priority, health is ignored: a check that is wrong must not
    /// take a cluster down. The default of 0 never ignores it.
    pub panic_threshold: Percent,
    /// Where round robin starts; random per process, so that gateways started together do not walk in step.
    /// A rebuilt set goes on where its predecessor was instead.
    pub seed: u64,
}
