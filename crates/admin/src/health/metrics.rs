//! The verdict as metrics. Labels are closed enums.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use portcullis_health::{Kind, Severity, State};

use super::Health;

const STATE: (&str, &str) = ("portcullis_verdict", "1 at the verdict of the last look.");
const REASONS: (&str, &str) = ("portcullis_verdict_reasons", "Reasons of the verdict, by kind and severity.");

struct Told {
    health: Arc<Health>,
    state: IntGaugeVec,
    reasons: IntGaugeVec,
}

impl Health {
    /// Registers `portcullis_verdict` and `portcullis_verdict_reasons`.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(self: &Arc<Self>, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        let state = IntGaugeVec::new(Opts::new(STATE.0, STATE.1), &["state"])?;
        let reasons = IntGaugeVec::new(Opts::new(REASONS.0, REASONS.1), &["kind", "severity"])?;
        registry.register(Box::new(Told { health: Arc::clone(self), state, reasons }))
    }
}

impl Collector for Told {
    fn desc(&self) -> Vec<&Desc> {
        self.state.desc().into_iter().chain(self.reasons.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let verdict = self.health.last();
        for state in State::ALL {
            self.state.with_label_values(&[state.as_str()]).set(i64::from(state == verdict.state));
        }
        for kind in Kind::ALL {
            for severity in Severity::ALL {
                let is = |finding: &portcullis_health::Finding| finding.kind == kind && finding.severity == severity;
                let count = verdict.reasons.iter().filter(|reason| is(&reason.finding)).count();
                let labels = [kind.as_str(), severity.as_str()];
                self.reasons.with_label_values(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        self.state.collect().into_iter().chain(self.reasons.collect()).collect()
    }
}
