//! A filter without its types: what a chain holds.
//!
//! Each request has a slot for each filter; the slot holds the filter's typed context, made when the filter is first
//! called. A slot is only ever filled by its own filter, so the downcast holds.

use http::{HeaderMap, HeaderName};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use portcullis_types::ProxyError;

use crate::cx::{BodyCx, Chunk, Completed, ErrorCx, RequestCx, ResponseCx, SelectCx};
use crate::filter::{Filter, Verdict};
use crate::phase::Phases;
use crate::response::Response;
use crate::secrets::Secrets;

/// One filter's context of one request.
pub(crate) type Slot = Option<Box<dyn Any + Send + Sync>>;

/// A boxed future of one phase.
pub(crate) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProxyError>> + Send + 'a>>;

/// The object-safe twin of [`Filter`].
pub(crate) trait Erased: Send + Sync {
    fn phases(&self) -> Phases;
    fn secrets(&self) -> Option<Arc<dyn Secrets>>;
    fn claims(&self) -> Vec<HeaderName>;
    fn request_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, Verdict>;
    fn request_peek_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, Verdict>;
    fn peek_limit(&self) -> usize;
    fn admission_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, ()>;
    fn request_body_filter<'a>(
        &'a self,
        cx: &'a mut BodyCx<'_>,
        chunk: &'a mut Chunk,
        end: bool,
        slot: &'a mut Slot,
    ) -> Step<'a, ()>;
    fn upstream_peer(&self, cx: &mut SelectCx<'_>, slot: &mut Slot) -> Result<Option<usize>, ProxyError>;
    fn upstream_request_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, ()>;
    fn response_filter<'a>(&'a self, cx: &'a mut ResponseCx<'_>, slot: &'a mut Slot) -> Step<'a, ()>;
    fn response_body_filter(
        &self,
        cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        end: bool,
        slot: &mut Slot,
    ) -> Result<(), ProxyError>;
    fn response_trailer_filter(
        &self,
        cx: &mut BodyCx<'_>,
        trailers: &mut HeaderMap,
        slot: &mut Slot,
    ) -> Result<(), ProxyError>;
    fn fail_to_proxy(&self, cx: &mut ErrorCx<'_>, slot: &mut Slot) -> Option<Response>;
    fn logging(&self, completed: &Completed<'_>, slot: &mut Slot);
}

/// The typed context in a slot. A slot that holds another type (which only a fault here could cause) is replaced.
fn ctx<F: Filter>(slot: &mut Slot) -> &mut F::Ctx {
    if !slot.as_ref().is_some_and(|held| held.is::<F::Ctx>()) {
        *slot = None;
    }
    let held = slot.get_or_insert_with(|| Box::new(F::Ctx::default()));
    match held.downcast_mut() {
        Some(ctx) => ctx,
        None => unreachable!("the slot was filled with this type just above"),
    }
}

impl<F: Filter> Erased for F {
    fn phases(&self) -> Phases {
        Filter::phases(self)
    }

    fn secrets(&self) -> Option<Arc<dyn Secrets>> {
        Filter::secrets(self)
    }

    fn claims(&self) -> Vec<HeaderName> {
        Filter::claims(self)
    }

    fn request_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, Verdict> {
        Box::pin(Filter::request_filter(self, cx, ctx::<F>(slot)))
    }

    fn request_peek_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, Verdict> {
        Box::pin(Filter::request_peek_filter(self, cx, ctx::<F>(slot)))
    }

    fn peek_limit(&self) -> usize {
        Filter::peek_limit(self)
    }

    fn admission_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, ()> {
        Box::pin(Filter::admission_filter(self, cx, ctx::<F>(slot)))
    }

    fn request_body_filter<'a>(
        &'a self,
        cx: &'a mut BodyCx<'_>,
        chunk: &'a mut Chunk,
        end: bool,
        slot: &'a mut Slot,
    ) -> Step<'a, ()> {
        Box::pin(Filter::request_body_filter(self, cx, chunk, end, ctx::<F>(slot)))
    }

    fn upstream_peer(&self, cx: &mut SelectCx<'_>, slot: &mut Slot) -> Result<Option<usize>, ProxyError> {
        Filter::upstream_peer(self, cx, ctx::<F>(slot))
    }

    fn upstream_request_filter<'a>(&'a self, cx: &'a mut RequestCx<'_>, slot: &'a mut Slot) -> Step<'a, ()> {
        Box::pin(Filter::upstream_request_filter(self, cx, ctx::<F>(slot)))
    }

    fn response_filter<'a>(&'a self, cx: &'a mut ResponseCx<'_>, slot: &'a mut Slot) -> Step<'a, ()> {
        Box::pin(Filter::response_filter(self, cx, ctx::<F>(slot)))
    }

    fn response_body_filter(
        &self,
        cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        end: bool,
        slot: &mut Slot,
    ) -> Result<(), ProxyError> {
        Filter::response_body_filter(self, cx, chunk, end, ctx::<F>(slot))
    }

    fn response_trailer_filter(
        &self,
        cx: &mut BodyCx<'_>,
        trailers: &mut HeaderMap,
        slot: &mut Slot,
    ) -> Result<(), ProxyError> {
        Filter::response_trailer_filter(self, cx, trailers, ctx::<F>(slot))
    }

    fn fail_to_proxy(&self, cx: &mut ErrorCx<'_>, slot: &mut Slot) -> Option<Response> {
        Filter::fail_to_proxy(self, cx, ctx::<F>(slot))
    }

    fn logging(&self, completed: &Completed<'_>, slot: &mut Slot) {
        Filter::logging(self, completed, ctx::<F>(slot));
    }
}
