//! What is counted of a listener: connections and TLS handshakes.

use std::sync::Arc;

use portcullis_types::{ListenerName, Reason};

use super::family::{Export, Family, Page};
use super::live::{Live, OTHER};
use super::route::{REASONS, reason_place};
use super::shard::{Count, Counts, Sharded, Shards};
use crate::bound::Bound;

#[derive(Debug, Default)]
struct Shard {
    accepted: Count,
    not_accepted: Count,
    closed: Count,
    handshakes: Count,
}

/// The handle of a listener.
#[derive(Debug)]
pub struct ListenerMetrics {
    shards: Sharded<Shard>,
    failed: Counts<REASONS>,
    connections: Arc<Bound>,
}

impl ListenerMetrics {
    pub(super) fn new(shards: Shards) -> Self {
        Self { shards: Sharded::new(shards), failed: Counts::default(), connections: Arc::default() }
    }

    /// A connection was accepted by the operating system, whether it is then let in or not.
    pub fn accepted(&self) {
        self.shards.mine().accepted.add(1);
    }

    /// The operating system did not hand over a connection that waits: there are no descriptors left, mostly.
    pub fn accept_failed(&self) {
        self.shards.mine().not_accepted.add(1);
    }

    /// A connection has ended: by itself, or for a reason.
    pub fn closed(&self, reason: Option<Reason>) {
        match reason {
            Some(reason) => self.failed.add(reason_place(reason), 1),
            None => self.shards.mine().closed.add(1),
        }
    }

    /// A TLS handshake has ended well. One that failed ends the connection, for a reason.
    pub fn handshake(&self) {
        self.shards.mine().handshakes.add(1);
    }

    /// The open connections, against the listener's limit. The gate admits by [`Bound::try_add`].
    #[must_use]
    pub const fn connections(&self) -> &Arc<Bound> {
        &self.connections
    }

    fn export(&self, name: &str, page: &mut Page) {
        page.count(0, &[name], self.shards.sum(|shard| shard.accepted.get()));
        page.count(1, &[name], self.connections.used());
        page.count(2, &[name], self.connections.limit());
        page.count(3, &[name, "none"], self.shards.sum(|shard| shard.closed.get()));
        for &reason in Reason::ALL {
            page.count_seen(3, &[name, reason.name()], self.failed.get(reason_place(reason)));
        }
        page.count(4, &[name, "ok"], self.shards.sum(|shard| shard.handshakes.get()));
        for (outcome, reason) in [("failed", Reason::TlsHandshakeFailed), ("timeout", Reason::TlsHandshakeTimeout)] {
            page.count(4, &[name, outcome], self.failed.get(reason_place(reason)));
        }
        page.count(5, &[name], self.shards.sum(|shard| shard.not_accepted.get()));
    }
}

/// The listeners of all living generations.
#[derive(Debug)]
pub(super) struct Listeners(pub(super) Live<ListenerName, ListenerMetrics>);

impl Export for Listeners {
    const FAMILIES: &'static [Family] = &[
        Family::counter("portcullis_listener_accepted_total", "Connections accepted.", &["listener"]),
        Family::gauge("portcullis_listener_connections", "Connections that are open.", &["listener"]),
        Family::gauge(
            "portcullis_listener_connections_limit",
            "How many connections may be open; 0: not set.",
            &["listener"],
        ),
        Family::counter(
            "portcullis_listener_closed_total",
            "Connections that ended, by reason; none: in good order.",
            &["listener", "reason"],
        ),
        Family::counter(
            "portcullis_listener_tls_handshakes_total",
            "TLS handshakes, by outcome.",
            &["listener", "outcome"],
        ),
        Family::counter(
            "portcullis_listener_accept_failures_total",
            "Times that no connection could be accepted; twenty a second while no descriptors are left.",
            &["listener"],
        ),
    ];

    fn export(&self, page: &mut Page) {
        self.0.each(|name, listener| listener.export(name.map_or(OTHER, ListenerName::as_str), page));
    }
}
