//! A body as the gateway sees it: its bytes as they came, and what the scanner found in them.
//!
//! Routing, caps, hedging and the cache all ask the one [`Body`] that was made when the body was read; none of them reads
//! the text again. A body that is no JSON-RPC is a view too, one that makes no calls and matches no route: it carries what
//! is wrong with it, for the filter to answer.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use std::any::Any;
use std::sync::Arc;

use portcullis_filter::seam::BodyPeek;
use portcullis_types::{Batch, BodyView};

use crate::cache::{Outcome, Passage};
use crate::json::Span;
use crate::scan::{Call, Limits, Scan, ScanError, scan};
use crate::solana::{self, Effect, Params};

#[cfg(test)]
mod tests;

/// A body that was scanned.
#[derive(Debug)]
pub struct Body {
    text: Bytes,
    scan: Result<Scan, ScanError>,
    /// How its request passes a cache.
    pub(crate) passage: Passage,
}

impl Body {
    /// Scans a body.
    #[must_use]
    pub fn read(text: Bytes, limits: &Limits) -> Self {
        Self { scan: scan(&text, limits), text, passage: Passage::default() }
    }

    /// A call of a body as a body of its own.
    pub(crate) fn alone(&self, call: &Call) -> Self {
        let whole = call.whole();
        let text = self.text.slice(whole.start().min(self.text.len())..whole.end().min(self.text.len()));
        Self { text, scan: Ok(Scan::of(call.alone())), passage: Passage::default() }
    }

    /// The body behind a view, if it is one of these.
    #[must_use]
    pub fn of(view: &dyn BodyView) -> Option<&Self> {
        (view as &dyn Any).downcast_ref()
    }

    /// Its bytes.
    #[must_use]
    pub const fn text(&self) -> &Bytes {
        &self.text
    }

    /// What was found in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub const fn scan(&self) -> Result<&Scan, &ScanError> {
        self.scan.as_ref()
    }

    /// Its calls in order; none when something is wrong with it.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        self.scan.as_ref().map_or(&[], Scan::calls)
    }

    /// Its call, when it is no batch.
    #[must_use]
    pub fn single(&self) -> Option<&Call> {
        self.scan.as_ref().ok().filter(|scan| !scan.is_batch())?.calls().first()
    }

    /// Whether it begins like a call or a list of them, right or wrong.
    pub(crate) fn may_call(&self) -> bool {
        matches!(first(&self.text), Some(b'{' | b'['))
    }

    /// A part of it.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        span.str_of(&self.text)
    }

    /// The params of a call, as far as the gateway reads them.
    #[must_use]
    pub fn params(&self, call: &Call) -> Params<'_> {
        Params::read(call.params().map(|params| params.of(&self.text)))
    }

    /// How its request passed a cache; `None` when none was asked.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.passage.outcome()
    }

    fn effect(&self, call: &Call) -> Option<Effect> {
        solana::method(self.slice(call.method())).map(|method| method.effect)
    }
}

impl BodyView for Body {
    fn calls(&self) -> Option<usize> {
        self.scan.as_ref().ok().map(|scan| scan.calls().len())
    }

    fn method(&self, call: usize) -> Option<&str> {
        self.calls().get(call).map(|call| self.slice(call.method()))
    }

    fn id(&self) -> Option<&str> {
        let id = match &self.scan {
            Ok(_) => self.single()?.id()?,
            Err(error) => error.id()?,
        };
        Some(self.slice(id)).filter(|id| *id != "null")
    }

    /// Reads and simulations may be sent twice. What is sent to the chain must not be, whatever the route says; of methods
    /// that are not known the route decides.
    fn is_idempotent(&self) -> Option<bool> {
        let mut known = !self.calls().is_empty();
        for call in self.calls() {
            match self.effect(call) {
                Some(Effect::Send) => return Some(false),
                Some(Effect::Read | Effect::Simulate) => {}
                None => known = false,
            }
        }
        known.then_some(true)
    }

    fn least_height(&self) -> Option<u64> {
        let slots =
            self.calls().iter().map(|call| self.params(call).config().and_then(|config| config.min_context_slot));
        slots.max().flatten()
    }

    fn batch(&self) -> Option<&dyn Batch> {
        let is_batch = self.scan.as_ref().is_ok_and(Scan::is_batch);
        is_batch.then_some(self)
    }
}

/// Reads bodies for routing and filters.
///
/// Limits are those that no setting goes beyond; the filter `jsonrpc` of a host holds its requests to its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reader;

impl BodyPeek for Reader {
    /// Whatever says that it is JSON, or begins like it. A body that is compressed is not read.
    fn peek(&self, headers: &HeaderMap, body: &Bytes) -> Option<Arc<dyn BodyView>> {
        let seems = begins_like_json(body) || says_json(headers);
        (seems && !is_encoded(headers))
            .then(|| Arc::new(Body::read(body.clone(), &Limits::CEILING)) as Arc<dyn BodyView>)
    }
}

/// Whether a body has a content coding, which nothing here undoes.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity")
}

/// Whether the first character may be one of a JSON text (RFC 8259 section 3). Of a text that is none, the scanner says so.
fn begins_like_json(body: &[u8]) -> bool {
    matches!(first(body), Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

fn first(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn says_json(headers: &HeaderMap) -> bool {
    let types = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = types.and_then(|types| types.split(';').next()).unwrap_or_default().trim();
    let (_, subtype) = essence.split_once('/').unwrap_or_default();
    subtype.eq_ignore_ascii_case("json") || subtype.to_ascii_lowercase().ends_with("+json")
}
