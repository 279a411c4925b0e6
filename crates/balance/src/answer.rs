//! What an answer says of the endpoint that gave it.

/// See the module's text. An attempt without an answer is a failure with a reason instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The endpoint did its work, whatever it thought of the request.
    Good,
    /// The endpoint failed.
    Failed,
    /// The endpoint refused for lack of capacity. It takes fewer requests; it is not ejected for it.
    Overloaded,
}

impl Answer {
    /// What an HTTP status says: 429 is a lack of capacity, 500, 502, 503, 504 and the unregistered 5xx are failures.
    /// 501 and 505 concern the request.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Overloaded,
            501 | 505 => Self::Good,
            500..=599 => Self::Failed,
            _ => Self::Good,
        }
    }

    /// What a gRPC status says: RESOURCE_EXHAUSTED is a lack of capacity; UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS
    /// and DEADLINE_EXCEEDED are failures.
    #[must_use]
    pub const fn of_grpc(code: u32) -> Self {
        match code {
            8 => Self::Overloaded,
            2 | 4 | 13 | 14 | 15 => Self::Failed,
            _ => Self::Good,
        }
    }
}
