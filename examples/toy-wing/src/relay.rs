//! A filter that asks a cluster by itself: it answers with what that said, and joins an upgrade with one of its own.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use portcullis_filter::seam::{
    Caller, StreamEnd, Upgrade, UpgradeHandler, UpgradedStream, UpstreamRequest, UpstreamStream,
};
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Response, Verdict};
use portcullis_types::{ClusterName, ProxyError, Reason};
use std::sync::Arc;
use std::time::Duration;

const ENDPOINT: HeaderName = HeaderName::from_static("x-endpoint");

/// Settings of `relay`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct RelayConfig {
    /// Which cluster is asked.
    cluster: String,
    /// The endpoint that is asked last.
    avoid: Option<String>,
}

/// Asks a cluster for whatever it is asked for.
pub(crate) struct Relay {
    caller: Arc<Caller>,
    cluster: ClusterName,
    avoid: Option<String>,
}

impl Relay {
    async fn call(&self, cx: &RequestCx<'_>) -> Result<Response, ProxyError> {
        let method = cx.request.method.clone();
        let request = UpstreamRequest {
            header: RequestHeader::build(method.as_str(), cx.request.raw_path(), None).map_err(|_| Reason::Internal)?,
            body: if method == http::Method::POST { Bytes::from_static(b"asked") } else { Bytes::new() },
            idempotent: method == http::Method::GET,
            timeout: Duration::from_secs(5),
            most: 1024,
        };
        let answer = self.caller.0.call(&self.cluster, request).await?;
        let endpoint = HeaderValue::from_str(answer.endpoint.as_str()).map_err(|_| Reason::Internal)?;
        let mut response = Response::new(answer.header.status).with_field(ENDPOINT, endpoint);
        response.body = answer.body;
        Ok(response)
    }

    async fn upgrade(&self, cx: &RequestCx<'_>) -> Result<Upgrade, ProxyError> {
        let mut header = RequestHeader::build("GET", cx.request.raw_path(), None).map_err(|_| Reason::Internal)?;
        drop(header.insert_header("sec-websocket-key", "dG9v"));
        let avoid: Vec<_> = self.avoid.iter().map(|name| name.as_str().into()).collect();
        let upstream = self.caller.0.upgrade(&self.cluster, header, &avoid).await?;
        let mut response = ResponseHeader::build(101, None).map_err(|_| Reason::FilterFailed)?;
        let endpoint = HeaderValue::from_str(upstream.endpoint.as_str()).map_err(|_| Reason::Internal)?;
        drop(response.insert_header(ENDPOINT, endpoint));
        Ok(Upgrade { response, handler: Box::new(Joined(upstream)) })
    }
}

impl Filter for Relay {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        if cx.notes.is_explained() {
            return Ok(Verdict::Respond(Box::new(Response::new(StatusCode::OK))));
        }
        if cx.facts.asks_upgrade {
            return self.upgrade(cx).await.map(|upgrade| Verdict::Upgrade(Box::new(upgrade)));
        }
        self.call(cx).await.map(|answer| Verdict::Respond(Box::new(answer)))
    }
}

impl ConfiguredFilter for Relay {
    const NAME: &'static str = "relay";
    type Config = RelayConfig;

    fn build(config: RelayConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        let caller = cx.services.get::<Caller>().ok_or("there is nobody who could ask")?;
        Ok(Self { caller, cluster: config.cluster.as_str().into(), avoid: config.avoid })
    }
}

/// Two connections that carry each other's bytes.
struct Joined(UpstreamStream);

#[async_trait]
impl UpgradeHandler for Joined {
    async fn serve(self: Box<Self>, mut stream: UpgradedStream) -> StreamEnd {
        let mut upstream = self.0;
        let copied = tokio::io::copy_bidirectional(&mut stream.io, &mut upstream.io).await;
        let (bytes_in, bytes_out) = copied.unwrap_or_default();
        StreamEnd { bytes_in, bytes_out, ..StreamEnd::default() }
    }
}
