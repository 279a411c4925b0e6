//! What tests here see of the metrics: a scrape.

use prometheus::Registry;

use portcullis_telemetry::metrics::{RpcMetrics, render};
use portcullis_telemetry::{Metrics, MetricsOptions};

/// The metrics as who scrapes them sees them.
pub(crate) struct Scrape {
    registry: Registry,
    _metrics: Metrics,
}

/// Metrics, and how to look at them.
pub(crate) fn metrics() -> (Scrape, RpcMetrics) {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, MetricsOptions::default()).expect("new families");
    let rpc = RpcMetrics::default();
    metrics.attach_rpc(&registry, &rpc).expect("new families");
    (Scrape { registry, _metrics: metrics }, rpc)
}

impl Scrape {
    /// The value of a series, written as the text format writes it.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let text = String::from_utf8(render(&self.registry).expect("samples")).expect("text");
        let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }

    /// Checks it.
    pub(crate) fn is(&self, series: &str, expected: f64) {
        let value = self.value(series);
        assert!((value - expected).abs() < f64::EPSILON, "{series}: {value} in place of {expected}");
    }
}
