//! Requests that wait for a place in flight: bounded in number and in time.
//!
//! Important requests go before less important ones, and when the queue is full they take the place of those. Within a
//! class the oldest goes first while the queue moves. Once the oldest has waited for longer than a part of the time
//! allowed, the queue is under stress: then the newest goes first, because it can still be answered in time, while the
//! oldest will mostly be given up on by its client.
//!
//! The machine does no I/O and reads no clock. `T` is what wakes the waiter; the driver keeps the queue behind a lock
//! that only requests which have to wait take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limit::Priority;

/// How long a queue may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePolicy {
    /// Waiting requests at most; 0 refuses all.
    pub capacity: usize,
    /// How long one may wait.
    pub timeout: Duration,
    /// The queue is under stress when the oldest has waited for longer than this.
    pub stress_after: Duration,
}

impl Default for QueuePolicy {
    /// 256 for half a second; under stress after a tenth of that.
    fn default() -> Self {
        Self { capacity: 256, timeout: Duration::from_millis(500), stress_after: Duration::from_millis(50) }
    }
}

/// What became of a request that came to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "one that does not wait must be answered"]
pub enum Offer<T> {
    /// It waits.
    Waits,
    /// It waits, in the place of this less important one.
    Displaced(T),
    /// The queue is full of what is as important.
    Full(T),
}

#[derive(Debug)]
struct Waiter<T> {
    since: Instant,
    value: T,
}

/// See the module's text.
#[derive(Debug)]
pub struct WaitQueue<T> {
    policy: QueuePolicy,
    /// One for each of [`Priority::ALL`], each oldest first.
    classes: [VecDeque<Waiter<T>>; 4],
}

impl<T> WaitQueue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(policy: QueuePolicy) -> Self {
        Self { policy, classes: std::array::from_fn(|_| VecDeque::new()) }
    }

    /// Another policy for those that wait and those that come.
    pub const fn set_policy(&mut self, policy: QueuePolicy) {
        self.policy = policy;
    }

    /// How important the next to be let in is.
    #[must_use]
    pub fn most_important(&self) -> Option<Priority> {
        let classes = Priority::ALL.iter().zip(&self.classes).rev();
        classes.filter(|(_, class)| !class.is_empty()).map(|(priority, _)| *priority).next()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }

    /// Takes a request in. The caller has taken out those whose time is over, see [`Self::expire`].
    pub fn offer(&mut self, now: Instant, priority: Priority, value: T) -> Offer<T> {
        let mut displaced = None;
        if self.len() >= self.policy.capacity {
            displaced = self.displace(priority);
            if displaced.is_none() {
                return Offer::Full(value);
            }
        }
        if let Some(class) = self.classes.get_mut(priority as usize) {
            class.push_back(Waiter { since: now, value });
        }
        displaced.map_or(Offer::Waits, Offer::Displaced)
    }

    /// Takes out the oldest of the least important, if that is less important than this.
    fn displace(&mut self, priority: Priority) -> Option<T> {
        let below = self.classes.iter_mut().take(priority as usize);
        below.filter_map(|class| class.pop_front().map(|waiter| waiter.value)).next()
    }

    /// Whether the oldest has waited for too long for the queue to be worked off in order.
    #[must_use]
    pub fn is_stressed(&self, now: Instant) -> bool {
        let oldest = self.classes.iter().filter_map(VecDeque::front).map(|waiter| waiter.since).min();
        oldest.is_some_and(|oldest| now.saturating_duration_since(oldest) > self.policy.stress_after)
    }

    /// The next to be let in, a place being free.
    pub fn next(&mut self, now: Instant) -> Option<T> {
        let stressed = self.is_stressed(now);
        let (policy, class) = (self.policy, self.classes.iter_mut().rev().find(|class| !class.is_empty())?);
        let next = if stressed { class.pop_back() } else { class.pop_front() };
        let next = next?;
        if expired(&policy, &next, now) {
            // The newest of its class is too old, so all of the class is; or the oldest is, in a queue without stress,
            // which a timeout shorter than the stress allows. Either way it is told by `expire`.
            class.push_front(next);
            return self.fresh(now);
        }
        Some(next.value)
    }

    /// The most important that has time left.
    fn fresh(&mut self, now: Instant) -> Option<T> {
        let policy = self.policy;
        self.classes.iter_mut().rev().find_map(|class| {
            let at = class.iter().position(|waiter| !expired(&policy, waiter, now))?;
            class.remove(at).map(|waiter| waiter.value)
        })
    }

    /// Takes out one whose time is over. To be called until there is none, before [`Self::offer`] and when
    /// [`Self::next_deadline`] is reached.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        let policy = self.policy;
        let class =
            self.classes.iter_mut().find(|class| class.front().is_some_and(|oldest| expired(&policy, oldest, now)))?;
        class.pop_front().map(|waiter| waiter.value)
    }

    /// When the time of the oldest is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let oldest = self.classes.iter().filter_map(VecDeque::front).map(|waiter| waiter.since).min()?;
        Some(oldest + self.policy.timeout)
    }

    /// Takes out those that are not waited for any more, as when clients left.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for class in &mut self.classes {
            class.retain(|waiter| keep(&waiter.value));
        }
    }
}

fn expired<T>(policy: &QueuePolicy, waiter: &Waiter<T>, now: Instant) -> bool {
    now.saturating_duration_since(waiter.since) >= policy.timeout
}

#[cfg(test)]
mod tests;
