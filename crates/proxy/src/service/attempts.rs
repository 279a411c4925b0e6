//! The next attempt: the pause before it, the cluster it goes to, an endpoint of that.

use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::Session;

use portcullis_telemetry::record::FailoverWhy;
use portcullis_types::{ProxyError, Reason};

use super::context::Ctx;
use super::{failover, limits, retry, target};

/// The connection of the next attempt.
pub(super) async fn peer(session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>, ProxyError> {
    if let Some(pause) = ctx.upstream.pause.take() {
        retry::wait(pause).await;
    }
    if ctx.upstream.attempts > 0 && !retry::others_left(ctx) {
        failover::next(session.req_header(), ctx, FailoverWhy::Tried);
    }
    loop {
        let error = match limits::enter_cluster(session, ctx).await {
            Ok(()) => match target::peer(session, ctx) {
                Ok(peer) => return Ok(peer),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let why = [(Reason::NoHealthyUpstream, FailoverWhy::NoEndpoint), (Reason::Overloaded, FailoverWhy::Saturated)];
        let why = why.into_iter().find_map(|(reason, why)| (reason == error.reason).then_some(why));
        // Each turn goes on to a later cluster, so it ends.
        if !why.is_some_and(|why| failover::next(session.req_header(), ctx, why)) {
            return Err(error);
        }
    }
}
