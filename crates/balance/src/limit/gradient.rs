//! A limit that follows the gradient of latency.
//!
//! As in Netflix's concurrency-limits and Envoy's adaptive concurrency: while answers take about as long as they do
//! without queueing, the limit grows by its square root; when they take longer, it shrinks in proportion. What
//! "without queueing" means is measured from time to time with half of the limit, and half of that again for as long as
//! that brings latency down: a limit that is far too high comes down at once, and one that is right is hardly lowered.

use std::time::Duration;

use crate::number::small;

/// How the limit moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptivePolicy {
    /// The limit at the start.
    pub initial: u32,
    /// The least; 0 counts as 1.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// How long latency is collected for one step, at least.
    pub window: Duration,
    /// With how many answers, at least.
    pub samples: u32,
    /// How much longer than without queueing answers may take before the limit shrinks; 1.3 is 30 %.
    pub tolerance: f64,
    /// Steps from one measurement without queueing to the next.
    pub measure_every: u32,
}

impl Default for AdaptivePolicy {
    /// From 20, between 1 and 1,000; steps of 100 ms and 20 answers; 30 %; measured every 150 steps (15 s).
    fn default() -> Self {
        Self {
            initial: 20,
            min: 1,
            max: 1_000,
            window: Duration::from_millis(100),
            samples: 20,
            tolerance: 1.3,
            measure_every: 150,
        }
    }
}

/// What a window saw.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// The mean latency.
    pub latency: Duration,
    /// The part of answers that said that the upstream is overloaded.
    pub overloads: f64,
    /// The most in flight at once.
    pub peak: u32,
    /// How many answers there were.
    pub samples: u32,
}

/// What the next window is for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// To find the limit; a measurement follows after so many.
    Seeking(u32),
    /// The limit was halved; so many answers to requests from before are to come in still.
    Settling(Descent, f64),
    /// Latency is measured at the halved limit.
    Measuring(Descent),
}

/// A measurement under way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Descent {
    /// The limit that it began at.
    from: f64,
    /// Seconds at twice of the limit that is measured now.
    above: f64,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Gradient {
    policy: AdaptivePolicy,
    limit: f64,
    /// Seconds without queueing; 0.0 before the first window.
    base: f64,
    phase: Phase,
}

/// Steps before the first measurement.
const FIRST: u32 = 5;
/// Half of a limit has found queueing when it brings latency down to this part.
const LOWER: f64 = 0.85;
/// How much of a step is taken.
const SMOOTHING: f64 = 0.3;

impl Gradient {
    /// At the start.
    #[must_use]
    pub fn new(policy: AdaptivePolicy) -> Self {
        let mut gradient = Self { policy, limit: f64::from(policy.initial), base: 0.0, phase: Phase::Seeking(FIRST) };
        gradient.limit = gradient.bounded(gradient.limit);
        gradient
    }

    /// The limit now.
    #[must_use]
    pub fn limit(&self) -> u32 {
        small(self.limit.round())
    }

    /// How many answers a window must have.
    pub(super) const fn least(&self) -> u32 {
        self.policy.samples
    }

    fn bounded(&self, limit: f64) -> f64 {
        let min = f64::from(self.policy.min.max(1));
        limit.clamp(min, f64::from(self.policy.max).max(min))
    }

    /// Takes a step; answers with the limit of the next window.
    pub fn observe(&mut self, seen: &Observed) -> u32 {
        let latency = seen.latency.as_secs_f64().max(1e-6);
        match self.phase {
            Phase::Seeking(left) => {
                self.base = if self.base == 0.0 { latency } else { self.base.min(latency) };
                self.seek(latency, seen);
                self.phase = Phase::Seeking(left.saturating_sub(1));
                if left <= 1 {
                    self.descend(Descent { from: self.limit, above: latency });
                }
            }
            Phase::Settling(descent, left) => {
                let left = left - f64::from(seen.samples);
                self.phase = if left > 0.0 { Phase::Settling(descent, left) } else { Phase::Measuring(descent) };
            }
            Phase::Measuring(descent) => self.measured(latency, descent),
        }
        self.limit()
    }

    fn seek(&mut self, latency: f64, seen: &Observed) {
        let gradient = (self.policy.tolerance.max(1.0) * self.base / latency).clamp(0.5, 1.0);
        let gradient = gradient * (1.0 - seen.overloads.clamp(0.0, 0.5));
        let next = self.limit * gradient + self.limit.sqrt() * f64::from(u8::from(seen.overloads == 0.0));
        // A limit that is not reached says nothing about how high it may be.
        let reached = f64::from(seen.peak) * 2.0 >= self.limit;
        if next < self.limit || reached {
            self.limit = self.bounded(self.limit + (next - self.limit) * SMOOTHING);
        }
    }

    fn descend(&mut self, descent: Descent) {
        self.phase = Phase::Settling(descent, self.limit);
        self.limit = self.bounded(self.limit / 2.0);
    }

    /// Goes on down while that makes answers faster; where it does not, nothing queues.
    fn measured(&mut self, latency: f64, descent: Descent) {
        self.base = latency;
        let least = self.bounded(0.0);
        if latency < descent.above * LOWER && self.limit > least {
            self.descend(Descent { above: latency, ..descent });
            return;
        }
        // Twice of this did not queue, or only little: from a bit above it the limit is sought again.
        self.limit = self.bounded((self.limit * 3.0).min(descent.from));
        self.phase = Phase::Seeking(self.policy.measure_every.max(FIRST));
    }
}
