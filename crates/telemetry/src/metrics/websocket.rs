//! What is counted of WebSockets that speak JSON-RPC, by the cluster that their subscriptions are at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portcullis_types::ClusterName;

use super::family::{Export, Family, Page};
use super::live::{Live, OTHER};
use super::shard::{Count, Counts};

/// How a client's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebsocketEnd {
    /// The client closed it.
    Client,
    /// It broke.
    Lost,
    /// The gateway ends, or its generation does.
    Draining,
    /// Its frames were malformed.
    MalformedFrames,
    /// It sent bytes in place of text.
    NotText,
    /// It sent text that is not UTF-8.
    NotUtf8,
    /// It did not answer a ping.
    ClientSilent,
    /// It sent too many messages that are no JSON-RPC.
    MalformedMessages,
    /// It sent a message that is too large.
    MessageTooLarge,
    /// The upstream failed over, and notifications may be lost.
    UpstreamFailover,
    /// It took what it subscribed to too slowly.
    SlowConsumer,
    /// No upstream could be reached.
    NoHealthyUpstream,
    /// Its key was revoked, went over, or may not do this any more.
    KeyForbidden,
    /// Nobody has its key any more, or its network was banned.
    KeyUnknown,
    /// What its caller may spend is spent.
    OverQuota,
}

impl WebsocketEnd {
    /// Every end.
    pub const ALL: [Self; 15] = [
        Self::Client,
        Self::Lost,
        Self::Draining,
        Self::MalformedFrames,
        Self::NotText,
        Self::NotUtf8,
        Self::ClientSilent,
        Self::MalformedMessages,
        Self::MessageTooLarge,
        Self::UpstreamFailover,
        Self::SlowConsumer,
        Self::NoHealthyUpstream,
        Self::KeyForbidden,
        Self::KeyUnknown,
        Self::OverQuota,
    ];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Draining => "draining",
            Self::MalformedFrames => "malformed_frames",
            Self::NotText => "not_text",
            Self::NotUtf8 => "not_utf8",
            Self::ClientSilent => "client_silent",
            Self::MalformedMessages => "malformed_messages",
            Self::MessageTooLarge => "message_too_large",
            Self::UpstreamFailover => "upstream_failover",
            Self::SlowConsumer => "slow_consumer",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::KeyForbidden => "key_forbidden",
            Self::KeyUnknown => "key_unknown",
            Self::OverQuota => "over_quota",
        }
    }
}

/// Why a connection to an upstream was left for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamLeft {
    /// It ended the connection, or that broke.
    Closed,
    /// It said what is no JSON-RPC, or no WebSocket.
    Malformed,
    /// Nothing was heard from it.
    Silent,
    /// Its slots stopped.
    SlotsStopped,
    /// Another subscription that should speak stopped.
    SubscriptionStopped,
    /// It did not answer a request to subscribe.
    Unanswered,
}

impl UpstreamLeft {
    /// Every cause.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Malformed, Self::Silent, Self::SlotsStopped, Self::SubscriptionStopped, Self::Unanswered];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::Silent => "silent",
            Self::SlotsStopped => "slots_stopped",
            Self::SubscriptionStopped => "subscription_stopped",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What there is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebsocketGauge {
    /// Clients that are connected.
    Clients,
    /// Subscriptions that they hold, those included that no upstream has granted yet.
    Subscriptions,
    /// Connections to upstreams.
    UpstreamConnections,
    /// Subscriptions that upstreams have granted on them, the gateway's own to slots included.
    UpstreamSubscriptions,
}

const GAUGES: [WebsocketGauge; 4] = [
    WebsocketGauge::Clients,
    WebsocketGauge::Subscriptions,
    WebsocketGauge::UpstreamConnections,
    WebsocketGauge::UpstreamSubscriptions,
];

/// The handle of the WebSockets of a cluster.
#[derive(Debug, Default)]
pub struct WebsocketMetrics {
    gauges: [AtomicU64; GAUGES.len()],
    ends: Counts<{ WebsocketEnd::ALL.len() }>,
    left: Counts<{ UpstreamLeft::ALL.len() }>,
    unreached: Count,
}

impl WebsocketMetrics {
    /// A part of a gauge; it is 0 until it says more, and again when it is dropped.
    #[must_use]
    pub fn part(self: &Arc<Self>, gauge: WebsocketGauge) -> GaugePart {
        GaugePart { of: Arc::clone(self), gauge, value: 0 }
    }

    /// One more, until the part is dropped.
    #[must_use]
    pub fn one(self: &Arc<Self>, gauge: WebsocketGauge) -> GaugePart {
        let mut part = self.part(gauge);
        part.set(1);
        part
    }

    /// A client's connection ended.
    pub fn ended(&self, how: WebsocketEnd) {
        self.ends.add(how as usize, 1);
    }

    /// A connection to an upstream was left for another.
    pub fn left(&self, why: UpstreamLeft) {
        self.left.add(why as usize, 1);
    }

    /// No upstream was reached by an attempt.
    pub fn unreached(&self) {
        self.unreached.add(1);
    }

    fn change(&self, gauge: WebsocketGauge, from: u64, to: u64) {
        if let Some(gauge) = self.gauges.get(gauge as usize) {
            // It wraps on the way, and is right in the end.
            gauge.fetch_add(to.wrapping_sub(from), Relaxed);
        }
    }

    fn export(&self, name: &str, page: &mut Page) {
        for (at, gauge) in self.gauges.iter().enumerate() {
            page.count(at, &[name], gauge.load(Relaxed));
        }
        for end in WebsocketEnd::ALL {
            page.count(4, &[name, end.as_str()], self.ends.get(end as usize));
        }
        for why in UpstreamLeft::ALL {
            page.count(5, &[name, why.as_str()], self.left.get(why as usize));
        }
        page.count(6, &[name], self.unreached.get());
    }
}

/// What somebody adds to a gauge that many share.
#[derive(Debug)]
pub struct GaugePart {
    of: Arc<WebsocketMetrics>,
    gauge: WebsocketGauge,
    value: u64,
}

impl GaugePart {
    /// Says how much it is now.
    pub fn set(&mut self, value: u64) {
        self.of.change(self.gauge, self.value, value);
        self.value = value;
    }
}

impl Drop for GaugePart {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The WebSockets of all clusters.
#[derive(Debug)]
pub(super) struct Websockets(pub(super) Live<ClusterName, WebsocketMetrics>);

/// Clusters with a handle of their own; the others share one.
const CLUSTERS: usize = 1_000;

impl Default for Websockets {
    fn default() -> Self {
        Self(Live::new(CLUSTERS))
    }
}

impl Export for Websockets {
    const FAMILIES: &'static [Family] = &[
        Family::gauge("portcullis_rpc_websocket_clients", "Clients that are connected.", &["cluster"]),
        Family::gauge("portcullis_rpc_websocket_subscriptions", "Subscriptions that clients hold.", &["cluster"]),
        Family::gauge("portcullis_rpc_websocket_upstream_connections", "Connections to endpoints.", &["cluster"]),
        Family::gauge(
            "portcullis_rpc_websocket_upstream_subscriptions",
            "Subscriptions that endpoints have granted.",
            &["cluster"],
        ),
        Family::counter(
            "portcullis_rpc_websocket_closes_total",
            "Clients' connections that ended, by reason.",
            &["cluster", "reason"],
        ),
        Family::counter(
            "portcullis_rpc_websocket_failovers_total",
            "Connections to endpoints that were left for another, by cause.",
            &["cluster", "why"],
        ),
        Family::counter(
            "portcullis_rpc_websocket_unreached_total",
            "Attempts to connect to an endpoint that reached none.",
            &["cluster"],
        ),
    ];

    fn export(&self, page: &mut Page) {
        self.0.each(|name, websockets| websockets.export(name.map_or(OTHER, ClusterName::as_str), page));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_place_of_its_own() {
        for (at, end) in WebsocketEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, at);
        }
        for (at, why) in UpstreamLeft::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
        }
        for (at, gauge) in GAUGES.into_iter().enumerate() {
            assert_eq!(gauge as usize, at);
        }
    }
}
