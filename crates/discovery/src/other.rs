//! Sources that a wing brings.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use portcullis_filter::seam::{EndpointSink, EndpointSource, FoundEndpoint};
use portcullis_snapshot::Feed;

/// Before a source that has ended is asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// Does not keep the feed alive: it ends when no cluster names it any more.
struct Sink(Weak<Feed>);

impl EndpointSink for Sink {
    fn found(&self, endpoints: Vec<FoundEndpoint>) {
        if let Some(feed) = self.0.upgrade() {
            feed.publish(endpoints, Instant::now());
        }
    }

    fn failed(&self, why: String) {
        if let Some(feed) = self.0.upgrade() {
            feed.fail(why, Instant::now());
        }
    }
}

/// Follows a source, and asks it again when it ends.
pub(crate) async fn follow(source: Option<Arc<dyn EndpointSource>>, of: Arc<str>, feed: Weak<Feed>) {
    let sink = Sink(feed);
    let Some(source) = source else { return sink.failed("this binary has no such source".to_owned()) };
    loop {
        if let Err(why) = source.follow(&of, &sink).await {
            sink.failed(why);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
