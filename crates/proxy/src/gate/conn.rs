//! What the requests of one connection share.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

use portcullis_filter::seam::EndStream;
use portcullis_snapshot::request::forwarding::ForwardedValues;
use portcullis_snapshot::{Listener, ListenerLimits};
use portcullis_types::{Downstream, ProxyError};
use portcullis_wire::h2::H2Event;

use super::caps::ConnectionPermit;
use crate::core::Core;
use crate::service::Granted;

tokio::task_local! {
    /// The connection of the request that the current task serves.
    pub(crate) static CONN: Arc<Conn>;
}

/// A downstream connection.
pub(crate) struct Conn {
    /// Facts of the connection.
    pub(crate) downstream: Arc<Downstream>,
    /// The listener as it was when the connection came; its limits hold to the connection's end.
    pub(crate) listener: Arc<Listener>,
    /// The gateway.
    pub(crate) gateway: Arc<Core>,
    /// Values of the forwarding fields.
    pub(crate) forwarded: ForwardedValues,
    fault: Mutex<Option<ProxyError>>,
    head_started: Mutex<Option<(Instant, SystemTime)>>,
    requests: AtomicU32,
    answered: AtomicBool,
    upgrade: AtomicBool,
    tunnel: Mutex<Option<EndStream>>,
    granted: Mutex<Option<Box<Granted>>>,
    _permit: Mutex<ConnectionPermit>,
}

impl Conn {
    pub(crate) fn new(
        downstream: Arc<Downstream>,
        listener: Arc<Listener>,
        gateway: Arc<Core>,
        permit: ConnectionPermit,
    ) -> Self {
        Self {
            downstream,
            listener,
            gateway,
            forwarded: ForwardedValues::default(),
            fault: Mutex::default(),
            head_started: Mutex::default(),
            requests: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            upgrade: AtomicBool::new(false),
            tunnel: Mutex::default(),
            granted: Mutex::default(),
            _permit: Mutex::new(permit),
        }
    }

    /// The bounds of this connection.
    pub(crate) fn limits(&self) -> &ListenerLimits {
        &self.listener.limits
    }

    /// Notes what went wrong on the wire, before the error goes through Pingora and loses its cause.
    pub(crate) fn set_fault(&self, error: ProxyError) {
        self.fault.lock().get_or_insert(error);
    }

    /// Takes what went wrong on the wire.
    pub(crate) fn take_fault(&self) -> Option<ProxyError> {
        self.fault.lock().take()
    }

    /// Notes when the head of the request that is about to be served began to arrive.
    pub(crate) fn head_arrived(&self, at: (Instant, SystemTime)) {
        *self.head_started.lock() = Some(at);
    }

    /// When the request began to arrive, now if nobody noted it (HTTP/2 streams).
    pub(crate) fn take_arrival(&self) -> (Instant, SystemTime) {
        let noted = self.head_started.lock().take();
        noted.unwrap_or_else(|| (Instant::now(), SystemTime::now()))
    }

    /// Notes whether all of the answer to the HTTP/1 request in flight is known: what is written from then on is its end, and nobody
    /// waits for more.
    pub(crate) fn set_answered(&self, all: bool) {
        self.answered.store(all, Ordering::Relaxed);
    }

    /// Whether all of the answer is known.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Notes whether the HTTP/1 request that is about to be served asks for a WebSocket.
    pub(crate) fn set_upgrade(&self, asked: bool) {
        self.upgrade.store(asked, Ordering::Relaxed);
    }

    /// Whether the HTTP/1 request in flight asks for a WebSocket, by the gate's judgement.
    pub(crate) fn asks_upgrade(&self) -> bool {
        self.upgrade.load(Ordering::Relaxed)
    }

    /// Notes what ends the tunnel that was asked for.
    pub(super) fn set_tunnel(&self, end: EndStream) {
        *self.tunnel.lock() = Some(end);
    }

    /// What ends the tunnel that the request in flight has become.
    pub(crate) fn take_tunnel(&self) -> Option<EndStream> {
        self.tunnel.lock().take()
    }

    /// Notes that a filter granted the upgrade that the request in flight asks for.
    pub(crate) fn set_granted(&self, granted: Box<Granted>) {
        *self.granted.lock() = Some(granted);
    }

    /// Takes the upgrade that a filter granted.
    pub(super) fn take_granted(&self) -> Option<Box<Granted>> {
        self.granted.lock().take()
    }

    /// Counts a request that reached the proxy's phases.
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests reached the proxy's phases.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts what the HTTP/2 layer rejected by itself because the client broke a rule.
    pub(crate) fn observe_http2(&self, event: H2Event) {
        let (what, code) = match event {
            H2Event::Reset { code, .. } => ("reset", code),
            H2Event::GoAway { code, .. } => ("goaway", code),
            H2Event::Data { .. } => return,
        };
        if code.is_fault_of_the_other_side() {
            self.gateway.http2_rejected(self, what, code.name());
        }
    }
}
