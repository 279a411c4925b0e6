//! A mark on what goes upstream and on what comes back, and a count of what is over.

use http::{HeaderName, HeaderValue};
use portcullis_filter::{BuildCx, Completed, ConfiguredFilter, Filter, Phase, Phases, RequestCx, ResponseCx, Verdict};
use portcullis_types::{ProxyError, Reason};
use std::sync::atomic::{AtomicU32, Ordering};

const STAMP: HeaderName = HeaderName::from_static("x-stamp");

/// Settings of `stamp`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct StampConfig {
    /// The mark.
    mark: String,
}

/// Adds `x-stamp: MARK` to requests, and `x-stamp: MARK COUNT` to answers: how many requests were over before.
pub(crate) struct Stamp {
    mark: String,
    over: AtomicU32,
}

fn value(text: &str) -> Result<HeaderValue, ProxyError> {
    HeaderValue::from_str(text).map_err(|_| Reason::FilterFailed.into())
}

impl Filter for Stamp {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter).and(Phase::ResponseFilter).and(Phase::Logging)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        drop(cx.request.append_header(STAMP, value(&self.mark)?));
        Ok(Verdict::Continue)
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        let text = format!("{} {}", self.mark, self.over.load(Ordering::SeqCst));
        drop(cx.response.append_header(STAMP, value(&text)?));
        Ok(())
    }

    fn logging(&self, _completed: &Completed<'_>, _ctx: &mut ()) {
        self.over.fetch_add(1, Ordering::SeqCst);
    }
}

impl ConfiguredFilter for Stamp {
    const NAME: &'static str = "stamp";
    type Config = StampConfig;

    fn build(config: StampConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { mark: config.mark, over: AtomicU32::new(0) })
    }
}
