//! Filters of the phases around routing, as caps are made of: one looks into the body before the route is chosen, one takes
//! a coin of every request that all other filters let pass, one counts the bytes that pass.

use http::{HeaderName, HeaderValue};
use portcullis_filter::cx::Chunk;
use portcullis_filter::{BodyCx, BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_types::{ProxyError, Reason};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CALLS: HeaderName = HeaderName::from_static("x-calls");

/// Settings of `listen`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct ListenConfig {
    /// The most bytes of a body.
    most: usize,
    /// A method that nobody may call.
    forbidden: String,
}

/// Writes how many calls a body makes into `x-calls`, and refuses those of one method.
pub(crate) struct Listen(ListenConfig);

impl Filter for Listen {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestPeekFilter)
    }

    fn peek_limit(&self) -> usize {
        self.0.most
    }

    async fn request_peek_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let body = cx.facts.body.as_deref();
        let calls = body.and_then(|body| body.calls()).unwrap_or_default();
        let method = |at| body.and_then(|body| body.method(at));
        if (0..calls).any(|at| method(at) == Some(&self.0.forbidden)) {
            return Err(ProxyError::with_detail(Reason::KeyForbidden, self.0.forbidden.clone()));
        }
        drop(cx.request.insert_header(CALLS, HeaderValue::from(calls)));
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for Listen {
    const NAME: &'static str = "listen";
    type Config = ListenConfig;

    fn build(config: ListenConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self(config))
    }
}

/// Settings of `toll`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct TollConfig {
    /// How many coins there are.
    coins: u32,
}

/// Takes a coin of a request that is admitted; without any left it is refused.
pub(crate) struct Toll {
    left: AtomicU32,
}

impl Filter for Toll {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::AdmissionFilter)
    }

    async fn admission_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        let take = |left: u32| if cx.notes.is_explained() { Some(left) } else { left.checked_sub(1) };
        let before = self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap_or_default();
        if before == 0 {
            return Err(ProxyError::new(Reason::OverRate).retry_after(Duration::from_secs(3)));
        }
        let route = cx.facts.route.as_ref().map(ToString::to_string).unwrap_or_default();
        cx.notes.annotate("toll", format!("{route} {}", before - 1));
        Ok(())
    }
}

impl ConfiguredFilter for Toll {
    const NAME: &'static str = "toll";
    type Config = TollConfig;

    fn build(config: TollConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { left: AtomicU32::new(config.coins) })
    }
}

/// Settings of `meter`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct MeterConfig {
    /// The most bytes of a request and its answer together.
    most: usize,
}

/// Counts the bytes that pass both ways, and cuts off what is over.
pub(crate) struct Meter(MeterConfig);

impl Meter {
    fn count(&self, cx: &mut BodyCx<'_>, chunk: &Chunk, passed: &mut usize) -> Result<(), ProxyError> {
        *passed += chunk.as_ref().map_or(0, |chunk| chunk.len());
        if *passed <= self.0.most {
            return Ok(());
        }
        cx.notes.annotate("metered", passed.to_string());
        Err(ProxyError::with_detail(Reason::OverQuota, "bytes"))
    }
}

impl Filter for Meter {
    type Ctx = usize;

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestBodyFilter).and(Phase::ResponseBodyFilter)
    }

    async fn request_body_filter(
        &self,
        cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        passed: &mut usize,
    ) -> Result<(), ProxyError> {
        self.count(cx, chunk, passed)
    }

    fn response_body_filter(
        &self,
        cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        passed: &mut usize,
    ) -> Result<(), ProxyError> {
        self.count(cx, chunk, passed)
    }
}

impl ConfiguredFilter for Meter {
    const NAME: &'static str = "meter";
    type Config = MeterConfig;

    fn build(config: MeterConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self(config))
    }
}
