//! The class of a status, as a label.

/// How many classes there are.
pub(super) const CLASSES: usize = 6;

/// The class of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// No answer could be sent.
    None,
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
}

impl Class {
    pub(super) const ALL: [Self; CLASSES] =
        [Self::None, Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError];

    /// The class; statuses past 599 count as server errors, which is what RFC 9110 section 15 says a client makes
    /// of them.
    pub(super) const fn of(status: u16) -> Self {
        match status {
            0..100 => Self::None,
            100..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }

    pub(super) const fn place(self) -> usize {
        self as usize
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }
}
