//! The objectives of service levels of a running gateway: what is counted for each, how they stand, and what is kept of it.
//!
//! A budget lives as long as the process, by the objective's name and definition, whichever generation serves: a reload that does
//! not change an objective does not touch its budget, and a rollback finds the budget of before. A generation's table leads
//! from the names in its records, by their addresses, to what counts; it holds those names, so that no address is used twice.
//! Invariants: a record costs two look-ups by address and no lock; what is held is bounded.

mod keeping;
mod metrics;
mod table;
#[cfg(test)]
mod tests;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use portcullis_health::{Burn, Finding, Kind, Severity};
use portcullis_slo::{Alert, Budget, Severity as Urgency};
use portcullis_snapshot::Snapshot;
use portcullis_snapshot::settings::{Good, MOST_SLOS, Slo};
use portcullis_telemetry::{Record, RecordSink};

use keeping::Keeping;
pub(crate) use metrics::SloMetrics;
use table::Table;

/// The most generations whose records are counted: as many as may live.
const GENERATIONS: usize = 64;
/// The most budgets, those that no config asks for any more included.
const TRACKS: usize = 2 * MOST_SLOS;
/// The windows whose burn rate is told, in order.
pub(crate) const WINDOWS: [(&str, Duration); 5] = [
    ("5m", Duration::from_secs(300)),
    ("30m", Duration::from_secs(1800)),
    ("1h", Duration::from_secs(3600)),
    ("6h", Duration::from_secs(21_600)),
    ("3d", Duration::from_secs(259_200)),
];

/// What is counted for one objective.
pub(crate) struct Track {
    slo: Slo,
    good: AtomicU64,
    bad: AtomicU64,
    budget: Mutex<Taken>,
}

/// The budget, and what of the counters is in it.
struct Taken {
    budget: Budget,
    good: u64,
    bad: u64,
}

/// All objectives, of all generations.
#[derive(Default)]
pub(crate) struct Slos {
    /// Those that serve last.
    tracks: Mutex<Vec<Arc<Track>>>,
    tables: ArcSwap<Vec<Arc<Table>>>,
    keeping: Keeping,
    /// Another process keeps them from now on.
    left: AtomicBool,
}

impl RecordSink for Slos {
    fn record(&self, record: &Arc<Record>) {
        let tables = self.tables.load();
        if let Some(table) = tables.iter().rev().find(|table| table.generation == record.generation) {
            table.count(record);
        }
    }
}

impl Slos {
    /// Counts the requests of a generation too, from its first.
    pub(crate) fn follow(&self, snapshot: &Snapshot, now: SystemTime) {
        let settings = &snapshot.settings;
        if let Some(file) = &settings.slos_file {
            self.keeping.load_once(file);
        }
        let tracks: Vec<Arc<Track>> = settings.slos.iter().map(|slo| self.track(slo, unix(now))).collect();
        let table = Arc::new(Table::new(snapshot, &tracks));
        let mut tables = Vec::clone(&self.tables.load());
        // A generation that could not be put to work leaves its number to the next.
        tables.retain(|known| known.generation != table.generation);
        let beyond = (tables.len() + 1).saturating_sub(GENERATIONS);
        tables.drain(..beyond);
        tables.push(table);
        self.tables.store(Arc::new(tables));
    }

    /// The budget of an objective: the one that is there, or one that was kept, or a new one.
    fn track(&self, slo: &Slo, now: u64) -> Arc<Track> {
        let mut tracks = self.tracks.lock();
        if let Some(place) = tracks.iter().position(|track| track.slo == *slo) {
            let track = tracks.remove(place);
            tracks.push(Arc::clone(&track));
            return track;
        }
        let mut budget = Budget::new(slo.objective);
        self.keeping.kept(slo).into_iter().for_each(|kept| budget.restore(now, kept));
        let budget = Mutex::new(Taken { budget, good: 0, bad: 0 });
        let track = Arc::new(Track { slo: slo.clone(), good: AtomicU64::new(0), bad: AtomicU64::new(0), budget });
        if tracks.len() == TRACKS {
            tracks.remove(0);
        }
        tracks.push(Arc::clone(&track));
        track
    }

    /// What counts for the objectives of a generation, in the order of its config.
    fn of(&self, snapshot: &Snapshot) -> Vec<Arc<Track>> {
        let tracks = self.tracks.lock();
        let one = |slo: &Slo| tracks.iter().find(|track| track.slo == *slo).cloned();
        snapshot.settings.slos.iter().filter_map(one).collect()
    }

    /// Takes into the budgets what was counted since the last time.
    pub(crate) fn tick(&self, now: SystemTime) {
        let tracks = self.tracks.lock().clone();
        tracks.iter().for_each(|track| track.take(unix(now)));
    }

    /// How the objectives of a generation stand, as `/api/slos` shows them.
    pub(crate) fn told(&self, snapshot: &Snapshot, now: SystemTime) -> Value {
        self.of(snapshot).iter().map(|track| track.told(unix(now))).collect()
    }

    /// The alerts that fire, the most urgent of an objective first.
    pub(crate) fn burns(&self, snapshot: &Snapshot, now: SystemTime) -> Vec<Burn> {
        self.of(snapshot).iter().flat_map(|track| track.burns(unix(now))).collect()
    }

    /// Leaves the file to another process.
    pub(crate) fn leave(&self) {
        self.left.store(true, Relaxed);
    }

    /// The other process does not have it any more.
    pub(crate) fn take_back(&self) {
        self.left.store(false, Relaxed);
    }

    /// Writes what was counted into the file, unless another process keeps it; what goes wrong is said once and counted.
    pub(crate) fn save(&self, file: &Path, now: SystemTime) {
        self.tick(now);
        if self.left.load(Relaxed) {
            return;
        }
        let tracks = self.tracks.lock().clone();
        self.keeping.save(file, &tracks);
    }

    /// What is wrong with keeping it.
    pub(crate) fn found(&self) -> Option<Finding> {
        let why = self.keeping.trouble()?;
        let says = "what is counted for error budgets does not outlive the process";
        Some(Finding::new(Kind::Store, "slos", Severity::Degraded, says).known_by(why))
    }
}

impl Track {
    /// Whether a record counts, and went well.
    fn judge(&self, record: &Record) -> Option<bool> {
        table::judge(&self.slo.good, record)
    }

    fn count(&self, record: &Record) {
        match self.judge(record) {
            Some(true) => self.good.fetch_add(1, Relaxed),
            Some(false) => self.bad.fetch_add(1, Relaxed),
            None => 0,
        };
    }

    fn take(&self, now: u64) {
        let mut taken = self.budget.lock();
        // Behind the lock: what is read never goes back.
        let (good, bad) = self.totals();
        let (more_good, more_bad) = (good - taken.good, bad - taken.bad);
        if more_good > 0 || more_bad > 0 {
            taken.budget.add(now, more_good, more_bad);
            (taken.good, taken.bad) = (good, bad);
        }
    }

    /// Counted since the process began.
    fn totals(&self) -> (u64, u64) {
        (self.good.load(Relaxed), self.bad.load(Relaxed))
    }

    fn told(&self, now: u64) -> Value {
        self.take(now);
        let budget = &self.budget.lock().budget;
        let objective = self.slo.objective;
        let (good, bad) = budget.counted(now, objective.window());
        let burn: serde_json::Map<String, Value> =
            WINDOWS.iter().map(|(name, window)| ((*name).to_owned(), json!(budget.burn(now, *window)))).collect();
        let firing: Vec<Value> = budget
            .firing(now)
            .iter()
            .map(|firing| {
                json!({
                    "factor": firing.alert.factor,
                    "long": { "window_seconds": firing.alert.long.as_secs(), "burn": firing.long },
                    "short": { "window_seconds": firing.alert.short.as_secs(), "burn": firing.short },
                    "severity": firing.alert.severity.as_str(),
                })
            })
            .collect();
        let (faults, latency) = match &self.slo.good {
            Good::Available(faults) => (Some(faults.iter().map(|fault| fault.as_str()).collect::<Vec<_>>()), None),
            Good::Within(latency) => (None, Some(latency.as_secs_f64() * 1e3)),
        };
        json!({
            "name": &*self.slo.name,
            "host": &*self.slo.host,
            "route": self.slo.route.as_deref(),
            "faults": faults,
            "latency_ms": latency,
            "objective": objective.target(),
            "window_seconds": objective.window().as_secs(),
            "good": good,
            "bad": bad,
            "budget_left": budget.left(now),
            "burn": burn,
            "firing": firing,
        })
    }

    fn burns(&self, now: u64) -> Vec<Burn> {
        self.take(now);
        let budget = &self.budget.lock().budget;
        let left = budget.left(now);
        let burn = |firing: portcullis_slo::Firing| {
            let Alert { factor, long, short, severity } = firing.alert;
            Burn {
                slo: self.slo.name.to_string(),
                host: self.slo.host.to_string(),
                route: self.slo.route.as_ref().map(ToString::to_string),
                page: severity == Urgency::Page,
                factor,
                long: (long, firing.long),
                short: (short, firing.short),
                left,
            }
        };
        budget.firing(now).into_iter().map(burn).collect()
    }
}

fn unix(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
