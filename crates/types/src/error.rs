//! One failure, as it is answered, logged and counted.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::reason::Reason;

/// A [`Reason`] with what is known of this one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyError {
    /// Why.
    pub reason: Reason,
    /// The rule that was broken or the thing that failed, for the client and the record. Never a secret.
    pub detail: Option<Cow<'static, str>>,
    /// Said as `Retry-After`, rounded up to seconds.
    pub retry_after: Option<Duration>,
}

impl ProxyError {
    /// A failure with no more to say than its reason.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after: None }
    }

    /// A failure with a detail.
    #[must_use]
    pub fn with_detail(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: Some(detail.into()), retry_after: None }
    }

    /// The same failure, saying when to come back.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// When to come back, in seconds rounded up, as `Retry-After` says it (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)))
    }

    /// The `Proxy-Status` field value (RFC 9209) for a gateway of this name.
    #[must_use]
    pub fn proxy_status(&self, gateway: &str) -> String {
        // The reason's name is a plain token, so the sf-string needs no escaping.
        format!("{gateway}; error={}; details=\"{}\"", self.reason.proxy_status(), self.reason.name())
    }
}

impl From<Reason> for ProxyError {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

impl std::error::Error for ProxyError {}
