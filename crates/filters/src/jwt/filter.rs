//! Checks a token and finds whom its subject stands for.

use std::sync::Arc;

use http::HeaderValue;
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, ResponseCx, Verdict};
use portcullis_identity::credential::{Kind, Places};
use portcullis_identity::identities::{Book, TokenIssuer};
use portcullis_identity::store::Sought;
use portcullis_identity::token::{Claims, TokenError, claimed_issuer};
use portcullis_identity::{Consumer, Expiry, Failure, Timestamp};
use portcullis_types::{ProxyError, Reason};

use super::config::JwtConfig;
use crate::caller::{Asked, Changes, Declared, Door, Missed, challenge, find, now, parts, withhold};

const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"api\"");

/// The `jwt` filter.
pub struct Jwt {
    issuers: Option<Box<[String]>>,
    optional: bool,
    places: Places,
    door: Door,
}

/// What a request carries.
enum Carried {
    /// No token.
    Nothing,
    /// One whose signature and claims are right.
    Good(Arc<Claims>),
    /// One that is not good.
    Wrong(Failure),
}

/// Why a token leads to nobody.
enum NoToken {
    Failure(Failure),
    /// The gateway cannot judge it.
    Error(ProxyError),
}

impl Jwt {
    /// What a request carries, and what it is without that.
    fn read(&self, cx: &mut RequestCx<'_>, book: &Book, now: Timestamp) -> Result<(Carried, Changes), ProxyError> {
        let parts = parts(cx.request);
        let found = self.places.extract(parts);
        let (carried, presented) = match &found {
            Err(error) => (Carried::Wrong(Failure::Extract(*error)), None),
            Ok(Some(credential)) if credential.kind == Kind::Token && !Door::is_known(cx) => {
                let text = credential.text.as_bytes();
                match self.check(cx, book, text, now) {
                    Ok(claims) => (Carried::Good(claims), Some(text)),
                    Err(NoToken::Failure(failure)) => (Carried::Wrong(failure), Some(text)),
                    Err(NoToken::Error(error)) => return Err(error),
                }
            }
            Ok(Some(credential)) if credential.kind == Kind::Token => {
                (Carried::Nothing, Some(credential.text.as_bytes()))
            }
            // What is no token after `Bearer` may be a key, which is another filter's to judge.
            Ok(_) => return Ok((Carried::Nothing, Changes::default())),
        };
        let changes = Changes::of(parts, &self.places.strip(parts, presented));
        let changes = changes.ok_or_else(|| ProxyError::with_detail(Reason::PathInvalid, "path_byte"))?;
        withhold(cx.notes, &self.places, presented);
        Ok((carried, changes))
    }

    /// The claims of a token. A signature is checked only for a network that does not fail too often.
    fn check(&self, cx: &RequestCx<'_>, book: &Book, token: &[u8], now: Timestamp) -> Result<Arc<Claims>, NoToken> {
        let wrong = |error| NoToken::Failure(Failure::Token(error));
        let issuer = claimed_issuer(token).ok_or_else(|| wrong(TokenError::Claims))?;
        let issuer =
            book.issuer(&issuer).filter(|issuer| self.takes(issuer)).ok_or_else(|| wrong(TokenError::Issuer))?;
        let Some(verifier) = issuer.verifier() else {
            issuer.want_keys();
            return Err(NoToken::Error(ProxyError::with_detail(
                Reason::Overloaded,
                "the keys of the issuer have not come",
            )));
        };
        if let Some(claims) = verifier.remembered(token, now) {
            return Ok(claims);
        }
        if !book.throttle.standing(cx.facts.client, now).may_verify() {
            return Err(NoToken::Failure(Failure::Throttled));
        }
        verifier.verify(token, now).map_err(|error| {
            if error == TokenError::KeyUnknown {
                issuer.want_keys();
            }
            wrong(error)
        })
    }

    fn takes(&self, issuer: &TokenIssuer) -> bool {
        self.issuers.as_ref().is_none_or(|names| names.iter().any(|name| name == issuer.name()))
    }

    async fn consumer(
        &self,
        cx: &RequestCx<'_>,
        book: &Book,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<Arc<Consumer>, NoToken> {
        if let Some(consumer) = book.directory.by_token(&claims.issuer, &claims.subject) {
            return Ok(Arc::clone(consumer));
        }
        let asked =
            Asked { identities: self.door.identities(), throttle: &book.throttle, client: cx.facts.client, now };
        let sought = Sought::Token { issuer: &claims.issuer, subject: &claims.subject };
        find(&asked, sought).await.map_err(|missed| match missed {
            Missed::Nobody => NoToken::Failure(Failure::UnknownSubject),
            Missed::Refused(failure) => NoToken::Failure(failure),
            Missed::Failed(error) => NoToken::Error(error),
        })
    }
}

impl Filter for Jwt {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter).and(Phase::ResponseFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let (now, book) = (now(), self.door.book());
        if let Err(failure) = self.door.banned(cx, now) {
            return Err(self.door.refuse(cx, failure, now));
        }
        let (carried, changes) = self.read(cx, &book, now)?;
        changes.apply(cx.request);
        let claims = match carried {
            Carried::Nothing if self.optional || Door::is_known(cx) => return Ok(Verdict::Continue),
            Carried::Nothing => return Err(self.door.refuse(cx, Failure::Missing, now)),
            Carried::Wrong(failure) => return Err(self.door.refuse(cx, failure, now)),
            Carried::Good(claims) => claims,
        };
        match self.consumer(cx, &book, &claims, now).await {
            Ok(consumer) => {
                let by = Sought::Token { issuer: &claims.issuer, subject: &claims.subject };
                let admitted = self.door.admit(cx, &consumer, (by, Expiry::NEVER), now);
                admitted.map_err(|failure| self.door.refuse(cx, failure, now)).map(|()| Verdict::Continue)
            }
            Err(NoToken::Failure(failure)) => Err(self.door.refuse(cx, failure, now)),
            Err(NoToken::Error(error)) => Err(error),
        }
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        challenge(cx, &CHALLENGE);
        Ok(())
    }
}

impl ConfiguredFilter for Jwt {
    const NAME: &'static str = "jwt";

    type Config = JwtConfig;

    fn build(config: JwtConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        let door = Door::with_consumers(cx)?;
        let issuers: Option<Box<[String]>> = config.issuers.map(|names| names.into_iter().collect());
        if let Some(declared) = cx.services.get::<Declared>() {
            if declared.issuers.is_empty() {
                return Err("the config has no `tokens`, so no token would ever be good".to_owned());
            }
            let unknown = issuers.iter().flatten().find(|name| !declared.issuers.contains(name));
            if let Some(name) = unknown {
                return Err(format!(
                    "there is no issuer `{name}` under `tokens`; there are {}",
                    declared.issuers.join(", ")
                ));
            }
        }
        let places = Places { query: None, path: None, header: None, bearer: true, basic: None, ..Places::default() };
        Ok(Self { issuers, optional: config.optional, places, door })
    }
}
