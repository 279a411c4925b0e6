//! How many requests may be in flight at once: a fixed number, or one that follows latency.
//!
//! Invariants: requests in flight never exceed the limit in force when the last was let in; a limit is never below 1,
//! and at 1 it can grow; what is let in is counted until its [`Permit`] is dropped, however it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::Answer;
use crate::atomics::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering::Relaxed};

mod gradient;
mod places;

use places::Places;

pub use gradient::{AdaptivePolicy, Gradient, Observed};

/// How important a request is; less important ones are refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// May be refused whenever it is tight: prefetches, batches.
    Sheddable,
    /// Everything that says nothing.
    #[default]
    Normal,
    /// People wait for it.
    Important,
    /// Refused last: health, administration, payments.
    Critical,
}

impl Priority {
    /// The word of the config, the record and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::Normal => "normal",
            Self::Important => "important",
            Self::Critical => "critical",
        }
    }

    /// From the least important on.
    pub const ALL: [Self; 4] = [Self::Sheddable, Self::Normal, Self::Important, Self::Critical];

    /// The part of the limit that requests of this class may fill, in per cent.
    const fn part(self) -> u64 {
        match self {
            Self::Sheddable => 80,
            Self::Normal | Self::Important | Self::Critical => 100,
        }
    }
}

/// What bounds requests in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LimitPolicy {
    /// So many. 0 counts as 1.
    Fixed(u32),
    /// As many as latency allows.
    Adaptive(AdaptivePolicy),
}

/// A limit shared by all workers; see the module's text.
#[derive(Debug)]
pub struct Limiter {
    policy: LimitPolicy,
    places: Arc<Places>,
    refused: AtomicU64,
    adaptive: Option<Adaptive>,
    /// Whether another policy has taken its place: what its permits learn then moves nothing.
    replaced: AtomicBool,
}

/// Bits that answers are counted in.
const COUNT: u32 = 24;

/// Windows that a step is put off for at most, for want of answers.
const PATIENCE: u64 = 10;

#[derive(Debug)]
struct Adaptive {
    began: Instant,
    /// Nanoseconds from the beginning to the end of the window.
    window_ends: AtomicU64,
    window: u64,
    peak: AtomicU32,
    /// The microseconds of all answers above, how many answers there were in the lower [`COUNT`] bits: together, so that a
    /// window has both of an answer or neither.
    answers: AtomicU64,
    overloads: AtomicU32,
    gradient: Mutex<Gradient>,
}

impl Limiter {
    /// A limiter with nothing in flight.
    #[must_use]
    pub fn new(policy: LimitPolicy, now: Instant) -> Arc<Self> {
        Self::over(Arc::new(Places::new(0)), policy, policy, now)
    }

    /// The limiter of another policy, in which all that is in flight here counts. An adaptive one begins where this one
    /// is. The same policy gives the same limiter.
    #[must_use]
    pub fn with_policy(self: &Arc<Self>, policy: LimitPolicy, now: Instant) -> Arc<Self> {
        if self.policy == policy {
            return self.clone();
        }
        self.retire();
        let start = match policy {
            LimitPolicy::Fixed(_) => policy,
            // No limit at all says nothing of where to begin.
            LimitPolicy::Adaptive(_) if self.limit() == u32::MAX => policy,
            LimitPolicy::Adaptive(adaptive) => {
                LimitPolicy::Adaptive(AdaptivePolicy { initial: self.limit(), ..adaptive })
            }
        };
        Self::over(self.places.clone(), policy, start, now)
    }

    /// Moves the limit no more: another policy does.
    fn retire(&self) {
        // No step is half made meanwhile, which would undo the limit of that policy.
        let _step = self.adaptive.as_ref().map(|adaptive| adaptive.gradient.lock());
        self.replaced.store(true, Relaxed);
    }

    /// Takes in how long an answer took; when a window is over, the limit moves.
    fn learn(&self, now: Instant, latency: Duration, answer: Answer) {
        let Some(adaptive) = &self.adaptive else { return };
        adaptive.sample(now, latency, answer, |next| {
            if !self.replaced.load(Relaxed) {
                self.places.set_limit(next);
            }
        });
    }

    fn over(places: Arc<Places>, policy: LimitPolicy, start: LimitPolicy, now: Instant) -> Arc<Self> {
        let (limit, adaptive) = match start {
            LimitPolicy::Fixed(limit) => (limit.max(1), None),
            LimitPolicy::Adaptive(policy) => {
                let gradient = Gradient::new(policy);
                (gradient.limit(), Some(Adaptive::new(gradient, policy.window, now)))
            }
        };
        places.set_limit(limit);
        Arc::new(Self { policy, places, refused: AtomicU64::new(0), adaptive, replaced: AtomicBool::new(false) })
    }

    /// The limit now.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.places.limit()
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.places.taken()
    }

    /// How often [`Self::admit`] said no.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Lets a request in, unless as many are as may be.
    #[must_use]
    pub fn admit(self: &Arc<Self>, priority: Priority) -> Option<Permit> {
        self.admit_below(priority, u32::MAX)
    }

    /// As [`Self::admit`], with this bound beside the limit, 0 counting as 1: what the endpoints take together.
    #[must_use]
    pub fn admit_below(self: &Arc<Self>, priority: Priority, most: u32) -> Option<Permit> {
        let Some(taken) = self.places.take_below(priority.part(), most) else {
            self.refused.fetch_add(1, Relaxed);
            return None;
        };
        if let Some(adaptive) = &self.adaptive {
            adaptive.peak.fetch_max(taken, Relaxed);
        }
        Some(Permit { limiter: Arc::clone(self) })
    }
}

impl Adaptive {
    fn new(gradient: Gradient, window: Duration, now: Instant) -> Self {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            began: now,
            window_ends: AtomicU64::new(window),
            window,
            peak: AtomicU32::new(0),
            answers: AtomicU64::new(0),
            overloads: AtomicU32::new(0),
            gradient: Mutex::new(gradient),
        }
    }

    /// Takes in a sample. When the window is over, the limit of the next is put in force, by one worker at a time.
    fn sample(&self, now: Instant, latency: Duration, answer: Answer, enforce: impl FnOnce(u32)) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.answers.fetch_add((micros << COUNT).wrapping_add(1), Relaxed);
        if answer == Answer::Overloaded {
            self.overloads.fetch_add(1, Relaxed);
        }
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        if nanos < self.window_ends.load(Relaxed) {
            return;
        }
        // Whoever comes while another closes the window goes on, and whoever comes right after finds the next one.
        let Some(mut gradient) = self.gradient.try_lock() else { return };
        let (ends, samples) = (self.window_ends.load(Relaxed), count(self.answers.load(Relaxed)));
        if nanos < ends || samples == 0 {
            return;
        }
        // With few and slow answers a step is made all the same, only later.
        if samples < gradient.least() && nanos < ends.saturating_add(self.window.saturating_mul(PATIENCE)) {
            return;
        }
        self.window_ends.store(nanos.saturating_add(self.window), Relaxed);
        let answers = self.answers.swap(0, Relaxed);
        let samples = count(answers);
        let mean = (answers >> COUNT).checked_div(u64::from(samples)).unwrap_or(0);
        let next = gradient.observe(&Observed {
            latency: Duration::from_micros(mean),
            overloads: f64::from(self.overloads.swap(0, Relaxed)) / f64::from(samples.max(1)),
            peak: self.peak.swap(0, Relaxed),
            samples,
        });
        enforce(next);
    }
}

/// The answers of a window.
fn count(answers: u64) -> u32 {
    u32::try_from(answers & ((1 << COUNT) - 1)).unwrap_or(u32::MAX)
}

/// A place in flight, until it is dropped.
#[derive(Debug)]
#[must_use = "the request counts as in flight only while the permit is held"]
pub struct Permit {
    limiter: Arc<Limiter>,
}

impl Permit {
    /// Ends it with what an adaptive limit learns from: how long the answer took, a timeout included. One that is
    /// merely dropped (the client left) teaches nothing.
    pub fn finish(self, now: Instant, latency: Duration, answer: Answer) {
        self.limiter.learn(now, latency, answer);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.places.give_back();
    }
}

#[cfg(test)]
mod tests;
