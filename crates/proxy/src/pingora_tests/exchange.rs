//! What the gateway relies on in Pingora's exchange between client and upstream, which is our change
//! (`vendor/README.md`): however much the two halves have for each other, other tasks of the worker get their turns.
//!
//! The vendored file is compiled here a second time, since the crate keeps it to itself and its tests are not run.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[path = "../../../../vendor/pingora-proxy/src/exchange.rs"]
#[rustfmt::skip]
#[allow(dead_code, clippy::all, reason = "not all of it is needed here, and it is of the vendored edition and style")]
mod exchange;

use exchange::{Pipe, Turn, Weigh, exchange};

/// How often the halves take turns in one poll, as the vendored file has it.
const ROUNDS: usize = 64;

/// A chunk of so many bytes.
impl Weigh for usize {
    fn weight(&self) -> usize {
        *self
    }
}

/// Counts how often the task is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a run of an exchange was like.
struct Course {
    polls: usize,
    woken: usize,
    /// The most chunks that went through in one poll.
    most: usize,
}

/// An upstream that has so many chunks at hand, and a client that takes each at once: neither ever waits for the outside.
fn hand_over(chunks: usize) -> Course {
    let (to_client, to_upstream) = (Turn::default(), Turn::default());
    let pipe = Pipe::<usize, 2>::new(&to_upstream, &to_client);
    let (sender, mut receiver) = pipe.ends();
    let taken = AtomicUsize::new(0);
    let client = async {
        while let Some(chunk) = receiver.recv().await {
            assert_eq!(chunk, taken.fetch_add(1, Ordering::Relaxed), "in order");
        }
        Ok::<_, Infallible>(())
    };
    let upstream = async move {
        for chunk in 0..chunks {
            sender.send(chunk).await.unwrap();
        }
        Ok::<_, Infallible>(())
    };
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut both = pin!(exchange(client, upstream, (&to_client, &to_upstream)));
    let (mut polls, mut most, mut ended) = (0, 0, false);
    while !ended {
        let before = taken.load(Ordering::Relaxed);
        ended = both.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        (polls, most) = (polls + 1, most.max(taken.load(Ordering::Relaxed) - before));
        assert!(ended || woken.0.load(Ordering::Relaxed) == polls, "a task that is not woken would never go on");
    }
    assert_eq!(taken.load(Ordering::Relaxed), chunks, "all went through");
    Course { polls, woken: woken.0.load(Ordering::Relaxed), most }
}

#[test]
fn an_upstream_with_thousands_of_chunks_at_hand_lets_other_tasks_have_their_turns() {
    let course = hand_over(10_000);
    // Each turn of a half moves two chunks at most, as many as the pipe holds.
    assert!(course.most <= 2 * ROUNDS, "{} chunks in one poll", course.most);
    assert!(course.polls >= 10_000 / (2 * ROUNDS), "{} polls", course.polls);
    assert_eq!(course.woken, course.polls - 1, "it is queued again each time, but for the last");
}

#[test]
fn an_exchange_of_a_few_chunks_takes_one_poll() {
    for chunks in [0, 1, 2, 10] {
        let course = hand_over(chunks);
        assert_eq!((course.polls, course.woken), (1, 0), "{chunks}");
    }
}

#[test]
fn an_exchange_that_waits_for_the_outside_is_not_woken_by_itself() {
    let (first, second) = (Turn::default(), Turn::default());
    let pipe = Pipe::<usize, 2>::new(&second, &first);
    let (sender, mut receiver) = pipe.ends();
    let client = async {
        while receiver.recv().await.is_some() {}
        Ok::<_, Infallible>(())
    };
    let upstream = async move {
        sender.send(1).await.unwrap();
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(())
    };
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut both = pin!(exchange(client, upstream, (&first, &second)));
    for _ in 0..3 {
        assert!(matches!(both.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
}

/// How many chunks of `size` bytes a pipe takes that nobody reads from, and that it takes more once one was read.
fn held(size: usize) -> usize {
    let (to_client, to_upstream) = (Turn::default(), Turn::default());
    let pipe = Pipe::<usize, 4>::new(&to_upstream, &to_client);
    let (sender, mut receiver) = pipe.ends();
    let mut taken = 0;
    while let Ok(place) = sender.try_reserve() {
        place.send(size);
        taken += 1;
    }
    assert_eq!(receiver.try_recv(), Some(size));
    assert!(sender.try_reserve().is_ok());
    taken
}

#[test]
fn a_pipe_is_bounded_by_number_and_by_bytes() {
    for (size, chunks) in [(0, 4), (100, 4), (32 * 1024, 4), (64 * 1024, 2), (100 * 1024, 2), (1024 * 1024, 1)] {
        assert_eq!(held(size), chunks, "of {size} bytes");
    }
}
