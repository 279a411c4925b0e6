//! The subscriptions of one line to an upstream, without IO: who shares which stream, what is asked of the upstream, what
//! its answers mean, what becomes of it all when the upstream goes away.
//!
//! Invariants: one stream a key, however many clients share it; a stream nobody holds is given up upstream; a client's
//! number means the same stream as long as the client is connected, whatever number the upstream of the day gave it; a
//! request has one answer. Time comes in as an argument, what is to be sent upstream goes out as texts.

mod answers;
mod calls;
mod gap;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use portcullis_caps::Admission;

use super::client::Client;
use super::kind::Kind;
use super::message::{Failure, Notification, error};
use streams::Stream;

/// The most streams of a line.
const MAX_STREAMS: usize = 65_536;
/// The most calls of a line that wait for an answer.
const MAX_CALLS: usize = 4096;
/// The most subscribe requests that an upstream has before it at once.
const WINDOW: usize = 256;
/// The most notifications, and bytes of them, that are kept for a subscription whose answer is still to come.
const MAX_EARLY: (usize, usize) = (256, 4 * 1024 * 1024);

/// What tells one stream from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// The canonical params.
    pub params: Arc<str>,
}

/// A client's wish to subscribe.
pub struct Subscribe {
    /// Who.
    pub client: Arc<Client>,
    /// The number that the client will know it by.
    pub number: u64,
    /// The id of the answer.
    pub id: Box<str>,
    /// To what.
    pub key: Key,
}

/// A client's call of anything else.
pub struct Call {
    /// Who.
    pub client: Arc<Client>,
    /// The id of the answer.
    pub id: Box<str>,
    /// The method; its name needs no escapes.
    pub method: Box<str>,
    /// The params.
    pub params: Box<str>,
    /// What it takes of the caller's caps until it is answered.
    pub grant: Option<Box<Admission>>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// A request, from when it was made to its answer.
    pub timeout: Duration,
    /// A stream that should speak, and does not.
    pub silence: Duration,
    /// The time without an upstream after which clients are told.
    pub outage: Duration,
    /// Whether clients that may have lost notifications stay connected.
    pub tolerate_gaps: bool,
}

/// Why a connection to an upstream is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Nothing was heard.
    #[error("nothing was heard from it")]
    Silent,
    /// Slots stopped.
    #[error("its slots stopped")]
    Slots,
    /// A stream that spoke stopped.
    #[error("a subscription that should speak stopped")]
    Stream(Kind),
    /// It did not answer a subscribe.
    #[error("it did not answer a subscribe request")]
    Unanswered,
}

/// A request that the upstream has, or will have.
enum Request {
    Subscribe(u64, Kind),
    Unsubscribe(u64),
    Call { client: Arc<Client>, id: Box<str>, _grant: Option<Box<Admission>> },
}

/// What has a time.
enum Due {
    /// A client that waits for this subscription.
    Waiting(u64),
    /// A request to the upstream.
    Request(u64),
}

/// See the module's text.
pub struct Table {
    terms: Terms,
    /// When the upstream was last heard, while there is one.
    heard: Option<Instant>,
    /// Since when there is none.
    down: Option<Instant>,
    streams: HashMap<u64, Stream>,
    by_key: HashMap<Key, u64>,
    /// The stream of each number that a client has, or waits for.
    by_number: HashMap<u64, u64>,
    /// The stream of each number that the upstream gave.
    by_upstream: HashMap<u64, u64>,
    /// Upstream's numbers that it was told to give up and may still have.
    dropping: HashSet<u64>,
    requests: HashMap<u64, Request>,
    /// Subscribe requests among them.
    asking: usize,
    /// Streams that are to be asked for.
    to_ask: VecDeque<u64>,
    /// Calls that wait for an upstream.
    to_call: VecDeque<(u64, String)>,
    calls: usize,
    early: VecDeque<(u64, Arc<Notification>)>,
    early_bytes: usize,
    /// In the order of time, since all have the same.
    due: VecDeque<(Instant, Due)>,
    /// The stream by which it is seen that slots go on.
    heartbeat: Option<u64>,
    next: u64,
    out: Vec<String>,
}

impl Table {
    /// A table without subscriptions, and without an upstream.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            heard: None,
            down: None,
            streams: HashMap::new(),
            by_key: HashMap::new(),
            by_number: HashMap::new(),
            by_upstream: HashMap::new(),
            dropping: HashSet::new(),
            requests: HashMap::new(),
            asking: 0,
            to_ask: VecDeque::new(),
            to_call: VecDeque::new(),
            calls: 0,
            early: VecDeque::new(),
            early_bytes: 0,
            due: VecDeque::new(),
            heartbeat: None,
            next: 1,
            out: Vec::new(),
        }
    }

    /// Takes the texts that are to be sent upstream.
    pub fn take_out(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    /// Whether an upstream is needed.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.calls > 0 || self.streams.len() > usize::from(self.heartbeat_is_alone())
    }

    /// Whether nobody but the table itself holds the heartbeat.
    fn heartbeat_is_alone(&self) -> bool {
        self.heartbeat.and_then(|at| self.streams.get(&at)).is_some_and(|stream| stream.is_unheld())
    }

    /// How many streams there are, and subscribers of them.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.streams.len(), self.by_number.len())
    }

    /// How many subscriptions the upstream of the moment has granted, and not been told to give up.
    #[must_use]
    pub fn upstream_subscriptions(&self) -> usize {
        self.by_upstream.len()
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Sends a request.
    fn request(&mut self, request: Request, method: &str, params: &str, now: Instant) -> u64 {
        let id = self.number();
        self.requests.insert(id, request);
        self.due.push_back((now + self.terms.timeout, Due::Request(id)));
        self.out.push(super::message::call(id, method, params));
        id
    }

    /// Something was heard from the upstream.
    pub fn hear(&mut self, now: Instant) {
        if let Some(heard) = &mut self.heard {
            *heard = now;
        }
    }

    /// Time passed: answers those who waited too long, and judges the upstream.
    ///
    /// # Errors
    /// The upstream is of no use any more.
    pub fn tick(&mut self, now: Instant) -> Result<(), Broken> {
        let mut unanswered = false;
        while let Some((_, due)) = self.due.pop_front_if(|(time, _)| *time <= now) {
            match due {
                Due::Waiting(number) => self.waited(number, now),
                Due::Request(id) => unanswered |= self.timed_out(id),
            }
        }
        self.tell_of_outage(now);
        if unanswered { Err(Broken::Unanswered) } else { self.judge(now) }
    }

    /// A client waited too long for its subscription.
    fn waited(&mut self, number: u64, now: Instant) {
        let Some(&at) = self.by_number.get(&number) else { return };
        let Some(waiter) = self.streams.get_mut(&at).and_then(|stream| stream.take_waiter(number)) else { return };
        let failure = if self.heard.is_some() { Failure::timeout() } else { Failure::no_upstream() };
        waiter.client.refused(number, error(&waiter.id, &failure));
        self.by_number.remove(&number);
        self.give_up_if_unheld(at, now);
    }

    /// A request took too long; whether it is one that any upstream answers at once.
    fn timed_out(&mut self, id: u64) -> bool {
        match self.requests.remove(&id) {
            Some(Request::Subscribe(..)) => {
                self.asking = self.asking.saturating_sub(1);
                true
            }
            Some(Request::Unsubscribe(number)) => {
                self.dropping.remove(&number);
                false
            }
            Some(Request::Call { client, id, .. }) => {
                self.calls = self.calls.saturating_sub(1);
                let failure = if self.heard.is_some() { Failure::timeout() } else { Failure::no_upstream() };
                client.answer(error(&id, &failure));
                false
            }
            None => false,
        }
    }
}
