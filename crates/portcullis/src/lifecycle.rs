//! In which step of its life the process is: shown in the log, in `/api/status`, as a metric, and to a service manager.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};
use serde_json::{Value, json};

use portcullis_telemetry::timestamp::write_timestamp;

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not ready yet.
    Starting,
    /// It serves.
    Serving,
    /// It serves, and a new binary is being started.
    Upgrading,
    /// It serves and says that it is not ready, so that load balancers turn away.
    Leaving,
    /// It accepts nothing; what is in flight ends.
    Draining,
}

impl Step {
    const ALL: [Self; 5] = [Self::Starting, Self::Serving, Self::Upgrading, Self::Leaving, Self::Draining];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Upgrading => "upgrading",
            Self::Leaving => "leaving",
            Self::Draining => "draining",
        }
    }
}

/// The process before this one, while it drains.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) pid: u32,
    pub(crate) version: String,
    /// What it still has; `None` once it is gone.
    pub(crate) connections: Option<usize>,
}

struct Now {
    step: Step,
    since: SystemTime,
    before: Option<Before>,
}

/// The step that is now.
pub(crate) struct Lifecycle(Mutex<Now>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(Mutex::new(Now { step: Step::Starting, since: SystemTime::now(), before: None }))
    }
}

const METRIC: (&str, &str) = ("portcullis_state", "1 at the step of its life that the process is in");

impl Lifecycle {
    /// Goes on to a step.
    pub(crate) fn enter(&self, step: Step) {
        let mut now = self.0.lock();
        (now.step, now.since) = (step, SystemTime::now());
    }

    pub(crate) fn step(&self) -> Step {
        self.0.lock().step
    }

    /// Notes how the process before this one does.
    pub(crate) fn follow(&self, before: Before) {
        self.0.lock().before = Some(before);
    }

    /// The process before this one has as many connections, or is gone.
    pub(crate) fn before_has(&self, connections: Option<usize>) {
        if let Some(before) = &mut self.0.lock().before {
            before.connections = connections;
        }
    }

    /// As `/api/status` shows it.
    pub(crate) fn shown(&self) -> Value {
        let now = self.0.lock();
        let before = now.before.as_ref().map(|before| {
            json!({
                "pid": before.pid,
                "version": before.version,
                "state": if before.connections.is_some() { "draining" } else { "gone" },
                "connections": before.connections,
            })
        });
        json!({
            "pid": std::process::id(),
            "state": now.step.as_str(),
            "since": moment(now.since),
            "follows": before,
        })
    }

    /// Shows it as a metric.
    ///
    /// # Errors
    /// It is registered already.
    pub(crate) fn register(self: &Arc<Self>, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        let descs = family()?.desc().into_iter().cloned().collect();
        registry.register(Box::new(Shown { lifecycle: Arc::clone(self), descs }))
    }
}

fn moment(at: SystemTime) -> String {
    let mut out = Vec::new();
    write_timestamp(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

fn family() -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(METRIC.0, METRIC.1), &["state"])
}

struct Shown {
    lifecycle: Arc<Lifecycle>,
    descs: Vec<Desc>,
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(family) = family() else { return Vec::new() };
        let now = self.lifecycle.step();
        for step in Step::ALL {
            family.with_label_values(&[step.as_str()]).set(i64::from(step == now));
        }
        family.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_step_is_shown() {
        let (lifecycle, registry) = (Arc::<Lifecycle>::default(), prometheus::Registry::new());
        lifecycle.register(&registry).unwrap();
        for step in Step::ALL {
            lifecycle.enter(step);
            let families = registry.gather();
            let all = families[0].get_metric();
            let on: Vec<&str> = all
                .iter()
                .filter(|one| one.get_gauge().get_value() > 0.5)
                .map(|one| one.get_label()[0].value())
                .collect();
            assert_eq!((all.len(), on), (Step::ALL.len(), vec![step.as_str()]));
            assert_eq!(lifecycle.shown()["state"], step.as_str());
        }
    }

    #[test]
    fn the_process_before_is_shown_until_it_is_gone() {
        let lifecycle = Lifecycle::default();
        assert!(lifecycle.shown()["follows"].is_null());
        lifecycle.follow(Before { pid: 7, version: "1".to_owned(), connections: Some(3) });
        assert_eq!(lifecycle.shown()["follows"]["state"], "draining");
        lifecycle.before_has(None);
        assert_eq!(
            lifecycle.shown()["follows"],
            json!({ "pid": 7, "version": "1", "state": "gone", "connections": null })
        );
    }
}
