//! Order, bounds and stress.

use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn queue(capacity: usize) -> WaitQueue<u32> {
    WaitQueue::new(QueuePolicy { capacity, timeout: 100 * MS, stress_after: 20 * MS })
}

#[test]
fn the_oldest_goes_first_and_under_stress_the_newest() {
    for (waited, expected) in [(0, [1, 2, 3]), (20, [1, 2, 3]), (21, [3, 2, 1])] {
        let start = Instant::now();
        let mut queue = queue(8);
        (1..4).for_each(|nth| assert_eq!(queue.offer(start, Priority::Normal, nth), Offer::Waits));
        let now = start + waited * MS;
        assert_eq!(queue.is_stressed(now), waited > 20);
        assert_eq!([queue.next(now), queue.next(now), queue.next(now)], expected.map(Some));
        assert_eq!(queue.next(now), None);
    }
}

#[test]
fn the_important_go_first_and_displace_the_rest() {
    use Priority::{Critical, Important, Normal, Sheddable};
    let now = Instant::now();
    let mut queue = queue(3);
    for (nth, (priority, expected)) in (0..).zip([
        (Normal, Offer::Waits),
        (Sheddable, Offer::Waits),
        (Important, Offer::Waits),
        (Sheddable, Offer::Full(3)),
        (Normal, Offer::Displaced(1)),
        (Normal, Offer::Full(5)),
        (Critical, Offer::Displaced(0)),
        (Critical, Offer::Displaced(4)),
        (Critical, Offer::Displaced(2)),
        (Critical, Offer::Full(9)),
    ]) {
        assert_eq!(queue.offer(now, priority, nth), expected);
    }
    assert_eq!([queue.next(now), queue.next(now), queue.next(now)], [Some(6), Some(7), Some(8)]);
}

#[test]
fn nobody_waits_past_the_deadline() {
    let start = Instant::now();
    let mut queue = queue(8);
    let _ = queue.offer(start, Priority::Normal, 1);
    let _ = queue.offer(start + 50 * MS, Priority::Sheddable, 2);
    assert_eq!(queue.next_deadline(), Some(start + 100 * MS));
    assert_eq!(queue.expire(start + 99 * MS), None);
    assert_eq!(queue.next(start + 100 * MS), Some(2), "one that is too late is not let in");
    assert_eq!(queue.expire(start + 100 * MS), Some(1));
    assert_eq!((queue.expire(start + 100 * MS), queue.is_empty(), queue.next_deadline()), (None, true, None));
}

#[test]
fn those_that_left_take_no_place() {
    let now = Instant::now();
    let mut queue = queue(2);
    (1..3).for_each(|nth| assert_eq!(queue.offer(now, Priority::Normal, nth), Offer::Waits));
    queue.retain(|nth| *nth != 1);
    assert_eq!((queue.len(), queue.next(now)), (1, Some(2)));
    let mut none = WaitQueue::new(QueuePolicy { capacity: 0, ..QueuePolicy::default() });
    assert_eq!(none.offer(now, Priority::Critical, 1), Offer::Full(1));
}

proptest! {
    #[test]
    fn every_request_leaves_once_and_in_time(
        capacity in 0_usize..6,
        steps in prop::collection::vec((0_u8..4, 0_u32..60, 0_usize..4), 1..200),
    ) {
        let mut queue = queue(capacity);
        let mut now = Instant::now();
        let mut waiting: Vec<(u32, Instant, Priority)> = Vec::new();
        let leave = |waiting: &mut Vec<(u32, Instant, Priority)>, gone: u32| {
            let at = waiting.iter().position(|(nth, ..)| *nth == gone);
            at.map(|at| waiting.remove(at))
        };
        for (nth, (what, pause, class)) in (0..).zip(steps) {
            now += pause * MS;
            while let Some(gone) = queue.expire(now) {
                let (_, since, _) = leave(&mut waiting, gone).unwrap();
                prop_assert!(now - since >= 100 * MS);
            }
            if what == 0 {
                if let Some(next) = queue.next(now) {
                    let (_, since, priority) = leave(&mut waiting, next).unwrap();
                    prop_assert!(now - since < 100 * MS);
                    prop_assert!(waiting.iter().all(|(.., other)| *other <= priority));
                }
            } else {
                let priority = Priority::ALL[class];
                match queue.offer(now, priority, nth) {
                    Offer::Waits => waiting.push((nth, now, priority)),
                    Offer::Displaced(other) => {
                        waiting.push((nth, now, priority));
                        let (.., less) = leave(&mut waiting, other).unwrap();
                        prop_assert!(less < priority);
                    }
                    Offer::Full(back) => prop_assert_eq!(back, nth),
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert!(queue.len() <= capacity);
        }
    }
}
