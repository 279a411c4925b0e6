//! What is simulated: a fleet, its load, and what goes wrong when.

use portcullis_balance::{BudgetPolicy, Tuning};

use super::server::Mode;

/// Something that changes.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// When, in seconds.
    pub(crate) at: f64,
    /// Which servers.
    pub(crate) servers: Vec<usize>,
    /// To what.
    pub(crate) mode: Mode,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// Its name.
    pub(crate) name: &'static str,
    /// Servers.
    pub(crate) fleet: usize,
    /// Servers from this place on are of priority 1; the fleet's size when there is no second priority.
    pub(crate) first_of_next: usize,
    /// Servers before this place stand in the gateways' zone, the others in another; nobody has a zone when this is 0.
    pub(crate) home: usize,
    /// Servers say how busy they are, as measured over so many seconds; they say nothing when this is 0.
    pub(crate) reports: f64,
    /// The weight of each server is its place modulo this, plus one; 1 makes all equal.
    pub(crate) weights: u32,
    /// Workers of each server.
    pub(crate) workers: usize,
    /// Mean service time, in seconds.
    pub(crate) mean: f64,
    /// The spread of service times: sigma of the log-normal distribution.
    pub(crate) spread: f64,
    /// The part of the capacity of priority 0 that is asked for.
    pub(crate) load: f64,
    /// Gateways, each with its own view.
    pub(crate) gateways: usize,
    /// How long, in seconds.
    pub(crate) seconds: f64,
    /// From when on it is measured.
    pub(crate) measure_from: f64,
    /// What goes wrong.
    pub(crate) changes: Vec<Change>,
    /// The servers that are watched: what is wrong is wrong with them.
    pub(crate) watched: Vec<usize>,
    /// Servers that join at this second; the watched ones.
    pub(crate) joins_at: Option<f64>,
    /// Whether checks are made, twice a second, two failing ones taking an endpoint out.
    pub(crate) checks: bool,
    /// How sets are tuned.
    pub(crate) tuning: Tuning,
    /// How long an attempt may take, in seconds.
    pub(crate) timeout: f64,
    /// Attempts at most.
    pub(crate) attempts: u32,
    /// What may be repeated.
    pub(crate) budget: BudgetPolicy,
    /// Chance.
    pub(crate) seed: u64,
}

impl Scene {
    /// A fleet of equal, healthy servers of eight workers each and 10 ms, at 60 % of its capacity.
    pub(crate) fn healthy(name: &'static str, fleet: usize) -> Self {
        Self {
            name,
            fleet,
            first_of_next: fleet,
            home: 0,
            reports: 0.0,
            weights: 1,
            workers: 8,
            mean: 0.010,
            spread: 0.5,
            load: 0.6,
            gateways: 1,
            seconds: 8.0,
            measure_from: 2.0,
            changes: Vec::new(),
            watched: Vec::new(),
            joins_at: None,
            checks: false,
            tuning: Tuning::default(),
            timeout: 2.0,
            attempts: 1,
            budget: BudgetPolicy::retries(),
            seed: 1,
        }
    }

    /// With a change to the watched servers.
    #[must_use]
    pub(crate) fn then(mut self, at: f64, mode: Mode) -> Self {
        self.changes.push(Change { at, servers: self.watched.clone(), mode });
        self
    }

    /// With these servers watched.
    #[must_use]
    pub(crate) fn watching(mut self, servers: impl IntoIterator<Item = usize>) -> Self {
        self.watched = servers.into_iter().collect();
        self
    }

    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        let servers = self.first_of_next as f64;
        self.load * servers * self.workers as f64 / self.mean
    }

    /// When the first thing goes wrong, in seconds.
    pub(crate) fn fault_at(&self) -> Option<f64> {
        self.changes.iter().map(|change| change.at).min_by(f64::total_cmp)
    }
}
