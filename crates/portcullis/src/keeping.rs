//! The store of a running gateway: opened as the config says, and how it does, for metrics and the admin API.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts};
use serde_json::{Value, json};

use portcullis_filters::caps::CapLedger;
use portcullis_snapshot::settings::{self, RedisPlace, Store};
use portcullis_store::{
    Keeper, Kept, LinkState, LinkStatus, RedisOptions, RedisTls, Rotation, Saved, Saving, SavingStatus, StoreError,
    StoreOptions,
};

/// Opens the store and begins to keep what callers spend.
///
/// # Errors
/// The store cannot be used.
pub(crate) fn open(store: &Store, caps: &Arc<CapLedger>, saved: &Saved) -> Result<Keeper, StoreError> {
    let kept = Kept::open(&options(store), saved, caps.now())?;
    let names = Arc::clone(caps);
    Keeper::start(kept, caps.ledger(), Arc::new(move |id| names.method_name(id).into()), Arc::clone(caps.clock()))
}

/// Says where a store is that nobody asked for by name, and what to do where it cannot be used.
pub(crate) fn tell_implied(store: &Store, keeper: &Keeper) {
    let path = store.path.display();
    let saving = keeper.status().saving;
    if saving.state == Saving::Good {
        log::info!("what callers spend and use is kept in {path}; `store: off` would turn it off");
    } else {
        log::error!(
            "what callers spend and use DOES NOT LAST: the config says no `store`, and {path} cannot be used: {}; it is \
             tried every second; `store: {{ path: … }}` names another directory, `store: off` turns it off",
            saving.last_error.unwrap_or_default()
        );
    }
}

fn options(store: &Store) -> StoreOptions {
    let rotation = Rotation { size: store.journal.rotate, age: store.journal.rotate_after, keep: store.journal.keep };
    let redis = store.redis.as_ref().map(|redis| RedisOptions {
        urls: redis.places.iter().map(ToString::to_string).collect(),
        user: redis.user.clone(),
        password: redis.password.clone(),
        tls: if redis.places.iter().any(RedisPlace::is_tls) { tls(&redis.tls) } else { RedisTls::default() },
        prefix: redis.prefix.clone(),
        timeout: redis.timeout,
        gone_after: redis.forget_after,
        ..RedisOptions::at("")
    });
    let patient = store.implied;
    StoreOptions { window: store.journal.window, rotation, redis, patient, ..StoreOptions::at(&store.path) }
}

fn tls(said: &settings::RedisTls) -> RedisTls {
    let authorities = said.ca.as_ref().map_or_else(system_authorities, |ca| ca.to_vec());
    RedisTls { server_name: said.server_name.clone(), authorities, client: said.client.as_deref().cloned() }
}

/// The system's CAs. Where they cannot be read no server is trusted, which the log says here and the link's state later.
fn system_authorities() -> Vec<Vec<u8>> {
    let read = rustls_native_certs::load_native_certs();
    let read = read.inspect_err(|error| log::error!("the system's CAs cannot be read, for Redis: {error}"));
    read.unwrap_or_default().into_iter().map(|one| one.as_ref().to_vec()).collect()
}

/// How the store is, as `/api/status` shows it.
pub(crate) fn shown(keeper: &Keeper) -> Value {
    let status = keeper.status();
    let SavingStatus { state, since, last_error, saved_at, pending, commits, failures, lines, consumers } =
        status.saving;
    json!({
        "state": state.as_str(),
        "since_unix_ms": since,
        "last_error": last_error,
        "saved_at_unix_ms": saved_at,
        "pending": pending,
        "commits": commits,
        "failures": failures,
        "journal_lines": lines,
        "consumers": consumers,
        "redis": status.redis.as_ref().map(link),
    })
}

fn link(link: &LinkStatus) -> Value {
    let nodes: Vec<Value> = link
        .nodes
        .iter()
        .map(|node| json!({ "address": node.address, "state": node.state.as_str(), "used": node.used }))
        .collect();
    json!({
        "state": link.state.as_str(),
        "since_unix_ms": link.since,
        "last_error": link.last_error,
        "heard_at_unix_ms": link.heard_at,
        "cluster": link.cluster,
        "gateways": { "known": link.gateways.0, "heard": link.gateways.1 },
        "commands": link.commands,
        "asks": link.asks,
        "grants": link.grants,
        "lost": link.lost,
        "timeouts": link.timeouts,
        "connections": link.connections,
        "round_trip_microseconds": link.round_trip,
        "nodes": nodes,
    })
}

/// How the store is, as metrics.
pub(crate) struct StoreMetrics {
    keeper: Arc<Keeper>,
    descs: Vec<Desc>,
}

impl StoreMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub(crate) fn register(keeper: Arc<Keeper>, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        let mut descs = Vec::new();
        let status = keeper.status();
        let (saving, link) = (saving_numbers(&status.saving), status.redis.as_ref().map(link_numbers));
        for number in saving.iter().chain(link.iter().flatten()) {
            descs.push(Desc::new(number.name.to_owned(), number.help.to_owned(), Vec::new(), Default::default())?);
        }
        let states = [Some(STORE_STATE), link.map(|_| REDIS_STATE)];
        for (name, help) in states.into_iter().flatten() {
            descs.extend(states_of(name, help)?.desc().into_iter().cloned());
        }
        registry.register(Box::new(Self { keeper, descs }))
    }

    fn families(&self) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let status = self.keeper.status();
        let mut families = Vec::new();
        let (name, help) = STORE_STATE;
        let states = states_of(name, help)?;
        for state in Saving::ALL {
            states.with_label_values(&[state.as_str()]).set(i64::from(state == status.saving.state));
        }
        families.extend(states.collect());
        saving_numbers(&status.saving).iter().try_for_each(|number| number.add_to(&mut families))?;
        if let Some(link) = &status.redis {
            let (name, help) = REDIS_STATE;
            let states = states_of(name, help)?;
            for state in LinkState::ALL {
                states.with_label_values(&[state.as_str()]).set(i64::from(state == link.state));
            }
            families.extend(states.collect());
            link_numbers(link).iter().try_for_each(|number| number.add_to(&mut families))?;
        }
        Ok(families)
    }
}

impl Collector for StoreMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families().unwrap_or_default()
    }
}

const STORE_STATE: (&str, &str) = ("portcullis_store_state", "1 at the state of the store");
const REDIS_STATE: (&str, &str) = ("portcullis_redis_state", "1 at the state of the link to Redis");

fn states_of(name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), &["state"])
}

/// A number without labels. What ends in `_total` only grows.
struct Number {
    name: &'static str,
    help: &'static str,
    value: u64,
}

impl Number {
    fn add_to(&self, families: &mut Vec<MetricFamily>) -> Result<(), prometheus::Error> {
        if self.name.ends_with("_total") {
            let counter = IntCounter::new(self.name, self.help)?;
            counter.inc_by(self.value);
            families.extend(counter.collect());
        } else {
            let gauge = IntGauge::new(self.name, self.help)?;
            gauge.set(i64::try_from(self.value).unwrap_or(i64::MAX));
            families.extend(gauge.collect());
        }
        Ok(())
    }
}

fn saving_numbers(saving: &SavingStatus) -> [Number; 6] {
    let number = |name, help, value| Number { name, help, value };
    [
        number("portcullis_store_pending", "Quotas and usages that wait in memory to be written", saving.pending),
        number(
            "portcullis_store_saved_unix_ms",
            "When all was written last, in milliseconds since 1970",
            saving.saved_at,
        ),
        number("portcullis_store_consumers", "Consumers whose quotas are held to be looked up", saving.consumers),
        number("portcullis_store_commits_total", "Commits of the store", saving.commits),
        number("portcullis_store_failures_total", "Writes of the store or the journal that failed", saving.failures),
        number("portcullis_journal_lines_total", "Lines written to the journal of usage", saving.lines),
    ]
}

fn link_numbers(link: &LinkStatus) -> [Number; 9] {
    let number = |name, help, value| Number { name, help, value };
    [
        number(
            "portcullis_redis_heard_unix_ms",
            "When every server answered last, in milliseconds since 1970",
            link.heard_at,
        ),
        number("portcullis_redis_gateways", "Gateways that share caps", u64::from(link.gateways.0)),
        number("portcullis_redis_commands_total", "Commands sent", link.commands),
        number("portcullis_redis_asks_total", "Words of shares carried to pools", link.asks),
        number("portcullis_redis_grants_total", "Words answered with a grant", link.grants),
        number("portcullis_redis_lost_total", "Words that nobody answered", link.lost),
        number("portcullis_redis_timeouts_total", "Answers that did not come in time", link.timeouts),
        number("portcullis_redis_connections_total", "Connections made", link.connections),
        number("portcullis_redis_round_trip_microseconds", "How long the last answer took", link.round_trip),
    ]
}
