//! Whether who was let in may go on, as long as the stream lasts that the request became: a WebSocket, an event stream.
//!
//! What let the caller in is looked up again whenever consumers, keys or bans have changed, and when a key's time is over.
//! While nothing changed, a look costs an atomic load or two. Invariants: nothing of the credential is kept but the hash of
//! a key; a stream whose consumer a store has goes on while that does not answer.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderMap, ORIGIN};
use http::{HeaderValue, Method};
use parking_lot::Mutex;
use portcullis_filter::RequestCx;
use portcullis_filter::seam::StreamGuard;
use portcullis_identity::check::{self, Restriction, check};
use portcullis_identity::store::{Remembered, Sought};
use portcullis_identity::{Consumer, Directory, Expiry, Failure, Identities, KeyHash, Timestamp};
use portcullis_types::ProxyError;

use super::ask::{Asked, find};
use super::now;

/// How often a store is asked again for the caller of a stream.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Whether a request may become a stream that is watched.
pub(super) fn may_stream(cx: &RequestCx<'_>) -> bool {
    cx.facts.asks_upgrade || asks_events(&cx.request.headers)
}

/// Whether a request asks for server-sent events.
pub(crate) fn asks_events(headers: &HeaderMap) -> bool {
    let events = |value: &HeaderValue| value.as_bytes().windows(17).any(|part| part == b"text/event-stream");
    headers.get(ACCEPT).is_some_and(events)
}

/// What let a consumer in.
#[derive(Clone)]
enum By {
    Key(KeyHash),
    Token { issuer: Box<str>, subject: Box<str> },
    Certificate(Box<str>),
}

impl By {
    fn of(sought: Sought<'_>) -> Self {
        match sought {
            Sought::Key(hash) => Self::Key(*hash),
            Sought::Token { issuer, subject } => Self::Token { issuer: issuer.into(), subject: subject.into() },
            Sought::Certificate(subject) => Self::Certificate(subject.into()),
        }
    }

    fn sought(&self) -> Sought<'_> {
        match self {
            Self::Key(hash) => Sought::Key(hash),
            Self::Token { issuer, subject } => Sought::Token { issuer, subject },
            Self::Certificate(subject) => Sought::Certificate(subject),
        }
    }

    fn gone(&self) -> Failure {
        match self {
            Self::Key(_) => Failure::UnknownKey,
            Self::Token { .. } => Failure::UnknownSubject,
            Self::Certificate(_) => Failure::UnknownCertificate,
        }
    }

    /// Whose it is in the file, and until when.
    fn among(&self, directory: &Directory) -> Option<(Arc<Consumer>, Expiry)> {
        let for_ever = |consumer: &Arc<Consumer>| (Arc::clone(consumer), Expiry::NEVER);
        match self {
            Self::Key(hash) => directory.by_hash(hash).map(|found| (Arc::clone(found.consumer), found.not_after)),
            Self::Token { issuer, subject } => directory.by_token(issuer, subject).map(for_ever),
            Self::Certificate(subject) => directory.by_certificate(subject).map(for_ever),
        }
    }

    /// Until when it is good, of a consumer that a store has.
    fn end_of(&self, consumer: &Consumer) -> Option<Expiry> {
        match self {
            Self::Key(hash) => consumer.key(hash).map(|key| key.not_after),
            Self::Token { .. } | Self::Certificate(_) => Some(Expiry::NEVER),
        }
    }
}

/// Watches the caller of one stream.
pub(super) struct Watch {
    identities: Arc<Identities>,
    /// The consumer's id, and what let it in; nothing when it is anonymous.
    known: Option<(Arc<str>, By)>,
    client: IpAddr,
    host: Box<str>,
    origin: Option<Box<str>>,
    method: Method,
    state: Mutex<State>,
}

struct State {
    /// The revision of what callers are judged by at which it was found good.
    seen: Option<u64>,
    not_after: Expiry,
    /// When the store that has the consumer was asked last; `None` when the file has it.
    asked: Option<Timestamp>,
    ended: Option<Failure>,
}

impl Watch {
    /// Watches who makes this request.
    pub(super) fn new(
        identities: &Arc<Identities>,
        cx: &RequestCx<'_>,
        known: Option<(&Arc<str>, Sought<'_>, Expiry)>,
    ) -> Self {
        let not_after = known.map_or(Expiry::NEVER, |(_, _, not_after)| not_after);
        Self {
            identities: Arc::clone(identities),
            known: known.map(|(id, sought, _)| (Arc::clone(id), By::of(sought))),
            client: cx.facts.client,
            host: cx.facts.host.clone(),
            origin: cx.request.headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("invalid").into()),
            method: cx.request.method.clone(),
            state: Mutex::new(State { seen: None, not_after, asked: None, ended: None }),
        }
    }

    fn judge(&self, state: &mut State, now: Timestamp) -> Result<(), Failure> {
        let revision = self.identities.revision();
        if state.seen == Some(revision) && state.asked.is_none() && !state.not_after.is_over(now) {
            return Ok(());
        }
        if self.identities.book().throttle.banned(self.client, now) {
            return Err(Failure::Banned);
        }
        if let Some((id, by)) = &self.known {
            match self.consumer(by, state, now)? {
                Some(consumer) if consumer.shared_id() != id => return Err(by.gone()),
                Some(consumer) => self.check(&consumer, state.not_after, now)?,
                None if state.not_after.is_over(now) => return Err(Failure::Restricted(Restriction::Expired)),
                None => {}
            }
        }
        state.seen = Some(revision);
        Ok(())
    }

    /// The consumer that was let in, as it is now. `None` when a store has it and does not say.
    fn consumer(&self, by: &By, state: &mut State, now: Timestamp) -> Result<Option<Arc<Consumer>>, Failure> {
        if let Some((consumer, not_after)) = by.among(&self.identities.book().directory) {
            (state.not_after, state.asked) = (not_after, None);
            return Ok(Some(consumer));
        }
        let Some(remote) = self.identities.remote() else { return Err(by.gone()) };
        let asked = *state.asked.get_or_insert(now);
        match remote.remembered(by.sought(), now) {
            Some(Remembered::Found(consumer)) => {
                state.not_after = by.end_of(&consumer).ok_or_else(|| by.gone())?;
                Ok(Some(consumer))
            }
            Some(Remembered::Nobody) => Err(by.gone()),
            None => {
                if now.since(asked) >= ASK_AGAIN {
                    state.asked = Some(now);
                    self.ask(by, now);
                }
                Ok(None)
            }
        }
    }

    /// Asks the store, within its bounds; the next look finds what it answered.
    fn ask(&self, by: &By, now: Timestamp) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (identities, by, client) = (Arc::clone(&self.identities), by.clone(), self.client);
        runtime.spawn(async move {
            let throttle = Arc::clone(&identities.book().throttle);
            let asked = Asked { identities: &identities, throttle: &throttle, client, now };
            drop(find(&asked, by.sought()).await);
        });
    }

    fn check(&self, consumer: &Consumer, not_after: Expiry, now: Timestamp) -> Result<(), Failure> {
        let facts = check::Facts {
            now,
            client: self.client,
            host: &self.host,
            origin: self.origin.as_deref(),
            method: self.method.as_str(),
        };
        check(consumer, not_after, &facts).map_err(Failure::Restricted)
    }
}

impl StreamGuard for Watch {
    fn may_go_on(&self) -> Result<(), ProxyError> {
        let mut state = self.state.lock();
        let failure = match state.ended {
            Some(failure) => failure,
            None => match self.judge(&mut state, now()) {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    self.identities.counts().fail(failure);
                    *state.ended.insert(failure)
                }
            },
        };
        Err(ProxyError::with_detail(failure.reason(), failure.name()))
    }
}
