//! Error objects of the gateway's own (JSON-RPC 2.0 section 5.1).

use portcullis_types::ProxyError;
use portcullis_types::dialect::{json_rpc_code, json_string};

/// An answer that says why there is no other: the id as JSON text, the code of the reason, the reason and its detail, and
/// after how many seconds it is worth asking again, if that is known: an answer among others has no Retry-After.
#[must_use]
pub fn write(id: Option<&str>, error: &ProxyError) -> String {
    let reason = error.reason;
    let detail = error.detail.as_ref().map(|detail| format!(",\"detail\":{}", json_string(detail))).unwrap_or_default();
    let retry_after = error.retry_after_seconds().map(|after| format!(",\"retryAfter\":{after}")).unwrap_or_default();
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{{\"code\":{},\"message\":{},\"data\":{{\"reason\":\"{}\"{detail}{retry_after}}}}}}}",
        id.unwrap_or("null"),
        json_rpc_code(reason),
        json_string(reason.title()),
        reason.name(),
    )
}

/// An answer with the error of a node, as the node wrote it.
pub(crate) fn of_node(id: &str, error: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":{id}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Reason;
    use serde_json::json;

    #[test]
    fn says_the_code_the_reason_and_the_detail_under_the_id_as_it_came() {
        let error = ProxyError::with_detail(Reason::RpcMethodUnknown, "\"x\"");
        let got: serde_json::Value = serde_json::from_str(&write(Some("\"a\\u0041\""), &error)).expect("JSON");
        let data = json!({ "reason": "rpc_method_unknown", "detail": "\"x\"" });
        let expected = json!({ "code": -32601, "message": Reason::RpcMethodUnknown.title(), "data": data });
        assert_eq!((&got["id"], &got["error"]), (&json!("aA"), &expected));
        assert!(write(None, &error).contains("\"id\":null"));
        let busy = ProxyError::new(Reason::UpstreamBusy).retry_after(std::time::Duration::from_millis(1500));
        let got: serde_json::Value = serde_json::from_str(&write(None, &busy)).expect("JSON");
        assert_eq!(got["error"]["data"], json!({ "reason": "upstream_busy", "retryAfter": 2 }));
    }
}
