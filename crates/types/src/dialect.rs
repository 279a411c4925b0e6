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
    /// Writes an error.
    #[must_use]
    pub fn write(self, error: &ProxyError, id: RequestId) -> ErrorAnswer {
        let status = error.reason.status();
        match self {
            Self::Problem => answer(status, "application/problem+json", problem(error, id)),
            Self::JsonRpc => answer(status, "application/json", json_rpc(error, id)),
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

/// The JSON-RPC code of a reason: that of JSON-RPC 2.0 where it has one, else one that follows the HTTP status, outside the
/// ranges that JSON-RPC and Solana nodes use.
#[must_use]
pub const fn json_rpc_code(reason: Reason) -> i32 {
    match reason.status() {
        _ if matches!(reason, Reason::RpcParseError) => -32_700,
        _ if matches!(reason, Reason::RpcMethodUnknown) => -32_601,
        _ if matches!(reason, Reason::RpcParamsInvalid) => -32_602,
        401 => -32_401,
        403 => -32_403,
        429 => -32_429,
        400 | 404 | 405 | 408 | 413 | 414 | 417 | 421 | 431 | 505 => -32_600,
        _ => -32_603,
    }
}

fn json_rpc(error: &ProxyError, id: RequestId) -> String {
    let reason = error.reason;
    let detail = error.detail.as_ref().map(|d| format!(",\"detail\":{}", json_string(d))).unwrap_or_default();
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{{\"code\":{},\"message\":{},\"data\":{{\"reason\":\"{}\"{detail},\"request_id\":\"{id}\"}}}}}}\n",
        json_rpc_code(reason),
        json_string(reason.title()),
        reason.name(),
    )
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
        let got = Dialect::Problem.write(&error(), RequestId(7));
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
        assert!(Dialect::JsonRpc.write(&error(), RequestId(7)).body.contains("\"code\":-32403"));
    }

    #[test]
    fn grpc_is_trailers_only_with_an_encoded_message() {
        let got = Dialect::Grpc.write(&error(), RequestId(7));
        assert_eq!((got.status, got.body.as_str()), (200, ""));
        assert!(got.fields.contains(&("grpc-message", "rule \"<script>\" 100%25%0A".to_owned())));
    }

    #[test]
    fn html_escapes_the_detail() {
        assert!(!Dialect::Html.write(&error(), RequestId(7)).body.contains("<script>"));
    }
}
