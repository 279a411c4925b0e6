//! What a client asks.

use super::failure::Failure;
use crate::json::{Cursor, JsonError, Kind as Json};
use crate::scan::{Call, Invalid, Limits, ScanError, scan};
use crate::ws::kind::Kind;

/// A request and the id that its answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The id as it is written.
    pub id: &'a str,
    /// The method.
    pub method: &'a str,
    /// What is asked.
    pub ask: Ask<'a>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// To subscribe.
    Subscribe(Kind, &'a [u8]),
    /// To unsubscribe from what has this id; `None` when none is named.
    Unsubscribe(Option<u64>),
    /// Anything else.
    Call(&'a [u8]),
}

/// A request that is none, and the id of its answer.
type Wrong<'a> = (&'a str, Failure);

/// Params where there are none.
const NO_PARAMS: &[u8] = b"[]";
/// How deep a request may nest.
pub const MAX_DEPTH: usize = 32;

/// Reads a message of a client's. A notification asks for nothing, so it is `None`: `ping` is one.
///
/// # Errors
/// It is no request, or more than one.
pub fn read(text: &[u8]) -> Result<Option<Asked<'_>>, Wrong<'_>> {
    let limits = Limits { bytes: text.len(), depth: MAX_DEPTH, batch: 0 };
    match scan(text, &limits) {
        Ok(scanned) => match scanned.calls() {
            [call] => asked(text, call),
            _ => Err(("null", Failure::invalid(NO_BATCH))),
        },
        Err(ScanError::Invalid { what: Invalid::Version, id: None, .. }) if is_bare_ping(text) => Ok(None),
        Err(ScanError::Batch { .. } | ScanError::Invalid { what: Invalid::EmptyBatch, .. }) => {
            Err(("null", Failure::invalid(NO_BATCH)))
        }
        Err(ScanError::Invalid { id: Some(id), what, .. }) => {
            Err((id.str_of(text), Failure::invalid(what.to_string())))
        }
        Err(ScanError::Invalid { id: None, what, .. }) => Err(("null", Failure::invalid(what.to_string()))),
        Err(error) => Err(("null", Failure::no_json(error.to_string()))),
    }
}

/// Whether a text is what some clients send to keep the connection alive: a call of `ping` that lacks the version.
fn is_bare_ping(text: &[u8]) -> bool {
    let mut cursor = Cursor::within(text, MAX_DEPTH);
    if cursor.kind() != Ok(Json::Object) {
        return false;
    }
    let (mut pings, mut other) = (0, false);
    let walked = cursor.members::<JsonError>(|cursor, key| {
        let (_, value) = cursor.value()?;
        match key.span.of(text) {
            b"method" if value.of(text) == b"\"ping\"" => pings += 1,
            b"params" => {}
            _ => other = true,
        }
        Ok(())
    });
    walked.and_then(|()| cursor.end()).is_ok() && pings == 1 && !other
}

const NO_BATCH: &str = "batches are not taken on a WebSocket: send the calls one by one, or over HTTP";

fn asked<'a>(text: &'a [u8], call: &Call) -> Result<Option<Asked<'a>>, Wrong<'a>> {
    let Some(id) = call.id().map(|id| id.str_of(text)) else { return Ok(None) };
    let method = call.method().str_of(text);
    let params = call.params().map_or(NO_PARAMS, |params| params.of(text));
    let ask = if let Some(kind) = Kind::of_subscribe(method) {
        check_params(kind, params).map_err(|failure| (id, failure))?;
        Ask::Subscribe(kind, params)
    } else if Kind::of_unsubscribe(method).is_some() {
        Ask::Unsubscribe(first(params).and_then(|(kind, text)| match kind {
            Json::Number => std::str::from_utf8(text).ok()?.parse().ok(),
            Json::Null | Json::Bool | Json::String | Json::Array | Json::Object => None,
        }))
    } else {
        Ask::Call(params)
    };
    Ok(Some(Asked { id, method, ask }))
}

/// Refuses what no node would take, so that it costs the upstream nothing.
fn check_params(kind: Kind, params: &[u8]) -> Result<(), Failure> {
    match first(params) {
        None if kind.needs_params() => Err(Failure::params("the first parameter is missing")),
        Some((first, _)) if kind.names_something() && first != Json::String => {
            Err(Failure::params("the first parameter must be a string"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The first of params that are a list.
fn first(params: &[u8]) -> Option<(Json, &[u8])> {
    let mut cursor = Cursor::within(params, MAX_DEPTH);
    if cursor.kind().ok()? != Json::Array {
        return None;
    }
    let mut found = None;
    let walked = cursor.elements::<JsonError>(|cursor| {
        let (kind, span) = cursor.value()?;
        found.get_or_insert((kind, span.of(params)));
        Ok(())
    });
    walked.ok().and(found)
}
