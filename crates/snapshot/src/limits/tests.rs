//! Places go to who waits, leave with their futures, and survive an edit of the limit.

use portcullis_balance::Priority;
use std::time::Duration;

use super::*;

pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) fn gate(limit: u32, capacity: usize) -> Arc<Gate> {
    let gate = Arc::new(Gate::new(Arc::default(), Arc::default(), Instant::now()));
    set(&gate, limit, capacity);
    gate
}

pub(super) fn set(gate: &Arc<Gate>, limit: u32, capacity: usize) {
    let queue = QueuePolicy { capacity, timeout: LONG, stress_after: LONG };
    gate.set_policy(LimitPolicy::Fixed(limit), queue, Instant::now());
}

fn entered(gate: &Arc<Gate>, priority: Priority) -> Place {
    match gate.admit(Instant::now(), priority, u32::MAX) {
        Admission::Entered(place) => place,
        other @ (Admission::Waits(_) | Admission::Refused(_)) => panic!("{other:?}"),
    }
}

fn waits(gate: &Arc<Gate>, priority: Priority) -> Waiting {
    match gate.admit(Instant::now(), priority, u32::MAX) {
        Admission::Waits(waiting) => waiting,
        other @ (Admission::Entered(_) | Admission::Refused(_)) => panic!("{other:?}"),
    }
}

fn refused(gate: &Arc<Gate>, priority: Priority) -> Refused {
    match gate.admit(Instant::now(), priority, u32::MAX) {
        Admission::Refused(refused) => refused,
        other @ (Admission::Entered(_) | Admission::Waits(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_place_that_is_given_back_goes_to_who_waits() {
    let gate = gate(1, 2);
    let first = entered(&gate, Priority::Normal);
    let mut second = waits(&gate, Priority::Normal);
    let mut third = waits(&gate, Priority::Normal);
    assert_eq!(refused(&gate, Priority::Normal), Refused::QueueFull);
    assert_eq!((gate.in_flight(), gate.waiting()), (1, 2));
    drop(first);
    let place = second.wait(LONG).await.unwrap();
    assert_eq!((gate.in_flight(), gate.waiting()), (1, 1));
    drop(place);
    drop(third.wait(LONG).await.unwrap());
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[tokio::test]
async fn who_leaves_the_queue_makes_room_and_takes_no_place() {
    let gate = gate(1, 2);
    let first = entered(&gate, Priority::Normal);
    let left = waits(&gate, Priority::Normal);
    let mut stays = waits(&gate, Priority::Normal);
    drop(left);
    let mut late = waits(&gate, Priority::Normal);
    drop(first);
    drop(stays.wait(LONG).await.unwrap());
    drop(late.wait(LONG).await.unwrap());
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[tokio::test]
async fn a_place_that_reached_a_future_that_is_gone_goes_on_to_the_next() {
    let gate = gate(1, 2);
    let first = entered(&gate, Priority::Normal);
    let told = waits(&gate, Priority::Normal);
    let mut next = waits(&gate, Priority::Normal);
    drop(first);
    // It was told to enter, and never looked.
    drop(told);
    drop(next.wait(LONG).await.unwrap());
    assert_eq!(gate.in_flight(), 0);
}

#[tokio::test]
async fn the_more_important_displace_and_go_first() {
    let gate = gate(1, 2);
    let first = entered(&gate, Priority::Normal);
    let mut shed = waits(&gate, Priority::Sheddable);
    let mut normal = waits(&gate, Priority::Normal);
    let mut critical = waits(&gate, Priority::Critical);
    assert_eq!(shed.wait(LONG).await.unwrap_err(), Refused::Displaced);
    drop(first);
    let place = critical.wait(LONG).await.unwrap();
    assert_eq!(normal.wait(Duration::ZERO).await.unwrap_err(), Refused::TimedOut);
    drop((place, normal, shed));
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[tokio::test]
async fn an_edited_limit_counts_what_is_in_flight_and_lets_in_who_waits() {
    let gate = gate(1, 1);
    let first = entered(&gate, Priority::Normal);
    let mut second = waits(&gate, Priority::Normal);
    set(&gate, 2, 1);
    let second = second.wait(LONG).await.unwrap();
    assert_eq!(gate.in_flight(), 2);
    set(&gate, 1, 0);
    drop(first);
    assert_eq!(refused(&gate, Priority::Normal), Refused::Full);
    drop(second);
    drop(entered(&gate, Priority::Normal));
}

#[tokio::test]
async fn what_the_endpoints_take_together_bounds_too() {
    let gate = gate(10, 0);
    let now = Instant::now();
    let held: Vec<_> = (0..3).map(|_| gate.admit(now, Priority::Normal, 2)).collect();
    let entered = held.iter().filter(|one| matches!(one, Admission::Entered(_))).count();
    assert_eq!((entered, gate.in_flight()), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_limit_1_ten_thousand_are_served_one_after_the_other() {
    let gate = gate(1, 10_000);
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move {
                let place = match gate.admit(Instant::now(), Priority::Normal, u32::MAX) {
                    Admission::Entered(place) => place,
                    Admission::Waits(mut waiting) => waiting.wait(LONG).await.unwrap(),
                    Admission::Refused(refused) => panic!("{refused:?}"),
                };
                assert_eq!(gate.in_flight(), 1);
                tokio::task::yield_now().await;
                drop(place);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}
