//! A mark on what goes upstream and on what comes back, and a count of what is over.

use http::{HeaderName, HeaderValue};
use portcullis_filter::{
    BuildCx, Completed, ConfiguredFilter, Filter, Needs, Phase, Phases, RequestCx, ResponseCx, Verdict,
};
use portcullis_types::{ClusterName, ProxyError, Reason};
use portcullis_yaml::Spanned;
use std::sync::atomic::{AtomicU32, Ordering};

const STAMP: HeaderName = HeaderName::from_static("x-stamp");

/// Settings of `stamp`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct StampConfig {
    /// The mark.
    mark: String,
    /// The cluster that stamped requests go to, in place of the route's.
    cluster: Option<Spanned<String>>,
}

/// Adds `x-stamp: MARK` to requests, and `x-stamp: MARK COUNT` to answers: how many requests were over before.
pub(crate) struct Stamp {
    mark: String,
    cluster: Option<ClusterName>,
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
        if let Some(cluster) = &self.cluster {
            cx.notes.cluster = Some(cluster.clone());
        }
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

    fn needs(config: &StampConfig) -> Needs {
        Needs { clusters: config.cluster.iter().cloned().collect(), ..Needs::default() }
    }

    fn build(config: StampConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        let cluster = config.cluster.map(|cluster| ClusterName::from(cluster.value));
        Ok(Self { mark: config.mark, cluster, over: AtomicU32::new(0) })
    }
}
