//! The closed list of reasons: why the gateway answered for itself, or why a request or a connection failed.
//!
//! A row of the table below carries everything a reason must have, so a reason without one of them does not
//! compile: name (also the metric label), whose fault, whether a retry may help, status, RFC 9209 error type, gRPC
//! code, title. Names are stable: they stand in configs, alerts and logs.

use std::fmt;
use std::str::FromStr;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client sent something wrong, was refused, or went away.
    Client,
    /// The gateway refused or failed by itself.
    Gateway,
    /// The upstream failed.
    Upstream,
}

impl Fault {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

/// Whether doing it again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same request would fail the same way.
    Never,
    /// Nothing reached an upstream: the gateway may try another endpoint, whatever the method.
    Unsent,
    /// The request may have been acted on: only an idempotent one may be sent again.
    Idempotent,
    /// The client may try again after a while; the gateway does not.
    Later,
}

macro_rules! reasons {
    ($($variant:ident, $name:literal, $fault:ident, $retry:ident, $status:literal, $proxy_status:literal, $grpc:literal, $title:literal;)*) => {
        /// Why. See the module's text; `docs/errors.md` is generated from this table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $title] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name: config, log, metric label and problem type.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// Whether doing it again may help.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }

            /// The HTTP status it is answered with, where an answer is still possible.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The error type of RFC 9209 section 2.3.
            #[must_use]
            pub const fn proxy_status(self) -> &'static str {
                match self { $(Self::$variant => $proxy_status,)* }
            }

            /// The gRPC status code (google.rpc.Code) it is answered with.
            #[must_use]
            pub const fn grpc_code(self) -> u8 {
                match self { $(Self::$variant => $grpc,)* }
            }

            /// A short sentence for people; holds nothing of the request.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

reasons! {
    // The connection, before any request.
    ConnectionLimit, "connection_limit", Gateway, Later, 503, "connection_limit_reached", 8, "The listener holds as many connections as it may";
    NetworkConnectionLimit, "network_connection_limit", Client, Later, 429, "connection_limit_reached", 8, "This client network holds as many connections as it may";
    ProxyProtocolInvalid, "proxy_protocol_invalid", Client, Never, 400, "proxy_internal_response", 3, "The PROXY protocol header is missing or malformed";
    TlsHandshakeTimeout, "tls_handshake_timeout", Client, Never, 408, "connection_timeout", 4, "The TLS handshake took too long";
    TlsHandshakeFailed, "tls_handshake_failed", Client, Never, 400, "tls_protocol_error", 16, "The TLS handshake failed";
    Http2ProtocolError, "http2_protocol_error", Client, Never, 400, "http_protocol_error", 3, "The HTTP/2 layer rejected the connection or a stream of it";
    Http2Abuse, "http2_abuse", Client, Never, 400, "http_protocol_error", 8, "The HTTP/2 connection passed a flood limit";
    // The request as it was written.
    MalformedRequest, "malformed_request", Client, Never, 400, "http_request_error", 3, "The request head is malformed";
    MalformedFraming, "malformed_framing", Client, Never, 400, "http_request_error", 3, "The framing of the request body is malformed";
    HostInvalid, "host_invalid", Client, Never, 400, "http_request_error", 3, "The request names no host, several hosts, or an invalid one";
    PathInvalid, "path_invalid", Client, Never, 400, "http_request_error", 3, "The path is malformed or of a form this host refuses";
    HeadTooLarge, "head_too_large", Client, Never, 431, "http_request_error", 8, "The request head is larger than this listener takes";
    TargetTooLong, "target_too_long", Client, Never, 414, "http_request_error", 8, "The request target is longer than this listener takes";
    VersionUnsupported, "version_unsupported", Client, Never, 505, "http_request_error", 12, "This version of HTTP is not spoken here";
    ExpectationFailed, "expectation_failed", Client, Never, 417, "http_request_error", 3, "The expectation is not one this gateway can meet";
    ConnectRefused, "connect_refused", Client, Never, 405, "http_request_denied", 12, "CONNECT is not offered here";
    Misdirected, "misdirected", Client, Never, 421, "http_request_denied", 3, "The TLS server name and the Host disagree";
    HeadTimeout, "head_timeout", Client, Never, 408, "http_request_error", 4, "The request head took too long to arrive";
    BodyTimeout, "body_timeout", Client, Never, 408, "http_request_error", 4, "The request body stopped arriving";
    BodyTooSlow, "body_too_slow", Client, Never, 408, "http_request_error", 4, "The request body arrives below the minimum rate";
    BodyTooLarge, "body_too_large", Client, Never, 413, "http_request_error", 8, "The request body is larger than this route takes";
    ClientClosed, "client_closed", Client, Never, 499, "http_request_error", 1, "The client closed the connection before the answer";
    ClientTooSlow, "client_too_slow", Client, Never, 408, "http_response_timeout", 4, "The client takes the answer too slowly";
    // Policy.
    NoHost, "no_host", Client, Never, 404, "destination_not_found", 5, "No such host is served here";
    NoRoute, "no_route", Client, Never, 404, "destination_not_found", 5, "No route matches this request";
    Denied, "denied", Client, Never, 403, "http_request_denied", 7, "A rule denies this request";
    KeyMissing, "key_missing", Client, Never, 401, "http_request_denied", 16, "This request needs credentials and carries none";
    KeyUnknown, "key_unknown", Client, Never, 401, "http_request_denied", 16, "The credentials are not valid";
    KeyForbidden, "key_forbidden", Client, Never, 403, "http_request_denied", 7, "The credentials do not allow this request";
    PlanUnknown, "plan_unknown", Gateway, Never, 500, "proxy_configuration_error", 13, "The caller's plan is not one that this gateway has";
    OverRate, "over_rate", Client, Later, 429, "http_request_denied", 8, "The rate limit is reached";
    OverQuota, "over_quota", Client, Later, 429, "http_request_denied", 8, "The quota is used up";
    OverConcurrency, "over_concurrency", Client, Later, 429, "http_request_denied", 8, "As many requests are in flight as may be";
    // JSON-RPC.
    RpcParseError, "rpc_parse_error", Client, Never, 400, "http_request_error", 3, "The body is no JSON that is read here";
    RpcInvalidRequest, "rpc_invalid_request", Client, Never, 400, "http_request_error", 3, "The body is no JSON-RPC call";
    RpcMethodUnknown, "rpc_method_unknown", Client, Never, 200, "http_request_denied", 12, "No such method is offered here";
    RpcParamsInvalid, "rpc_params_invalid", Client, Never, 200, "http_request_error", 3, "The params are none of this method";
    // The gateway.
    Overloaded, "overloaded", Gateway, Later, 503, "connection_limit_reached", 14, "The gateway is at its limit";
    MemoryPressure, "memory_pressure", Gateway, Later, 503, "proxy_internal_response", 14, "The gateway is short of memory and refuses what is least important";
    EventLoopDelay, "event_loop_delay", Gateway, Later, 503, "proxy_internal_response", 14, "The gateway cannot keep up and refuses what is least important";
    ProcessConnections, "process_connections", Gateway, Later, 503, "connection_limit_reached", 14, "The gateway holds as many connections as it may";
    DescriptorsExhausted, "descriptors_exhausted", Gateway, Unsent, 503, "connection_limit_reached", 14, "The gateway has no file descriptors left";
    Draining, "draining", Gateway, Later, 503, "proxy_internal_response", 14, "The gateway is shutting down";
    FaultInjected, "fault_injected", Gateway, Later, 503, "proxy_internal_response", 14, "A configured fault was injected";
    FilterFailed, "filter_failed", Gateway, Never, 500, "proxy_internal_error", 13, "A filter failed";
    Internal, "internal", Gateway, Never, 500, "proxy_internal_error", 13, "The gateway failed";
    // The upstream.
    NoHealthyUpstream, "no_healthy_upstream", Upstream, Later, 503, "destination_unavailable", 14, "No endpoint of the cluster can take the request";
    UpstreamConnectTimeout, "upstream_connect_timeout", Upstream, Unsent, 504, "connection_timeout", 4, "Connecting to the upstream took too long";
    UpstreamConnectRefused, "upstream_connect_refused", Upstream, Unsent, 502, "connection_refused", 14, "The upstream refused the connection";
    UpstreamConnectFailed, "upstream_connect_failed", Upstream, Unsent, 502, "destination_ip_unroutable", 14, "The upstream could not be reached";
    UpstreamTlsFailed, "upstream_tls_failed", Upstream, Unsent, 502, "tls_protocol_error", 14, "The TLS handshake with the upstream failed";
    UpstreamCertificateInvalid, "upstream_certificate_invalid", Upstream, Never, 502, "tls_certificate_error", 14, "The upstream's certificate is not valid for its name";
    UpstreamReset, "upstream_reset", Upstream, Idempotent, 502, "connection_terminated", 14, "The upstream closed or reset the connection";
    UpstreamRefusedStream, "upstream_refused_stream", Upstream, Unsent, 502, "connection_terminated", 14, "The upstream refused the stream before acting on it";
    UpstreamWriteTimeout, "upstream_write_timeout", Upstream, Idempotent, 504, "connection_write_timeout", 4, "The upstream stopped reading the request";
    UpstreamFirstByteTimeout, "upstream_first_byte_timeout", Upstream, Idempotent, 504, "http_response_timeout", 4, "The upstream did not begin its answer in time";
    UpstreamPerTryTimeout, "upstream_per_try_timeout", Upstream, Idempotent, 504, "http_response_timeout", 4, "The attempt took longer than one attempt may";
    UpstreamIdleTimeout, "upstream_idle_timeout", Upstream, Never, 504, "connection_read_timeout", 4, "The upstream stopped in the middle of its answer";
    UpstreamTotalTimeout, "upstream_total_timeout", Upstream, Never, 504, "http_response_timeout", 4, "The whole exchange took longer than the route allows";
    UpstreamBusy, "upstream_busy", Upstream, Later, 503, "destination_unavailable", 14, "The upstream answered that it takes no more for now";
    UpstreamError, "upstream_error", Upstream, Never, 502, "http_protocol_error", 13, "The upstream answered with a status that is no success";
    UpstreamMalformed, "upstream_malformed", Upstream, Never, 502, "http_protocol_error", 13, "The upstream's answer is malformed";
    UpstreamIncomplete, "upstream_incomplete", Upstream, Never, 502, "http_response_incomplete", 14, "The upstream's answer ended before its end";
}

impl Reason {
    /// Whether an attempt that ended so says nothing of its endpoint: the gateway itself lacked what an attempt needs.
    #[must_use]
    pub const fn is_own_lack(self) -> bool {
        matches!(self, Self::DescriptorsExhausted)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no reason's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a reason")]
pub struct UnknownReason;

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.name() == text).ok_or(UnknownReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_snake_case_and_read_back() {
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for &reason in Reason::ALL {
            assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            assert_eq!(reason.name().parse(), Ok(reason));
        }
        assert_eq!("no_such".parse::<Reason>(), Err(UnknownReason));
    }

    #[test]
    fn proxy_status_types_are_those_of_rfc_9209() {
        let registered = [
            "dns_timeout dns_error destination_not_found destination_unavailable destination_ip_prohibited",
            "destination_ip_unroutable connection_refused connection_terminated connection_timeout",
            "connection_read_timeout connection_write_timeout connection_limit_reached tls_protocol_error",
            "tls_certificate_error tls_alert_received http_request_error http_request_denied",
            "http_response_incomplete http_response_header_section_size http_response_header_size",
            "http_response_body_size http_response_trailer_section_size http_response_trailer_size",
            "http_response_transfer_coding http_response_content_coding http_response_timeout",
            "http_upgrade_failed http_protocol_error proxy_internal_response proxy_internal_error",
            "proxy_configuration_error proxy_loop_detected",
        ]
        .join(" ");
        for reason in Reason::ALL {
            assert!(registered.split(' ').any(|name| name == reason.proxy_status()), "{reason}");
        }
    }

    #[test]
    fn says_504_for_timeouts_502_for_what_an_upstream_did_and_503_for_what_was_refused() {
        let of_upstream = |reason: &&Reason| reason.name().starts_with("upstream_") && reason.retry() != Retry::Later;
        for reason in Reason::ALL.iter().filter(of_upstream) {
            let expected = if reason.name().ends_with("_timeout") { 504 } else { 502 };
            assert_eq!((reason.status(), reason.fault()), (expected, Fault::Upstream), "{reason}");
        }
        for reason in Reason::ALL.iter().filter(|reason| reason.retry() == Retry::Later) {
            let expected = if reason.fault() == Fault::Client { 429 } else { 503 };
            assert_eq!(reason.status(), expected, "{reason}");
        }
    }

    #[test]
    fn status_agrees_with_fault() {
        for reason in Reason::ALL {
            let ours = reason.status() >= 500 && *reason != Reason::VersionUnsupported;
            assert_eq!(ours, reason.fault() != Fault::Client, "{reason}");
        }
    }
}
