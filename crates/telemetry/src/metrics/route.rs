//! What is counted of a route: requests by status class and protocol, duration, bytes, failures by reason.
//!
//! Labels are the names of the config, never a request's host. Requests that met no route count under `_none`.

use portcullis_types::{Fault, Protocol, Reason, RouteName};

use super::class::{CLASSES, Class};
use super::family::{Export, Family, Page};
use super::histogram::{Histogram, Totals};
use super::live::{Live, OTHER};
use super::shard::{Count, Counts, Sharded, Shards};
use crate::record::{Hedged, Record};

/// How many reasons there are.
pub(super) const REASONS: usize = Reason::ALL.len();

/// The protocols, by place; the last is for requests of which none is known.
const PROTOCOLS: [&str; 4] = ["HTTP/1.0", "HTTP/1.1", "HTTP/2", "none"];

const fn protocol_place(protocol: Option<Protocol>) -> usize {
    match protocol {
        Some(Protocol::Http10) => 0,
        Some(Protocol::Http11) => 1,
        Some(Protocol::Http2) => 2,
        None => 3,
    }
}

/// The place of a reason in arrays of [`REASONS`]: the enum is without fields and `ALL` is in its order.
pub(super) const fn reason_place(reason: Reason) -> usize {
    reason as usize
}

#[derive(Debug, Default)]
struct Shard {
    requests: Counts<{ PROTOCOLS.len() * CLASSES }>,
    bytes_in: Count,
    bytes_out: Count,
    duration: Histogram,
}

/// The handle of a route, resolved at load. The route of several generations is one handle.
#[derive(Debug)]
pub struct RouteMetrics {
    shards: Sharded<Shard>,
    failures: Counts<REASONS>,
    hedged: Counts<{ Hedged::ALL.len() }>,
}

impl RouteMetrics {
    pub(super) fn new(shards: Shards) -> Self {
        Self { shards: Sharded::new(shards), failures: Counts::default(), hedged: Counts::default() }
    }

    pub(super) fn observe(&self, record: &Record) {
        let shard = self.shards.mine();
        let class = Class::of(record.status);
        shard.requests.add(protocol_place(record.protocol) * CLASSES + class.place(), 1);
        shard.duration.observe(record.timers.total);
        if record.bytes_in > 0 {
            shard.bytes_in.add(record.bytes_in);
        }
        if record.bytes_out > 0 {
            shard.bytes_out.add(record.bytes_out);
        }
        if let Some(reason) = record.reason {
            self.failures.add(reason_place(reason), 1);
        }
        if let Some(hedged) = record.hedged {
            self.hedged.add(hedged.place(), 1);
        }
    }

    /// Requests so far, of all protocols and classes.
    #[must_use]
    pub fn requests(&self) -> u64 {
        (0..PROTOCOLS.len() * CLASSES).map(|place| self.shards.sum(|shard| shard.requests.get(place))).sum()
    }

    /// Requests so far that failed by the fault of the gateway or an upstream.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let ours = Reason::ALL.iter().filter(|reason| reason.fault() != Fault::Client);
        ours.map(|reason| self.failures.get(reason_place(*reason))).sum()
    }

    fn export(&self, names: [&str; 2], page: &mut Page) {
        let [host, route] = names;
        for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
            for class in Class::ALL {
                let count = self.shards.sum(|shard| shard.requests.get(at * CLASSES + class.place()));
                page.count_seen(0, &[host, route, class.as_str(), protocol], count);
            }
        }
        page.histogram(1, &names, &Totals::of(self.shards.iter().map(|shard| &shard.duration)));
        page.count(2, &names, self.shards.sum(|shard| shard.bytes_in.get()));
        page.count(3, &names, self.shards.sum(|shard| shard.bytes_out.get()));
        for &reason in Reason::ALL {
            let count = self.failures.get(reason_place(reason));
            page.count_seen(4, &[host, route, reason.name(), reason.fault().as_str()], count);
        }
        for hedged in Hedged::ALL {
            page.count_seen(5, &[host, route, hedged.as_str()], self.hedged.get(hedged.place()));
        }
    }
}

/// Virtual host and route.
pub(super) type RouteKey = (Box<str>, RouteName);

/// The routes of all living generations.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) live: Live<RouteKey, RouteMetrics>,
    pub(super) none: RouteMetrics,
}

impl Export for Routes {
    const FAMILIES: &'static [Family] = &[
        Family::counter(
            "portcullis_route_requests_total",
            "Requests, by the status class that was sent; class none: nothing could be sent.",
            &["virtual_host", "route", "class", "protocol"],
        ),
        Family::histogram(
            "portcullis_route_duration_seconds",
            "Time from a request's arrival to its end.",
            &["virtual_host", "route"],
        ),
        Family::counter(
            "portcullis_route_request_bytes_total",
            "Bytes of request bodies received.",
            &["virtual_host", "route"],
        ),
        Family::counter(
            "portcullis_route_response_bytes_total",
            "Bytes of response bodies sent.",
            &["virtual_host", "route"],
        ),
        Family::counter(
            "portcullis_route_failures_total",
            "Requests that failed or were refused, by reason.",
            &["virtual_host", "route", "reason", "fault"],
        ),
        Family::counter(
            "portcullis_route_hedged_total",
            "Requests that were waited for long enough to be hedged, by what became of the second attempt.",
            &["virtual_host", "route", "result"],
        ),
    ];

    fn export(&self, page: &mut Page) {
        self.none.export(["_none", "_none"], page);
        self.live.each(|key, route| {
            let names = key.map_or([OTHER, OTHER], |(host, name)| [host, name.as_str()]);
            route.export(names, page);
        });
    }
}
