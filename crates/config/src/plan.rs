//! What a config says, checked and typed, before anything of it runs.
//!
//! A plan holds no state and no handle: two plans can be compared, and one can be made into a generation.

use http::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_balance::{Algorithm, HedgePolicy, Priority, Tuning};
use portcullis_filter::Response;
use portcullis_filters::caps::PlanSets;
use portcullis_policy::{HostPattern, Matcher, PathRewrite, Redirect, WeightedSplit};
use portcullis_snapshot::route::{Place, RouteTimeouts};
use portcullis_snapshot::{
    Affinity, ClusterIdx, HealthCheck, LimitRules, ListenerLimits, LoadReports, RetryPolicy, Settings, SourceKey,
    Timeouts, UpstreamProtocol, UpstreamTls,
};
use portcullis_telemetry::RouteTracing;
use portcullis_types::{ClusterName, Dialect, ListenerName, Percent, RouteName};
use portcullis_wire::target::PathPolicy;
use portcullis_yaml::{Node, Span};

use crate::tls::Identity;

/// A listener.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    pub(crate) name: ListenerName,
    pub(crate) span: Span,
    pub(crate) place: Place,
    pub(crate) bind: Vec<SocketAddr>,
    pub(crate) kind: KindPlan,
    pub(crate) tls: Option<TlsPlan>,
    pub(crate) limits: ListenerLimits,
    pub(crate) proxy_protocol: Option<Vec<ipnet::IpNet>>,
    pub(crate) connect: Option<String>,
    pub(crate) half_close: bool,
}

/// What a listener carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KindPlan {
    Http { http1: bool, http2: bool },
    Handler(String),
}

/// TLS of a listener.
#[derive(Debug)]
pub(crate) struct TlsPlan {
    /// Each with the path of its certificate, as written.
    pub(crate) identities: Vec<(String, Identity)>,
    pub(crate) client: Option<ClientAuthPlan>,
    pub(crate) only_tls13: bool,
}

/// Client certificates of a listener.
#[derive(Debug)]
pub(crate) struct ClientAuthPlan {
    /// The path of the CAs, as written.
    pub(crate) path: String,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) required: bool,
}

/// A cluster.
#[derive(Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) name: ClusterName,
    pub(crate) span: Span,
    pub(crate) place: Place,
    pub(crate) endpoints: Vec<EndpointPlan>,
    pub(crate) algorithm: Algorithm,
    pub(crate) hash_key: Option<Affinity>,
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline_header: Option<HeaderName>,
    pub(crate) retry: RetryPolicy,
    pub(crate) hedge: Option<HedgePolicy>,
    pub(crate) failover: Box<[ClusterName]>,
    pub(crate) limits: LimitRules,
    pub(crate) keepalive: std::time::Duration,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) tuning: Tuning,
    pub(crate) panic_threshold: Percent,
    pub(crate) reports: LoadReports,
    /// What routes select of it, by the labels of endpoints.
    pub(crate) subsets: Vec<BTreeMap<String, String>>,
}

/// An entry of a cluster's endpoints: one endpoint, or a source of them.
#[derive(Debug)]
pub(crate) struct EndpointPlan {
    /// The address as written, or the source in words.
    pub(crate) text: String,
    pub(crate) address: AddressPlan,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) weight: Option<u32>,
    pub(crate) priority: Option<u8>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) span: Span,
}

impl EndpointPlan {
    /// An entry that says nothing more.
    pub(crate) const fn new(text: String, address: AddressPlan, span: Span) -> Self {
        Self { text, address, zone: None, weight: None, priority: None, labels: BTreeMap::new(), span }
    }
}

/// An address, or where addresses come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum AddressPlan {
    Socket(SocketAddr),
    Source(SourceKey),
}

/// A virtual host.
#[derive(Debug)]
pub(crate) struct HostPlan {
    pub(crate) names: Vec<HostPattern>,
    pub(crate) name: Arc<str>,
    pub(crate) filters: Vec<FilterPlan>,
    pub(crate) path_policy: PathPolicy,
    pub(crate) dialect: Dialect,
    pub(crate) place: Place,
    pub(crate) routes: Vec<RoutePlan>,
}

/// A filter, as it was written.
#[derive(Debug)]
pub(crate) struct FilterPlan {
    pub(crate) name: String,
    pub(crate) settings: Node,
}

/// A route.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    pub(crate) name: RouteName,
    pub(crate) label: Arc<str>,
    pub(crate) matcher: Matcher,
    /// Whether the matcher is what the config says; where an error was found, it takes more.
    pub(crate) judged: bool,
    pub(crate) action: ActionPlan,
    pub(crate) filters: Vec<FilterPlan>,
    pub(crate) body_limit: Option<u64>,
    pub(crate) dialect: Dialect,
    pub(crate) cache: Option<String>,
    pub(crate) upgrade: bool,
    pub(crate) idempotent: bool,
    pub(crate) hedge: bool,
    pub(crate) limits: LimitRules,
    pub(crate) priority: Priority,
    pub(crate) tracing: RouteTracing,
    pub(crate) place: Place,
}

/// What a route does.
#[derive(Debug)]
pub(crate) enum ActionPlan {
    Forward(Box<ForwardPlan>),
    Redirect(RedirectPlan),
    Respond(Response),
}

/// Forwarding.
#[derive(Debug)]
pub(crate) struct ForwardPlan {
    pub(crate) target: TargetPlan,
    pub(crate) rewrite: Option<RewritePlan>,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) mirror: Option<(ClusterIdx, Percent)>,
    pub(crate) timeouts: RouteTimeouts,
    pub(crate) fallback: Option<FallbackPlan>,
}

/// What is done when no endpoint can be reached.
#[derive(Debug)]
pub(crate) struct FallbackPlan {
    pub(crate) stale: bool,
    pub(crate) then: Option<ThenPlan>,
}

/// What is done then, without a stale copy.
#[derive(Debug)]
pub(crate) enum ThenPlan {
    Respond(Box<Response>),
    Cluster(ClusterIdx),
    Route(RouteName),
}

impl RoutePlan {
    /// The route that its requests go on as when no endpoint can be reached.
    pub(crate) fn falls_back_to(&self) -> Option<&RouteName> {
        let ActionPlan::Forward(forward) = &self.action else { return None };
        match &forward.fallback.as_ref()?.then {
            Some(ThenPlan::Route(name)) => Some(name),
            Some(ThenPlan::Respond(_) | ThenPlan::Cluster(_)) | None => None,
        }
    }
}

/// Another path, with the words of the config for it.
#[derive(Debug)]
pub(crate) struct RewritePlan {
    pub(crate) rewrite: PathRewrite,
    pub(crate) text: String,
}

/// A redirect, with the words of the config for its path.
#[derive(Debug)]
pub(crate) struct RedirectPlan {
    pub(crate) redirect: Redirect,
    pub(crate) path_text: Option<String>,
}

/// Which cluster.
#[derive(Debug)]
pub(crate) enum TargetPlan {
    Cluster(ClusterIdx),
    /// A place in the cluster's `subsets`, and the labels.
    Subset {
        cluster: ClusterIdx,
        subset: usize,
        labels: BTreeMap<String, String>,
    },
    Split {
        split: WeightedSplit<ClusterIdx>,
        sticky: Option<Affinity>,
    },
}

/// A config that was read and found valid. Nothing of it runs.
#[derive(Debug)]
pub struct Checked {
    pub(crate) listeners: Vec<ListenerPlan>,
    pub(crate) clusters: Vec<ClusterPlan>,
    pub(crate) hosts: Vec<HostPlan>,
    pub(crate) caps: PlanSets,
    /// Where the main file begins.
    pub(crate) file: Span,
    pub(crate) settings: Settings,
    /// Where the file of consumers is named.
    pub(crate) consumers: Option<Span>,
    /// See [`Checked::hash`]; empty until everything was read.
    pub(crate) hash: String,
    /// The text of the main file.
    pub(crate) text: Arc<str>,
}

impl Checked {
    /// A hash of all that was read for this config, 16 hex digits: the texts, the files that they name and the
    /// variables that they use. Configs of equal content have equal hashes, also on two machines.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The text of the main file, as an operator wrote it.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Settings of the gateway as a whole, for what is needed before there is a generation.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}
