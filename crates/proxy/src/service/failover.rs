//! Another cluster in the place of the decided one: at the beginning, when that is not fit or full, and after an attempt,
//! when nothing is left to try.

use pingora_http::RequestHeader;
use std::sync::Arc;
use std::time::Instant;

use portcullis_snapshot::cluster::Way;
use portcullis_snapshot::{Cluster, ClusterIdx, RouteData, Snapshot};
use portcullis_telemetry::record::{FailoverWhy, Flag};

use super::context::Ctx;
use super::target;

/// The clusters that the request may go through.
fn way<'a>(index: ClusterIdx, cluster: &'a Cluster, route: Option<&'a RouteData>, snapshot: &'a Snapshot) -> Way<'a> {
    let fallback = route.and_then(|route| route.fallback()?.cluster());
    Way { index, cluster, fallback, snapshot }
}

/// Sends a request that was decided for the context's cluster to the one that stands in for it, if any does.
pub(super) fn begin(request: &RequestHeader, ctx: &mut Ctx, snapshot: &Snapshot) {
    let Some((index, cluster)) = ctx.upstream.cluster.clone() else { return };
    let Some(chain) = &cluster.failover else { return };
    let place = chain.place(&cluster, snapshot, Instant::now());
    let route = ctx.route.clone();
    let way = way(index, &cluster, route.as_deref(), snapshot);
    let to = match (way.is_full(place), way.from(place + 1)) {
        (true, Some(to)) => Some((to, FailoverWhy::Saturated)),
        _ if place > 0 => Some((place, FailoverWhy::Unfit)),
        _ => None,
    };
    if let Some((place, why)) = to {
        enter(request, ctx, &way, (place, why));
    }
}

/// The cluster that the request could go to next.
pub(super) fn upcoming(ctx: &Ctx) -> Option<&Arc<Cluster>> {
    let ((index, cluster), snapshot) = (decided(ctx)?, ctx.snapshot.as_deref()?);
    let way = way(*index, cluster, ctx.route.as_deref(), snapshot);
    snapshot.cluster(way.at(way.from(ctx.upstream.place + 1)?)?)
}

/// Whether that is the cluster of the route's fallback.
pub(super) fn is_last_upcoming(ctx: &Ctx) -> bool {
    let (Some((index, cluster)), Some(snapshot)) = (decided(ctx), ctx.snapshot.as_deref()) else { return false };
    let way = way(*index, cluster, ctx.route.as_deref(), snapshot);
    way.from(ctx.upstream.place + 1).is_some_and(|place| way.is_fallback(place))
}

/// Goes on to the next cluster that has an endpoint; answers whether there is one.
pub(super) fn next(request: &RequestHeader, ctx: &mut Ctx, why: FailoverWhy) -> bool {
    let (Some((index, cluster)), Some(snapshot)) = (decided(ctx).cloned(), ctx.snapshot.clone()) else { return false };
    let route = ctx.route.clone();
    let way = way(index, &cluster, route.as_deref(), &snapshot);
    let Some(place) = way.from(ctx.upstream.place + 1) else { return false };
    enter(request, ctx, &way, (place, why));
    true
}

fn decided(ctx: &Ctx) -> Option<&(ClusterIdx, Arc<Cluster>)> {
    ctx.upstream.decided.as_ref().or(ctx.upstream.cluster.as_ref())
}

fn enter(request: &RequestHeader, ctx: &mut Ctx, way: &Way<'_>, (place, why): (usize, FailoverWhy)) {
    let Some(index) = way.at(place) else { return };
    let Some(cluster) = way.snapshot.cluster(index).cloned() else { return };
    if ctx.upstream.decided.is_none() {
        ctx.upstream.decided = ctx.upstream.cluster.take();
    }
    ctx.upstream.place = place;
    ctx.record.failover.get_or_insert(why);
    ctx.record.flags.set(Flag::FailedOver);
    target::take(request, ctx, index, cluster);
}
