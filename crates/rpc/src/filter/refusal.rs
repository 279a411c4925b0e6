//! How a batch is refused.

use bytes::Bytes;
use std::borrow::Cow;

use portcullis_types::{ProxyError, Reason};

use crate::batch;
use crate::body::Body;
use crate::error_object;
use crate::scan::Call;

/// The error of a batch for what is wrong with one of its calls.
pub(super) fn of_batch(error: ProxyError, place: usize) -> ProxyError {
    let detail = error.detail.as_deref().unwrap_or_else(|| error.reason.title());
    ProxyError { detail: Some(Cow::Owned(format!("call {place}: {detail}"))), ..error }
}

/// The answers to a batch of which one call was refused.
pub(super) fn list(body: &Body, calls: &[Call], refused: usize, error: &ProxyError) -> Bytes {
    let detail = format!("not carried out, since call {refused} of the batch was refused");
    let other = ProxyError::with_detail(Reason::RpcInvalidRequest, detail);
    let answers: Vec<String> = calls
        .iter()
        .enumerate()
        .filter_map(|(place, call)| Some((place, call.id()?)))
        .map(|(place, id)| error_object::write(Some(body.slice(id)), if place == refused { error } else { &other }))
        .collect();
    // A batch of notifications alone is answered by nothing.
    if answers.is_empty() { Bytes::new() } else { batch::list(answers.iter().map(String::as_bytes)) }
}
