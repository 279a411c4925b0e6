//! Limits hold, and adaptive ones find what a simulated server can do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::Draws;
use proptest::prelude::*;

#[test]
fn admits_up_to_the_limit_and_the_less_important_not_as_far() {
    for (limit, priority, expected) in [
        (10, Priority::Normal, 10),
        (10, Priority::Critical, 10),
        (10, Priority::Sheddable, 8),
        (1, Priority::Sheddable, 1),
        (0, Priority::Normal, 1),
    ] {
        let limiter = Limiter::new(LimitPolicy::Fixed(limit), Instant::now());
        let held: Vec<Permit> = (0..20).filter_map(|_| limiter.admit(priority)).collect();
        assert_eq!(
            (held.len(), limiter.in_flight(), limiter.refused()),
            (expected as usize, expected, u64::from(20 - expected))
        );
        drop(held);
        assert_eq!(limiter.in_flight(), 0);
    }
}

#[test]
fn another_policy_counts_what_is_in_flight_and_begins_where_the_one_before_was() {
    let now = Instant::now();
    let adaptive = AdaptivePolicy { window: Duration::ZERO, samples: 1, ..AdaptivePolicy::default() };
    let unlimited = Limiter::new(LimitPolicy::Fixed(u32::MAX), now);
    let held: Vec<Permit> = (0..2).filter_map(|_| unlimited.admit(Priority::Normal)).collect();
    let first = unlimited.with_policy(LimitPolicy::Adaptive(adaptive), now);
    assert_eq!((first.limit(), first.in_flight()), (adaptive.initial, 2));
    assert!(Arc::ptr_eq(&first, &first.with_policy(LimitPolicy::Adaptive(adaptive), now)));
    let learning = first.admit(Priority::Normal).unwrap();
    let fixed = first.with_policy(LimitPolicy::Fixed(3), now);
    assert!(fixed.admit(Priority::Normal).is_none());
    // What belongs to the policy before moves this one no more.
    learning.finish(now + Duration::from_secs(1), Duration::from_millis(5), Answer::Good);
    drop(held);
    assert_eq!((fixed.limit(), fixed.in_flight()), (3, 0));
    let again = fixed.with_policy(LimitPolicy::Adaptive(AdaptivePolicy { max: 500, ..adaptive }), now);
    assert_eq!(again.limit(), 3);
    assert!(again.admit_below(Priority::Critical, 0).is_some() && again.in_flight() == 0, "one may always be");
}

/// An M/M/c server behind an adaptive limit, asked for so much of its capacity; what is refused is lost.
struct Sim {
    workers: usize,
    mean: f64,
    load: f64,
    seconds: f64,
}

struct Found {
    limits: Vec<u32>,
    served: f64,
}

/// A running or queued request: when it came.
type Entry = (Permit, f64);

impl Sim {
    fn run(&self, policy: AdaptivePolicy) -> Found {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let limiter = Limiter::new(LimitPolicy::Adaptive(policy), start);
        let mut draws = Draws::new(4);
        let mut exponential = |mean: f64| -(1.0 - (draws.next() >> 11) as f64 / (1_u64 << 53) as f64).ln() * mean;
        let nanos = |seconds: f64| crate::number::whole(seconds * 1e9);
        let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut slots: Vec<Option<Entry>> = Vec::new();
        let (mut queue, mut limits, mut served): (VecDeque<Entry>, _, _) = (VecDeque::new(), Vec::new(), 0_u32);
        let (mut now, half) = (0.0, self.seconds / 2.0);
        let gap = self.mean / self.workers as f64 / self.load;
        while now < self.seconds {
            now += exponential(gap);
            while let Some(Reverse((done, slot))) =
                running.peek().copied().filter(|Reverse((done, _))| *done <= nanos(now))
            {
                running.pop();
                let done = done as f64 / 1e9;
                if let Some((permit, began)) = slots[slot].take() {
                    permit.finish(at(done), Duration::from_secs_f64(done - began), Answer::Good);
                    served += u32::from(done > half);
                }
                if let Some(next) = queue.pop_front() {
                    slots[slot] = Some(next);
                    running.push(Reverse((nanos(done + exponential(self.mean)), slot)));
                }
            }
            if let Some(permit) = limiter.admit(Priority::Normal) {
                if running.len() < self.workers {
                    let slot = slots.iter().position(Option::is_none).unwrap_or(slots.len());
                    slots.resize_with(slots.len().max(slot + 1), || None);
                    slots[slot] = Some((permit, now));
                    running.push(Reverse((nanos(now + exponential(self.mean)), slot)));
                } else {
                    queue.push_back((permit, now));
                }
            }
            if now > half {
                limits.push(limiter.limit());
            }
        }
        Found { limits, served: f64::from(served) * self.mean / self.workers as f64 / (self.seconds - half) }
    }
}

#[test]
fn converges_on_what_an_overloaded_server_can_do() {
    // Whatever it began with, asked for twice of what the server can do: the limit lies between the number of workers
    // and twice as many and some, and nearly all of the server is used.
    for (workers, initial) in [(1, 20), (1, 1), (4, 1), (8, 500), (32, 20), (32, 1_000), (100, 1)] {
        let sim = Sim { workers, mean: 0.010, load: 2.0, seconds: 40.0 };
        let found = sim.run(AdaptivePolicy { initial, ..AdaptivePolicy::default() });
        let mut limits = found.limits.clone();
        limits.sort_unstable();
        let (low, middle, high) = (limits[limits.len() / 20], limits[limits.len() / 2], limits[limits.len() * 19 / 20]);
        let workers = u32::try_from(workers).unwrap();
        assert!(middle >= workers && high <= 2 * workers + 8, "{workers} from {initial}: {low} {middle} {high}");
        assert!(found.served > 0.9, "{workers} from {initial}: {} of the capacity served", found.served);
    }
}

#[test]
fn lets_all_through_where_there_is_capacity() {
    let sim = Sim { workers: 32, mean: 0.010, load: 0.6, seconds: 30.0 };
    let found = sim.run(AdaptivePolicy::default());
    assert!(found.served > 0.57, "{} of the capacity served, 0.6 asked for", found.served);
}

#[test]
fn a_limit_of_one_grows_again() {
    let mut gradient = Gradient::new(AdaptivePolicy { initial: 1, ..AdaptivePolicy::default() });
    let seen = |latency: u64, overloads, peak| Observed {
        latency: Duration::from_millis(latency),
        overloads,
        peak,
        samples: 20,
    };
    for _ in 0..200 {
        let limit = gradient.observe(&seen(1_000, 1.0, 1));
        assert!(limit >= 1);
    }
    assert_eq!(gradient.limit(), 1);
    for _ in 0..200 {
        let peak = gradient.limit();
        gradient.observe(&seen(10, 0.0, peak));
    }
    assert!(gradient.limit() > 20, "{}", gradient.limit());
}

#[test]
fn a_limit_that_is_not_reached_stays() {
    let mut gradient = Gradient::new(AdaptivePolicy::default());
    let seen = Observed { latency: Duration::from_millis(10), overloads: 0.0, peak: 2, samples: 20 };
    for _ in 0..1_000 {
        gradient.observe(&seen);
    }
    assert!(gradient.limit() <= 20);
}

proptest! {
    #[test]
    fn no_schedule_passes_the_limit_or_leaks_a_permit(
        adaptive: bool,
        limit in 0_u32..30,
        steps in prop::collection::vec((0_u8..4, 0_u64..500, 0_usize..4), 1..300),
    ) {
        let start = Instant::now();
        let policy = AdaptivePolicy { initial: limit, window: Duration::from_millis(1), samples: 1, ..AdaptivePolicy::default() };
        let policy = if adaptive { LimitPolicy::Adaptive(policy) } else { LimitPolicy::Fixed(limit) };
        let limiter = Limiter::new(policy, start);
        let mut held = Vec::new();
        for (nth, (what, millis, class)) in (0..).zip(steps) {
            let (before, most) = (held.len(), limiter.limit());
            prop_assert!(most >= 1);
            match what {
                0 | 1 => held.extend(limiter.admit(Priority::ALL[class])),
                2 => drop(held.pop()),
                _ => {
                    if let Some(permit) = held.pop() {
                        let answer = if class == 0 { Answer::Overloaded } else { Answer::Good };
                        permit.finish(start + Duration::from_millis(nth), Duration::from_millis(millis), answer);
                    }
                }
            }
            prop_assert!(held.len() <= before || held.len() <= most as usize);
            prop_assert!(before > 0 || what > 1 || held.len() == 1, "one is always let in where none is");
            prop_assert_eq!(limiter.in_flight() as usize, held.len());
        }
    }
}
