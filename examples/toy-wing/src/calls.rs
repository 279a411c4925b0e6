//! A body reader: the calls of a JSON-RPC body, by the plainest means that tell them. Calls whose name begins with `get` may
//! be sent twice, those with `send` may not. A batch may be sent in parts.

use bytes::Bytes;
use http::HeaderMap;
use portcullis_filter::seam::BodyPeek;
use portcullis_types::{Batch, BatchPart, BodyView};
use serde_json::{Value, json};
use std::sync::Arc;

/// Reads `{"method": "…"}`, or a list of such.
pub(crate) struct Calls;

#[derive(Debug)]
struct Called {
    calls: Vec<Value>,
    methods: Vec<String>,
    id: Option<String>,
    batch: bool,
}

impl Called {
    fn new(body: Value) -> Option<Self> {
        let batch = body.is_array();
        let id = body.get("id").map(ToString::to_string);
        let calls = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let method = |call: &Value| Some(call.get("method")?.as_str()?.to_owned());
        let methods: Option<Vec<String>> = calls.iter().map(method).collect();
        Some(Self { methods: methods?, calls, id, batch })
    }
}

impl BodyView for Called {
    fn calls(&self) -> Option<usize> {
        Some(self.calls.len())
    }

    fn method(&self, call: usize) -> Option<&str> {
        self.methods.get(call).map(String::as_str)
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn is_idempotent(&self) -> Option<bool> {
        if self.methods.iter().any(|method| method.starts_with("send")) {
            return Some(false);
        }
        self.methods.iter().all(|method| method.starts_with("get")).then_some(true)
    }

    fn batch(&self) -> Option<&dyn Batch> {
        self.batch.then_some(self)
    }
}

impl Batch for Called {
    fn call(&self, at: usize) -> Option<Arc<dyn BodyView>> {
        Some(Arc::new(Self::new(self.calls.get(at)?.clone())?))
    }

    fn part(&self, calls: &[usize]) -> Bytes {
        let calls: Vec<&Value> = calls.iter().filter_map(|at| self.calls.get(*at)).collect();
        json!(calls).to_string().into()
    }

    fn join(&self, parts: &[BatchPart]) -> Bytes {
        let mut all = vec![Value::Null; self.calls.len()];
        for part in parts {
            let answers: Vec<Value> =
                part.answer.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
            for at in &part.calls {
                let (Some(call), Some(place)) = (self.calls.get(*at), all.get_mut(*at)) else { continue };
                let id = call.get("id").unwrap_or(&Value::Null);
                let answer = answers.iter().find(|answer| answer.get("id") == Some(id)).cloned();
                let why = part.answer.as_ref().err().map_or("no answer", |error| error.reason.name());
                *place = answer.unwrap_or_else(|| json!({ "id": id, "error": why }));
            }
        }
        json!(all).to_string().into()
    }
}

impl BodyPeek for Calls {
    fn peek(&self, _headers: &HeaderMap, body: &Bytes) -> Option<Arc<dyn BodyView>> {
        Some(Arc::new(Called::new(serde_json::from_slice(body).ok()?)?))
    }
}
