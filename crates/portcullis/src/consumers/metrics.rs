//! What is counted of who calls, for the metrics: read out of the counters when they are scraped.
//!
//! Labels are closed lists: causes of failure, proofs, kinds of bans. No consumer, network or key is one.

use std::sync::Arc;

use portcullis_identity::Identities;
use portcullis_identity::throttle::BanKind;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use super::now;

/// Counters and gauges of who calls.
pub(crate) struct Counted {
    identities: Arc<Identities>,
    descs: Vec<Desc>,
}

/// A family: its name, what it is, and its label; an empty label for none.
type Family = (&'static str, &'static str, &'static str);

const ADMITTED: Family =
    ("portcullis_callers_total", "Requests whose caller is known, by what it is known by", "proof");
const FAILED: Family = (
    "portcullis_authentication_failures_total",
    "Requests whose caller is not known or may not call, by cause",
    "cause",
);
const LOADS: Family = ("portcullis_consumers_loads_total", "Loads of the file of consumers, by outcome", "outcome");
const STORE: Family =
    ("portcullis_consumers_store_total", "Questions to the store of consumers that had no answer", "outcome");
const HELD: Family = ("portcullis_consumers", "Consumers and keys that are known", "kind");
const LOADED: Family =
    ("portcullis_consumers_loaded_timestamp_seconds", "When the consumers that serve were loaded", "of");
const BANS: Family = ("portcullis_bans", "Networks that are throttled or banned now, by kind", "kind");
const TRACKED: Family =
    ("portcullis_bound_throttle", "Networks whose failures are counted exactly, and how many may be", "of");

impl Counted {
    pub(crate) fn new(identities: Arc<Identities>) -> Self {
        let all = [ADMITTED, FAILED, LOADS, STORE, HELD, LOADED, BANS, TRACKED];
        let desc = |(name, help, label): Family| {
            Desc::new(name.to_owned(), help.to_owned(), vec![label.to_owned()], Default::default()).ok()
        };
        Self { identities, descs: all.into_iter().filter_map(desc).collect() }
    }
}

fn counters((name, help, label): Family, values: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<MetricFamily> {
    let Ok(family) = IntCounterVec::new(Opts::new(name, help), &[label]) else { return Vec::new() };
    for (value, count) in values {
        family.with_label_values(&[value]).inc_by(count);
    }
    family.collect()
}

fn gauges((name, help, label): Family, values: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<MetricFamily> {
    let Ok(family) = IntGaugeVec::new(Opts::new(name, help), &[label]) else { return Vec::new() };
    for (value, count) in values {
        family.with_label_values(&[value]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    family.collect()
}

impl Collector for Counted {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (book, status) = (self.identities.book(), self.identities.status());
        let (counts, stats, bans) = (self.identities.counts(), book.throttle.stats(), book.throttle.bans(now()));
        let of = |kind| bans.iter().filter(|ban| ban.kind == kind).count() as u64;
        let since = status.serves_since.map_or(0, |since| since.seconds());
        [
            counters(ADMITTED, counts.admitted()),
            counters(FAILED, counts.failures()),
            counters(LOADS, [("loaded", status.loaded), ("refused", status.refused)]),
            counters(STORE, [("failed", counts.store_failures())]),
            gauges(HELD, [("consumers", book.directory.len() as u64), ("keys", book.directory.keys() as u64)]),
            gauges(LOADED, [("file", since)]),
            gauges(
                BANS,
                [
                    ("throttled", of(BanKind::Throttled)),
                    ("banned_itself", of(BanKind::BannedItself)),
                    ("operator", of(BanKind::Operator)),
                ],
            ),
            gauges(
                TRACKED,
                [
                    ("tracked", stats.tracked),
                    ("capacity", stats.capacity),
                    ("evicted", stats.evicted),
                    ("untracked", stats.untracked),
                ],
            ),
        ]
        .concat()
    }
}
