//! The walk itself: the proxy's order of steps, each noted as it is taken.

use bytes::Bytes;
use http::HeaderMap;
use pingora_http::RequestHeader;
use std::sync::Arc;

use portcullis_filter::chain::{Instead, Stopped};
use portcullis_filter::seam::PEEK_LIMIT;
use portcullis_filter::{ChainState, Explained, Facts, Notes, Phase, Response};
use portcullis_policy::{Outcome, Params};
use portcullis_types::{ClusterName, ProxyError, Reason};
use portcullis_wire::head::{HeadLimits, check_head};
use portcullis_wire::normalize_host;

use super::finding::{Asked, Decision, FallbackFinding, HostFinding, NameTrial, PathFinding, RouteFinding, RouteTrial};
use super::listener::Found;
use super::{ALL, BEHIND, Explanation, Moment, NEAREST, Question, filters, listener, upstream};
use crate::listener::ListenerLimits;
use crate::request::secrets;
use crate::request::{action, admit, reasons};
use crate::route::{Action, Another, HostData, RouteData};
use crate::{ClusterIdx, Snapshot};

pub(super) type VirtualHost = portcullis_policy::VirtualHost<Arc<HostData>, Arc<RouteData>>;

/// Why the walk ends before an upstream.
pub(super) enum Stop {
    /// Nothing answers: there is no listener.
    Nowhere(String),
    /// The gateway answers.
    Answer { action: &'static str, because: String, response: Box<Response> },
    /// The gateway answers with what a cache kept of an upstream.
    Stored { action: &'static str, because: String, response: Box<Response> },
    /// It is sent in parts, as the sentence says.
    Parts(String),
    /// The gateway refuses, or would fail.
    Refuse { because: String, error: ProxyError },
}

impl From<ProxyError> for Stop {
    fn from(error: ProxyError) -> Self {
        Self::Refuse { because: error.reason.title().to_owned(), error }
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        ProxyError::new(reason).into()
    }
}

/// A request on its way.
pub(super) struct Walk<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) question: &'a Question,
    pub(super) moment: Moment<'a>,
    pub(super) facts: Facts,
    pub(super) notes: Notes,
    pub(super) request: RequestHeader,
    pub(super) host: Option<Arc<HostData>>,
    pub(super) route: Option<Arc<RouteData>>,
    pub(super) params: Params,
    pub(super) host_state: ChainState,
    pub(super) route_state: ChainState,
    pub(super) told: Explanation,
    /// The head as it was before the route's filters.
    before: Option<RequestHeader>,
    listener: Option<Found<'a>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, question: &'a Question, moment: Moment<'a>) -> Self {
        let (trials, listener) = listener::find(snapshot, question, moment.bound);
        let host = normalize_host(&question.authority).map(|host| host.host.into_owned()).unwrap_or_default();
        let downstream = Arc::new(listener::downstream(listener, question, &host));
        let facts = Facts::new(question.id, downstream);
        let mut told = empty(snapshot, question, moment.live);
        told.listeners = trials;
        let mut notes = Notes::default();
        notes.extensions_mut().insert(Explained);
        Self {
            snapshot,
            question,
            moment,
            facts,
            notes,
            request: http::Request::new(()).into_parts().0.into(),
            host: None,
            route: None,
            params: Params::default(),
            host_state: ChainState::default(),
            route_state: ChainState::default(),
            told,
            before: None,
            listener,
        }
    }

    /// Walks to the end.
    pub(super) async fn finish(mut self) -> Explanation {
        if let Err(stop) = self.walk().await {
            self.stop(stop).await;
        }
        self.told.asked.id = self.facts.id.to_string();
        self.told.asked.client = self.facts.client.to_string();
        self.told.asked.trusted = self.facts.trusted;
        if let Some(consumer) = &self.notes.consumer {
            self.told.notes.push(("consumer".to_owned(), consumer.to_string()));
        }
        let notes = self.notes.annotations().iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        self.told.notes.extend(notes);
        self.told
    }

    async fn walk(&mut self) -> Result<(), Stop> {
        let Some(Found { listener, .. }) = self.listener else { return Err(Stop::Nowhere(nowhere(self.question))) };
        self.request = head(self.question, &listener.limits)?;
        admit::head(&mut self.request, &mut self.facts, self.snapshot)?;
        let host = self.virtual_host().await;
        let path = self.path();
        self.hide_secrets();
        let host = host?;
        path?;
        self.facts.asks_upgrade = asks_websocket(&self.request.headers) && self.question.body.is_empty();
        let by_host = granted(self.host_filters().await, self.facts.asks_upgrade)?;
        self.look_into_body(host).await?;
        self.parts(host).await?;
        self.choose(host)?;
        let by_route = granted(self.route_filters().await, self.facts.asks_upgrade)?;
        self.facts.is_terminated = by_route.is_some() || by_host.is_some();
        self.admission().await?;
        if let Some(upgrade) = by_route.or(by_host) {
            return Err(upgrade);
        }
        self.cache().await?;
        self.act().await
    }

    async fn virtual_host(&mut self) -> Result<&'a VirtualHost, Stop> {
        let router = &self.snapshot.router;
        let looked_up = router.explain_host(&self.facts.host);
        let tried = looked_up.tried.into_iter().map(|trial| NameTrial { name: trial.name, found: trial.found });
        let mut finding = HostFinding {
            asked: self.facts.host.to_string(),
            tried: tried.collect(),
            source: None,
            name: None,
            place: None,
        };
        let mut found = looked_up.host;
        if let Some(source) = &self.snapshot.seams.hosts
            && router.named_host(&self.facts.host).is_none()
        {
            let site = source.host(&self.facts.host).await;
            finding.source = Some(match &site {
                Ok(Some(site)) => format!("knows it: a site like {}", site.like),
                Ok(None) => "does not know it".to_owned(),
                Err(error) => format!("fails: {error}"),
            });
            match site {
                Ok(Some(site)) => {
                    found = router.host(&site.like);
                    self.facts.site = Some(site);
                }
                Ok(None) => {}
                Err(error) => {
                    self.told.host = Some(finding);
                    return Err(error.into());
                }
            }
        }
        self.host = found.map(|host| host.data().clone());
        finding.name = self.host.as_ref().map(|host| host.name.to_string());
        finding.place = self.host.as_ref().map(|host| host.place.clone());
        self.told.host = Some(finding);
        found.ok_or_else(|| Reason::NoHost.into())
    }

    /// Takes down what must not be shown of the request: as it stands in the target, and as its fields have it.
    fn hide_secrets(&mut self) {
        let (request, hidden) = (&self.request, &mut self.told.hidden);
        let uri = &request.uri;
        let mut hide = |text: &str| {
            if !text.is_empty() && !hidden.iter().any(|one| one == text) {
                hidden.push(text.to_owned());
            }
        };
        secrets::of(self.snapshot, self.host.as_deref(), &mut |one| {
            one.find(uri.path(), uri.query(), &request.headers, &mut hide);
        });
    }

    fn path(&mut self) -> Result<(), Stop> {
        let policy = self.host.as_ref().map(|host| host.path_policy).unwrap_or_default();
        let received = self.request.uri.path().to_owned();
        let outcome = admit::path(&mut self.request, &policy);
        let routed = outcome.is_ok().then(|| self.request.uri.path().to_owned());
        self.told.path = Some(PathFinding { received, routed });
        outcome.map_err(Into::into)
    }

    async fn host_filters(&mut self) -> Result<(), Stop> {
        let Some(host) = self.host.clone().filter(|host| !host.chain.is_empty()) else { return Ok(()) };
        let (facts, notes) = (&self.facts, &mut self.notes);
        let work = filters::Work { request: &mut self.request, facts, notes, state: &mut self.host_state };
        let ran = filters::run(&host.chain, work).await;
        (self.told.host_filters, self.told.host_changes) = (ran.steps, ran.changes);
        stopped(ran.stopped, "host")
    }

    pub(super) async fn route_filters(&mut self) -> Result<(), Stop> {
        let Some(route) = self.route.clone().filter(|route| !route.chain.is_empty()) else { return Ok(()) };
        self.before = Some(self.request.clone());
        let (facts, notes) = (&self.facts, &mut self.notes);
        let work = filters::Work { request: &mut self.request, facts, notes, state: &mut self.route_state };
        let ran = filters::run(&route.chain, work).await;
        let (steps, changes) = match &mut self.told.fallback {
            Some(fallback) => (&mut fallback.filters, &mut fallback.changes),
            None => (&mut self.told.route_filters, &mut self.told.route_changes),
        };
        (*steps, *changes) = (ran.steps, ran.changes);
        stopped(ran.stopped, "route")
    }

    /// Goes on as the route of a fallback, from its own filters on.
    pub(super) async fn instead(&mut self, another: &Another) -> Result<(), Stop> {
        let Some(left) = self.told.cluster.take() else { return Err(Reason::Internal.into()) };
        if let Some(before) = self.before.take() {
            self.request = before;
        }
        self.notes.cluster = None;
        self.route_state = ChainState::default();
        let (route, path) = (&another.route, self.request.uri.path());
        self.params = another.path.params(path);
        let params = action::named(&another.path, &self.params, path);
        let route_told = finding(route, &params);
        self.told.fallback =
            Some(FallbackFinding { left, route: route_told, filters: Vec::new(), changes: Vec::new() });
        self.take(route.clone(), params);
        self.route_filters().await?;
        // Boxed: acting may lead here, once.
        Box::pin(self.act()).await
    }

    fn take(&mut self, route: Arc<RouteData>, params: Vec<(Arc<str>, Box<str>)>) {
        self.facts.params = params;
        self.facts.route = Some(route.name.clone());
        self.route = Some(route);
    }

    /// Asks for admission, as the proxy does: once, the host's filters first.
    pub(super) async fn admission(&mut self) -> Result<(), Stop> {
        let (route, host) = self.chains(Phase::AdmissionFilter);
        if let Some(host) = host {
            let (facts, notes) = (&self.facts, &mut self.notes);
            let work = filters::Work { request: &mut self.request, facts, notes, state: &mut self.host_state };
            let ran = filters::admit(&host.chain, work).await;
            self.told.admission = ran.steps;
            stopped(ran.stopped, "host")?;
        }
        if let Some(route) = route {
            let (facts, notes) = (&self.facts, &mut self.notes);
            let work = filters::Work { request: &mut self.request, facts, notes, state: &mut self.route_state };
            let ran = filters::admit(&route.chain, work).await;
            self.told.admission.extend(ran.steps);
            stopped(ran.stopped, "route")?;
        }
        Ok(())
    }

    /// Finds the route.
    fn choose(&mut self, host: &VirtualHost) -> Result<(), Stop> {
        let view = self.facts.view(&self.request);
        // Of many, those nearest to the winner are told.
        let (most, behind) = if self.question.all { (ALL, ALL) } else { (NEAREST, BEHIND) };
        let candidates = host.explain(&view, behind);
        let wins = candidates.iter().any(|candidate| candidate.outcome == Outcome::Wins);
        let skip = if wins { candidates.len().saturating_sub(most) } else { 0 };
        let trials: Vec<_> = candidates.iter().skip(skip).take(most).map(trial).collect();
        let found = host.find(&view);
        let chosen = found.map(|found| (found.route.data().clone(), action::captured(&found, view.path), found.params));
        self.told.routes_left_out = host.routes().len().saturating_sub(trials.len());
        self.told.routes = trials;
        let (route, params, ranges) = chosen.ok_or(Reason::NoRoute)?;
        self.told.route = Some(finding(&route, &params));
        self.params = ranges;
        self.take(route, params);
        Ok(())
    }

    /// The body is looked into where a filter of the host or a candidate route does.
    async fn look_into_body(&mut self, host: &VirtualHost) -> Result<(), Stop> {
        let data = host.data();
        let filters = data.chain.has(Phase::RequestPeekFilter);
        let reader = self.snapshot.seams.body.as_deref();
        let body = &self.question.body;
        let wanted = filters || (reader.is_some() && host.needs_body(&self.facts.view(&self.request)));
        if !wanted || body.is_empty() {
            return Ok(());
        }
        let most = data.chain.peek_limit().unwrap_or(PEEK_LIMIT);
        if body.len() > most {
            let detail = format!("over {most} bytes on a route that looks into the body");
            return Err(ProxyError::with_detail(Reason::BodyTooLarge, detail).into());
        }
        self.facts.body = reader.and_then(|reader| reader.peek(&self.request.headers, body));
        if !filters {
            return Ok(());
        }
        let (facts, notes) = (&self.facts, &mut self.notes);
        let work = filters::Work { request: &mut self.request, facts, notes, state: &mut self.host_state };
        let ran = filters::peek(&data.chain, work).await;
        (self.told.peek_filters, self.told.peek_changes) = (ran.steps, ran.changes);
        stopped(ran.stopped, "host")
    }

    async fn cache(&mut self) -> Result<(), Stop> {
        let Some(cache) = self.route.as_ref().and_then(|route| route.cache.clone()) else { return Ok(()) };
        match cache.lookup(&self.facts.view(&self.request)).await {
            Ok(Some(stored)) => {
                let response = Box::new(Response { header: stored.header, body: stored.body });
                let because = "the route's cache has the answer".to_owned();
                Err(Stop::Stored { action: "cache", because, response })
            }
            Ok(None) => {
                self.told.notes.push(("cache".to_owned(), "miss".to_owned()));
                Ok(())
            }
            Err(error) => {
                self.told.notes.push(("cache".to_owned(), error.to_string()));
                Ok(())
            }
        }
    }

    async fn act(&mut self) -> Result<(), Stop> {
        let Some(route) = self.route.clone() else { return Err(Reason::NoRoute.into()) };
        if let Some(name) = self.notes.cluster.clone() {
            let index = self.snapshot.cluster_names.get(&name).copied().ok_or_else(|| unknown_cluster(&name))?;
            return upstream::forward(self, index, "a filter chose it".to_owned()).await;
        }
        match &route.action {
            Action::Respond(response) => Err(Stop::Answer {
                action: "respond",
                because: "the route answers by itself".to_owned(),
                response: Box::new(response.clone()),
            }),
            Action::Redirect(redirect) => {
                let view = self.facts.view(&self.request);
                let response = Box::new(action::redirect(redirect, &self.params, &route, &view)?);
                Err(Stop::Answer { action: "redirect", because: "the route redirects".to_owned(), response })
            }
            Action::Forward(forward) => {
                let view = self.facts.view(&self.request);
                let index: ClusterIdx = action::cluster(&forward.target, &view, &self.notes, self.facts.id);
                let because = upstream::because(&forward.target, self.snapshot, &view, &self.notes);
                upstream::forward(self, index, because).await
            }
        }
    }

    /// Whether the route's chain takes part in a phase, then the host's.
    pub(super) fn chains(&self, phase: Phase) -> (Option<Arc<RouteData>>, Option<Arc<HostData>>) {
        let route = self.route.clone().filter(|route| route.chain.has(phase));
        (route, self.host.clone().filter(|host| host.chain.has(phase)))
    }
}

/// A filter's word that names nothing.
pub(super) fn unknown_cluster(name: &ClusterName) -> Stop {
    ProxyError::with_detail(Reason::Internal, format!("a filter chose the unknown cluster {name}")).into()
}

fn finding(route: &RouteData, params: &[(Arc<str>, Box<str>)]) -> RouteFinding {
    RouteFinding {
        name: route.name.to_string(),
        label: route.label.to_string(),
        params: params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        place: route.place.clone(),
    }
}

fn empty(snapshot: &Snapshot, question: &Question, live: bool) -> Explanation {
    Explanation {
        live,
        generation: snapshot.id.0,
        hash: snapshot.origin.hash.clone(),
        hidden: Vec::new(),
        asked: Asked {
            method: question.method.clone(),
            url: question.url(),
            id: question.id.to_string(),
            client: question.client.to_string(),
            trusted: false,
        },
        listeners: Vec::new(),
        host: None,
        path: None,
        host_filters: Vec::new(),
        host_changes: Vec::new(),
        peek_filters: Vec::new(),
        peek_changes: Vec::new(),
        routes: Vec::new(),
        routes_left_out: 0,
        route: None,
        route_filters: Vec::new(),
        route_changes: Vec::new(),
        admission: Vec::new(),
        fallback: None,
        decision: Decision::default(),
        cluster: None,
        upstream: None,
        notes: Vec::new(),
    }
}

/// An upgrade that filters granted waits for admission, if it was asked for; any other end is one.
fn granted(filters: Result<(), Stop>, asked: bool) -> Result<Option<Stop>, Stop> {
    match filters {
        Ok(()) => Ok(None),
        Err(Stop::Answer { action: "upgrade", because, .. }) if !asked => {
            let error = ProxyError::with_detail(Reason::FilterFailed, "an upgrade that was not asked for");
            Err(Stop::Refuse { because, error })
        }
        Err(upgrade @ Stop::Answer { action: "upgrade", .. }) => Ok(Some(upgrade)),
        Err(stop) => Err(stop),
    }
}

fn nowhere(question: &Question) -> String {
    match &question.listener {
        Some(name) => format!("there is no listener `{name}`"),
        None => format!("no listener speaks {} over HTTP", question.scheme.as_str()),
    }
}

fn stopped(stopped: Option<Stopped>, of: &str) -> Result<(), Stop> {
    let Some(Stopped { filter, outcome }) = stopped else { return Ok(()) };
    Err(match outcome {
        Ok(Instead::Respond(response)) => {
            Stop::Answer { action: "filter", because: format!("the {of}'s filter {filter} answers"), response }
        }
        Ok(Instead::Upgrade(upgrade)) => {
            let because = format!("the {of}'s filter {filter} speaks on the connection itself");
            let response = Box::new(Response { header: upgrade.response, body: Bytes::new() });
            Stop::Answer { action: "upgrade", because, response }
        }
        Err(error) => Stop::Refuse { because: format!("the {of}'s filter {filter} refuses"), error },
    })
}

fn trial(candidate: &portcullis_policy::Candidate<'_, Arc<RouteData>>) -> RouteTrial {
    let place = &candidate.route.data().place;
    let failed = match &candidate.outcome {
        Outcome::Fails(mismatch) => Some(mismatch.kind()),
        Outcome::Wins | Outcome::Outranked => None,
    };
    RouteTrial {
        name: candidate.route.name().to_string(),
        matcher: candidate.route.describe(),
        wins: candidate.outcome == Outcome::Wins,
        why: candidate.outcome.to_string(),
        failed,
        at: place.at(),
    }
}

/// The head as the proxy would get it: through the strict check first, byte by byte as it was written.
fn head(question: &Question, limits: &ListenerLimits) -> Result<RequestHeader, Stop> {
    let mut lines = vec![format!("{} {} HTTP/1.1", question.method, question.target)];
    let host = (!question.has("host")).then(|| ("Host".to_owned(), question.authority.clone()));
    let length = !question.body.is_empty() && !question.has("content-length") && !question.has("transfer-encoding");
    let length = length.then(|| ("Content-Length".to_owned(), question.body.len().to_string()));
    let fields: Vec<_> = host.iter().chain(&question.headers).chain(&length).collect();
    lines.extend(fields.iter().map(|(name, value)| format!("{name}: {value}")));
    let bytes = format!("{}\r\n\r\n", lines.join("\r\n"));
    let limits = HeadLimits { bytes: limits.header_bytes, fields: limits.header_fields, target: limits.target_bytes };
    check_head(bytes.as_bytes(), &limits).map_err(|error| Stop::Refuse {
        because: format!("the gate refuses the head: {error}"),
        error: ProxyError::with_detail(reasons::of_head(error), error.name()),
    })?;
    let unreadable = |_| ProxyError::with_detail(Reason::MalformedRequest, "refused_by_parser");
    let mut request = RequestHeader::build(question.method.as_str(), question.target.as_bytes(), Some(fields.len()))
        .map_err(unreadable)?;
    for (name, value) in fields {
        request.append_header(name.clone(), value.as_str()).map_err(unreadable)?;
    }
    Ok(request)
}

/// Whether a head asks for a WebSocket.
pub(super) fn asks_websocket(headers: &HeaderMap) -> bool {
    let has = |name: http::HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    has(http::header::CONNECTION, "upgrade") && has(http::header::UPGRADE, "websocket")
}
