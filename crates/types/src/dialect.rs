//! The dialects an error is answered in: problem+json (RFC 9457), JSON-RPC, gRPC, HTML.
//!
//! A body tells the client the reason's name and title, the detail, and the request's id, so that a user's report
//! leads an operator to the record. Everything that could come from a request is escaped here.

use crate::error::ProxyError;
use crate::ids::RequestId;
use crate::reason::Reason;

/// How errors of a route are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `application/problem+json`, RFC 9457.
    #[default]
    Problem,
    /// A JSON-RPC 2.0 error object.
    JsonRpc,
    /// Trailers-only gRPC answer: HTTP 200, `grpc-status`, `grpc-message`.
    Grpc,
    /// A small HTML page.
    Html,
}

/// An error, written: what the proxy sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The status; 200 in gRPC.
    pub status: u16,
    /// Fields besides Content-Length, Proxy-Status and Retry-After.
    pub fields: Vec<(&'static str, String)>,
    /// The body; empty in gRPC.
    pub body: String,
}

impl Dialect {
    /// Writes an error. `call` is the JSON text of the id that the caller gave its call, where it is known
    /// ([`crate::BodyView::id`]).
    #[must_use]
    pub fn write(self, error: &ProxyError, id: RequestId, call: Option<&str>) -> ErrorAnswer {
        let status = error.reason.status();
        match self {
            Self::Problem => answer(status, "application/problem+json", problem(error, id)),
            Self::JsonRpc => answer(status, "application/json", json_rpc(error, id, call)),
            Self::Html => answer(status, "text/html; charset=utf-8", html(error, id)),
            Self::Grpc => grpc(error),
        }
    }
}

fn answer(status: u16, content_type: &str, body: String) -> ErrorAnswer {
    ErrorAnswer { status, fields: vec![("content-type", content_type.to_owned())], body }
}

fn problem(error: &ProxyError, id: RequestId) -> String {
    let reason = error.reason;
    let detail = error.detail.as_ref().map(|d| format!(",\"detail\":{}", json_string(d))).unwrap_or_default();
    format!(
        "{{\"type\":\"urn:portcullis:reason:{}\",\"title\":{},\"status\":{}{detail},\"reason\":\"{}\",\"request_id\":\"{id}\"}}\n",
        reason.name(),
        json_string(reason.title()),
        reason.status(),
        reason.name(),
    )
}

/// The code of an error object. The gateway's own follow its HTTP statuses, outside the ranges that JSON-RPC and Solana's
/// nodes use: clients read those as a node's own word.
#[must_use]
pub const fn json_rpc_code(reason: Reason) -> i32 {
    match reason {
        Reason::RpcParseError => -32_700,
        Reason::RpcMethodUnknown => -32_601,
        Reason::RpcParamsInvalid => -32_602,
        Reason::KeyMissing | Reason::KeyUnknown => -32_401,
        Reason::Denied | Reason::KeyForbidden => -32_403,
        Reason::OverRate | Reason::OverQuota | Reason::OverConcurrency | Reason::NetworkConnectionLimit => -32_429,
        Reason::RpcInvalidRequest
        | Reason::MalformedRequest
        | Reason::MalformedFraming
        | Reason::HostInvalid
        | Reason::PathInvalid
        | Reason::HeadTooLarge
        | Reason::TargetTooLong
        | Reason::VersionUnsupported
        | Reason::ExpectationFailed
        | Reason::ConnectRefused
        | Reason::Misdirected
        | Reason::HeadTimeout
        | Reason::BodyTimeout
        | Reason::BodyTooSlow
        | Reason::BodyTooLarge
        | Reason::ProxyProtocolInvalid
        | Reason::TlsHandshakeTimeout
        | Reason::TlsHandshakeFailed
        | Reason::Http2ProtocolError
        | Reason::Http2Abuse
        | Reason::NoHost
        | Reason::NoRoute => -32_600,
        Reason::ClientClosed
        | Reason::ClientTooSlow
        | Reason::ConnectionLimit
        | Reason::Overloaded
        | Reason::MemoryPressure
        | Reason::EventLoopDelay
        | Reason::ProcessConnections
        | Reason::DescriptorsExhausted
        | Reason::Draining
        | Reason::FaultInjected
        | Reason::FilterFailed
        | Reason::PlanUnknown
        | Reason::Internal
        | Reason::NoHealthyUpstream
        | Reason::UpstreamConnectTimeout
        | Reason::UpstreamConnectRefused
        | Reason::UpstreamConnectFailed
        | Reason::UpstreamTlsFailed
        | Reason::UpstreamCertificateInvalid
        | Reason::UpstreamReset
        | Reason::UpstreamRefusedStream
        | Reason::UpstreamWriteTimeout
        | Reason::UpstreamFirstByteTimeout
        | Reason::UpstreamPerTryTimeout
        | Reason::UpstreamIdleTimeout
        | Reason::UpstreamTotalTimeout
        | Reason::UpstreamBusy
        | Reason::UpstreamError
        | Reason::UpstreamMalformed
        | Reason::UpstreamIncomplete => -32_603,
    }
}

/// An error object of JSON-RPC 2.0, the member `error` of an answer.
#[must_use]
pub fn json_rpc_error(error: &ProxyError, request: RequestId) -> String {
    let reason = error.reason;
    let detail = error.detail.as_ref().map(|d| format!(",\"detail\":{}", json_string(d))).unwrap_or_default();
    format!(
        "{{\"code\":{},\"message\":{},\"data\":{{\"reason\":\"{}\"{detail},\"request_id\":\"{request}\"}}}}",
        json_rpc_code(reason),
        json_string(reason.title()),
        reason.name(),
    )
}

fn json_rpc(error: &ProxyError, request: RequestId, call: Option<&str>) -> String {
    let (id, error) = (call.unwrap_or("null"), json_rpc_error(error, request));
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n")
}

fn html(error: &ProxyError, id: RequestId) -> String {
    let reason = error.reason;
    let detail = error.detail.as_ref().map(|d| format!("<p>{}</p>", html_text(d))).unwrap_or_default();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {title}</title></head>\
         <body><h1>{status}</h1><p>{title}.</p>{detail}<p><small>{name} · request {id}</small></p></body></html>\n",
        status = reason.status(),
        title = html_text(reason.title()),
        name = reason.name(),
    )
}

fn grpc(error: &ProxyError) -> ErrorAnswer {
    let message = error.detail.as_deref().unwrap_or_else(|| error.reason.title());
    let fields = vec![
        ("content-type", "application/grpc".to_owned()),
        ("grpc-status", error.reason.grpc_code().to_string()),
        ("grpc-message", percent_encode(message)),
    ];
    ErrorAnswer { status: 200, fields, body: String::new() }
}

/// A JSON string literal, RFC 8259 section 7; `<` is escaped too, so that the text is safe inside a script.
#[must_use]
pub fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' || c == '<' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn html_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The percent-encoding of `grpc-message`: all but printable ASCII without `%`.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0x20..=0x24 | 0x26..=0x7e => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> ProxyError {
        ProxyError::with_detail(Reason::Denied, "rule \"<script>\" 100%\n")
    }

    #[test]
    fn problem_carries_reason_and_request_id() {
        let got = Dialect::Problem.write(&error(), RequestId(7), None);
        assert_eq!(got.status, 403);
        assert!(got.body.contains("\"reason\":\"denied\""), "{}", got.body);
        assert!(got.body.contains("\\\"\\u003cscript>\\\" 100%\\n"), "{}", got.body);
        assert!(got.body.contains("00000000000000000000000000000007"));
    }

    #[test]
    fn json_rpc_codes_keep_out_of_the_reserved_ranges() {
        for &reason in Reason::ALL {
            let code = json_rpc_code(reason);
            assert!(!(-32_099..=-32_000).contains(&code), "{reason}");
        }
        assert!(Dialect::JsonRpc.write(&error(), RequestId(7), None).body.contains("\"code\":-32403"));
    }

    #[test]
    fn the_status_is_the_verdict_and_the_code_follows_it() {
        let cases = [
            (Reason::KeyMissing, 401, -32_401),
            (Reason::KeyForbidden, 403, -32_403),
            (Reason::OverRate, 429, -32_429),
            (Reason::OverQuota, 429, -32_429),
            (Reason::RpcMethodUnknown, 200, -32_601),
            (Reason::RpcParamsInvalid, 200, -32_602),
            (Reason::RpcParseError, 400, -32_700),
            (Reason::RpcInvalidRequest, 400, -32_600),
            (Reason::BodyTooLarge, 413, -32_600),
            (Reason::NoHealthyUpstream, 503, -32_603),
            (Reason::UpstreamTotalTimeout, 504, -32_603),
        ];
        for (reason, status, code) in cases {
            let got = Dialect::JsonRpc.write(&reason.into(), RequestId(7), None);
            assert_eq!(got.status, status, "{reason}");
            assert!(got.body.contains(&format!("\"code\":{code},")), "{reason}: {}", got.body);
            assert!(got.body.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {}", got.body);
        }
    }

    #[test]
    fn json_rpc_gives_a_call_its_id_back_as_it_was_written() {
        for id in ["1", "\"1\"", "1e2", "\"\\u0041\""] {
            let got = Dialect::JsonRpc.write(&error(), RequestId(7), Some(id));
            assert!(got.body.starts_with(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{")), "{}", got.body);
        }
        let got = Dialect::JsonRpc.write(&error(), RequestId(7), None);
        assert!(got.body.contains("\"id\":null,"), "{}", got.body);
    }

    #[test]
    fn grpc_is_trailers_only_with_an_encoded_message() {
        let got = Dialect::Grpc.write(&error(), RequestId(7), None);
        assert_eq!((got.status, got.body.as_str()), (200, ""));
        assert!(got.fields.contains(&("grpc-message", "rule \"<script>\" 100%25%0A".to_owned())));
    }

    #[test]
    fn html_escapes_the_detail() {
        assert!(!Dialect::Html.write(&error(), RequestId(7), None).body.contains("<script>"));
    }
}
