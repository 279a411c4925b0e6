//! A body reader: the method names of a JSON-RPC call, by the plainest means that tell them.

use http::HeaderMap;
use portcullis_filter::seam::BodyPeek;
use portcullis_types::BodyView;

/// Reads `{"method": "…"}`.
pub(crate) struct Calls;

struct Called(Vec<String>);

impl BodyView for Called {
    fn jsonrpc_methods(&self) -> Option<&[String]> {
        Some(&self.0)
    }
}

impl BodyPeek for Calls {
    fn peek(&self, _headers: &HeaderMap, body: &[u8]) -> Option<Box<dyn BodyView>> {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        let calls = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let methods: Option<Vec<String>> =
            calls.iter().map(|call| Some(call.get("method")?.as_str()?.to_owned())).collect();
        Some(Box::new(Called(methods?)))
    }
}
