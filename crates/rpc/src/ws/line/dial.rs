//! How a line gets to an upstream: whom it asks, whom it avoids, how long it waits after a failure.

use http::uri::PathAndQuery;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

use portcullis_filter::seam::Upstreams;
use portcullis_telemetry::metrics::{WebsocketGauge, WebsocketMetrics};
use portcullis_types::{ClusterName, EndpointName, ProxyError, Reason};

use super::DialError;
use super::connection::Connection;
use crate::ws::handshake::Offer;

/// Whom a line asks.
pub struct Dial {
    /// Who reaches the cluster.
    pub upstreams: Arc<dyn Upstreams>,
    /// The cluster.
    pub cluster: ClusterName,
    /// The path of the handshake; it may hold a key, so it is never said.
    pub path: PathAndQuery,
    /// The largest message of an upstream.
    pub message: usize,
    /// Where lines count.
    pub metrics: Arc<WebsocketMetrics>,
}

/// The longest that a handshake may take, whatever the cluster's timeouts are.
const HANDSHAKE: Duration = Duration::from_secs(15);

impl Dial {
    /// Opens a connection to an endpoint that is none of those, if there is another.
    pub(super) async fn connect(
        self: Arc<Self>,
        avoid: Vec<EndpointName>,
        now: Instant,
    ) -> Result<Connection, DialError> {
        let offer = Offer::new(&self.path);
        let upgrade = self.upstreams.upgrade(&self.cluster, offer.request.clone(), &avoid);
        let failed = |error: ProxyError| DialError { error, endpoint: None };
        let stream = match timeout(HANDSHAKE, upgrade).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => return Err(failed(Reason::UpstreamConnectTimeout.into())),
        };
        if !offer.is_granted_by(&stream.header) {
            let error = ProxyError::with_detail(Reason::UpstreamMalformed, "its handshake is not that of a WebSocket");
            return Err(DialError { error, endpoint: Some(stream.endpoint) });
        }
        let counted = self.metrics.one(WebsocketGauge::UpstreamConnections);
        Ok(Connection::new((stream.io, stream.endpoint), counted, self.message, now))
    }
}

/// How long an endpoint that failed is avoided.
const AVOIDED: Duration = Duration::from_secs(60);
/// The most endpoints that are avoided at once.
const MOST_AVOIDED: usize = 8;

/// Endpoints that failed of late.
#[derive(Debug, Default)]
pub(super) struct Avoided(Vec<(EndpointName, Instant)>);

impl Avoided {
    pub(super) fn add(&mut self, endpoint: EndpointName, now: Instant) {
        self.0.retain(|(name, _)| *name != endpoint);
        if self.0.len() >= MOST_AVOIDED {
            self.0.remove(0);
        }
        self.0.push((endpoint, now + AVOIDED));
    }

    pub(super) fn names(&mut self, now: Instant) -> Vec<EndpointName> {
        self.0.retain(|(_, until)| *until > now);
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// The first and the longest wait between two attempts.
const WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A connection that lasted this long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// How long a line waits before it dials again.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    since: Option<Instant>,
}

impl Backoff {
    pub(super) fn connected(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// A connection is lost: the next dial is at once, unless it was short.
    pub(super) fn lost(&mut self, now: Instant) -> Option<Instant> {
        if self.since.take().is_some_and(|since| now >= since + GOOD) {
            self.failures = 0;
            return None;
        }
        if self.failures == 0 {
            self.failures = 1;
            return None;
        }
        Some(self.failed(now))
    }

    /// A dial failed: when the next is. A random part keeps lines and gateways apart.
    pub(super) fn failed(&mut self, now: Instant) -> Instant {
        let (first, longest) = WAIT;
        let wait = first.saturating_mul(1 << self.failures.min(8)).min(longest);
        self.failures = self.failures.saturating_add(1);
        now + wait.mul_f64(rand::random_range(0.75..1.25))
    }
}
