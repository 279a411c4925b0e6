//! The start: from a checked config to a gateway that serves, its admin API beside it.

mod sockets;

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use portcullis_admin::{
    AdminListeners, AdminState, Audit, Failures, Health, Overrides, Prepared as PreparedAdmin, ReloadEntry,
};
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
use crate::history::{Fate, History, Meta};
use crate::keeping::{self, StoreMetrics};
use crate::lifecycle::{Lifecycle, Step};
use crate::logs::Logs;
use crate::output::count;
use crate::reload::{self, Current, Parts, Reloader, Served, Trigger};
use crate::slos::{SloMetrics, Slos};
use crate::sources::Sources;
use crate::traffic;
use crate::upgrade::Newcomer;
use crate::world::{World, serve_plans};

/// How often somebody looks at the gateway, and how often what is counted for objectives is written.
const LOOK: Duration = Duration::from_secs(5);
const SAVE: Duration = Duration::from_secs(60);

pub(crate) use sockets::Sockets;

/// The first generation, and what the next one is compared with.
pub(crate) struct First {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) checked: Arc<Checked>,
    pub(crate) watched: State,
    /// Who may call; taken when it is put to use.
    pub(crate) consumers: Option<Prepared>,
    pub(crate) sources: Sources,
    /// Its texts, where they are not the files'.
    pub(crate) applied: Option<Sources>,
    pub(crate) history: History,
    /// The generation of the history that it is, and what was wrong with the file that it stands for.
    pub(crate) fallen: Option<(u64, String)>,
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
    state: Arc<AdminState>,
    admin: PreparedAdmin,
    began: Began,
}

/// What the history says of the start.
struct Began {
    started: Instant,
    sources: Sources,
    fallen: Option<(u64, String)>,
    /// Its texts are not the files'.
    applied: bool,
}

impl Started {
    /// Begins to accept, to serve the admin API, and to look after all that has to be looked after.
    pub(crate) fn open(self) -> Arc<Reloader> {
        let Self { reloader, running, state, admin, began } = self;
        reloader.gateway.open();
        running.lifecycle.enter(Step::Serving);
        let snapshot = reloader.gateway.generations().current();
        note(&reloader, &snapshot, &began);
        reloader.traffic.read(&snapshot, &reloader.world.metrics, Instant::now());
        tokio::spawn(Arc::clone(&running.counting).run());
        tokio::spawn(Arc::clone(&state.overrides).run());
        tokio::spawn(look(Arc::downgrade(&state), running.slos.clone()));
        tokio::spawn(look_around(Arc::downgrade(&reloader)));
        tokio::spawn(tick(Arc::downgrade(&reloader)));
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
    let admin = PreparedAdmin::new(settings.admin.as_ref(), sockets.admin(settings.admin.as_ref()));
    let admin = admin.map_err(|error| error.to_string())?;
    let audit = Arc::new(Audit::default());
    let outcomes = Arc::new(Outcomes::default());
    let timeline = Arc::new(Timeline::new(outcomes.clone()));
    let counted = [outcomes as Arc<dyn RecordSink>, world.slos.clone()];
    let sinks = brought.sinks.into_iter().chain(counted).collect();
    let logs = Arc::new(Logs::new(world.metrics.clone(), sinks, audit.clone()));
    let open = logs.prepare(settings)?;
    logs.commit(open);
    let recent = Arc::new(Ring::new(RingOptions { recent: settings.recent_requests, ..RingOptions::default() }));
    world.metrics.attach_sink("recent", recent.clone() as Arc<dyn SinkStats>);
    let observers = Observers { metrics: world.metrics.clone(), recent: recent.clone(), sinks: logs.sinks() };
    if let Some(before) = sockets.before() {
        before.store()?;
    }
    let keeper = keep(&world, settings.store.as_ref(), &brought.registry)?;
    let kept = (world.saved.clone(), keeper);
    let most = LedgerOptions::default().most_consumers;
    let counting = Arc::new(Counting::new(world.caps.clone(), kept, &world.metrics, most));
    CapMetrics::register(world.caps.clone(), &brought.registry).map_err(|error| error.to_string())?;
    serve_plans(&world.caps, &first.snapshot);
    let overrides = overrides(&world, &first.snapshot, sockets.before());
    let gateway = Gateway::prepare(first.snapshot.clone(), observers, sockets.listeners());
    let gateway = gateway.map_err(|error| error.to_string())?;
    let lifecycle = Arc::<Lifecycle>::default();
    lifecycle.register(&brought.registry).map_err(|error| error.to_string())?;
    world.own_requests.bind(&gateway);
    let (shown, logs_too, slos) = (gateway.clone(), logs.clone(), world.slos.clone());
    let (reloader, upgrader) = (OnceLock::new(), OnceLock::new());
    let running = Arc::new(Running { gateway: shown, logs: logs_too, counting, slos, lifecycle, reloader, upgrader });
    let health = Arc::<Health>::default();
    health.register(&brought.registry).map_err(|error| error.to_string())?;
    let generations = gateway.generations().clone();
    SloMetrics::register(world.slos.clone(), generations, &brought.registry).map_err(|error| error.to_string())?;
    let state = Arc::new(AdminState {
        version: brought.version.to_owned(),
        started,
        generations: gateway.generations().clone(),
        registry: brought.registry,
        recent: recent.clone(),
        timeline: timeline.clone(),
        identities: world.consumers.identities.clone(),
        audit,
        overrides,
        failures: Failures::default(),
        health,
        control: running.clone(),
    });
    let listeners = AdminListeners::new(state.clone());
    let First { snapshot, checked, watched, sources, applied, history, fallen, .. } = first;
    // What was applied is whose it was in the process before.
    let by = sockets.before().filter(|_| applied.is_some()).map(|before| (before.who(), Trigger::Api.as_str()));
    let (who, trigger) = by.unwrap_or_else(|| ("the start".to_owned(), snapshot.origin.trigger));
    let served = Served {
        id: snapshot.id,
        who,
        at: SystemTime::now(),
        trigger,
        texts: sources.fingerprint(),
        fallen: fallen.as_ref().map(|(_, why)| why.clone()),
    };
    let parts = Parts { gateway, logs, admin: listeners, recent, timeline, history, watched, served };
    let began = Began { started, sources, fallen, applied: applied.is_some() };
    let reloader = Arc::new(Reloader::new(world, Current { checked, id: snapshot.id, applied }, parts));
    Ok(Started { reloader, running, state, admin, began })
}

/// What operators said before the last end, or to the process before this one, put to work again.
fn overrides(world: &World, snapshot: &Snapshot, before: Option<&Newcomer>) -> Arc<Overrides> {
    let folder = snapshot.settings.data();
    // Where a folder was just taken out of the config, what the other process kept there is not heard of here.
    let carried = before.and_then(Newcomer::overrides).filter(|_| folder.is_none()).map(Overrides::of);
    let carried = carried.and_then(|read| read.inspect_err(|error| log::error!("overrides are lost: {error}")).ok());
    let overrides = Arc::new(carried.unwrap_or_else(|| Overrides::open(folder)));
    overrides.restore(snapshot, &world.consumers.identities);
    overrides
}

/// Looks after what nobody tells of: counters to be read, a file that changed, a disk that can be written again.
async fn look_around(reloader: Weak<Reloader>) {
    let mut ticks = tokio::time::interval(traffic::EVERY);
    // The first is at once, and the start has looked already.
    ticks.tick().await;
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(reloader) = reloader.upgrade() else { return };
        let looking = tokio::task::spawn_blocking(move || {
            let serves = reloader.gateway.generations().current();
            reloader.traffic.read(&serves, &reloader.world.metrics, Instant::now());
            reloader.look_around();
        });
        if let Err(error) = looking.await {
            log::error!("looking after the config broke off: {error}");
        }
    }
}

/// Takes what became of requests, and tells a trial of it.
async fn tick(reloader: Weak<Reloader>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(reloader) = reloader.upgrade() else { return };
        let steps = reloader.timeline.tick(SystemTime::now());
        reloader.feed_trial(steps).await;
    }
}

/// Looks at the gateway every few seconds, and keeps what is counted for objectives, for as long as it is there.
async fn look(state: Weak<AdminState>, slos: Arc<Slos>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut saved = Instant::now();
    loop {
        ticks.tick().await;
        let Some(state) = state.upgrade() else { return };
        let now = SystemTime::now();
        slos.tick(now);
        drop(state.look(now));
        let file = state.generations.current().settings.slos_file.clone();
        let Some(file) = file.filter(|_| saved.elapsed() >= SAVE) else { continue };
        saved = Instant::now();
        let slos = slos.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || slos.save(&file, now)).await {
            log::error!("error budgets: {error}");
        }
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

/// The start is the first reload of a process, and a generation of the history.
fn note(reloader: &Reloader, snapshot: &Snapshot, Began { started, sources, fallen, applied }: &Began) {
    let fallen = fallen.as_ref();
    let at = SystemTime::now();
    reloader.world.metrics.gateway().reload(ReloadOutcome::Applied, at);
    let summary = fallen.map_or_else(
        || "started".to_owned(),
        |(number, _)| format!("started on generation {number}, the last good one"),
    );
    reloader.history.push(ReloadEntry {
        at,
        trigger: snapshot.origin.trigger,
        outcome: ReloadOutcome::Applied,
        generation: snapshot.id,
        took: started.elapsed(),
        summary: summary.clone(),
    });
    let meta = Meta {
        number: snapshot.id.0,
        at,
        who: "the start".to_owned(),
        trigger: snapshot.origin.trigger.to_owned(),
        note: None,
        fate: Fate::Applied,
        verdict: None,
        hash: Some(snapshot.origin.hash.clone()),
        texts: sources.fingerprint(),
        summary,
        of: fallen.map(|(number, _)| *number),
    };
    reloader.history.keep(reload::entry(meta, sources));
    if fallen.is_some() {
        reloader.world.metrics.changes().set_last_good(true);
        let (texts, _) = reloader.world.on_disk();
        reloader.drift.refused(&texts.fingerprint());
    }
    if fallen.is_some() || *applied {
        reloader.look_around();
    }
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
    let admin = snapshot.settings.admin.as_ref();
    let scheme = if admin.is_some_and(|admin| admin.tls.is_some()) { "https" } else { "http" };
    lines.extend(reloader.admin.local_addr().map(|address| format!("admin on {scheme}://{address}")));
    lines.extend(reloader.admin.socket().map(|path| format!("admin on unix:{}", path.display())));
    let hosts = snapshot.router.hosts().count();
    let routes: usize = snapshot.router.hosts().map(|host| host.routes().len()).sum();
    lines.push(format!(
        "generation {} serves {}, {} and {}",
        snapshot.id,
        count(hosts, "host"),
        count(routes, "route"),
        count(snapshot.clusters.len(), "cluster")
    ));
    if reloader.served().fallen.is_some() {
        let file = reloader.world.path.display();
        lines.push(format!("THIS IS THE LAST GOOD GENERATION: {file} had errors and is not used"));
    }
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
