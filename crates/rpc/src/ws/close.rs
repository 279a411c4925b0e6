//! Why a WebSocket is closed, as its client is told (RFC 6455 section 7.4 and the IANA registry).
//!
//! Never 1000: a client that reads it takes the end for its own wish, reconnects, and does not subscribe again.

use portcullis_telemetry::metrics::WebsocketEnd;
use portcullis_types::Reason;

/// A code and a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: u16,
    /// The text: at most 123 bytes, plain ASCII.
    pub reason: &'static str,
}

impl Close {
    /// The gateway ends or restarts.
    pub const DRAINING: Self = Self { code: 1001, reason: "draining: the gateway goes away, connect again" };
    /// The client sent what the protocol forbids.
    pub const PROTOCOL: Self = Self { code: 1002, reason: "the frames are malformed" };
    /// JSON-RPC is text.
    pub const NOT_TEXT: Self = Self { code: 1003, reason: "only text is understood here" };
    /// The text is none.
    pub const NOT_UTF8: Self = Self { code: 1007, reason: "the text is not UTF-8" };
    /// The client did not answer a ping.
    pub const SILENT: Self = Self { code: 1008, reason: "client_silent: no ping was answered" };
    /// Message after message was no JSON-RPC.
    pub const MALFORMED: Self = Self { code: 1008, reason: "too many messages that are no JSON-RPC" };
    /// A cap of the caller's ran dry.
    pub const SPENT: Self = Self { code: 1008, reason: "over_quota: what may be spent is spent" };
    /// The key, or whoever it belongs to, may not call any more.
    pub const FORBIDDEN: Self = Self { code: 1008, reason: "key_forbidden: this key may not be used any more" };
    /// Nobody has the key any more, or the network was banned.
    pub const UNKNOWN: Self = Self { code: 1008, reason: "key_unknown: nobody has this key any more" };
    /// The message is larger than what is read.
    pub const TOO_BIG: Self =
        Self { code: 1009, reason: "body_too_large: the message is larger than this endpoint reads" };
    /// The upstream failed over, and notifications of a subscription may be lost.
    pub const GAP: Self = Self {
        code: 1012,
        reason: "upstream_failover: notifications may be lost, read the state again and subscribe again",
    };
    /// The client takes what it subscribed to too slowly.
    pub const SLOW: Self = Self { code: 1013, reason: "slow_consumer: too much waits to be read by this client" };
    /// No upstream can be reached.
    pub const NO_UPSTREAM: Self =
        Self { code: 1013, reason: "no_healthy_upstream: no upstream can be reached, try again later" };
}

impl Close {
    /// What the client of a stream is told that the gateway ends for this reason.
    #[must_use]
    pub fn of(why: Reason) -> Self {
        if why == Reason::KeyForbidden {
            Self::FORBIDDEN
        } else if why == Reason::KeyUnknown {
            Self::UNKNOWN
        } else if matches!(why, Reason::OverRate | Reason::OverQuota) {
            Self::SPENT
        } else {
            Self::DRAINING
        }
    }

    /// Whether many clients are closed for this at the same time.
    #[must_use]
    pub fn is_for_many(self) -> bool {
        self == Self::GAP || self == Self::NO_UPSTREAM
    }

    /// The reason in metrics.
    #[must_use]
    pub fn counted_as(self) -> WebsocketEnd {
        match self {
            Self::DRAINING => WebsocketEnd::Draining,
            Self::PROTOCOL => WebsocketEnd::MalformedFrames,
            Self::NOT_TEXT => WebsocketEnd::NotText,
            Self::NOT_UTF8 => WebsocketEnd::NotUtf8,
            Self::SILENT => WebsocketEnd::ClientSilent,
            Self::TOO_BIG => WebsocketEnd::MessageTooLarge,
            Self::GAP => WebsocketEnd::UpstreamFailover,
            Self::SLOW => WebsocketEnd::SlowConsumer,
            Self::NO_UPSTREAM => WebsocketEnd::NoHealthyUpstream,
            Self::FORBIDDEN => WebsocketEnd::KeyForbidden,
            Self::UNKNOWN => WebsocketEnd::KeyUnknown,
            Self::SPENT => WebsocketEnd::OverQuota,
            _ => WebsocketEnd::MalformedMessages,
        }
    }

    /// The reason in the request's record.
    #[must_use]
    pub fn reason_for_record(self) -> Reason {
        match self {
            Self::DRAINING => Reason::Draining,
            Self::GAP => Reason::UpstreamReset,
            Self::NO_UPSTREAM => Reason::NoHealthyUpstream,
            Self::SLOW => Reason::ClientTooSlow,
            Self::SILENT => Reason::ClientClosed,
            Self::TOO_BIG => Reason::BodyTooLarge,
            Self::FORBIDDEN => Reason::KeyForbidden,
            Self::UNKNOWN => Reason::KeyUnknown,
            Self::SPENT => Reason::OverQuota,
            _ => Reason::MalformedRequest,
        }
    }
}

/// Whether a peer may send this code in a close frame.
#[must_use]
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_fits_its_frame_and_none_is_normal() {
        let all = [
            Close::DRAINING,
            Close::PROTOCOL,
            Close::NOT_TEXT,
            Close::NOT_UTF8,
            Close::SILENT,
            Close::MALFORMED,
            Close::TOO_BIG,
            Close::FORBIDDEN,
            Close::UNKNOWN,
            Close::SPENT,
            Close::GAP,
            Close::SLOW,
            Close::NO_UPSTREAM,
        ];
        let counted: std::collections::HashSet<&str> = all.iter().map(|close| close.counted_as().as_str()).collect();
        assert_eq!(counted.len(), all.len(), "each has a word of its own");
        for close in all {
            assert!(close.code != 1000 && is_sendable(close.code), "{close:?}");
            assert!(close.reason.len() <= 123 && close.reason.is_ascii(), "{close:?}");
        }
    }
}
