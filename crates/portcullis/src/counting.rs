//! What callers used and what caps refused, between requests: taken from the ledger, added up, and shown as metrics.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::{IntCounterVec, IntGauge, Opts, proto::MetricFamily};
use smallvec::SmallVec;

use portcullis_admin::{Usage, UsageAsk};
use portcullis_caps::{Amount, Changes, MethodId};
use portcullis_filters::caps::CapLedger;
use portcullis_store::{Keeper, Saved, Saving, UsageQuery};
use portcullis_telemetry::Bound;
use portcullis_telemetry::metrics::Metrics;

/// How often what changed is taken.
const EVERY: Duration = Duration::from_secs(1);
/// In so many pieces, one after the other: where the workers have every core, what takes long holds requests up.
const PIECES: u32 = 32;
/// In how many seconds all places of the ledger are looked at for idle consumers.
const SWEEP_SECONDS: usize = 8;
/// Consumers whose use is added up one by one; the rest are one.
const MOST: usize = 1 << 20;
/// The name of the rest.
const OTHERS: &str = "(others)";

/// What consumers used of a few methods each.
type Sums = HashMap<Arc<str>, SmallVec<[(MethodId, Amount); 1]>>;

/// The use of everybody: as the store keeps it, or where there is none, since the process began.
pub(crate) struct Counting {
    caps: Arc<CapLedger>,
    /// What is spent of quotas by consumers that the ledger dropped.
    saved: Saved,
    keeper: Option<Arc<Keeper>>,
    since: Timestamp,
    sums: Mutex<Sums>,
    consumers: Arc<Bound>,
}

impl Counting {
    /// Nobody used anything yet. `most` is what the ledger holds.
    pub(crate) fn new(
        caps: Arc<CapLedger>,
        (saved, keeper): (Saved, Option<Arc<Keeper>>),
        metrics: &Metrics,
        most: usize,
    ) -> Self {
        let consumers = Arc::new(Bound::new(most as u64));
        metrics.attach_bound("ledger_consumers", "", &consumers);
        Self { caps, saved, keeper, since: Timestamp::now(), sums: Mutex::default(), consumers }
    }

    /// Takes what changed every second, and drops consumers that are idle, for as long as it is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(EVERY / PIECES);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for piece in (0..PIECES as usize).cycle() {
            ticks.tick().await;
            let this = Arc::clone(&self);
            // Many consumers take their time: not on a worker's thread.
            if tokio::task::spawn_blocking(move || this.tick(piece)).await.is_err() {
                log::error!("usage: taking what changed broke off");
            }
        }
    }

    fn tick(&self, piece: usize) {
        let ledger = self.caps.ledger();
        if self.keeper.is_none() {
            self.take(piece, PIECES as usize);
            ledger.sweep(self.caps.now(), ledger.places() / (SWEEP_SECONDS * PIECES as usize) + 1);
            if piece == 0 {
                self.saved.purge(self.caps.now());
            }
        }
        if piece == 0 {
            self.consumers.set_used(ledger.consumers() as u64);
        }
    }

    fn take(&self, piece: usize, pieces: usize) {
        // Under the lock, so that nobody sees the sums without what was taken.
        let mut sums = self.sums.lock();
        let Changes { usage, quotas } = self.caps.ledger().take_changes_of(piece, pieces);
        self.saved.note(&quotas);
        for delta in usage {
            let full = sums.len() >= MOST && !sums.contains_key(&delta.consumer);
            let consumer = if full { OTHERS.into() } else { delta.consumer };
            let used = sums.entry(consumer).or_default();
            match used.iter_mut().find(|(method, _)| *method == delta.method) {
                Some((_, sum)) => *sum += delta.amount,
                None => used.push((delta.method, delta.amount)),
            }
        }
    }

    /// The store, if there is one.
    pub(crate) const fn keeper(&self) -> Option<&Arc<Keeper>> {
        self.keeper.as_ref()
    }

    /// What was used until now; of a store, until it was written last. Reads files.
    pub(crate) fn usage(&self, asked: &UsageAsk) -> Result<Usage, String> {
        if let Some(keeper) = &self.keeper {
            let UsageAsk { consumer, from, until } = asked.clone();
            let totals = keeper.usage(&UsageQuery { consumer, from, until }).map_err(|error| error.to_string())?;
            return Ok(Usage {
                consumers: totals.consumers,
                since: None,
                durable: keeper.status().saving.state == Saving::Good,
            });
        }
        if asked.from.is_some() || asked.until.is_some() {
            return Err(
                "without a store the gateway knows only what was used since it began: leave `from` and `to` out"
                    .to_owned(),
            );
        }
        self.take(0, 1);
        let sums = self.sums.lock();
        let name = |method: &MethodId| self.caps.method_name(*method);
        let methods = |used: &[(MethodId, Amount)]| used.iter().map(|(id, used)| (name(id), *used)).collect();
        let consumers = match &asked.consumer {
            Some(id) => sums.get(id.as_str()).map(|used| (id.clone(), methods(used))).into_iter().collect(),
            None => sums.iter().map(|(id, used)| (id.to_string(), methods(used))).collect(),
        };
        Ok(Usage { consumers, since: Some(self.since), durable: false })
    }
}

/// What caps refused, as metrics: labels are names of the config, never consumers.
pub(crate) struct CapMetrics {
    caps: Arc<CapLedger>,
    descs: Vec<Desc>,
}

const LABELS: [&str; 3] = ["scope", "of", "cap"];

impl CapMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub(crate) fn register(caps: Arc<CapLedger>, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        let mut descs = Vec::new();
        for name in ["refused", "shadowed"] {
            descs.extend(counter(name)?.desc().into_iter().cloned());
        }
        for (name, help, _) in plain(&caps) {
            descs.extend(IntGauge::new(name, help)?.desc().into_iter().cloned());
        }
        registry.register(Box::new(Self { caps, descs }))
    }
}

fn counter(name: &str) -> Result<IntCounterVec, prometheus::Error> {
    let help = match name {
        "refused" => "Requests that a cap refused",
        _ => "Requests that a cap in shadow would have refused",
    };
    IntCounterVec::new(Opts::new(format!("portcullis_cap_{name}_total"), help), &LABELS)
}

/// What is no cap's: name, help, value.
fn plain(caps: &CapLedger) -> [(&'static str, &'static str, u64); 4] {
    let refused = caps.refused();
    let overrides = caps.ledger().overrides(caps.now().unix()).len() as u64;
    [
        (
            "portcullis_caps_unknown_plan_total",
            "Requests refused since the gateway has no such plan",
            refused.unknown_plan,
        ),
        ("portcullis_caps_no_room_total", "Requests refused since the ledger is full", refused.no_room),
        ("portcullis_caps_dry_streams_total", "Streams ended since a cap of bytes ran dry", refused.dry_streams),
        ("portcullis_caps_overrides", "Overrides that an administrator set", overrides),
    ]
}

impl Collector for CapMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counts = self.caps.ledger().counts();
        let mut families = Vec::new();
        let (Ok(refused), Ok(shadowed)) = (counter("refused"), counter("shadowed")) else { return families };
        for count in &counts {
            let labels = [count.scope.as_str(), &*count.set, &*count.cap];
            refused.with_label_values(&labels).inc_by(count.refused);
            if count.shadowed > 0 {
                shadowed.with_label_values(&labels).inc_by(count.shadowed);
            }
        }
        families.extend(refused.collect());
        families.extend(shadowed.collect());
        for (name, help, value) in plain(&self.caps) {
            let value_i64 = i64::try_from(value).unwrap_or(i64::MAX);
            if name.ends_with("_total") {
                if let Ok(counter) = prometheus::IntCounter::new(name, help) {
                    counter.inc_by(value);
                    families.extend(counter.collect());
                }
            } else if let Ok(gauge) = IntGauge::new(name, help) {
                gauge.set(value_i64);
                families.extend(gauge.collect());
            }
        }
        families
    }
}
