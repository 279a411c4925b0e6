//! Where a recorded request would go by a generation, as far as its record tells.
//!
//! A record holds method, host, path, client, certificate and listener; it holds no fields, no body and perhaps no query. So
//! a route that asks for those is decided only where another generation has decided the very same question: a route of it
//! that ranks above the one that took the request did not match, and the one that took it did. What stays open is said to be.
//! Filters are not run: most of them ask for fields.

use http::{HeaderMap, Method};
use std::collections::HashMap;
use std::sync::Arc;

use portcullis_filter::Notes;
use portcullis_policy::{Conditions, HashKey, Matcher, Route};
use portcullis_telemetry::record::{Flag, Kind, Record};
use portcullis_types::{Reason, RequestView, RouteName};
use portcullis_wire::normalize;

use crate::affinity::Affinity;
use crate::request::action;
use crate::route::{Action, HostData, RouteData, Target};
use crate::{ClusterIdx, Snapshot};

type VirtualHost = portcullis_policy::VirtualHost<Arc<HostData>, Arc<RouteData>>;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// To a route, `host/route`, and what that does with it.
    Route {
        /// The route.
        label: Arc<str>,
        /// `cluster api`, `redirect`, `respond`.
        to: String,
    },
    /// To a host, where a filter answers before there is a route.
    Host(Arc<str>),
    /// It is refused.
    Refused(Reason),
    /// Nobody listens where it came in.
    Unheard,
    /// That cannot be told; the word says what is not recorded.
    Open(&'static str),
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Route { label, to } => write!(f, "{label} ({to})"),
            Self::Host(name) => write!(f, "{name}, answered by a filter"),
            Self::Refused(reason) => write!(f, "refused: {}", reason.name()),
            Self::Unheard => f.write_str("no listener"),
            Self::Open(what) => write!(f, "not decidable: {what} is not recorded"),
        }
    }
}

/// Whether a record is one of a request that was routed, so that it can be replayed.
#[must_use]
pub fn is_replayable(record: &Record) -> bool {
    let head = &record.head;
    record.kind == Kind::Request
        && !head.method().is_empty()
        && !head.path().is_empty()
        && !head.host().is_empty()
        && !record.flags.has(Flag::Truncated)
        && (record.route.is_some()
            || record.virtual_host.is_some()
            || matches!(record.reason, Some(Reason::NoHost | Reason::NoRoute)))
}

/// What has been decided of a request: the routes that did not take it, and the one that did.
#[derive(Default)]
struct Decided<'a> {
    routes: HashMap<(Matcher, Option<&'a RouteName>), bool>,
}

/// A request on both sides: where it went by the generation that serves, and where it would go by the next.
///
/// `record` must be replayable.
#[must_use]
pub fn both(serves: &Snapshot, next: &Snapshot, record: &Record) -> (Way, Way) {
    let recorded = record.generation == serves.id;
    let old = Side { snapshot: serves, record };
    let (before, decided) = old.way(&Decided::default(), recorded);
    let new = Side { snapshot: next, record };
    let (mut after, _) = new.way(&decided, false);
    // A filter of the host answered, before a route was looked for: so it may again, as long as the host is there.
    if let (Way::Host(_), Way::Route { label, .. }) = (&before, &after) {
        let host = label.split_once('/').map_or(&**label, |(host, _)| host);
        after = Way::Host(host.into());
    }
    (before, after)
}

struct Side<'a> {
    snapshot: &'a Snapshot,
    record: &'a Record,
}

/// What became of a candidate.
enum Judged {
    Takes,
    Fails,
    Open(&'static str),
}

impl<'a> Side<'a> {
    /// `recorded` says that the record was made by this very generation, so that what it says of the route is true here.
    fn way(&self, decided: &Decided<'_>, recorded: bool) -> (Way, Decided<'a>) {
        let (snapshot, record) = (self.snapshot, self.record);
        let mut learnt = Decided::default();
        let listens = |name: &str| snapshot.listeners.iter().any(|listener| listener.name.as_str() == name);
        if !listens(record.downstream.listener.as_str()) {
            return (Way::Unheard, learnt);
        }
        let router = &snapshot.router;
        if snapshot.seams.hosts.is_some() && router.named_host(record.head.host()).is_none() {
            return (Way::Open("what the source of hosts says"), learnt);
        }
        let Some(host) = router.explain_host(record.head.host()).host else {
            return (Way::Refused(Reason::NoHost), learnt);
        };
        if recorded && record.route.is_none() && record.reason != Some(Reason::NoRoute) {
            return (Way::Host(host.data().name.clone()), learnt);
        }
        let Ok(path) = normalize(record.head.path(), &host.data().path_policy) else {
            return (Way::Refused(Reason::PathInvalid), learnt);
        };
        let Ok(method) = Method::from_bytes(record.head.method().as_bytes()) else {
            return (Way::Open("the method"), learnt);
        };
        let fields = HeaderMap::new();
        let view = RequestView {
            method: &method,
            host: record.head.host(),
            port: None,
            path: &path,
            query: None,
            headers: &fields,
            client: record.client,
            downstream: &record.downstream,
            body: None,
        };
        let took = record.route.as_ref().filter(|_| recorded);
        if recorded {
            return (self.recorded(host, &view, took, &mut learnt), learnt);
        }
        for route in host.routes() {
            match judge(route, &view, decided) {
                Judged::Fails => {}
                Judged::Takes => return (self.to(route.data(), &view), learnt),
                Judged::Open(what) => return (Way::Open(what), learnt),
            }
        }
        (Way::Refused(Reason::NoRoute), learnt)
    }

    /// The route that the record names, and what that says of those above it.
    fn recorded(
        &self,
        host: &'a VirtualHost,
        view: &RequestView<'_>,
        took: Option<&RouteName>,
        learnt: &mut Decided<'a>,
    ) -> Way {
        for route in host.routes() {
            let takes = Some(route.name()) == took;
            if has_unknown(route) {
                learnt.routes.insert(key(route), takes);
            }
            if takes {
                return self.to(route.data(), view);
            }
        }
        Way::Refused(Reason::NoRoute)
    }

    fn to(&self, route: &RouteData, view: &RequestView<'_>) -> Way {
        let named = |index: ClusterIdx| {
            let name = self.snapshot.cluster(index).map_or("?", |cluster| cluster.name.as_str());
            format!("cluster {name}")
        };
        let to = match &route.action {
            Action::Redirect(redirect) => format!("redirect {}", redirect.status.code()),
            Action::Respond(response) => format!("respond {}", response.header.status.as_u16()),
            Action::Forward(forward) => match &forward.target {
                Target::Cluster(index) | Target::Subset { cluster: index, .. } => named(*index),
                Target::Split { sticky: None | Some(Affinity::Request(HashKey::ClientIp | HashKey::Path)), .. } => {
                    named(action::cluster(&forward.target, view, &Notes::default(), self.record.id))
                }
                Target::Split { split, .. } => {
                    let parts: Vec<String> =
                        split.items().map(|(index, weight)| format!("{} {weight}", named(*index))).collect();
                    format!("a split: {}", parts.join(", "))
                }
            },
        };
        Way::Route { label: route.label.clone(), to }
    }
}

/// What a route asks, as far as another generation can have decided it. A percentage is drawn by the route's name too.
fn key(route: &Route<Arc<RouteData>>) -> (Matcher, Option<&RouteName>) {
    let conditions = route.conditions().cloned().unwrap_or_default();
    let by_name = conditions.percentage.is_some();
    (Matcher { path: route.path().clone(), conditions }, by_name.then(|| route.name()))
}

/// What a route asks for that records do not hold.
fn unknown(conditions: &Conditions) -> Option<&'static str> {
    let by = |key: &HashKey| match key {
        HashKey::ClientIp | HashKey::Path => None,
        HashKey::Header(_) => Some("a header field"),
        HashKey::Cookie(_) => Some("a cookie"),
        HashKey::Query(_) => Some("the query"),
    };
    let there = |is: bool, what: &'static str| is.then_some(what);
    there(!conditions.headers.is_empty(), "a header field")
        .or_else(|| there(!conditions.query.is_empty(), "the query"))
        .or_else(|| there(!conditions.cookies.is_empty(), "a cookie"))
        .or_else(|| there(conditions.body.is_some(), "the body"))
        .or_else(|| conditions.percentage.as_ref().and_then(|percentage| by(&percentage.key)))
}

fn has_unknown(route: &Route<Arc<RouteData>>) -> bool {
    route.conditions().is_some_and(|conditions| unknown(conditions).is_some())
}

fn judge(route: &Route<Arc<RouteData>>, view: &RequestView<'_>, decided: &Decided<'_>) -> Judged {
    let asks = route.conditions().and_then(|conditions| Some((conditions, unknown(conditions)?)));
    let Some((conditions, what)) = asks else {
        return if route.check(view).is_ok() { Judged::Takes } else { Judged::Fails };
    };
    let known = Conditions {
        methods: conditions.methods.clone(),
        certificate: conditions.certificate.clone(),
        network: conditions.network.clone(),
        ..Conditions::default()
    };
    if (Matcher { path: route.path().clone(), conditions: known }).check(view, route.name()).is_err() {
        return Judged::Fails;
    }
    match decided.routes.get(&key(route)) {
        Some(true) => Judged::Takes,
        Some(false) => Judged::Fails,
        None => Judged::Open(what),
    }
}
