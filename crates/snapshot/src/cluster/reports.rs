//! Which of an endpoint's words about its own capacity are believed.

use http::HeaderName;

/// What is read from answers, beside their status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReports {
    /// Whether `endpoint-load-metrics` is read (ORCA, JSON and TEXT).
    pub orca: bool,
    /// A field whose value says how full the endpoint is, `0.83` or `83%`.
    pub utilisation: Option<HeaderName>,
    /// A field whose presence says that the endpoint wants no new requests.
    pub drain: Option<HeaderName>,
    /// Which answers' Retry-After keeps requests away.
    pub retry_after: RetryAfter,
    /// Whether these fields are taken out of answers to clients.
    pub strip: bool,
}

impl LoadReports {
    /// Whether any field has to be looked for in every answer.
    #[must_use]
    pub const fn reads_fields(&self) -> bool {
        self.orca || self.utilisation.is_some() || self.drain.is_some()
    }
}

/// Which answers' Retry-After is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// None.
    Never,
    /// That of a 503. A 429 is as often said of one client as of the endpoint.
    #[default]
    Unavailable,
    /// That of a 503 and of a 429.
    Always,
}

impl RetryAfter {
    /// The word in the config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Unavailable => "unavailable",
            Self::Always => "always",
        }
    }

    /// Whether the Retry-After of an answer with this status is believed.
    #[must_use]
    pub const fn of(self, status: u16) -> bool {
        match self {
            Self::Never => false,
            Self::Unavailable => status == 503,
            Self::Always => status == 503 || status == 429,
        }
    }
}
