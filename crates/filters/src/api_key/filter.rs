//! Finds the consumer of a key.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, ResponseCx, Secrets, Verdict};
use portcullis_identity::credential::{Kind, Parts, Places};
use portcullis_identity::identities::Book;
use portcullis_identity::store::Sought;
use portcullis_identity::{Consumer, Expiry, Failure, KeyHash, Timestamp};
use portcullis_types::{ProxyError, Reason};

use super::config::ApiKeyConfig;
use crate::caller::{Asked, Changes, Door, Missed, challenge, find, now, parts, withhold};

/// The `api_key` filter.
pub struct ApiKey {
    config: ApiKeyConfig,
    /// The places of a request that has a token after `Bearer`, which is another filter's to judge.
    beside_token: Places,
    door: Door,
}

/// What a request carries.
enum Carried {
    /// No key.
    Nothing,
    /// The key of a consumer of the file.
    Key(Arc<Consumer>, KeyHash, Expiry),
    /// A key that the file does not have.
    Unknown(KeyHash, Failure),
    /// What is no key.
    Wrong(Failure),
}

impl ApiKey {
    /// What a request carries, and what it is without that.
    fn read(&self, cx: &mut RequestCx<'_>, book: &Book) -> (Carried, Option<Changes>) {
        let parts = parts(cx.request);
        let found = self.config.places.extract(parts);
        let (carried, places, presented) = match &found {
            Err(error) => (Carried::Wrong(Failure::Extract(*error)), &self.config.places, None),
            Ok(None) => (Carried::Nothing, &self.config.places, None),
            Ok(Some(credential)) if credential.kind == Kind::Token => (Carried::Nothing, &self.beside_token, None),
            Ok(Some(credential)) => {
                let text = credential.text.as_bytes();
                let hash = book.secret.hash(text);
                let carried = match book.directory.by_hash(&hash) {
                    Some(found) => Carried::Key(Arc::clone(found.consumer), hash, found.not_after),
                    None => Carried::Unknown(hash, Failure::of_unknown_key(text)),
                };
                (carried, &self.config.places, Some(text))
            }
        };
        let changes = Changes::of(parts, &places.strip(parts, presented));
        withhold(cx.notes, places, presented);
        (carried, changes)
    }

    async fn establish(
        &self,
        cx: &mut RequestCx<'_>,
        carried: Carried,
        book: &Book,
        now: Timestamp,
    ) -> Result<(), ProxyError> {
        let (consumer, hash, not_after) = match carried {
            Carried::Nothing if self.config.optional || Door::is_known(cx) => return Ok(()),
            Carried::Nothing => return Err(self.door.refuse(cx, Failure::Missing, now)),
            Carried::Wrong(failure) => return Err(self.door.refuse(cx, failure, now)),
            Carried::Key(consumer, hash, not_after) => (consumer, hash, not_after),
            Carried::Unknown(hash, failure) => {
                let (identities, throttle) = (self.door.identities(), &*book.throttle);
                let asked = Asked { identities, throttle, client: cx.facts.client, now };
                match find(&asked, Sought::Key(&hash)).await {
                    Ok(consumer) => {
                        let Some(key) = consumer.key(&hash).copied() else {
                            return Err(self.door.refuse(cx, failure, now));
                        };
                        (consumer, hash, key.not_after)
                    }
                    Err(Missed::Nobody) => return Err(self.door.refuse(cx, failure, now)),
                    Err(Missed::Refused(failure)) => return Err(self.door.refuse(cx, failure, now)),
                    Err(Missed::Failed(error)) => return Err(error),
                }
            }
        };
        if Door::is_known(cx) {
            return Ok(());
        }
        let admitted = self.door.admit(cx, &consumer, (Sought::Key(&hash), not_after), now);
        admitted.map_err(|failure| self.door.refuse(cx, failure, now))
    }
}

/// The places of keys in a target.
struct KeyPlaces(Places);

impl Secrets for KeyPlaces {
    fn find(&self, path: &str, query: Option<&str>, headers: &HeaderMap, hide: &mut dyn FnMut(&str)) {
        self.0.secrets(Parts { path, query, headers }, hide);
    }
}

impl Filter for ApiKey {
    type Ctx = ();

    fn secrets(&self) -> Option<Arc<dyn Secrets>> {
        Some(Arc::new(KeyPlaces(self.config.places.clone())))
    }

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter).and(Phase::ResponseFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let (now, book) = (now(), self.door.book());
        let (carried, changes) = self.read(cx, &book);
        let changes = changes.ok_or_else(|| ProxyError::with_detail(Reason::PathInvalid, "path_byte"))?;
        changes.apply(cx.request);
        if let Err(failure) = self.door.banned(cx, now) {
            return Err(self.door.refuse(cx, failure, now));
        }
        self.establish(cx, carried, &book, now).await.map(|()| Verdict::Continue)
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        challenge(cx, &self.config.challenge);
        Ok(())
    }
}

impl ConfiguredFilter for ApiKey {
    const NAME: &'static str = "api_key";

    type Config = ApiKeyConfig;

    fn build(config: ApiKeyConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        let beside_token = Places { bearer: false, ..config.places.clone() };
        Ok(Self { config, beside_token, door: Door::with_consumers(cx)? })
    }
}
