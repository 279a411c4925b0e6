//! The filter: it grants the upgrade, and hands the connection to a session.

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use portcullis_filter::seam::{Caller, StreamEnd, Upgrade, UpgradeHandler, UpgradedStream, Upstreams};
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Needs, Phase, Phases, RequestCx, Response, Verdict};
use portcullis_telemetry::metrics::RpcMetrics;
use portcullis_types::{ClusterName, ProxyError, Reason};

use super::config::WebsocketConfig;
use super::handshake::{self, Wrong};
use super::hub::{Hub, Hubs};
use super::session::Session;

#[cfg(test)]
mod tests;

/// The `rpc_websocket` filter.
pub struct RpcWebsocket {
    shared: Arc<Shared>,
}

/// What outlives the generation, for the connections that it let in.
struct Shared {
    config: WebsocketConfig,
    hubs: Arc<Hubs>,
    /// Those that its clients came to, by the clusters that routes decide on: they live as long as the generation.
    held: Mutex<HashMap<ClusterName, Arc<Hub>>>,
    upstreams: Option<Arc<dyn Upstreams>>,
    metrics: Arc<RpcMetrics>,
}

impl Filter for RpcWebsocket {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        if !cx.facts.asks_upgrade {
            return Ok(Verdict::Continue);
        }
        match handshake::accept(cx.request) {
            Ok(response) => {
                let handler = Box::new(Handler { shared: Arc::clone(&self.shared) });
                Ok(Verdict::Upgrade(Box::new(Upgrade { response, handler })))
            }
            // RFC 6455 section 4.4: the versions that are spoken here.
            Err(wrong @ Wrong::Version) => {
                let text = HeaderValue::from_static("text/plain; charset=utf-8");
                let mut response = Response::new(StatusCode::UPGRADE_REQUIRED).with_body(text, format!("{wrong}\n"));
                let version = HeaderValue::from_static("13");
                let set = response.header.insert_header(http::header::SEC_WEBSOCKET_VERSION, version);
                set.map_err(|_| Reason::Internal)?;
                Ok(Verdict::Respond(Box::new(response)))
            }
            Err(wrong @ (Wrong::Key | Wrong::Method)) => {
                Err(ProxyError::with_detail(Reason::MalformedRequest, wrong.to_string()))
            }
        }
    }
}

impl ConfiguredFilter for RpcWebsocket {
    const NAME: &'static str = "rpc_websocket";

    type Config = WebsocketConfig;

    fn needs(config: &WebsocketConfig) -> Needs {
        let clusters: Vec<_> = config.to.iter().cloned().collect();
        Needs { routes_cluster: clusters.is_empty(), clusters, upgrade: true }
    }

    fn build(config: WebsocketConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        // Not by the place: what clients of two routes subscribe to is the same.
        let hubs = cx.state.get_or_insert("rpc_websocket/hubs", Hubs::default);
        let upstreams = cx.services.get::<Caller>().map(|caller| Arc::clone(&caller.0));
        let metrics = cx.services.get::<RpcMetrics>().unwrap_or_default();
        Ok(Self { shared: Arc::new(Shared { config, hubs, held: Mutex::default(), upstreams, metrics }) })
    }
}

/// Speaks on one connection.
struct Handler {
    shared: Arc<Shared>,
}

impl Shared {
    /// The cluster that a connection subscribes to.
    fn cluster(&self, stream: &UpgradedStream) -> Option<ClusterName> {
        let named = self.config.to.as_ref().map(|to| ClusterName::from(to.as_str()));
        named.or_else(|| stream.cluster.clone())
    }

    /// The hub of a cluster.
    fn hub(&self, cluster: ClusterName, upstreams: &Arc<dyn Upstreams>) -> Arc<Hub> {
        let key = self.config.hub.key(cluster.clone());
        let mut held = self.held.lock();
        Arc::clone(held.entry(cluster).or_insert_with(|| self.hubs.get(key, upstreams, &self.metrics)))
    }
}

#[async_trait]
impl UpgradeHandler for Handler {
    async fn serve(self: Box<Self>, stream: UpgradedStream) -> StreamEnd {
        let Shared { config, upstreams, .. } = &*self.shared;
        let failed = |detail: &'static str| StreamEnd {
            error: Some(ProxyError::with_detail(Reason::FilterFailed, detail)),
            ..StreamEnd::default()
        };
        let Some(upstreams) = upstreams else { return failed("this gateway makes no calls upstream") };
        let Some(cluster) = self.shared.cluster(&stream) else {
            return failed("the route of this WebSocket forwards to no cluster, and `rpc_websocket` has no `to`");
        };
        let hub = self.shared.hub(cluster, upstreams);
        let client = Arc::clone(&config.client);
        // What the filter was built of is not kept for as long as the connection lasts.
        drop(self);
        Session::new(stream, hub, client).run().await
    }
}
