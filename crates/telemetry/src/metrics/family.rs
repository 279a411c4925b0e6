//! The bridge to the `prometheus` crate: families as constants, and a page of samples to fill.
//!
//! Everything exported goes through here, so that a family's name, help, kind and labels stand in one place and a
//! sample cannot have other labels than its family.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Error, Registry};

use super::histogram::{BOUNDS, Totals};

/// What a family counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A family's fixed facts.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
}

impl Family {
    pub(super) const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name, help, kind: Kind::Counter, labels }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name, help, kind: Kind::Gauge, labels }
    }

    pub(super) const fn histogram(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name, help, kind: Kind::Histogram, labels }
    }

    fn desc(&self) -> Result<Desc, Error> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }
}

/// A part of the metrics that can be exported.
pub(super) trait Export: Send + Sync + 'static {
    /// Its families, in the order [`Export::export`] numbers them.
    const FAMILIES: &'static [Family];

    /// Writes every sample.
    fn export(&self, page: &mut Page);
}

/// Registers a part.
pub(super) fn register<T: Export>(registry: &Registry, part: &Arc<T>) -> Result<(), Error> {
    let descs = T::FAMILIES.iter().map(Family::desc).collect::<Result<_, _>>()?;
    registry.register(Box::new(Exporter { part: Arc::clone(part), descs }))
}

struct Exporter<T> {
    part: Arc<T>,
    descs: Vec<Desc>,
}

impl<T: Export> Collector for Exporter<T> {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut page = Page { families: T::FAMILIES, samples: T::FAMILIES.iter().map(|_| Vec::new()).collect() };
        self.part.export(&mut page);
        page.finish()
    }
}

/// The samples of one part, a list a family.
pub(super) struct Page {
    families: &'static [Family],
    samples: Vec<Vec<Metric>>,
}

impl Page {
    /// A sample of a counter or a gauge. `family` is its place in [`Export::FAMILIES`].
    pub(super) fn add(&mut self, family: usize, labels: &[&str], value: f64) {
        let Some(facts) = self.families.get(family) else { return };
        let mut metric = metric(facts, labels);
        match facts.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.push(family, metric);
    }

    /// The same, of a whole number.
    pub(super) fn count(&mut self, family: usize, labels: &[&str], value: u64) {
        self.add(family, labels, float(value));
    }

    /// The same, left out while it is 0: for label sets that are large and mostly unused.
    pub(super) fn count_seen(&mut self, family: usize, labels: &[&str], value: u64) {
        if value > 0 {
            self.count(family, labels, value);
        }
    }

    /// A sample of a histogram.
    pub(super) fn histogram(&mut self, family: usize, labels: &[&str], totals: &Totals) {
        let Some(facts) = self.families.get(family) else { return };
        let mut cumulative = 0;
        let buckets = BOUNDS.iter().zip(totals.buckets).map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(seconds(*bound));
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(totals.count());
        histogram.set_sample_sum(seconds(totals.nanos));
        let mut metric = metric(facts, labels);
        metric.set_histogram(histogram);
        self.push(family, metric);
    }

    fn push(&mut self, family: usize, metric: Metric) {
        if let Some(samples) = self.samples.get_mut(family) {
            samples.push(metric);
        }
    }

    fn finish(self) -> Vec<MetricFamily> {
        let family = |(facts, samples): (&Family, Vec<Metric>)| {
            let mut family = MetricFamily::default();
            family.set_name(facts.name.to_owned());
            family.set_help(facts.help.to_owned());
            family.set_field_type(match facts.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family.set_metric(samples);
            family
        };
        self.families.iter().zip(self.samples).map(family).collect()
    }
}

fn metric(facts: &Family, values: &[&str]) -> Metric {
    debug_assert_eq!(facts.labels.len(), values.len(), "{}", facts.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(facts.labels.iter().zip(values).map(pair).collect())
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64()
}

/// Exact up to 2^53, as every Prometheus sample is.
pub(super) fn float(n: u64) -> f64 {
    n as f64
}
