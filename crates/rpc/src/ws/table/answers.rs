//! What the upstream says, and whom it reaches.

use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;

use super::streams::{Standing, Stream};
use super::{MAX_EARLY, Request, Table};
use crate::json::Span;
use crate::ws::close::Close;
use crate::ws::kind::Kind;
use crate::ws::message::{Failure, Incoming, Notification, error, refusal, subscribed};

impl Table {
    /// The upstream said something.
    pub fn incoming(&mut self, incoming: Incoming, now: Instant) {
        match incoming {
            Incoming::Notification(number, notification) => self.notified(number, Arc::new(notification), now),
            Incoming::Answer { id, outcome, text } => self.answered(id, outcome, &text, now),
            Incoming::Other => {}
        }
    }

    fn notified(&mut self, number: u64, notification: Arc<Notification>, now: Instant) {
        let Some(&at) = self.by_upstream.get(&number) else {
            self.keep_early(number, notification);
            return;
        };
        let Some(stream) = self.streams.get_mut(&at) else { return };
        stream.spoke = Some(now);
        let mut gone = Vec::new();
        for (number, client) in &stream.subscribers {
            if !client.notify(*number, &notification) {
                gone.push(*number);
            }
        }
        for number in &gone {
            stream.subscribers.remove(number);
            self.by_number.remove(number);
        }
        if notification.last {
            // The upstream has ended it by itself.
            self.forget(at);
        } else if !gone.is_empty() {
            self.give_up_if_unheld(at, now);
        }
    }

    /// Keeps a notification whose subscription may be one that is being asked for.
    fn keep_early(&mut self, number: u64, notification: Arc<Notification>) {
        let bytes = self.early_bytes + notification.length();
        if self.asking > 0 && self.early.len() < MAX_EARLY.0 && bytes <= MAX_EARLY.1 {
            self.early.push_back((number, notification));
            self.early_bytes = bytes;
        }
    }

    /// Passes on what came before the answer that it belongs behind.
    fn catch_up(&mut self, number: u64, now: Instant) {
        let early = std::mem::take(&mut self.early);
        self.early_bytes = 0;
        for (of, notification) in early {
            if of == number {
                self.notified(number, notification, now);
            } else {
                self.keep_early(of, notification);
            }
        }
    }

    fn answered(&mut self, id: u64, outcome: Result<Span, Span>, text: &Bytes, now: Instant) {
        let texts = |span: Span| span.str_of(text);
        match self.requests.remove(&id) {
            None => {}
            Some(Request::Call { client, id, .. }) => {
                self.calls = self.calls.saturating_sub(1);
                client.answer(refusal(&id, outcome.map(texts).map_err(texts)));
            }
            Some(Request::Unsubscribe(number)) => {
                self.dropping.remove(&number);
            }
            Some(Request::Subscribe(at, kind)) => {
                self.asking = self.asking.saturating_sub(1);
                match outcome.map(|span| texts(span).parse()) {
                    Ok(Ok(number)) => self.granted((at, kind), number, now),
                    Ok(Err(_)) => self.refused(at, |id| error(id, &Failure::malformed())),
                    Err(refused) => self.refused(at, |id| refusal(id, Err(texts(refused)))),
                }
                self.ask(now);
                if self.asking == 0 {
                    self.early.clear();
                    self.early_bytes = 0;
                }
            }
        }
    }

    /// The upstream granted a stream.
    fn granted(&mut self, (at, kind): (u64, Kind), number: u64, now: Instant) {
        if self.dropping.contains(&number) {
            // It is the same to the upstream as one that it was told to give up behind this request: ask once more.
            if let Some(stream) = self.streams.get_mut(&at) {
                stream.standing = Standing::Unasked;
                self.to_ask.push_back(at);
            }
            return;
        }
        let same = self.by_upstream.get(&number).copied();
        match (self.streams.contains_key(&at), same) {
            (true, Some(other)) => {
                self.merge(at, other);
                self.tell_waiting(other, now);
            }
            (true, None) => {
                self.by_upstream.insert(number, at);
                if let Some(stream) = self.streams.get_mut(&at) {
                    (stream.standing, stream.live_since) = (Standing::Live(number), Some(now));
                }
                self.tell_waiting(at, now);
                self.catch_up(number, now);
            }
            (false, Some(_)) => {}
            // Nobody wants it any more.
            (false, None) => self.drop_upstream(number, kind, now),
        }
    }

    /// Two streams are one to the upstream: it notifies once, and would give up both.
    fn merge(&mut self, from: u64, into: u64) {
        let heartbeat = self.heartbeat == Some(from);
        let Some(Stream { keys, subscribers, waiting, .. }) = self.forget(from) else { return };
        let Some(stream) = self.streams.get_mut(&into) else { return };
        for number in subscribers.keys().copied().chain(waiting.iter().map(|waiter| waiter.number)) {
            self.by_number.insert(number, into);
        }
        for key in &keys {
            self.by_key.insert(key.clone(), into);
        }
        stream.keys.extend(keys);
        stream.subscribers.extend(subscribers);
        stream.waiting.extend(waiting);
        if heartbeat {
            self.heartbeat = Some(into);
        }
    }

    /// Tells those who waited for a stream that they have it.
    fn tell_waiting(&mut self, at: u64, now: Instant) {
        let Some(stream) = self.streams.get_mut(&at) else { return };
        for waiter in std::mem::take(&mut stream.waiting) {
            if waiter.client.granted(waiter.number, subscribed(&waiter.id, waiter.number)) {
                stream.subscribers.insert(waiter.number, waiter.client);
            } else {
                self.by_number.remove(&waiter.number);
            }
        }
        self.give_up_if_unheld(at, now);
    }

    /// The upstream refused a stream: those who wait are told so. Those who have it already, from an upstream before, cannot
    /// be: their connections are closed.
    fn refused(&mut self, at: u64, write: impl Fn(&str) -> Box<[u8]>) {
        let Some(stream) = self.forget(at) else { return };
        for waiter in stream.waiting {
            self.by_number.remove(&waiter.number);
            waiter.client.refused(waiter.number, write(&waiter.id));
        }
        for (number, client) in stream.subscribers {
            self.by_number.remove(&number);
            client.close(Close::GAP);
        }
    }
}
