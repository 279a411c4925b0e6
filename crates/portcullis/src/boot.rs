//! The start: from a checked config to a gateway that serves, its admin API beside it.

mod admin;
mod sockets;

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use portcullis_admin::{AdminState, ReloadEntry};
use portcullis_caps::LedgerOptions;
use portcullis_config::Checked;
use portcullis_proxy::{Gateway, Observers};
use portcullis_snapshot::settings::Store;
use portcullis_snapshot::{Listener, ListenerKind, Snapshot};
use portcullis_store::Keeper;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::timeline::TICK;
use portcullis_telemetry::{Outcomes, RecordSink, Ring, RingOptions, SinkStats, Timeline};

use crate::consumers::Prepared;
use crate::control::Running;
use crate::counting::{CapMetrics, Counting};
use crate::files::State;
use crate::keeping::{self, StoreMetrics};
use crate::lifecycle::{Lifecycle, Step};
use crate::logs::Logs;
use crate::output::count;
use crate::reload::{Current, Reloader};
use crate::world::{World, serve_plans};

use admin::bind;
pub(crate) use admin::{AdminSlot, PreparedAdmin, Retired};
pub(crate) use sockets::Sockets;

/// The first generation, and what the next one is compared with.
pub(crate) struct First {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) checked: Arc<Checked>,
    pub(crate) watched: State,
    /// Who may call; taken when it is put to use.
    pub(crate) consumers: Option<Prepared>,
    /// The main file's text, where it is not the file's.
    pub(crate) applied: Option<String>,
}

/// What the binary brings beside the config.
pub(crate) struct Brought {
    pub(crate) version: &'static str,
    pub(crate) sinks: Vec<Arc<dyn RecordSink>>,
    pub(crate) registry: prometheus::Registry,
}

/// A gateway that has all it needs, and does not accept yet.
pub(crate) struct Started {
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) running: Arc<Running>,
    admin: PreparedAdmin,
}

impl Started {
    /// Begins to accept, and to serve the admin API.
    pub(crate) fn open(self) -> Arc<Reloader> {
        let Self { reloader, running, admin } = self;
        reloader.gateway.open();
        running.lifecycle.enter(Step::Serving);
        // Ready from here on; who asks the admin API finds all that it needs.
        drop(running.reloader.set(reloader.clone()));
        reloader.admin.commit(admin);
        reloader
    }
}

/// Starts everything but accepting, in the order in which it may fail; a failure leaves nothing running. Must be called
/// inside a Tokio runtime.
///
/// # Errors
/// A sentence that names the listener and the port, or the file.
pub(crate) fn start(world: World, first: First, (brought, sockets): (Brought, &Sockets)) -> Result<Started, String> {
    let started = Instant::now();
    first.consumers.into_iter().for_each(|prepared| world.consumers.commit(prepared));
    let settings = &first.snapshot.settings;
    let admin = bind(settings.admin.as_ref(), sockets.admin()).map_err(|error| error.to_string())?;
    let outcomes = Arc::new(Outcomes::default());
    let timeline = Arc::new(Timeline::new(outcomes.clone()));
    let sinks = brought.sinks.into_iter().chain([outcomes as Arc<dyn RecordSink>]).collect();
    let logs = Arc::new(Logs::new(world.metrics.clone(), sinks));
    if let Some(log) = logs.prepare(settings.access_log.as_ref()).map_err(|error| error.to_string())? {
        logs.commit(log);
    }
    let recent = Arc::new(Ring::new(RingOptions { recent: settings.recent_requests, ..RingOptions::default() }));
    world.metrics.attach_sink("recent", recent.clone() as Arc<dyn SinkStats>);
    let observers = Observers { metrics: world.metrics.clone(), recent: recent.clone(), sinks: logs.sinks() };
    if let Some(before) = sockets.before() {
        before.restore(&world, &first.snapshot);
        before.store()?;
    }
    let keeper = keep(&world, settings.store.as_ref(), &brought.registry)?;
    let kept = (world.saved.clone(), keeper);
    let most = LedgerOptions::default().most_consumers;
    let counting = Arc::new(Counting::new(world.caps.clone(), kept, &world.metrics, most));
    CapMetrics::register(world.caps.clone(), &brought.registry).map_err(|error| error.to_string())?;
    serve_plans(&world.caps, &first.snapshot);
    let gateway = Gateway::prepare(first.snapshot.clone(), observers, sockets.listeners());
    let gateway = gateway.map_err(|error| error.to_string())?;
    let lifecycle = Arc::<Lifecycle>::default();
    lifecycle.register(&brought.registry).map_err(|error| error.to_string())?;
    world.own_requests.bind(&gateway);
    tokio::spawn(Arc::clone(&counting).run());
    tokio::spawn(tick(timeline.clone()));
    let (shown, logs_too) = (gateway.clone(), logs.clone());
    let (reloader, upgrader) = (OnceLock::new(), OnceLock::new());
    let running = Arc::new(Running { gateway: shown, logs: logs_too, counting, lifecycle, reloader, upgrader });
    let slot = AdminSlot::new(Arc::new(AdminState {
        version: brought.version.to_owned(),
        started,
        generations: gateway.generations().clone(),
        registry: brought.registry,
        recent,
        timeline: timeline.clone(),
        identities: world.consumers.identities.clone(),
        control: running.clone(),
    }));
    let current = Current { checked: first.checked, id: first.snapshot.id, applied: first.applied };
    let reloader = Arc::new(Reloader::new(world, (gateway, logs, slot), current, first.watched));
    note(&reloader, &first.snapshot, started);
    Ok(Started { reloader, running, admin })
}

/// Takes what became of requests, for as long as it is polled.
async fn tick(timeline: Arc<Timeline>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        timeline.tick(SystemTime::now());
    }
}

/// Opens the store, if the config has one.
fn keep(world: &World, store: Option<&Store>, registry: &prometheus::Registry) -> Result<Option<Arc<Keeper>>, String> {
    let Some(store) = store else { return Ok(None) };
    let keeper = keeping::open(store, &world.caps, &world.saved).map_err(|error| format!("store: {error}"))?;
    let keeper = Arc::new(keeper);
    if store.implied {
        keeping::tell_implied(store, &keeper);
    }
    StoreMetrics::register(Arc::clone(&keeper), registry).map_err(|error| error.to_string())?;
    drop(world.keeper.set(Arc::clone(&keeper)));
    Ok(Some(keeper))
}

/// The start is the first entry of the history.
fn note(reloader: &Reloader, snapshot: &Snapshot, started: Instant) {
    reloader.world.metrics.gateway().reload(ReloadOutcome::Applied, SystemTime::now());
    reloader.history.push(ReloadEntry {
        at: SystemTime::now(),
        trigger: snapshot.origin.trigger,
        outcome: ReloadOutcome::Applied,
        generation: snapshot.id,
        took: started.elapsed(),
        summary: "started".to_owned(),
    });
}

/// What serves where, a line each.
pub(crate) fn announce(reloader: &Reloader) -> Vec<String> {
    let snapshot = reloader.gateway.generations().current();
    let addresses = reloader.gateway.addresses();
    let width = snapshot.listeners.iter().map(|listener| listener.name.as_str().len()).max().unwrap_or(0);
    let line = |listener: &Arc<Listener>| {
        let bound = addresses.iter().find(|(name, _)| *name == listener.name.as_str());
        let bound: Vec<String> = bound.into_iter().flat_map(|(_, list)| list).map(ToString::to_string).collect();
        format!("listener {:width$}  {} on {}", listener.name.as_str(), speaks(listener), bound.join(", "))
    };
    let mut lines: Vec<String> = snapshot.listeners.iter().map(line).collect();
    lines.extend(reloader.admin_address().map(|address| format!("admin on http://{address}")));
    let hosts = snapshot.router.hosts().count();
    let routes: usize = snapshot.router.hosts().map(|host| host.routes().len()).sum();
    lines.push(format!(
        "generation {} serves {}, {} and {}",
        snapshot.id,
        count(hosts, "host"),
        count(routes, "route"),
        count(snapshot.clusters.len(), "cluster")
    ));
    lines
}

fn speaks(listener: &Listener) -> &'static str {
    match (&listener.kind, listener.tls.is_some()) {
        (ListenerKind::L4(_), _) => "its handler",
        (ListenerKind::Http { http1: true, http2: true }, true) => "HTTP/2 and HTTP/1.1 over TLS",
        (ListenerKind::Http { http2: true, .. }, true) => "HTTP/2 over TLS",
        (ListenerKind::Http { .. }, true) => "HTTP/1.1 over TLS",
        (ListenerKind::Http { http1: true, http2: true }, false) => "HTTP/1.1 and h2c",
        (ListenerKind::Http { http2: true, .. }, false) => "h2c",
        (ListenerKind::Http { .. }, false) => "HTTP/1.1",
    }
}
