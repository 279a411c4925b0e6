//! The queue of a gate under a scheduler that tries interleavings (shuttle): nobody waits while a place is free.
//!
//! Who gives a place back looks whether anybody waits, and who begins to wait looks whether a place is free. Were these two
//! looks to miss each other, a request would wait for its whole timeout in front of an idle upstream.

use shuttle::thread;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use portcullis_balance::Priority;

use super::tests::{LONG, gate, set};
use super::*;

/// Tries so many interleavings, half of them with few changes of turns.
fn explore(tries: usize, run: impl Fn() + Send + Sync + 'static) {
    let run = Arc::new(run);
    let again = Arc::clone(&run);
    shuttle::check_random(move || run(), tries / 2);
    shuttle::check_pct(move || again(), tries / 2, 3);
}

/// The place of a request that was told to go on.
fn told(waiting: &mut Waiting) -> Option<Place> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    match pin!(waiting.wait(LONG)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(place) => place.ok(),
        Poll::Pending => None,
    }
}

/// What a worker holds in the end.
fn admitted(admission: Admission) -> Result<Place, Option<Waiting>> {
    match admission {
        Admission::Entered(place) => Ok(place),
        Admission::Waits(waiting) => Err(Some(waiting)),
        Admission::Refused(_) => Err(None),
    }
}

/// What must hold when all have come to rest: who waits was told to go on as far as there are places, all that is held
/// counts, and in the end nothing does.
fn at_rest(gate: &Arc<Gate>, mut held: Vec<Place>, waiting: Vec<Waiting>) {
    let limit = usize::try_from(gate.limit()).unwrap();
    let all = held.len() + waiting.len();
    let mut left = Vec::new();
    for mut one in waiting {
        match told(&mut one) {
            Some(place) => held.push(place),
            None => left.push(one),
        }
    }
    assert_eq!(held.len(), all.min(limit), "{} wait", left.len());
    assert_eq!((gate.in_flight() as usize, gate.waiting()), (held.len(), left.len() as u64));
    drop((held, left));
    assert_eq!((gate.in_flight(), gate.waiting(), gate.shown().used()), (0, 0, 0));
}

#[test]
fn nobody_waits_for_a_place_that_is_given_back_at_that_moment() {
    explore(3_000, || {
        let gate = gate(1, 4);
        let first = admitted(gate.admit(Instant::now(), Priority::Normal, u32::MAX)).unwrap();
        let comes = Arc::clone(&gate);
        let comes = thread::spawn(move || admitted(comes.admit(Instant::now(), Priority::Normal, u32::MAX)));
        let leaves = thread::spawn(move || drop(first));
        leaves.join().unwrap();
        match comes.join().unwrap() {
            Ok(place) => at_rest(&gate, vec![place], Vec::new()),
            Err(waiting) => at_rest(&gate, Vec::new(), waiting.into_iter().collect()),
        }
    });
}

#[test]
fn requests_that_come_leave_and_give_up_at_once_lose_no_place() {
    explore(2_000, || {
        let gate = gate(1, 4);
        let workers = [Priority::Normal, Priority::Critical, Priority::Normal].map(|priority| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                // One gives its place back, one holds it, and one that waits gives up.
                match admitted(gate.admit(Instant::now(), priority, u32::MAX)) {
                    Ok(_) if priority == Priority::Normal => None,
                    Err(Some(_)) if priority == Priority::Critical => None,
                    other => Some(other),
                }
            })
        });
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        for worker in workers {
            match worker.join().unwrap() {
                Some(Ok(place)) => held.push(place),
                Some(Err(one)) => waiting.extend(one),
                None => {}
            }
        }
        at_rest(&gate, held, waiting);
    });
}

#[test]
fn an_edit_of_the_limit_lets_in_who_begins_to_wait_meanwhile() {
    explore(2_000, || {
        let gate = gate(1, 4);
        let first = admitted(gate.admit(Instant::now(), Priority::Normal, u32::MAX)).unwrap();
        let comes = Arc::clone(&gate);
        let comes = thread::spawn(move || admitted(comes.admit(Instant::now(), Priority::Normal, u32::MAX)));
        let edited = Arc::clone(&gate);
        let edits = thread::spawn(move || set(&edited, 2, 4));
        edits.join().unwrap();
        match comes.join().unwrap() {
            Ok(place) => at_rest(&gate, vec![first, place], Vec::new()),
            Err(waiting) => at_rest(&gate, vec![first], waiting.into_iter().collect()),
        }
    });
}
