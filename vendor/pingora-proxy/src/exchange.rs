// Added by Portcullis, see vendor/README.md.
// Licensed under the Apache License, Version 2.0, as the rest of the crate.

//! The two halves of an exchange, and the pipes between them.
//!
//! Both halves run in one task, so what one hands to the other needs no waker: it notes that the other has a turn, and
//! [`exchange()`] polls that one before the task goes to sleep. A pipe must not leave the two halves.

use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::{error, fmt};

/// That a half was handed something since it was polled, or was given place for something.
#[derive(Default)]
pub(crate) struct Turn(AtomicBool);

impl Turn {
    fn give(&self) {
        self.0.store(true, Relaxed);
    }

    // Only one thread at a time polls the task: load and store need not be one.
    fn take(&self) -> bool {
        let given = self.0.load(Relaxed);
        if given {
            self.0.store(false, Relaxed);
        }
        given
    }
}

/// The other end of the pipe is gone.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pipe closed")
    }
}

impl error::Error for Closed {}

/// Why nothing can be put into the pipe now.
#[derive(Debug)]
pub(crate) enum NoPermit {
    Full,
    Closed,
}

impl fmt::Display for NoPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPermit::Full => f.write_str("pipe full"),
            NoPermit::Closed => Closed.fmt(f),
        }
    }
}

impl error::Error for NoPermit {}

/// What an item in a pipe holds, in bytes.
pub(crate) trait Weigh {
    fn weight(&self) -> usize;
}

/// A pipe that holds as much takes nothing more.
const HEAVY: usize = 128 * 1024;

struct State<T, const N: usize> {
    /// A ring, beginning at `head`.
    items: [Option<T>; N],
    head: usize,
    len: usize,
    weight: usize,
    /// Whether one more place is spoken for. There is one sender, and it holds one permit at most.
    reserved: bool,
    closed: bool,
    sender_waits: bool,
}

/// A bounded queue from one half to the other.
pub(crate) struct Pipe<'t, T, const N: usize> {
    state: Mutex<State<T, N>>,
    sender: &'t Turn,
    receiver: &'t Turn,
}

impl<'t, T, const N: usize> Pipe<'t, T, N> {
    /// Makes a pipe from the half whose turn is `sender` to the one whose turn is `receiver`.
    pub(crate) fn new(sender: &'t Turn, receiver: &'t Turn) -> Self {
        let state = State {
            items: [const { None }; N],
            head: 0,
            len: 0,
            weight: 0,
            reserved: false,
            closed: false,
            sender_waits: false,
        };
        Pipe {
            state: Mutex::new(state),
            sender,
            receiver,
        }
    }

    pub(crate) fn ends(&self) -> (Sender<'_, T, N>, Receiver<'_, T, N>) {
        (Sender(self), Receiver(self))
    }

    fn state(&self) -> MutexGuard<'_, State<T, N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: T, state: &mut State<T, N>)
    where
        T: Weigh,
    {
        let tail = (state.head + state.len) % N;
        if let Some(place) = state.items.get_mut(tail) {
            state.weight += item.weight();
            *place = Some(item);
            state.len += 1;
        }
        self.receiver.give();
    }
}

/// The end that is written to. The pipe is closed when it is dropped.
pub(crate) struct Sender<'p, T, const N: usize>(&'p Pipe<'p, T, N>);

impl<'p, T: Weigh, const N: usize> Sender<'p, T, N> {
    /// Waits for a place in the pipe.
    pub(crate) async fn reserve(&self) -> Result<Permit<'p, T, N>, Closed> {
        poll_fn(|_| match self.poll_reserve() {
            Ok(permit) => Poll::Ready(Ok(permit)),
            Err(NoPermit::Closed) => Poll::Ready(Err(Closed)),
            Err(NoPermit::Full) => Poll::Pending,
        })
        .await
    }

    /// Takes a place in the pipe if there is one.
    pub(crate) fn try_reserve(&self) -> Result<Permit<'p, T, N>, NoPermit> {
        self.poll_reserve()
    }

    fn poll_reserve(&self) -> Result<Permit<'p, T, N>, NoPermit> {
        let mut state = self.0.state();
        if state.closed {
            return Err(NoPermit::Closed);
        }
        if state.reserved || state.len == N || state.weight >= HEAVY {
            state.sender_waits = true;
            return Err(NoPermit::Full);
        }
        state.reserved = true;
        Ok(Permit(self.0))
    }

    /// Waits for a place and puts the item there.
    pub(crate) async fn send(&self, item: T) -> Result<(), Closed> {
        self.reserve().await?.send(item);
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.state().closed
    }
}

impl<T, const N: usize> Drop for Sender<'_, T, N> {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.receiver.give();
    }
}

/// A place in the pipe. It is given back if nothing is sent.
pub(crate) struct Permit<'p, T, const N: usize>(&'p Pipe<'p, T, N>);

impl<T: Weigh, const N: usize> Permit<'_, T, N> {
    pub(crate) fn send(self, item: T) {
        let mut state = self.0.state();
        state.reserved = false;
        if !state.closed {
            self.0.push(item, &mut state);
        }
        drop(state);
        std::mem::forget(self); // its place is taken
    }
}

impl<T, const N: usize> Drop for Permit<'_, T, N> {
    fn drop(&mut self) {
        self.0.state().reserved = false;
    }
}

/// The end that is read from. The pipe is closed when it is dropped, and what is in it is lost.
pub(crate) struct Receiver<'p, T, const N: usize>(&'p Pipe<'p, T, N>);

impl<T: Weigh, const N: usize> Receiver<'_, T, N> {
    /// Waits for the next item. `None` when the sender is gone and nothing is left.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        poll_fn(|_| {
            let mut state = self.0.state();
            match self.pop(&mut state) {
                None if !state.closed => Poll::Pending,
                item => Poll::Ready(item),
            }
        })
        .await
    }

    /// Takes the next item if there is one.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        self.pop(&mut self.0.state())
    }

    /// Whether there is nothing to read now; the sender may be gone.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.state().len == 0
    }

    fn pop(&self, state: &mut State<T, N>) -> Option<T> {
        let head = state.head;
        let item = state.items.get_mut(head)?.take()?;
        state.head = (head + 1) % N;
        state.len -= 1;
        state.weight -= item.weight();
        if std::mem::take(&mut state.sender_waits) {
            self.0.sender.give();
        }
        Some(item)
    }
}

impl<T, const N: usize> Drop for Receiver<'_, T, N> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        state.items = [const { None }; N];
        state.len = 0;
        self.0.sender.give();
    }
}

/// One half, and what it ended with.
struct Half<F, T> {
    future: F,
    result: Option<T>,
}

impl<T, E, F: Future<Output = Result<T, E>> + Unpin> Half<F, T> {
    /// Polls the half unless it has ended. An error ends the exchange.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), E> {
        if self.result.is_none() {
            if let Poll::Ready(result) = Pin::new(&mut self.future).poll(cx) {
                self.result = Some(result?);
            }
        }
        Ok(())
    }
}

/// How often the halves take turns in one poll. Handing a task over spends nothing of Tokio's budget, and an upstream
/// that sends tiny chunks would keep the worker to itself.
const ROUNDS: u32 = 64;

/// Runs both halves to their end, or until one fails. `turns` are those of the first and of the second.
pub(crate) async fn exchange<A, B, E>(
    first: impl Future<Output = Result<A, E>>,
    second: impl Future<Output = Result<B, E>>,
    turns: (&Turn, &Turn),
) -> Result<(A, B), E> {
    let mut first = Half { future: pin!(first), result: None };
    let mut second = Half { future: pin!(second), result: None };
    let mut begun = false;
    poll_fn(|cx| {
        // Something woke the task, and it may be for either. The first half begins the exchange; from then on it is
        // mostly the second that has news.
        turns.0.give();
        turns.1.give();
        if !begun {
            begun = true;
            turns.0.take();
            first.poll(cx)?;
        }
        let mut rounds = 0;
        loop {
            if turns.1.take() {
                second.poll(cx)?;
            } else if turns.0.take() {
                first.poll(cx)?;
            } else {
                break;
            }
            rounds += 1;
            if rounds == ROUNDS {
                // Both get a turn at the next poll; other tasks get theirs before.
                cx.waker().wake_by_ref();
                break;
            }
        }
        match (first.result.take(), second.result.take()) {
            (Some(first), Some(second)) => Poll::Ready(Ok((first, second))),
            (a, b) => {
                (first.result, second.result) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
