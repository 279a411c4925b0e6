//! What is counted of the gateway as a whole: failures, generations, reloads, sinks, bounds, the build.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use portcullis_types::{GenerationId, Reason};

use super::family::{Export, Family, Page};
use super::live::{Live, OTHER};
use super::route::{REASONS, reason_place};
use super::shard::Counts;
use crate::bound::Bound;
use crate::sink::{SinkStat, SinkStats};

/// How applying a config ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReloadOutcome {
    /// A new generation serves.
    Applied,
    /// The config is the one that serves already.
    Unchanged,
    /// The config has errors; nothing changed.
    Refused,
    /// The config is right and could not be put to work (a port in use, too many generations).
    Failed,
}

impl ReloadOutcome {
    const ALL: [Self; 4] = [Self::Applied, Self::Unchanged, Self::Refused, Self::Failed];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// What binary runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// The version of the package.
    pub version: String,
    /// The commit, when the build knew it.
    pub commit: String,
}

/// A sink's name, and what it says of itself.
type NamedSink = (Arc<str>, Arc<dyn SinkStats>);

/// The gateway's own numbers.
pub struct GatewayMetrics {
    build: Build,
    failures: Counts<REASONS>,
    reloads: Counts<4>,
    last_success: AtomicU64,
    generation: AtomicU64,
    generations: AtomicU64,
    sinks: Mutex<Vec<NamedSink>>,
}

impl GatewayMetrics {
    pub(super) fn new(build: Build) -> Self {
        Self {
            build,
            failures: Counts::default(),
            reloads: Counts::default(),
            last_success: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            generations: AtomicU64::new(0),
            sinks: Mutex::default(),
        }
    }

    /// Counts a failure that has no record. [`super::Metrics::observe`] counts those that have one.
    pub fn failure(&self, reason: Reason) {
        self.failures.add(reason_place(reason), 1);
    }

    /// How often a reason was counted.
    #[must_use]
    pub fn failures(&self, reason: Reason) -> u64 {
        self.failures.get(reason_place(reason))
    }

    /// Applying a config has ended.
    pub fn reload(&self, outcome: ReloadOutcome, now: SystemTime) {
        self.reloads.add(outcome.place(), 1);
        match outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => {
                let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                self.last_success.store(since, Relaxed);
            }
            ReloadOutcome::Refused | ReloadOutcome::Failed => {}
        }
    }

    /// States which generation serves, and how many live.
    pub fn set_generations(&self, current: GenerationId, live: u64) {
        self.generation.store(current.0, Relaxed);
        self.generations.store(live, Relaxed);
    }

    pub(super) fn attach_sink(&self, name: &str, stats: Arc<dyn SinkStats>) {
        let mut sinks = self.sinks.lock();
        sinks.retain(|(known, _)| **known != *name);
        sinks.push((name.into(), stats));
    }

    pub(super) fn detach_sink(&self, name: &str) {
        self.sinks.lock().retain(|(known, _)| **known != *name);
    }

    fn export_sinks(&self, page: &mut Page) {
        for (name, sink) in self.sinks.lock().iter() {
            for stat in sink.stats() {
                match stat {
                    SinkStat::Written(count) => page.count(5, &[name], count),
                    SinkStat::Dropped { cause, count } => page.count(6, &[name, cause], count),
                }
            }
        }
    }
}

impl Export for GatewayMetrics {
    const FAMILIES: &'static [Family] = &[
        Family::counter(
            "portcullis_failures_total",
            "Requests and connections that failed or were refused, by reason and whose fault.",
            &["reason", "fault"],
        ),
        Family::counter("portcullis_reloads_total", "Configs that were to be applied, by outcome.", &["outcome"]),
        Family::gauge(
            "portcullis_reload_last_success_timestamp_seconds",
            "When a config was last applied or found unchanged.",
            &[],
        ),
        Family::gauge("portcullis_generation", "The generation that serves new requests.", &[]),
        Family::gauge("portcullis_generations_live", "Generations that still serve a request.", &[]),
        Family::counter("portcullis_records_written_total", "Records that a sink has written.", &["sink"]),
        Family::counter("portcullis_records_dropped_total", "Records that a sink dropped.", &["sink", "cause"]),
        Family::gauge("portcullis_build_info", "1; the labels say what runs.", &["version", "commit"]),
    ];

    fn export(&self, page: &mut Page) {
        for &reason in Reason::ALL {
            page.count(0, &[reason.name(), reason.fault().as_str()], self.failures(reason));
        }
        for outcome in ReloadOutcome::ALL {
            page.count(1, &[outcome.as_str()], self.reloads.get(outcome.place()));
        }
        page.count(2, &[], self.last_success.load(Relaxed));
        page.count(3, &[], self.generation.load(Relaxed));
        page.count(4, &[], self.generations.load(Relaxed));
        self.export_sinks(page);
        page.count(7, &[&self.build.version, &self.build.commit], 1);
    }
}

impl std::fmt::Debug for GatewayMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayMetrics").field("build", &self.build).finish_non_exhaustive()
    }
}

/// What is bounded, and whose it is: a fixed word and a name of the config.
pub(super) type BoundKey = (&'static str, Box<str>);

/// Every bound of the gateway.
#[derive(Debug)]
pub(super) struct Bounds(pub(super) Live<BoundKey, Bound>);

impl Export for Bounds {
    const FAMILIES: &'static [Family] = &[
        Family::gauge("portcullis_bound_used", "How much of a bound is in use.", &["bound", "of"]),
        Family::gauge("portcullis_bound_limit", "The bound.", &["bound", "of"]),
        Family::counter("portcullis_bound_refused_total", "How often a bound refused something.", &["bound", "of"]),
    ];

    fn export(&self, page: &mut Page) {
        self.0.each(|key, bound| {
            let labels = key.map_or([OTHER, OTHER], |(what, of)| [*what, of]);
            // A bound nobody has set a limit for bounds nothing.
            if bound.limit() > 0 {
                page.count(0, &labels, bound.used());
                page.count(1, &labels, bound.limit());
                page.count(2, &labels, bound.refused());
            }
        });
    }
}
