//! The top of a file.

use ipnet::IpNet;
use portcullis_filters::caps::SetWords;
use portcullis_yaml::{Decode, Named, Spanned};
use std::time::Duration;

use super::admin::RawAdmin;
use super::caps::RawCaps;
use super::clusters::RawCluster;
use super::consumers::{RawConsumers, RawIssuer};
use super::endpoints::RawDns;
use super::history::HistoryWord;
use super::hosts::RawHost;
use super::lax::Lax;
use super::limits::RawOverload;
use super::listeners::RawListener;
use super::log::{RawAccessLog, RawLog};
use super::slos::RawSlo;
use super::store::StoreWord;
use super::tracing::RawTracing;

/// The configuration of a gateway.
#[derive(Debug, Decode)]
pub(crate) struct Top {
    /// The version of this format: 1.
    pub(crate) version: Lax<Spanned<u32>>,
    /// Where the gateway accepts connections, by name.
    pub(crate) listeners: Lax<Named<Spanned<RawListener>>>,
    /// The admin listener. Left out, there is none.
    pub(crate) admin: Lax<RawAdmin>,
    /// Groups of endpoints that requests are sent to, by name.
    pub(crate) clusters: Lax<Named<Spanned<RawCluster>>>,
    /// What the consumers of each plan may spend, by the plan's name. It holds where a filter `caps` stands behind one that
    /// says who calls; who has a plan that is not here is refused.
    pub(crate) plans: Lax<Named<Spanned<SetWords>>>,
    /// What holds beside plans.
    pub(crate) caps: Lax<RawCaps>,
    /// Where what callers spend and use is kept, or `off`. Left out, and where a filter `caps` holds callers to plans or
    /// quotas, it is kept in the directory `data` beside this file, and the gateway starts even where it cannot be used.
    pub(crate) store: Lax<Spanned<StoreWord>>,
    /// Where the generations of the config that were tried are kept, or `off`. Left out, they are kept in `history` in the
    /// directory of the `store`; the gateway starts even where that cannot be used.
    pub(crate) history: Lax<Spanned<HistoryWord>>,
    /// The virtual hosts with their routes.
    pub(crate) hosts: Lax<Vec<Spanned<RawHost>>>,
    /// Who may call: the file of consumers and what goes with it. Left out, nobody is known.
    pub(crate) consumers: Lax<RawConsumers>,
    /// Issuers whose JSON Web Tokens are taken, by name: see the filter `jwt`.
    pub(crate) tokens: Lax<Named<Spanned<RawIssuer>>>,
    /// Networks whose forwarding fields (X-Forwarded-For, Forwarded, X-Request-Id, traceparent) are believed.
    /// Default: none.
    pub(crate) trusted_networks: Lax<Vec<IpNet>>,
    /// Where the gateway stands, such as `us-east-1a`: clusters prefer the endpoints of this zone.
    pub(crate) zone: Lax<Spanned<String>>,
    /// The access log: the log of that name in `logs`, in short. Left out, there is none.
    pub(crate) access_log: Lax<Spanned<RawAccessLog>>,
    /// Where records of requests go, by name.
    pub(crate) logs: Lax<Named<RawLog>>,
    /// Traces of requests, and where they go. Left out, nothing is traced, and `traceparent` is handed on as other
    /// forwarding fields are.
    pub(crate) tracing: Lax<RawTracing>,
    /// Objectives of service levels, by name, at most 200: what share of a host's or a route's requests is to go well. The
    /// gateway counts each one's error budget, over restarts too.
    pub(crate) slos: Lax<Named<Spanned<RawSlo>>>,
    /// How names of endpoints are resolved.
    pub(crate) dns: Lax<RawDns>,
    /// When the process itself refuses work.
    pub(crate) overload: Lax<RawOverload>,
    /// How the gateway shuts down.
    pub(crate) drain: Lax<RawDrain>,
    /// Generations of the configuration that may live at once, 2 to 64; beyond it the oldest is drained. Default: 8.
    pub(crate) generations: Lax<Spanned<u32>>,
    /// How the gateway names itself in Proxy-Status. A token of RFC 9110. Default: `portcullis`.
    pub(crate) server_name: Lax<Spanned<String>>,
    /// Worker threads, 1 to 1024; read at start only. Default: one per core.
    pub(crate) threads: Lax<Spanned<u32>>,
    /// Records of requests kept for the admin API, 0 to 100000. Default: 1000.
    pub(crate) recent_requests: Lax<Spanned<u32>>,
    /// Whether records and metrics are made at all; off only to measure what they cost. Default: true.
    pub(crate) observe: Lax<bool>,
}

/// How the gateway shuts down.
#[derive(Debug, Decode)]
pub(crate) struct RawDrain {
    /// How long the gateway goes on serving after SIGTERM while `/readyz` says 503, so that load balancers send their
    /// traffic elsewhere before it drains. More than they take to notice: their interval times their threshold.
    /// Default: 0s, the drain begins at once.
    pub(crate) delay: Option<Duration>,
    /// The longest a drain may take. Default: 30s.
    pub(crate) timeout: Option<Duration>,
    /// How long an idle connection is kept, so that a request on its way is still answered. Default: 1s.
    pub(crate) idle: Option<Duration>,
    /// Over how long the ends of WebSockets and event streams are spread, in a drain (no later than four fifths of its
    /// timeout) and when their endpoint leaves its cluster. Default: 10s.
    pub(crate) streams: Option<Duration>,
}
