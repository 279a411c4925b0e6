//! Where a request goes: cluster, endpoint, and how the connection to it must be.

use http::header::CONTENT_LENGTH;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use rand::RngExt as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_balance::{Ask, Choice, EndpointIdx, EndpointSpec, Health};
use portcullis_filter::{Phase, SelectCx};
use portcullis_snapshot::request::action;
use portcullis_snapshot::{Action, Cluster, ClusterIdx, Members, Snapshot, UpstreamProtocol, UpstreamTls};
use portcullis_telemetry::metrics::EndpointMetrics;
use portcullis_telemetry::record::{Attempt, Considered, Decision, Flag, Verdict};
use portcullis_types::{ProxyError, Reason};

use super::context::Ctx;
use super::{deadline, failover, heights, limits};
use crate::core::new_span;
use crate::gate::conn::CONN;
use crate::reasons::Progress;

/// Bytes an HTTP/2 upstream may send ahead on one stream, and on one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams on one HTTP/2 upstream connection.
const UPSTREAM_STREAMS: usize = 100;
/// How long a tunnel may be silent in both directions.
const TUNNEL_IDLE: Duration = Duration::from_secs(3600);

/// Sends a request to a cluster.
pub(super) fn set(
    request: &RequestHeader,
    ctx: &mut Ctx,
    snapshot: &Snapshot,
    index: ClusterIdx,
) -> Result<(), ProxyError> {
    let cluster = snapshot.cluster(index).cloned().ok_or(Reason::Internal)?;
    let length = request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let (Some(length), Some(limit)) = (length, ctx.body.limit)
        && length > limit
    {
        return Err(ProxyError::with_detail(Reason::BodyTooLarge, format!("{length} bytes, {limit} allowed")));
    }
    ctx.record.decision = Decision::Cluster(cluster.name.clone());
    take(request, ctx, index, cluster);
    failover::begin(request, ctx, snapshot);
    Ok(())
}

/// Takes a cluster, with all that follows from it.
pub(super) fn take(request: &RequestHeader, ctx: &mut Ctx, index: ClusterIdx, cluster: Arc<Cluster>) {
    ctx.upstream.key = cluster.hash_key.as_ref().and_then(|key| key.hash(&ctx.facts.view(request), &ctx.notes));
    let forward = match ctx.route.as_deref().map(|route| &route.action) {
        Some(Action::Forward(forward)) => Some(forward),
        Some(Action::Redirect(_) | Action::Respond(_)) | None => None,
    };
    ctx.upstream.subset = forward.and_then(|forward| forward.target.subset_of(index));
    ctx.upstream.timeouts = forward.map_or(cluster.timeouts, |forward| cluster.timeouts.narrowed(&forward.timeouts));
    ctx.upstream.cluster = Some((index, cluster));
    ctx.upstream.members = None;
    ctx.upstream.tried.clear();
    deadline::take(request, ctx);
}

/// Chooses an endpoint for the next attempt.
pub(super) fn peer(session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>, ProxyError> {
    let now = Instant::now();
    let picked = pick(session, ctx, now)?;
    let peer = set_out(ctx, picked, now);
    if ctx.upstream.attempts > 0 {
        ctx.record.flags.set(Flag::Retried);
    } else if let Some((_, cluster)) = ctx.upstream.cluster.as_ref().filter(|(_, it)| it.retry.policy.attempts > 1) {
        cluster.retry.budget.request(now);
    }
    ctx.upstream.attempts += 1;
    Ok(peer)
}

/// An endpoint that was chosen for an attempt, with its cluster.
pub(super) struct Picked {
    cluster: Arc<Cluster>,
    members: Arc<Members>,
    choice: Choice,
}

/// Chooses an endpoint for an attempt beside another: one that was not tried. Where there is one, and it was not chosen,
/// it is full.
pub(super) fn pick_another(session: &mut Session, ctx: &mut Ctx, now: Instant) -> Result<Picked, ProxyError> {
    let picked = pick(session, ctx, now)?;
    let again = ctx.upstream.tried.contains(&picked.choice.index());
    if again { Err(Reason::Overloaded.into()) } else { Ok(picked) }
}

fn pick(session: &mut Session, ctx: &mut Ctx, now: Instant) -> Result<Picked, ProxyError> {
    let (_, cluster) = ctx.upstream.cluster.clone().ok_or(Reason::Internal)?;
    ctx.in_time()?;
    let members = ctx.upstream.members.get_or_insert_with(|| cluster.fleet.members()).clone();
    let choice = choose(session.req_header(), ctx, (&cluster, &members), now)?;
    Ok(Picked { cluster, members, choice })
}

/// Begins an attempt.
pub(super) fn set_out(ctx: &mut Ctx, picked: Picked, now: Instant) -> Box<HttpPeer> {
    let Picked { cluster, members, choice } = picked;
    let endpoint = choice.endpoint().spec().name.clone();
    note_considered(ctx, &members, choice.index());
    let elsewhere = ctx.upstream.decided.is_some() || ctx.record.fallback_route.is_some();
    let attempt = Attempt {
        endpoint,
        cluster: elsewhere.then(|| cluster.name.clone()),
        started: now.saturating_duration_since(ctx.arrived),
        connect: None,
        first_byte: None,
        outcome: Err(Reason::ClientClosed),
        reused: false,
        outrun: false,
        span: ctx.trace.map_or(0, |_| new_span()),
        ended: None,
    };
    ctx.upstream.at = usize::try_from(ctx.record.attempts.total()).unwrap_or(usize::MAX);
    ctx.record.attempts.push(attempt);
    ctx.upstream.deadline = deadline::of_attempt(ctx, now);
    let peer = http_peer(&cluster, &choice, ctx);
    let counted = members.metrics.get(choice.index().get()).filter(|_| ctx.core.observes());
    let upstream = &mut ctx.upstream;
    upstream.counted = counted.map(|metrics| (metrics.clone(), EndpointMetrics::begin(metrics)));
    upstream.tried.push(choice.index());
    upstream.choice = Some(choice);
    upstream.attempt_started = Some(now);
    upstream.connected = false;
    upstream.ended = None;
    upstream.progress = Some(Progress::Connecting);
    peer
}

/// A filter's choice first, the cluster's balancer else.
fn choose(
    request: &RequestHeader,
    ctx: &mut Ctx,
    (cluster, members): (&Cluster, &Members),
    now: Instant,
) -> Result<Choice, ProxyError> {
    let filters = [
        ctx.route.as_ref().map(|r| r.chain.has(Phase::UpstreamPeer)),
        ctx.host.as_ref().map(|h| h.chain.has(Phase::UpstreamPeer)),
    ];
    if filters.contains(&Some(true))
        && let Some(choice) = by_filter(request, ctx, (cluster, members))?
    {
        return Ok(choice);
    }
    limits::with_room(ctx, members, |ctx| {
        let ask = Ask {
            key: ctx.upstream.key,
            skip: &ctx.upstream.tried,
            least_height: heights::least(ctx),
            ..Ask::new(now, rand::rng().random())
        };
        members.set(ctx.upstream.subset).choose(&ask).map_err(|none| {
            ProxyError::with_detail(Reason::NoHealthyUpstream, none.to_string()).retry_after(action::RETRY_AFTER)
        })
    })
}

fn by_filter(
    request: &RequestHeader,
    ctx: &mut Ctx,
    (cluster, members): (&Cluster, &Members),
) -> Result<Option<Choice>, ProxyError> {
    let candidates = members.candidates(&ctx.upstream.tried);
    let (route, host) = (ctx.route.clone(), ctx.host.clone());
    let chains = [
        route.as_ref().map(|route| (&route.chain, &mut ctx.route_state)),
        host.as_ref().map(|host| (&host.chain, &mut ctx.host_state)),
    ];
    for (chain, state) in chains.into_iter().flatten() {
        let mut cx = SelectCx {
            request,
            facts: &ctx.facts,
            notes: &mut ctx.notes,
            cluster: &cluster.name,
            candidates: &candidates,
            attempt: ctx.upstream.attempts,
        };
        if let Some((at, filter)) = chain.upstream_peer(&mut cx, state)? {
            let choice =
                members.endpoints.index_at(at).and_then(|index| members.endpoints.claim_at(index, Instant::now()));
            let unknown =
                || ProxyError::with_detail(Reason::FilterFailed, format!("{filter} chose no endpoint there is"));
            return choice.ok_or_else(unknown).map(Some);
        }
    }
    Ok(None)
}

/// Notes the endpoint that was chosen, and why others could not be. Those that merely were not drawn are counted.
fn note_considered(ctx: &mut Ctx, members: &Members, chosen: EndpointIdx) {
    let endpoints = members.endpoints.endpoints();
    let all_available = ctx.upstream.subset.is_none()
        && members.endpoints.available() == endpoints.len()
        && ctx.upstream.tried.is_empty();
    let considered = &mut ctx.record.considered;
    if all_available {
        if let Some(endpoint) = members.endpoints.endpoint(chosen) {
            considered.push(Considered { endpoint: endpoint.spec().name.clone(), verdict: Verdict::Chosen });
        }
        considered.count_more(u32::try_from(endpoints.len().saturating_sub(1)).unwrap_or(u32::MAX));
        return;
    }
    let cluster = ctx.upstream.cluster.as_ref().map(|(_, cluster)| cluster);
    let labels = cluster.and_then(|cluster| cluster.fleet.plan().subsets.get(ctx.upstream.subset?));
    let selected = |spec: &EndpointSpec| {
        labels.is_none_or(|labels| labels.iter().all(|(name, value)| spec.labels.get(name) == Some(value)))
    };
    for (at, endpoint) in endpoints.iter().enumerate() {
        let verdict = if at == chosen.get() {
            Verdict::Chosen
        } else if ctx.upstream.tried.iter().any(|index| index.get() == at) {
            Verdict::PassedOver("tried")
        } else if !selected(endpoint.spec()) {
            Verdict::PassedOver("other_subset")
        } else if endpoint.state().health() == Health::Unhealthy {
            Verdict::PassedOver("unhealthy")
        } else if endpoint.state().is_ejected() {
            Verdict::PassedOver("ejected")
        } else if endpoint.state().is_off_height() {
            Verdict::PassedOver("off_height")
        } else if endpoint.spec().weight == 0 {
            Verdict::PassedOver("drained")
        } else {
            Verdict::PassedOver("not_drawn")
        };
        if !considered.has_room() {
            considered.count_more(1);
            continue;
        }
        considered.push(Considered { endpoint: endpoint.spec().name.clone(), verdict });
    }
}

/// The connection of an attempt, inside the request's timeouts.
fn http_peer(cluster: &Cluster, choice: &Choice, ctx: &Ctx) -> Box<HttpPeer> {
    let timeouts = &ctx.upstream.timeouts;
    let left = ctx.upstream.deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let connect = left.map_or(timeouts.connect, |left| left.min(timeouts.connect));
    let mut peer = connection(cluster, choice.address(), connect);
    peer.options.read_timeout = Some(timeouts.first_byte);
    peer.options.write_timeout = Some(timeouts.idle);
    Box::new(peer)
}

/// How long an upstream may pause once its answer has begun. A tunnel has its own, longer patience.
pub(super) fn idle_timeout(session: &Session, ctx: &Ctx) -> Duration {
    let idle = ctx.upstream.timeouts.idle;
    if session.is_upgrade_req() { idle.max(TUNNEL_IDLE) } else { idle }
}

/// How long the client may pause in the middle of its request: that is no silence of the upstream's. Of an HTTP/1 body the
/// gate's wrapper sees to it, and this is for what it cannot see; a total timeout holds all the same.
pub(super) fn pause_timeout(session: &Session, ctx: &Ctx) -> Duration {
    let of_body = CONN.try_with(|conn| conn.limits().body_timeout).unwrap_or(ctx.upstream.timeouts.first_byte);
    let pause = if session.is_http2() { of_body } else { of_body.saturating_mul(2) };
    let left = ctx.upstream.timeouts.total.map_or(pause, |total| total.saturating_sub(ctx.elapsed()));
    // Zero would be no bound: what is late already gets the least there is.
    pause.min(left).max(Duration::from_millis(1))
}

/// How a connection to a cluster must be. Nothing that must not be shared is shared: `group_key` carries the rest.
pub(crate) fn connection(cluster: &Cluster, address: SocketAddr, connect: Duration) -> HttpPeer {
    let mut peer = peer_of(cluster.tls.as_ref(), cluster.protocol, (address, connect));
    peer.group_key = cluster.connection_group;
    peer.options.idle_timeout = Some(cluster.keepalive);
    peer
}

/// A connection to an address. Whoever asks for one says which others it may be shared with.
pub(crate) fn peer_of(
    tls: Option<&UpstreamTls>,
    protocol: UpstreamProtocol,
    (address, connect): (SocketAddr, Duration),
) -> HttpPeer {
    let name = tls.map(|tls| tls.server_name.clone()).unwrap_or_default();
    let mut peer = HttpPeer::new(address, tls.is_some(), name);
    let options = &mut peer.options;
    options.connection_timeout = Some(connect);
    options.total_connection_timeout = Some(connect);
    match protocol {
        UpstreamProtocol::Http1 => options.alpn = ALPN::H1,
        UpstreamProtocol::Http2 => options.alpn = ALPN::H2,
    }
    options.max_h2_streams = UPSTREAM_STREAMS;
    options.h2_stream_window_size = Some(STREAM_WINDOW);
    options.h2_connection_window_size = Some(CONNECTION_WINDOW);
    if let Some(tls) = tls {
        options.verify_cert = tls.verify;
        options.verify_hostname = tls.verify;
        options.ca = tls.ca.as_ref().map(|ca| ca.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect());
        let client = tls.client.as_ref();
        peer.client_cert_key = client.map(|pair| Arc::new(CertKey::new(pair.0.clone(), pair.1.clone())));
    }
    peer
}
