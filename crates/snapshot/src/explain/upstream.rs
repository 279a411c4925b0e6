//! The end of the walk: the cluster with its endpoints and the head that would be sent, or the gateway's own answer.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use pingora_http::RequestHeader;

use portcullis_balance::{EndpointSet, NoEndpoint};
use portcullis_filter::{ErrorCx, Notes, Phase, RequestCx, Response, ResponseCx, SelectCx, Source};
use portcullis_types::quantity::format_duration;
use portcullis_types::{BodyView, ProxyError, Reason, RequestView};

use super::finding::{Answer, UpstreamFinding};
use super::walk::{Stop, Walk, asks_websocket};
use super::{cluster, filters};
use crate::Snapshot;
use crate::cluster::failover::{Fitness, Way};
use crate::cluster::{Cluster, ClusterIdx, Members, UpstreamProtocol};
use crate::request::action;
use crate::request::action::RETRY_AFTER;
use crate::request::forwarding::{self, ForwardedValues, Stamp};
use crate::request::trace::Trace;
use crate::route::{Action, Fallback, Forward, Place, RouteData, Target, Then};

/// How much of an answer's body is told.
const BODY: usize = 2048;

/// Fields that end at this hop (RFC 9110 section 7.6.1), as the proxy takes them out.
const HOP_BY_HOP: [HeaderName; 10] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Why a target leads to its cluster.
pub(super) fn because(target: &Target, snapshot: &Snapshot, view: &RequestView<'_>, notes: &Notes) -> String {
    let (split, sticky) = match target {
        Target::Cluster(_) => return "the route names it".to_owned(),
        Target::Subset { cluster, subset } => return because_of_subset(snapshot, *cluster, *subset),
        Target::Split { split, sticky } => (split, sticky),
    };
    let share = |(index, weight): (&ClusterIdx, u32)| {
        let name = snapshot.cluster(*index).map_or("?", |cluster| cluster.name.as_str());
        format!("{name} {weight}")
    };
    let shares: Vec<String> = split.items().map(share).collect();
    let by = match sticky {
        None => "the request's id".to_owned(),
        Some(key) if key.hash(view, notes).is_none() => format!("the client's address, since the request has no {key}"),
        Some(key) => key.to_string(),
    };
    format!("split {}, by {by}", shares.join(", "))
}

fn because_of_subset(snapshot: &Snapshot, cluster: ClusterIdx, subset: usize) -> String {
    let labels = snapshot.cluster(cluster).and_then(|cluster| cluster.fleet.plan().subsets.get(subset));
    let labels: Vec<String> = labels.into_iter().flatten().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("the route names it, and of its endpoints those with {}", labels.join(", "))
}

/// Tells what forwarding to a cluster comes to.
pub(super) async fn forward(walk: &mut Walk<'_>, index: ClusterIdx, because: String) -> Result<(), Stop> {
    body_limit(walk)?;
    let route = walk.route.clone();
    let fallback = route.as_deref().and_then(RouteData::fallback);
    let StandIn { index, failover, is_last } = stand_in(walk, index, fallback)?;
    let cluster = walk.snapshot.cluster(index).cloned().ok_or(Reason::Internal)?;
    let forward = route.as_deref().and_then(|route| match &route.action {
        Action::Forward(forward) => Some(forward),
        Action::Redirect(_) | Action::Respond(_) => None,
    });
    let timeouts = forward.map_or(cluster.timeouts, |forward| cluster.timeouts.narrowed(&forward.timeouts));
    let key = cluster.hash_key.as_ref().and_then(|key| key.hash(&walk.facts.view(&walk.request), &walk.notes));
    let members = cluster.fleet.members();
    let set = members.set(forward.and_then(|forward| forward.target.subset_of(index))).clone();
    let mut told = cluster::describe(&cluster, because, &timeouts, (&members, &set), (key, walk.moment));
    told.at = usize::try_from(index.0).ok().and_then(|at| walk.snapshot.places.clusters.get(at)).map(Place::at);
    told.balance.push_str(&height(&set, walk.facts.body.as_deref()).unwrap_or_default());
    told.limits = limits(&cluster, route.as_deref());
    told.retry.push_str(&repeats(&cluster, route.as_deref(), &walk.request.method));
    told.hedge = forward.zip(route.as_deref()).and_then(|to| hedge(to, index, &walk.request.method));
    told.mirror = forward.and_then(|forward| mirror(forward, walk.snapshot));
    told.fallback = fallback.and_then(|fallback| fallback_words(fallback, walk.snapshot));
    told.failover = failover;
    let available = set.available();
    walk.told.cluster = Some(told);
    let chosen = chosen(walk, &cluster, &members)?;
    let by_filter = chosen.is_some();
    if let (Some(told), Some((endpoint, because))) = (&mut walk.told.cluster, chosen) {
        (told.endpoint, told.chosen) = (Some(endpoint), Some(because));
        // Chance has no part in it any more.
        told.endpoints.iter_mut().for_each(|endpoint| endpoint.share = None);
    }
    let unreached = available == 0 && !by_filter;
    if unreached || is_last {
        stale(walk, fallback).await?;
    }
    if unreached {
        let none = match set.explain(walk.moment.now).len() {
            0 => NoEndpoint::Empty,
            endpoints => NoEndpoint::NoneAvailable { endpoints },
        };
        return fall_back(walk, fallback, none).await;
    }
    let request = upstream_head(walk, &cluster, forward).await?;
    walk.told.decision.action = "forward";
    walk.told.decision.because = format!("to the cluster {}", cluster.name);
    walk.told.upstream = Some(written(&request, &cluster, walk.question.body.len()));
    Ok(())
}

/// The stale copy that comes before anything else of a fallback.
async fn stale(walk: &mut Walk<'_>, fallback: Option<&Fallback>) -> Result<(), Stop> {
    let cache = walk.route.as_ref().filter(|_| fallback.is_some_and(|fallback| fallback.stale));
    let Some(cache) = cache.and_then(|route| route.cache.clone()) else { return Ok(()) };
    match cache.stale(&walk.facts.view(&walk.request)).await {
        Ok(Some(found)) => {
            let response = Box::new(action::stale_response(found, &walk.snapshot.settings.server_name));
            let because = "the route's cache has a stale copy, and no endpoint can be reached".to_owned();
            Err(Stop::Stored { action: "fallback", because, response })
        }
        Ok(None) => Ok(()),
        Err(error) => {
            walk.told.notes.push(("cache".to_owned(), error.to_string()));
            Ok(())
        }
    }
}

/// What is done when no endpoint can be reached.
async fn fall_back(walk: &mut Walk<'_>, fallback: Option<&Fallback>, none: NoEndpoint) -> Result<(), Stop> {
    match fallback.and_then(|fallback| fallback.then.as_ref()) {
        Some(Then::Respond(response)) => {
            let because = "the route's fallback, since no endpoint can be reached".to_owned();
            Err(Stop::Answer { action: "fallback", because, response: response.clone() })
        }
        Some(Then::Route(another)) => walk.instead(another).await,
        Some(Then::Cluster(_)) | None => Err(ProxyError::from(none).retry_after(RETRY_AFTER).into()),
    }
}

/// The height that the request asks for, and who has it.
fn height(set: &EndpointSet, body: Option<&dyn BodyView>) -> Option<String> {
    let (least, policy) = (body?.least_height()?, set.tuning().heights.as_ref()?);
    let known = set.at_height(least)?;
    Some(format!("; the request asks for {} {least}, which {known} of its endpoints are known to have", policy.unit))
}

/// How important the request is, and what bounds it.
fn limits(cluster: &Cluster, route: Option<&RouteData>) -> String {
    let priority = route.map(|route| route.priority).unwrap_or_default();
    let of_route = route.and_then(|route| route.limits.as_ref()).map(|limits| format!("; the route: {}", limits.rules));
    let of_cluster = cluster.limits.as_ref().map(|limits| format!("; the cluster: {}", limits.rules));
    let none = if of_route.is_none() && of_cluster.is_none() { "; no limits" } else { "" };
    let (of_route, of_cluster) = (of_route.unwrap_or_default(), of_cluster.unwrap_or_default());
    format!("priority {}{of_route}{of_cluster}{none}", priority.as_str())
}

/// Whether a request that was sent may be sent again; nothing where that goes without saying.
fn repeats(cluster: &Cluster, route: Option<&RouteData>, method: &Method) -> String {
    if cluster.retry.policy.attempts == 1 || method.is_idempotent() {
        String::new()
    } else if route.is_some_and(|route| route.idempotent) {
        format!("; the route says that its requests may be sent twice, {method} too")
    } else {
        format!("; a {method} only while nothing was sent")
    }
}

/// When a second attempt is made beside the first.
fn hedge((forward, route): (&Forward, &RouteData), index: ClusterIdx, method: &Method) -> Option<String> {
    let hedge = forward.hedge(index)?;
    let policy = hedge.policy();
    if !method.is_idempotent() && !route.idempotent {
        return Some(format!("hedged {policy}; not a {method}"));
    }
    let now = hedge.wait().map_or_else(
        || "too little is known of the route's answers so far".to_owned(),
        |wait| format!("now that is after {}", format_duration(wait)),
    );
    Some(format!("hedged {policy}; {now}"))
}

fn body_limit(walk: &Walk<'_>) -> Result<(), Stop> {
    let Some(limit) = walk.route.as_ref().and_then(|route| route.body_limit) else { return Ok(()) };
    let length = walk.request.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length.filter(|length| *length > limit) {
        Some(length) => {
            let detail = format!("{length} bytes, {limit} allowed");
            Err(ProxyError::with_detail(Reason::BodyTooLarge, detail).into())
        }
        None => Ok(()),
    }
}

fn fallback_words(fallback: &Fallback, snapshot: &Snapshot) -> Option<String> {
    let then = match &fallback.then {
        Some(Then::Respond(response)) => {
            Some(format!("the route answers {} by itself", response.header.status.as_u16()))
        }
        Some(Then::Cluster(index)) => Some(format!("{} is asked", snapshot.cluster(*index)?.name)),
        Some(Then::Route(another)) => Some(format!("the request goes on as the route {}", another.route.name)),
        None => None,
    };
    let stale = fallback.stale.then(|| "a copy of its cache is used though it is stale".to_owned());
    let all: Vec<String> = stale.into_iter().chain(then).collect();
    Some(format!("when no endpoint can be reached, {}", all.join(", else ")))
}

/// The cluster that takes a request.
struct StandIn {
    /// It, which may be another than the decided one.
    index: ClusterIdx,
    /// What the chain of the decided one does now.
    failover: Option<String>,
    /// Whether it is the one that the route's fallback names.
    is_last: bool,
}

fn stand_in(walk: &Walk<'_>, index: ClusterIdx, fallback: Option<&Fallback>) -> Result<StandIn, Stop> {
    let (snapshot, now) = (walk.snapshot, walk.moment.now);
    let cluster = snapshot.cluster(index).ok_or(Reason::Internal)?;
    let way = Way { index, cluster, fallback: fallback.and_then(Fallback::cluster), snapshot };
    let place = cluster.failover.as_ref().map_or(0, |chain| chain.peek(cluster, snapshot, now));
    let failover = cluster.failover.as_ref().map(|chain| chain.explain(cluster, snapshot, now));
    let usable = |place: &usize| way.fitness(*place) != Fitness::Down;
    let place = (place..way.len()).find(usable).unwrap_or(place);
    Ok(StandIn { index: way.at(place).unwrap_or(index), failover, is_last: way.is_fallback(place) })
}

fn mirror(forward: &Forward, snapshot: &Snapshot) -> Option<String> {
    let mirror = forward.mirror.as_ref()?;
    let name = &snapshot.cluster(mirror.cluster)?.name;
    Some(format!("{} of the requests are copied to {name}", mirror.share))
}

/// The endpoint that a filter chooses, and a sentence with the filter's name.
fn chosen(walk: &mut Walk<'_>, cluster: &Cluster, members: &Members) -> Result<Option<(String, String)>, Stop> {
    let (route, host) = walk.chains(Phase::UpstreamPeer);
    let candidates = members.candidates(&[]);
    let chains = [
        route.as_ref().map(|route| (&route.chain, &mut walk.route_state)),
        host.as_ref().map(|host| (&host.chain, &mut walk.host_state)),
    ];
    for (chain, state) in chains.into_iter().flatten() {
        let mut cx = SelectCx {
            request: &walk.request,
            facts: &walk.facts,
            notes: &mut walk.notes,
            cluster: &cluster.name,
            candidates: &candidates,
            attempt: 0,
        };
        if let Some((at, filter)) = chain.upstream_peer(&mut cx, state)? {
            let unknown = || format!("{filter} chose no endpoint there is");
            let candidate = candidates.get(at);
            let candidate = candidate.ok_or_else(|| ProxyError::with_detail(Reason::FilterFailed, unknown()))?;
            let because = format!("the filter {filter} chooses {}", candidate.name);
            return Ok(Some((candidate.name.to_string(), because)));
        }
    }
    Ok(None)
}

/// The trace that the request would be a part of.
fn trace(walk: &Walk<'_>, span: u64) -> Option<Trace> {
    let rules = walk.snapshot.settings.tracing.as_ref()?.rules;
    let route = walk.route.as_ref().map(|route| route.tracing).unwrap_or_default();
    let mut trace = Trace::begin(&walk.request.headers, &walk.facts, (walk.facts.id, span), &rules);
    route.sample.into_iter().for_each(|share| trace.resample(share));
    Some(trace).filter(|_| !route.off)
}

/// The head of the first attempt.
async fn upstream_head(
    walk: &mut Walk<'_>,
    cluster: &Cluster,
    forward: Option<&Forward>,
) -> Result<RequestHeader, Stop> {
    let mut request = walk.request.clone();
    strip(&mut request, cluster.protocol);
    // The id's low half stands for the random span, so that an explanation is the same each time.
    let span = u64::try_from(walk.facts.id.0 & u128::from(u64::MAX)).unwrap_or_default();
    let trace = trace(walk, span);
    let stamp = Stamp { id: forwarding::id_value(walk.facts.id), span, trace };
    forwarding::apply(&mut request, &walk.facts, stamp, &ForwardedValues::default());
    if let Some(forward) = forward {
        action::rewrite(&mut request, &walk.request, forward, &walk.params)?;
    }
    let (route, host) = walk.chains(Phase::UpstreamRequestFilter);
    if let Some(host) = host {
        let mut cx = RequestCx { request: &mut request, facts: &walk.facts, notes: &mut walk.notes };
        host.chain.upstream_request_filter(&mut cx, &mut walk.host_state).await?;
    }
    if let Some(route) = route {
        let mut cx = RequestCx { request: &mut request, facts: &walk.facts, notes: &mut walk.notes };
        route.chain.upstream_request_filter(&mut cx, &mut walk.route_state).await?;
    }
    let framed =
        request.headers.contains_key(header::CONTENT_LENGTH) || request.headers.contains_key(header::TRANSFER_ENCODING);
    if cluster.protocol == UpstreamProtocol::Http1 && !walk.question.body.is_empty() && !framed {
        drop(request.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")));
    }
    Ok(request)
}

/// Takes out what concerns the client's own connection, nominated fields included; a WebSocket's two fields stay.
fn strip(request: &mut RequestHeader, protocol: UpstreamProtocol) {
    let websocket = protocol == UpstreamProtocol::Http1 && asks_websocket(&request.headers);
    for name in nominated(&request.headers) {
        drop(request.remove_header(&name));
    }
    for name in &HOP_BY_HOP {
        drop(request.remove_header(name));
    }
    if websocket {
        drop(request.insert_header(header::CONNECTION, HeaderValue::from_static("Upgrade")));
        drop(request.insert_header(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|token| token.trim().parse().ok()).collect()
}

fn written(request: &RequestHeader, cluster: &Cluster, body: usize) -> UpstreamFinding {
    let target = String::from_utf8_lossy(request.raw_path()).into_owned();
    let (version, host) = match cluster.protocol {
        UpstreamProtocol::Http1 => ("HTTP/1.1", "host"),
        UpstreamProtocol::Http2 => ("HTTP/2", ":authority"),
    };
    let first = request.headers.get(header::HOST).map(|value| filters::field(host, value.as_bytes()));
    let others = request.headers.iter().filter(|(name, _)| **name != header::HOST);
    let others = others.map(|(name, value)| filters::field(name.as_str(), value.as_bytes()));
    let fields = first.into_iter().chain(others).collect();
    UpstreamFinding { line: format!("{} {target} {version}", request.method), fields, body }
}

impl Walk<'_> {
    /// Notes how the walk ended before an upstream, with the answer that the client gets.
    pub(super) async fn stop(&mut self, stop: Stop) {
        let (action, because, mut response, error, source) = match stop {
            Stop::Nowhere(because) => {
                (self.told.decision.action, self.told.decision.because) = ("refuse", because);
                return;
            }
            Stop::Parts(because) => {
                (self.told.decision.action, self.told.decision.because) = ("batch", because);
                return;
            }
            Stop::Answer { action, because, response } => (action, because, *response, None, Source::Gateway),
            Stop::Stored { action, because, response } => (action, because, *response, None, Source::Upstream),
            Stop::Refuse { because, error } => {
                let response = self.failure(&error);
                ("refuse", because, response, Some(error), Source::Gateway)
            }
        };
        self.response_filters(&mut response, source).await;
        let header = &response.header;
        let fields = header.headers.iter().map(|(name, value)| filters::field(name.as_str(), value.as_bytes()));
        let shown = response.body.get(..BODY).unwrap_or(&response.body);
        let answer = Answer {
            status: header.status.as_u16(),
            reason: error.as_ref().map(|error| error.reason),
            detail: error.and_then(|error| error.detail).map(|detail| detail.into_owned()),
            fields: fields.collect(),
            body: String::from_utf8_lossy(shown).into_owned(),
        };
        self.told.decision = super::Decision { action, because, answer: Some(answer) };
    }

    /// A failure in a filter's words, or in the dialect that holds.
    fn failure(&mut self, error: &ProxyError) -> Response {
        let (route, host) = self.chains(Phase::FailToProxy);
        let mut cx = ErrorCx { error, request: &self.request, facts: &self.facts, notes: &mut self.notes };
        let by_route = route.and_then(|route| route.chain.fail_to_proxy(&mut cx, &mut self.route_state));
        let by_host = || host.and_then(|host| host.chain.fail_to_proxy(&mut cx, &mut self.host_state));
        let mapped = by_route.or_else(by_host);
        let dialect = action::dialect(&self.request.headers, &self.notes, self.route.as_deref(), self.host.as_deref());
        let mut response = mapped.unwrap_or_else(|| action::error_response(error, dialect, &self.facts));
        action::label_failure(&mut response, error, &self.snapshot.settings.server_name);
        response
    }

    async fn response_filters(&mut self, response: &mut Response, source: Source) {
        let (route, host) = self.chains(Phase::ResponseFilter);
        let (request, facts) = (&self.request, &self.facts);
        let header = &mut response.header;
        let mut failed = None;
        if let Some(route) = route {
            let mut cx = ResponseCx { response: header, request, facts, notes: &mut self.notes, source };
            failed = route.chain.response_filter(&mut cx, &mut self.route_state).await.err();
        }
        if let (Some(host), None) = (host, &failed) {
            let mut cx = ResponseCx { response: header, request, facts, notes: &mut self.notes, source };
            failed = host.chain.response_filter(&mut cx, &mut self.host_state).await.err();
        }
        drop(response.header.insert_header(forwarding::X_REQUEST_ID, forwarding::id_value(self.facts.id)));
        if let Some(error) = failed {
            self.told.notes.push(("response_filter".to_owned(), error.to_string()));
        }
    }
}
