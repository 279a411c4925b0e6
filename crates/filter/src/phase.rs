//! The phases of a request, by Pingora's names where it has them, and a set of them.

/// A point of a request's life at which a filter may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// The head is read, normalised and (for a route's filters) routed; nothing is sent yet.
    RequestFilter,
    /// The whole body was read, before the request is routed. A filter of a host asks for that by taking part.
    RequestPeekFilter,
    /// All filters let the request pass: what it spends is about to be spent.
    AdmissionFilter,
    /// A chunk of the request body, or its end.
    RequestBodyFilter,
    /// An endpoint is about to be chosen.
    UpstreamPeer,
    /// The head that goes upstream, once per attempt.
    UpstreamRequestFilter,
    /// The head of the answer, the gateway's own answers included.
    ResponseFilter,
    /// A chunk of the answer's body, or its end.
    ResponseBodyFilter,
    /// The answer's trailers (HTTP/2).
    ResponseTrailerFilter,
    /// The gateway is about to answer with an error.
    FailToProxy,
    /// The request is over, however it ended.
    Logging,
}

impl Phase {
    /// How many phases there are.
    pub const COUNT: usize = 11;

    /// Every phase.
    pub const ALL: [Self; Self::COUNT] = [
        Self::RequestFilter,
        Self::RequestPeekFilter,
        Self::AdmissionFilter,
        Self::RequestBodyFilter,
        Self::UpstreamPeer,
        Self::UpstreamRequestFilter,
        Self::ResponseFilter,
        Self::ResponseBodyFilter,
        Self::ResponseTrailerFilter,
        Self::FailToProxy,
        Self::Logging,
    ];

    /// The phase's name: Pingora's, where it has the phase.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestFilter => "request_filter",
            Self::RequestPeekFilter => "request_peek_filter",
            Self::AdmissionFilter => "admission_filter",
            Self::RequestBodyFilter => "request_body_filter",
            Self::UpstreamPeer => "upstream_peer",
            Self::UpstreamRequestFilter => "upstream_request_filter",
            Self::ResponseFilter => "response_filter",
            Self::ResponseBodyFilter => "response_body_filter",
            Self::ResponseTrailerFilter => "response_trailer_filter",
            Self::FailToProxy => "fail_to_proxy",
            Self::Logging => "logging",
        }
    }
}

/// A set of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u16);

impl Phases {
    /// No phase.
    pub const NONE: Self = Self(0);

    /// The set of one phase.
    #[must_use]
    pub const fn of(phase: Phase) -> Self {
        Self(1 << phase as u16)
    }

    /// This set and one phase more.
    #[must_use]
    pub const fn and(self, phase: Phase) -> Self {
        Self(self.0 | Self::of(phase).0)
    }

    /// Both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a phase is in the set.
    #[must_use]
    pub const fn has(self, phase: Phase) -> bool {
        self.0 & Self::of(phase).0 != 0
    }
}
