//! What a client is told when a request of its fails at the gateway.
//!
//! There are four codes on a WebSocket and no more: of any other some clients make an exception that ends their process.
//! What happened stands in `error.data.reason`, by the names of `docs/errors.md`.

use portcullis_caps::{Counted, Held, Refusal, RefusalKind};
use portcullis_types::Reason;
use std::borrow::Cow;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// -32600 to -32603.
    pub code: i32,
    /// The reason.
    pub reason: Reason,
    /// What there is to say of this one case, for `error.data.detail`.
    pub detail: Option<Cow<'static, str>>,
    /// The cap that refused.
    pub cap: Option<String>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
}

/// What is no request.
const INVALID_REQUEST: i32 = -32600;
/// A method that there is none of.
const METHOD_NOT_FOUND: i32 = -32601;
/// Params that a method cannot have.
const INVALID_PARAMS: i32 = -32602;
/// Everything else.
const INTERNAL: i32 = -32603;

impl Failure {
    const fn of(code: i32, reason: Reason) -> Self {
        Self { code, reason, detail: None, cap: None, retry_after: None }
    }

    fn with(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// A message that is no request.
    #[must_use]
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(INVALID_REQUEST, Reason::RpcInvalidRequest).with(detail)
    }

    /// A message that is no JSON. There is a code for that, which is none of those that clients bear here.
    #[must_use]
    pub fn no_json(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(INVALID_REQUEST, Reason::RpcParseError).with(detail)
    }

    /// A request that is too large to be sent on.
    #[must_use]
    pub fn too_large() -> Self {
        Self::of(INVALID_REQUEST, Reason::BodyTooLarge)
    }

    /// An unknown method.
    #[must_use]
    pub const fn unknown_method() -> Self {
        Self::of(METHOD_NOT_FOUND, Reason::RpcMethodUnknown)
    }

    /// Params that cannot be right.
    #[must_use]
    pub fn params(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(INVALID_PARAMS, Reason::RpcParamsInvalid).with(detail)
    }

    /// A method that the caller may not call.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::of(INTERNAL, Reason::KeyForbidden).with("this method is not allowed for this caller")
    }

    /// The host denies the method.
    #[must_use]
    pub fn denied() -> Self {
        Self::of(INTERNAL, Reason::Denied).with("this method is not offered on this host")
    }

    /// As many subscriptions as a connection may hold.
    #[must_use]
    pub fn subscriptions(most: u32) -> Self {
        let failure = Self::of(INTERNAL, Reason::OverConcurrency);
        Self {
            cap: Some("subscriptions".to_owned()),
            ..failure.with(format!("{most} subscriptions of this connection"))
        }
    }

    /// A cap refused.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        let reason = match refusal.kind {
            RefusalKind::OverRate => Reason::OverRate,
            RefusalKind::OverQuota => Reason::OverQuota,
            RefusalKind::OverConcurrency => Reason::OverConcurrency,
            RefusalKind::NoRoom => return Self::overloaded(),
        };
        let detail = match refusal.standing.counted {
            Counted::Held(Held::Subscriptions) => Some(Cow::from("as many subscriptions as the plan allows are held")),
            Counted::Held(_) | Counted::Spent(_) => None,
        };
        let cap = Some(refusal.standing.cap.as_ref().to_owned());
        Self { detail, cap, retry_after: refusal.retry_after(), ..Self::of(INTERNAL, reason) }
    }

    /// The gateway has no room.
    #[must_use]
    pub const fn overloaded() -> Self {
        Self::of(INTERNAL, Reason::Overloaded)
    }

    /// No upstream could be reached in time.
    #[must_use]
    pub const fn no_upstream() -> Self {
        Self::of(INTERNAL, Reason::NoHealthyUpstream)
    }

    /// The upstream went away with the request.
    #[must_use]
    pub const fn reset() -> Self {
        Self::of(INTERNAL, Reason::UpstreamReset)
    }

    /// The upstream did not answer in time.
    #[must_use]
    pub const fn timeout() -> Self {
        Self::of(INTERNAL, Reason::UpstreamTotalTimeout)
    }

    /// The upstream answered with something that is no answer.
    #[must_use]
    pub const fn malformed() -> Self {
        Self::of(INTERNAL, Reason::UpstreamMalformed)
    }
}
