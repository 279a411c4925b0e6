//! An upstream goes away, another one comes, or one stops speaking.

use std::sync::Arc;
use tokio::time::Instant;

use super::streams::Standing;
use super::{Broken, Key, Request, Table};
use crate::ws::close::Close;
use crate::ws::kind::Kind;
use crate::ws::message::{Failure, error};

impl Table {
    /// A connection to an upstream is there: everything is asked of it again. Clients that may have lost notifications
    /// meanwhile are told so.
    pub fn connected(&mut self, now: Instant) {
        (self.heard, self.down) = (Some(now), None);
        self.tell_of_gaps(now);
        let mut streams: Vec<u64> = self.streams.keys().copied().collect();
        streams.sort_unstable();
        self.to_ask = streams.into();
        self.begin_heartbeat();
        self.ask(now);
        self.call_waiting();
    }

    /// The connection is gone. Subscriptions wait for the next one; calls are answered, since none is made twice.
    pub fn lost(&mut self, now: Instant) {
        (self.heard, self.down) = (None, Some(now));
        let requests = std::mem::take(&mut self.requests);
        for request in requests.into_values() {
            if let Request::Call { client, id, .. } = request {
                client.answer(error(&id, &Failure::reset()));
            }
        }
        (self.asking, self.calls, self.early_bytes) = (0, 0, 0);
        self.early.clear();
        self.dropping.clear();
        self.by_upstream.clear();
        self.to_ask.clear();
        self.out.clear();
        for stream in self.streams.values_mut() {
            stream.gap |= matches!(stream.standing, Standing::Live(_)) && !stream.subscribers.is_empty();
            (stream.standing, stream.spoke, stream.live_since) = (Standing::Unasked, None, None);
        }
        if let Some(heartbeat) = self.heartbeat.take() {
            self.give_up_if_unheld(heartbeat, now);
        }
    }

    /// Since when there is no upstream.
    #[must_use]
    pub const fn down_since(&self) -> Option<Instant> {
        self.down
    }

    /// Closes the connections of those who may have lost something for good.
    fn tell_of_gaps(&mut self, now: Instant) {
        let tolerate = self.terms.tolerate_gaps;
        let mut told = Vec::new();
        for (at, stream) in &mut self.streams {
            let bears = tolerate || stream.kind().is_some_and(Kind::bears_a_gap);
            if std::mem::take(&mut stream.gap) && !bears {
                told.push(*at);
            }
        }
        for at in told {
            self.close_subscribers(at, Close::GAP, now);
        }
    }

    fn close_subscribers(&mut self, at: u64, close: Close, now: Instant) {
        let Some(stream) = self.streams.get_mut(&at) else { return };
        for (number, client) in std::mem::take(&mut stream.subscribers) {
            self.by_number.remove(&number);
            client.close(close);
        }
        self.give_up_if_unheld(at, now);
    }

    /// Closes the connections of those who have been blind for too long.
    pub(super) fn tell_of_outage(&mut self, now: Instant) {
        if self.down.is_none_or(|since| now < since + self.terms.outage) {
            return;
        }
        let blind: Vec<u64> = self.streams.keys().copied().collect();
        for at in blind {
            self.close_subscribers(at, Close::NO_UPSTREAM, now);
        }
    }

    /// Has slots told to the table itself, unless some client has them told already.
    fn begin_heartbeat(&mut self) {
        let key = Key { kind: Kind::Slot, params: Arc::from("[]") };
        let known = self.by_key.get(&key).copied();
        self.heartbeat = Some(known.unwrap_or_else(|| self.begin(key, true)));
    }

    /// Whether the upstream still speaks as it should.
    pub(super) fn judge(&self, now: Instant) -> Result<(), Broken> {
        let Some(heard) = self.heard else { return Ok(()) };
        let silent = |since: Instant| now.saturating_duration_since(since) >= self.terms.silence;
        if silent(heard) {
            return Err(Broken::Silent);
        }
        let heartbeat = self.heartbeat.and_then(|at| self.streams.get(&at));
        if heartbeat.and_then(|stream| stream.spoke.or(stream.live_since)).is_some_and(silent) {
            return Err(Broken::Slots);
        }
        // What never spoke here may have nothing to say: not every node tells votes.
        let stopped = self.streams.values().find_map(|stream| {
            let kind = stream.kind().filter(|kind| kind.always_speaks())?;
            stream.spoke.is_some_and(silent).then_some(kind)
        });
        stopped.map_or(Ok(()), |kind| Err(Broken::Stream(kind)))
    }
}
