//! How objectives stand, as metrics. Labels are names of the config, and the windows.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, Opts};

use portcullis_snapshot::Generations;

use super::{Slos, WINDOWS, unix};

/// The families, made anew for each reading: an objective that is gone leaves no series.
pub(crate) struct SloMetrics {
    slos: Arc<Slos>,
    generations: Arc<Generations>,
    descs: Vec<Desc>,
}

struct Families {
    good: IntCounterVec,
    bad: IntCounterVec,
    objective: GaugeVec,
    left: GaugeVec,
    burn: GaugeVec,
    failures: [IntCounter; 2],
}

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &["slo"]);
        let gauge = |name, help, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            good: counter("portcullis_slo_good_total", "Requests that went well, of those that count.")?,
            bad: counter("portcullis_slo_bad_total", "Requests that did not go well, of those that count.")?,
            objective: gauge("portcullis_slo_objective", "The share that should go well.", &["slo"])?,
            left: gauge(
                "portcullis_slo_budget_left",
                "The share of the error budget that is left in the objective's window; below 0 when it is missed.",
                &["slo"],
            )?,
            burn: gauge(
                "portcullis_slo_burn",
                "How many times faster than allowed the budget is used up; without requests there is none.",
                &["slo", "window"],
            )?,
            failures: [
                IntCounter::new("portcullis_slo_load_failures_total", "Files of budgets that could not be read.")?,
                IntCounter::new("portcullis_slo_save_failures_total", "Writes of the file of budgets that failed.")?,
            ],
        })
    }

    fn each(&self) -> [&dyn Collector; 7] {
        let [loads, saves] = &self.failures;
        [&self.good, &self.bad, &self.objective, &self.left, &self.burn, loads, saves]
    }
}

impl SloMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub(crate) fn register(
        slos: Arc<Slos>,
        generations: Arc<Generations>,
        registry: &prometheus::Registry,
    ) -> Result<(), prometheus::Error> {
        let descs = Families::new()?.each().iter().flat_map(|family| family.desc()).cloned().collect();
        registry.register(Box::new(Self { slos, generations, descs }))
    }

    fn families(&self) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let families = Families::new()?;
        let now = unix(SystemTime::now());
        for track in self.slos.of(&self.generations.current()) {
            track.take(now);
            let name = &*track.slo.name;
            let (good, bad) = track.totals();
            families.good.with_label_values(&[name]).inc_by(good);
            families.bad.with_label_values(&[name]).inc_by(bad);
            families.objective.with_label_values(&[name]).set(track.slo.objective.target());
            let budget = &track.budget.lock().budget;
            families.left.with_label_values(&[name]).set(budget.left(now));
            for (window, span) in WINDOWS {
                if let Some(burn) = budget.burn(now, span) {
                    families.burn.with_label_values(&[name, window]).set(burn);
                }
            }
        }
        for (family, count) in families.failures.iter().zip(self.slos.keeping.failures()) {
            family.inc_by(count);
        }
        Ok(families.each().iter().flat_map(|family| family.collect()).collect())
    }
}

impl Collector for SloMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families().unwrap_or_default()
    }
}
