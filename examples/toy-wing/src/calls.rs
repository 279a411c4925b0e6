//! A body reader: the method names of a JSON-RPC call, by the plainest means that tell them.

use bytes::Bytes;
use http::HeaderMap;
use portcullis_filter::seam::BodyPeek;
use portcullis_types::BodyView;
use std::sync::Arc;

/// Reads `{"method": "…"}`.
pub(crate) struct Calls;

#[derive(Debug)]
struct Called(Vec<String>);

impl BodyView for Called {
    fn calls(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn method(&self, call: usize) -> Option<&str> {
        self.0.get(call).map(String::as_str)
    }
}

impl BodyPeek for Calls {
    fn peek(&self, _headers: &HeaderMap, body: &Bytes) -> Option<Arc<dyn BodyView>> {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        let calls = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let methods: Option<Vec<String>> =
            calls.iter().map(|call| Some(call.get("method")?.as_str()?.to_owned())).collect();
        Some(Arc::new(Called(methods?)))
    }
}
