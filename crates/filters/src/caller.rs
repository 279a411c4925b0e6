//! What the filters that establish who calls have in common.
//!
//! The order of a request, whichever filter it is: a network that an operator banned is refused; the credential is taken
//! out of the request, good or not; the consumer is found; whether it may do this is checked; and the others are told.
//! Whatever goes wrong on the way is answered alike, and only the record says what it was.

mod ask;
mod stream;
mod strip;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use portcullis_filter::{BuildCx, RequestCx, ResponseCx, Source};
use portcullis_identity::check::{self, check};
use portcullis_identity::identities::{Book, Proof};
use portcullis_identity::store::Sought;
use portcullis_identity::{Caller, Consumer, Expiry, Failure, Identities, Timestamp};
use portcullis_types::ProxyError;

use stream::{Watch, may_stream};

pub(crate) use ask::{Asked, Missed, find};
pub(crate) use stream::asks_events;
pub(crate) use strip::{Changes, parts, withhold};

/// What the config says of consumers, for filters to be built: put among the services by who makes a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Whether there are consumers at all.
    pub consumers: bool,
    /// The names of the issuers of tokens.
    pub issuers: Vec<String>,
}

/// The door that a filter stands at.
pub(crate) struct Door {
    identities: Arc<Identities>,
}

/// Where consumers are declared.
pub(crate) const NO_CONSUMERS: &str = "the config has no `consumers`; for example `consumers: { file: consumers.yaml, \
                                       secret: \"file:keys.secret\" }` at its top";

impl Door {
    /// The gateway's; nobody's in a check.
    pub(crate) fn new(cx: &BuildCx<'_>) -> Self {
        Self { identities: cx.services.get().unwrap_or_else(|| Arc::new(Identities::new([0; 32]))) }
    }

    /// The same for a filter that is of no use without consumers.
    pub(crate) fn with_consumers(cx: &BuildCx<'_>) -> Result<Self, String> {
        let declared = cx.services.get::<Declared>();
        if declared.is_some_and(|declared| !declared.consumers) {
            return Err(NO_CONSUMERS.to_owned());
        }
        Ok(Self::new(cx))
    }

    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    pub(crate) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.identities.book())
    }

    /// Whether somebody else said already who calls.
    pub(crate) fn is_known(cx: &RequestCx<'_>) -> bool {
        cx.notes.get::<Caller>().is_some()
    }

    /// Tells the others that this consumer calls, if it may: known by what was sought, which is good until then.
    pub(crate) fn admit(
        &self,
        cx: &mut RequestCx<'_>,
        consumer: &Arc<Consumer>,
        (sought, not_after): (Sought<'_>, Expiry),
        now: Timestamp,
    ) -> Result<(), Failure> {
        let facts = check::Facts {
            now,
            client: cx.facts.client,
            host: &cx.facts.host,
            origin: cx.request.headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("invalid")),
            method: cx.request.method.as_str(),
        };
        check(consumer, not_after, &facts).map_err(Failure::Restricted)?;
        let caller = Caller {
            id: Arc::clone(consumer.shared_id()),
            plan: Arc::clone(consumer.plan().shared_name()),
            consumer: Some(Arc::clone(consumer)),
        };
        let proof = match sought {
            Sought::Key(_) => Proof::Key,
            Sought::Token { .. } => Proof::Token,
            Sought::Certificate(_) => Proof::Certificate,
        };
        self.tell(cx, caller, proof, Some((consumer.shared_id(), sought, not_after)));
        Ok(())
    }

    /// Tells the others that somebody calls who is anonymous by policy.
    pub(crate) fn admit_anonymous(&self, cx: &mut RequestCx<'_>, caller: Caller) {
        self.tell(cx, caller, Proof::Anonymous, None);
    }

    /// Tells the others who calls, and has that watched where it may be for long.
    fn tell(
        &self,
        cx: &mut RequestCx<'_>,
        caller: Caller,
        proof: Proof,
        known: Option<(&Arc<str>, Sought<'_>, Expiry)>,
    ) {
        if !cx.notes.is_explained() {
            self.identities.counts().admit(proof);
        }
        if may_stream(cx) {
            cx.notes.guard_stream(Arc::new(Watch::new(&self.identities, cx, known)));
        }
        cx.notes.consumer = Some(Arc::clone(&caller.id));
        cx.notes.extensions_mut().insert(caller);
    }

    /// Refuses a request: counted against its network, recorded with its cause, and answered like all others. What is
    /// only explained is not counted.
    pub(crate) fn refuse(&self, cx: &mut RequestCx<'_>, failure: Failure, now: Timestamp) -> ProxyError {
        cx.notes.annotate("identity", failure.name());
        if !cx.notes.is_explained() {
            self.identities.counts().fail(failure);
            if failure.counts() || failure == Failure::Banned {
                self.identities.book().throttle.failed(cx.facts.client, now);
            }
        }
        ProxyError::new(failure.reason())
    }

    /// Refuses whom an operator banned.
    pub(crate) fn banned(&self, cx: &RequestCx<'_>, now: Timestamp) -> Result<(), Failure> {
        let banned = self.identities.book().throttle.banned(cx.facts.client, now);
        if banned { Err(Failure::Banned) } else { Ok(()) }
    }
}

/// A 401 of the gateway's own says how to ask (RFC 9110 section 15.5.2).
pub(crate) fn challenge(cx: &mut ResponseCx<'_>, challenge: &HeaderValue) {
    let ours = cx.source == Source::Gateway && cx.response.status == StatusCode::UNAUTHORIZED;
    if ours && !cx.response.headers.contains_key(WWW_AUTHENTICATE) {
        drop(cx.response.insert_header(WWW_AUTHENTICATE, challenge.clone()));
    }
}

/// The time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
