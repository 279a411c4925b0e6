//! Whether the machine was able to do what was asked of it, so that a window is invalid and not slow.

use serde::{Deserialize, Serialize};

/// How well an open loop kept its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Requests that were planned.
    pub planned: u64,
    /// Of the sent ones, those that the load tool itself sent more than 1 ms late.
    pub late: u64,
    /// Of the sent ones, those that it sent more than 10 ms late.
    pub very_late: u64,
    /// Requests that waited because too many were in flight. Reported; it makes no window invalid, since a side that
    /// answers nothing must not be excused.
    pub capped: u64,
}

/// What the machine did during a window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// CPU time that the host kept from this machine, as a share of all its cores.
    pub steal: f64,
    /// CPU time of processes that are not part of the measurement, as a share of all cores.
    pub neighbour_cpu: f64,
    /// How long the process under test was ready to run and had no core, in nanoseconds, summed over its threads.
    pub run_queue_wait_ns: u64,
}

/// What may go wrong with a machine until a window says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Share of the planned requests that were not sent.
    pub unsent: f64,
    /// Share of the requests that were sent more than 1 ms late.
    pub late: f64,
    /// Share of the requests that were sent more than 10 ms late.
    pub very_late: f64,
    /// Share of all CPU time that the host kept.
    pub steal: f64,
    /// Share of the window that the process under test waited for a core; above 1 where several threads may wait.
    pub run_queue_wait: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unsent: 0.01, late: 0.01, very_late: 0.001, steal: 0.1, run_queue_wait: f64::INFINITY }
    }
}

impl Limits {
    /// Limits for shared machines that are never quiet: what is compared is CPU per request and counts beyond the objective, in
    /// pairs, and what the load tool was late falls on both sides alike.
    #[must_use]
    pub fn shared() -> Self {
        Self { late: 0.5, very_late: 0.05, steal: 0.25, ..Self::default() }
    }
}

/// Why a window says nothing about the side that was measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// Nothing was sent.
    #[error("no request was sent")]
    NoRequests,
    /// The machine did not hold the rate.
    #[error("the machine could not hold the rate: {sent} of {planned} planned requests were sent")]
    Unsent {
        /// Sent.
        sent: u64,
        /// Planned.
        planned: u64,
    },
    /// The load tool was late.
    #[error("the load tool was late: {late} of {sent} requests by more than 1 ms, {very_late} by more than 10 ms")]
    Late {
        /// By more than 1 ms.
        late: u64,
        /// By more than 10 ms.
        very_late: u64,
        /// Sent.
        sent: u64,
    },
    /// The host kept CPU time from the machine.
    #[error("the host kept {:.1} % of the machine's CPU time", share * 100.0)]
    Steal {
        /// Of all cores.
        share: f64,
    },
    /// The process under test waited for a core.
    #[error("the process under test waited for a core {:.1} % of the time", share * 100.0)]
    RunQueue {
        /// Of the window.
        share: f64,
    },
    /// It was not measured at all.
    #[error("{0}")]
    NotMeasured(String),
}

impl Schedule {
    pub(super) fn flaw(&self, sent: u64, limits: &Limits) -> Option<Invalid> {
        if share(self.planned.saturating_sub(sent), self.planned) > limits.unsent {
            return Some(Invalid::Unsent { sent, planned: self.planned });
        }
        let late = share(self.late, sent) > limits.late || share(self.very_late, sent) > limits.very_late;
        late.then_some(Invalid::Late { late: self.late, very_late: self.very_late, sent })
    }
}

impl Machine {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a window are far below 2^52")]
    pub(super) fn flaw(&self, seconds: f64, limits: &Limits) -> Option<Invalid> {
        if self.steal > limits.steal {
            return Some(Invalid::Steal { share: self.steal });
        }
        let waited = self.run_queue_wait_ns as f64 / 1e9 / seconds;
        (waited > limits.run_queue_wait).then_some(Invalid::RunQueue { share: waited })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
