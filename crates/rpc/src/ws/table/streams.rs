//! Streams and those who hold them.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

use super::{Due, Key, MAX_STREAMS, Request, Subscribe, Table, WINDOW};
use crate::ws::client::Client;
use crate::ws::kind::Kind;
use crate::ws::message::{Failure, error, subscribed};

/// How a stream stands with the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is to be asked for.
    Unasked,
    /// It is asked for.
    Asked,
    /// The upstream has it by this number.
    Live(u64),
}

/// A client that waits for the upstream's word.
pub(super) struct Waiter {
    pub(super) client: Arc<Client>,
    pub(super) number: u64,
    pub(super) id: Box<str>,
}

/// A subscription upstream.
pub(super) struct Stream {
    /// What it is known by: more than one, when the upstream holds them to be the same.
    pub(super) keys: Vec<Key>,
    pub(super) standing: Standing,
    pub(super) subscribers: BTreeMap<u64, Arc<Client>>,
    pub(super) waiting: Vec<Waiter>,
    /// When it last spoke, on this connection.
    pub(super) spoke: Option<Instant>,
    /// When it went live, on this connection.
    pub(super) live_since: Option<Instant>,
    /// Whether its upstream went away since its subscribers were last told something.
    pub(super) gap: bool,
}

impl Stream {
    fn new(key: Key) -> Self {
        Self {
            keys: vec![key],
            standing: Standing::Unasked,
            subscribers: BTreeMap::new(),
            waiting: Vec::new(),
            spoke: None,
            live_since: None,
            gap: false,
        }
    }

    /// Whether no client has it, nor waits for it.
    pub(super) fn is_unheld(&self) -> bool {
        self.subscribers.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        self.keys.first().map(|key| key.kind)
    }

    pub(super) fn take_waiter(&mut self, number: u64) -> Option<Waiter> {
        let at = self.waiting.iter().position(|waiter| waiter.number == number)?;
        Some(self.waiting.swap_remove(at))
    }
}

impl Table {
    /// A client subscribes.
    pub fn subscribe(&mut self, wish: Subscribe, now: Instant) {
        let Subscribe { client, number, id, key } = wish;
        let known = self.by_key.get(&key).copied();
        if known.is_none() && self.streams.len() >= MAX_STREAMS {
            client.refused(number, error(&id, &Failure::overloaded()));
            return;
        }
        let at = known.unwrap_or_else(|| self.begin(key, false));
        let Some(stream) = self.streams.get_mut(&at) else { return };
        if matches!(stream.standing, Standing::Live(_)) {
            if client.granted(number, subscribed(&id, number)) {
                stream.subscribers.insert(number, client);
                self.by_number.insert(number, at);
            }
        } else {
            stream.waiting.push(Waiter { client, number, id });
            self.by_number.insert(number, at);
            self.due.push_back((now + self.terms.timeout, Due::Waiting(number)));
            self.ask(now);
        }
    }

    /// A client ends a subscription, or is gone.
    pub fn unsubscribe(&mut self, number: u64, now: Instant) {
        let Some(at) = self.by_number.remove(&number) else { return };
        let Some(stream) = self.streams.get_mut(&at) else { return };
        if stream.subscribers.remove(&number).is_none() {
            stream.take_waiter(number);
        }
        self.give_up_if_unheld(at, now);
    }

    /// Makes a stream that is to be asked for.
    pub(super) fn begin(&mut self, key: Key, first: bool) -> u64 {
        let at = self.number();
        self.by_key.insert(key.clone(), at);
        self.streams.insert(at, Stream::new(key));
        if first {
            self.to_ask.push_front(at);
        } else {
            self.to_ask.push_back(at);
        }
        at
    }

    /// Asks the upstream for streams, as many at once as it may have before it.
    pub(super) fn ask(&mut self, now: Instant) {
        while self.heard.is_some()
            && self.asking < WINDOW
            && let Some(at) = self.to_ask.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&at) else { continue };
            let Some(key) = stream.keys.first().filter(|_| stream.standing == Standing::Unasked) else { continue };
            let key = key.clone();
            stream.standing = Standing::Asked;
            self.asking += 1;
            self.request(Request::Subscribe(at, key.kind), key.kind.subscribe(), &key.params, now);
        }
    }

    /// Ends a stream that no client holds.
    pub(super) fn give_up_if_unheld(&mut self, at: u64, now: Instant) {
        let unheld = self.streams.get(&at).is_some_and(Stream::is_unheld);
        if unheld
            && self.heartbeat != Some(at)
            && let Some(stream) = self.forget(at)
            && let Standing::Live(number) = stream.standing
            && let Some(kind) = stream.kind()
        {
            self.drop_upstream(number, kind, now);
        }
    }

    /// Takes a stream out of the table.
    pub(super) fn forget(&mut self, at: u64) -> Option<Stream> {
        let stream = self.streams.remove(&at)?;
        for key in &stream.keys {
            self.by_key.remove(key);
        }
        if let Standing::Live(number) = stream.standing {
            self.by_upstream.remove(&number);
        }
        if self.heartbeat == Some(at) {
            self.heartbeat = None;
        }
        Some(stream)
    }

    /// Tells the upstream to give a subscription up.
    pub(super) fn drop_upstream(&mut self, number: u64, kind: Kind, now: Instant) {
        if self.heard.is_some() {
            self.dropping.insert(number);
            self.request(Request::Unsubscribe(number), kind.unsubscribe(), &format!("[{number}]"), now);
        }
    }
}
