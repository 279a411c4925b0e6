//! Draws for each request whether it is delayed, then whether it is aborted.
//!
//! Invariants: no more requests are held in a delay than the config says; a client that goes away frees its place at
//! once; an abort has the reason `fault_injected` or the one the config names, so that records tell it from a real
//! failure only where the operator wants them to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_filter::{BuildCx, ConfiguredFilter, ErrorCx, Filter, Phase, Phases, RequestCx, Response, Verdict};
use portcullis_types::{Percent, ProxyError, Reason};

use super::config::{AbortWith, FaultConfig, When};
use super::random::Draws;

/// The `fault` filter.
pub struct Fault {
    config: FaultConfig,
    draws: Draws,
    delayed: Arc<Delayed>,
}

/// How many requests are held in a delay now; shared by the generations of one place.
#[derive(Debug, Default)]
pub(super) struct Delayed(AtomicUsize);

/// A place among the delayed; given back when dropped, however the request ended.
struct Place<'a>(&'a Delayed);

/// What is known of one request.
#[derive(Default)]
pub struct FaultCtx {
    /// The status to answer with, in place of the reason's own.
    status: Option<StatusCode>,
}

impl Filter for Fault {
    type Ctx = FaultCtx;

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter).and(Phase::FailToProxy)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, ctx: &mut FaultCtx) -> Result<Verdict, ProxyError> {
        if !self.config.when.as_ref().is_none_or(|when| when.names(&cx.request.headers)) {
            return Ok(Verdict::Continue);
        }
        if let Some((duration, share)) = self.config.delay
            && self.drawn(share)
        {
            let held = cx.notes.is_explained() || self.delay(duration).await;
            cx.notes.annotate("fault", if held { "delayed" } else { "delay_skipped" });
        }
        match self.config.abort {
            Some((with, share)) if self.drawn(share) => {
                cx.notes.annotate("fault", "aborted");
                Err(abort(with, ctx))
            }
            Some(_) | None => Ok(Verdict::Continue),
        }
    }

    fn fail_to_proxy(&self, _cx: &mut ErrorCx<'_>, ctx: &mut FaultCtx) -> Option<Response> {
        let status = ctx.status?;
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        let body = if crate::answer::is_bodiless(status) { "" } else { "fault injected\n" };
        Some(Response::new(status).with_body(text, body))
    }
}

impl Fault {
    fn drawn(&self, share: Percent) -> bool {
        share.contains_hash(self.draws.next())
    }

    /// Holds the request, unless too many are held already.
    async fn delay(&self, duration: Duration) -> bool {
        let Some(_place) = self.delayed.take(self.config.max_delayed) else { return false };
        tokio::time::sleep(duration).await;
        true
    }
}

fn abort(with: AbortWith, ctx: &mut FaultCtx) -> ProxyError {
    match with {
        AbortWith::Status(status) => {
            ctx.status = Some(status);
            ProxyError::new(Reason::FaultInjected)
        }
        AbortWith::Reason(reason) => ProxyError::with_detail(reason, "a configured fault was injected"),
    }
}

impl Delayed {
    fn take(&self, most: usize) -> Option<Place<'_>> {
        let place = Place(self);
        // The place is given back by its drop when there was no room.
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl When {
    fn names(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.header).into_iter();
        match &self.value {
            Some(wanted) => values.any(|value| value == wanted.as_str()),
            None => values.next().is_some(),
        }
    }
}

impl ConfiguredFilter for Fault {
    const NAME: &'static str = "fault";

    type Config = FaultConfig;

    fn build(config: FaultConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        let draws = config.seed.map_or_else(Draws::random, Draws::seeded);
        Ok(Self { draws, delayed: cx.state("fault/delayed", Delayed::default), config })
    }
}
