//! The next attempt: the pause before it, the cluster it goes to or the route it goes on as, an endpoint of that.

use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::Session;

use portcullis_telemetry::record::FailoverWhy;
use portcullis_types::{ProxyError, Reason};

use super::context::Ctx;
use super::{failover, fallback, limits, retry, target};

/// The connection of the next attempt.
pub(super) async fn peer(session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>, ProxyError> {
    if let Some(pause) = ctx.upstream.pause.take() {
        retry::wait(session, pause).await?;
    }
    if let Some(unsent) = fallback::due(ctx) {
        Box::pin(fallback::follow(session, ctx, unsent)).await?;
    } else if ctx.upstream.attempts > 0 && !retry::others_left(ctx) {
        if let Some(error) = ctx.upstream.ended.map(ProxyError::new)
            && fallback::answers_first(session, ctx, &error).await
        {
            return Err(error);
        }
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
        if fallback::answers_first(session, ctx, &error).await {
            return Err(error);
        }
        // Each turn goes on to a later cluster, or once to another route, so it ends.
        if !why.is_some_and(|why| failover::next(session.req_header(), ctx, why)) {
            Box::pin(fallback::follow(session, ctx, error)).await?;
        }
    }
}
