//! Why a request was not tried again, why it went to another cluster, and what became of its second attempt.

/// Why a failed attempt was the last although its failure is one that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NotRetried {
    /// The cluster's budget is spent.
    Budget,
    /// It may have been acted on, and neither its method nor its route is idempotent.
    Unsafe,
    /// All attempts were made.
    Attempts,
    /// The next one could not end in time.
    Deadline,
    /// Its body is too large to be kept, and a part of it is gone.
    Body,
    /// No other endpoint is left, and this one wants to be left alone for longer than the gateway waits.
    RetryAfter,
}

impl NotRetried {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Budget, Self::Unsafe, Self::Attempts, Self::Deadline, Self::Body, Self::RetryAfter];

    /// The word of logs and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Unsafe => "unsafe",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::Body => "body",
            Self::RetryAfter => "retry_after",
        }
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }
}

/// Why a request went to another cluster than the decided one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailoverWhy {
    /// The cluster has too few endpoints that may be used, or had until a moment ago.
    Unfit,
    /// It is as full as it may be.
    Saturated,
    /// It has no endpoint at all.
    NoEndpoint,
    /// The request was tried on all its endpoints.
    Tried,
}

impl FailoverWhy {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Unfit, Self::Saturated, Self::NoEndpoint, Self::Tried];

    /// The word of logs and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unfit => "unfit",
            Self::Saturated => "saturated",
            Self::NoEndpoint => "no_endpoint",
            Self::Tried => "tried",
        }
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }
}

/// What became of the second attempt of a request whose first was waited for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Hedged {
    /// Its answer was used.
    Won,
    /// The first answered before it.
    Lost,
    /// It came to nothing, and the first was waited for.
    Failed,
    /// None was made: the route's budget is spent.
    Budget,
    /// None was made: the gateway or the cluster is as full as it may be.
    Overloaded,
    /// None was made: no other endpoint is left.
    Alone,
    /// None was made: the request's body is too large to be kept.
    Body,
}

impl Hedged {
    /// Every word.
    pub const ALL: [Self; 7] =
        [Self::Won, Self::Lost, Self::Failed, Self::Budget, Self::Overloaded, Self::Alone, Self::Body];

    /// The word of logs and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::Budget => "budget",
            Self::Overloaded => "overloaded",
            Self::Alone => "no_other_endpoint",
            Self::Body => "body",
        }
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }
}
