//! One client, as the two who serve it share it: the session that reads and writes its connection, and the lines that
//! its subscriptions are on.
//!
//! What is to be sent waits here, at most so many bytes: a client that lets more pile up is slow, and is closed by that
//! name rather than holding the others up or filling the memory. One lock guards it all, so that what a client was told
//! and what it is sent agree: no notification of a subscription comes before the answer that names it, nor behind the
//! answer that ends it.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use portcullis_caps::Admission;
use portcullis_telemetry::metrics::{GaugePart, WebsocketGauge, WebsocketMetrics};

use super::close::Close;
use super::message::Notification;

#[cfg(test)]
mod tests;

/// Something to be sent.
#[derive(Debug)]
pub enum Item {
    /// A whole frame.
    Frame(Box<[u8]>),
    /// A notification, with the client's number of the subscription.
    Notification(Arc<Notification>, u64),
}

/// A queue that is empty and larger than this is given back.
const SMALL: usize = 8;

impl Item {
    /// The most bytes that a head, and the number in a notification, add to a text.
    pub const OVERHEAD: usize = 30;

    /// How many bytes it has at most.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::Notification(notification, _) => notification.length() + Self::OVERHEAD,
        }
    }
}

/// A subscription, as its client holds it.
#[derive(Debug)]
pub struct Held {
    /// The line it is on.
    pub line: u8,
    /// Whether the client was told its number.
    live: bool,
    /// What it takes of the caller's caps.
    _grant: Option<Box<Admission>>,
    /// It is one of those that are counted.
    _counted: GaugePart,
}

/// How a client stands, for who decides whether to read more from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes that wait to be sent.
    pub bytes: usize,
    /// Requests that wait for an upstream.
    pub pending: u32,
    /// Whether it is being closed.
    pub closing: Option<Close>,
}

/// See the module's text.
pub struct Client {
    /// The most bytes that may wait.
    most: usize,
    metrics: Arc<WebsocketMetrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    bytes: usize,
    pending: u32,
    /// By number, which grows.
    subscriptions: Vec<(u64, Held)>,
    closing: Option<Close>,
    waker: Option<Waker>,
}

impl Client {
    /// A client for which at most so many bytes may wait.
    #[must_use]
    pub fn new(most: usize, metrics: Arc<WebsocketMetrics>) -> Self {
        Self { most, metrics, state: Mutex::default() }
    }

    /// Does something with the state, then wakes the session.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }

    /// Queues a frame of the session's own.
    pub fn push(&self, frame: Box<[u8]>) {
        let mut state = self.state.lock();
        state.push(Item::Frame(frame), self.most);
    }

    /// Queues a whole frame that answers a request which waited for an upstream.
    pub fn answer(&self, frame: Box<[u8]>) {
        self.change(|state| {
            state.pending = state.pending.saturating_sub(1);
            state.push(Item::Frame(frame), self.most);
        });
    }

    /// One request more waits for an upstream.
    pub fn wait(&self) {
        self.state.lock().pending += 1;
    }

    /// Holds a subscription that an upstream has to grant, and which the client does not know yet.
    pub fn hold(&self, number: u64, line: u8, grant: Option<Admission>) {
        let counted = self.metrics.one(WebsocketGauge::Subscriptions);
        let held = Held { line, live: false, _grant: grant.map(Box::new), _counted: counted };
        let mut state = self.state.lock();
        state.pending += 1;
        let at = state.subscriptions.partition_point(|(other, _)| *other < number);
        state.subscriptions.insert(at, (number, held));
    }

    /// A subscription is granted: tells the client. `false` when it is gone.
    pub fn granted(&self, number: u64, frame: Box<[u8]>) -> bool {
        self.change(|state| {
            state.pending = state.pending.saturating_sub(1);
            let Some(held) = state.find(number).and_then(|at| state.subscriptions.get_mut(at)) else { return false };
            held.1.live = true;
            state.push(Item::Frame(frame), self.most);
            state.closing.is_none()
        })
    }

    /// A subscription is refused: tells the client.
    pub fn refused(&self, number: u64, frame: Box<[u8]>) {
        let _given_back = self.change(|state| {
            state.pending = state.pending.saturating_sub(1);
            let held = state.take(number)?;
            state.push(Item::Frame(frame), self.most);
            Some(held)
        });
    }

    /// Queues a notification. `false` when the subscription is over, or the client is being closed.
    pub fn notify(&self, number: u64, notification: &Arc<Notification>) -> bool {
        let (goes_on, _given_back) = self.change(|state| {
            let Some(at) = state.find(number) else { return (false, None) };
            state.push(Item::Notification(Arc::clone(notification), number), self.most);
            let over = notification.last.then(|| state.subscriptions.remove(at));
            (state.closing.is_none() && over.is_none(), over)
        });
        goes_on
    }

    /// Ends a subscription that the client knows, by its wish: the line it is on. It is sent nothing of it from here on.
    pub fn unsubscribe(&self, number: u64) -> Option<Held> {
        let mut state = self.state.lock();
        let at = state.find(number)?;
        state.subscriptions.get(at)?.1.live.then(|| state.subscriptions.remove(at).1)
    }

    /// How many subscriptions it holds, those included that no upstream has granted yet.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.state.lock().subscriptions.len()
    }

    /// The client is to be closed, when what waits is sent. The first reason stays.
    pub fn close(&self, close: Close) {
        self.change(|state| {
            state.closing.get_or_insert(close);
        });
    }

    /// How it stands.
    #[must_use]
    pub fn load(&self) -> Load {
        let state = self.state.lock();
        Load { bytes: state.bytes, pending: state.pending, closing: state.closing }
    }

    /// How it stands; whoever changes that wakes this waker.
    pub fn watch(&self, waker: &Waker) -> Load {
        let mut state = self.state.lock();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        Load { bytes: state.bytes, pending: state.pending, closing: state.closing }
    }

    /// Takes what is first in the queue, and as much behind it as `takes` wants.
    pub fn take_while(&self, mut takes: impl FnMut(&Item) -> bool, mut into: impl FnMut(Item)) {
        let mut state = self.state.lock();
        while state.queue.front().is_some_and(&mut takes)
            && let Some(item) = state.queue.pop_front()
        {
            state.bytes = state.bytes.saturating_sub(item.length());
            into(item);
        }
        if state.queue.is_empty() && state.queue.capacity() > SMALL {
            state.queue = VecDeque::new();
        }
    }

    /// Ends it: what it held, for the lines to be told.
    pub fn end(&self) -> Vec<(u64, Held)> {
        let mut state = self.state.lock();
        state.closing.get_or_insert(Close::DRAINING);
        state.queue = VecDeque::new();
        state.waker = None;
        std::mem::take(&mut state.subscriptions)
    }
}

impl State {
    fn push(&mut self, item: Item, most: usize) {
        if self.closing.is_some() {
            return;
        }
        self.bytes += item.length();
        // What is larger than the bound by itself goes when it is alone.
        if self.bytes > most && !self.queue.is_empty() {
            self.closing = Some(Close::SLOW);
            self.queue = VecDeque::new();
            self.bytes = 0;
            return;
        }
        self.queue.push_back(item);
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.subscriptions.binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    fn take(&mut self, number: u64) -> Option<(u64, Held)> {
        self.find(number).map(|at| self.subscriptions.remove(at))
    }
}
