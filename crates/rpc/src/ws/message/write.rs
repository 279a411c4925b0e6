//! The texts that are sent: answers to clients, requests to upstreams.

use portcullis_types::Reason;
use portcullis_types::dialect::json_string;

use super::failure::Failure;
use crate::json::{Cursor, JsonError, Kind as Json};
use crate::ws::frame::{Opcode, frame};

/// A frame with an answer: a failure at the gateway.
#[must_use]
pub fn error(id: &str, failure: &Failure) -> Box<[u8]> {
    let Failure { code, reason, detail, cap, retry_after } = failure;
    let message = match code {
        -32601 => "Method not found",
        -32602 => detail.as_deref().unwrap_or("Invalid params"),
        _ => reason.title(),
    };
    let detail = detail.as_deref().map(|detail| format!(",\"detail\":{}", json_string(detail))).unwrap_or_default();
    let cap = cap.as_deref().map(|cap| format!(",\"cap\":{}", json_string(cap))).unwrap_or_default();
    let retry_after = retry_after.map(|after| format!(",\"retryAfter\":{after}")).unwrap_or_default();
    text(&format!(
        "{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":{code},\"message\":{},\"data\":{{\"reason\":\"{}\"{detail}{cap}{retry_after}}}}},\"id\":{id}}}",
        json_string(message),
        reason.name(),
    ))
}

/// A frame with an answer: the number of a subscription.
#[must_use]
pub fn subscribed(id: &str, subscription: u64) -> Box<[u8]> {
    text(&format!("{{\"jsonrpc\":\"2.0\",\"result\":{subscription},\"id\":{id}}}"))
}

/// A frame with an answer: a subscription is over.
#[must_use]
pub fn unsubscribed(id: &str) -> Box<[u8]> {
    text(&format!("{{\"jsonrpc\":\"2.0\",\"result\":true,\"id\":{id}}}"))
}

/// A frame with an answer: what an upstream gave as result or error. A code that clients do not know is put into one
/// that they do.
#[must_use]
pub fn refusal(id: &str, outcome: Result<&str, &str>) -> Box<[u8]> {
    match outcome {
        Ok(result) => text(&format!("{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":{id}}}")),
        Err(error) if is_known(error) => text(&format!("{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":{id}}}")),
        Err(error) => text(&format!(
            "{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32603,\"message\":\"The upstream refused\",\
             \"data\":{{\"reason\":\"{}\",\"upstream\":{error}}}}},\"id\":{id}}}",
            Reason::UpstreamError.name(),
        )),
    }
}

/// The text of a request to an upstream.
#[must_use]
pub fn call(id: u64, method: &str, params: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}")
}

fn text(text: &str) -> Box<[u8]> {
    frame(Opcode::Text, text.as_bytes())
}

/// Whether an error's code is one of JSON-RPC's or of a Solana node's own.
fn is_known(error: &str) -> bool {
    let mut cursor = Cursor::within(error.as_bytes(), usize::MAX);
    let mut code = None;
    let walked = cursor.members::<JsonError>(|cursor, key| {
        let (kind, span) = cursor.value()?;
        if key.span.str_of(error.as_bytes()) == "code" && kind == Json::Number {
            code = span.str_of(error.as_bytes()).parse::<i64>().ok();
        }
        Ok(())
    });
    walked.is_ok() && code.is_some_and(|code| matches!(code, -32700 | -32603..=-32600 | -32021..=-32001))
}
