//! The start: from a checked config to a gateway that serves, its admin API beside it.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use portcullis_admin::{AdminBindError, AdminServer, AdminState, Bound, ReloadEntry};
use portcullis_caps::LedgerOptions;
use portcullis_config::Checked;
use portcullis_proxy::{Gateway, Inherited, Observers};
use portcullis_snapshot::settings::{Admin, Store};
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
use crate::systemd;
use crate::upgrade::Newcomer;
use crate::world::{World, serve_plans};

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

/// Where listening sockets come from that need not be bound.
pub(crate) enum Sockets {
    /// A service manager, which may have opened none.
    Passed(Inherited),
    /// The process before this one.
    From(Box<Newcomer>),
}

impl Sockets {
    const fn listeners(&self) -> &Inherited {
        match self {
            Self::Passed(passed) => passed,
            Self::From(newcomer) => &newcomer.listeners,
        }
    }

    const fn admin(&self) -> &Inherited {
        match self {
            Self::Passed(passed) => passed,
            Self::From(newcomer) => &newcomer.admin,
        }
    }

    /// Says of sockets that no listener is for, and closes them.
    pub(crate) fn tell_unused(&self) {
        match self {
            Self::Passed(passed) => systemd::tell_unused(&passed.rest()),
            Self::From(newcomer) => {
                for one in newcomer.listeners.rest().into_iter().chain(newcomer.admin.rest()) {
                    let bind = one.bind.map(|bind| bind.to_string()).unwrap_or_default();
                    log::info!(
                        "the listener {} on {bind} is not in the config any more",
                        one.name.as_deref().unwrap_or("admin")
                    );
                }
            }
        }
    }

    /// The process before this one.
    pub(crate) const fn before(&self) -> Option<&Newcomer> {
        match self {
            Self::Passed(_) => None,
            Self::From(newcomer) => Some(newcomer),
        }
    }
}

/// The name by which a service manager passes the admin API's socket.
const ADMIN: &str = "admin";

/// The admin listener as it is now; a reload may move it.
pub(crate) struct AdminSlot {
    state: Arc<AdminState>,
    open: Mutex<Option<(SocketAddr, AdminServer)>>,
}

/// An admin listener that is bound and not served yet, with the address of the config; `None` for none.
pub(crate) struct PreparedAdmin(Option<(SocketAddr, Bound)>);

impl AdminSlot {
    fn new(state: Arc<AdminState>) -> Self {
        Self { state, open: Mutex::default() }
    }

    /// Binds what a config says; `None` when that is open already.
    pub(crate) fn prepare(&self, settings: Option<&Admin>) -> Result<Option<PreparedAdmin>, AdminBindError> {
        let wanted = settings.map(|admin| admin.bind);
        if self.open.lock().as_ref().map(|(address, _)| *address) == wanted {
            return Ok(None);
        }
        bind(settings, &Inherited::default()).map(Some)
    }

    /// The socket and its address of the config, for another process.
    pub(crate) fn socket(&self) -> std::io::Result<Option<(SocketAddr, OwnedFd)>> {
        let open = self.open.lock();
        open.as_ref().map(|(address, server)| Ok((*address, server.socket()?))).transpose()
    }

    /// Stops to serve, as another process does it; what is given can be served again.
    pub(crate) fn retire(&self) -> Option<Retired> {
        let (address, server) = self.open.lock().take()?;
        let socket = server.socket().inspect_err(|error| log::error!("admin: {error}")).ok();
        Some(Retired { address, server, socket })
    }

    /// Serves again at a socket that was retired.
    pub(crate) fn serve_again(&self, (address, socket): (SocketAddr, OwnedFd)) {
        match Bound::adopt(address, socket.into()) {
            Ok(bound) => *self.open.lock() = Some((address, bound.serve(self.state.clone()))),
            Err(error) => log::error!("{error}"),
        }
    }

    /// Serves what was bound, and stops what served before.
    pub(crate) fn commit(&self, PreparedAdmin(prepared): PreparedAdmin) {
        let next = prepared.map(|(address, bound)| (address, bound.serve(self.state.clone())));
        *self.open.lock() = next;
    }

    /// Looks at what serves.
    pub(crate) fn with<T>(&self, look: impl FnOnce(Option<&AdminServer>) -> T) -> T {
        look(self.open.lock().as_ref().map(|(_, server)| server))
    }
}

/// An admin listener that does not serve any more.
pub(crate) struct Retired {
    address: SocketAddr,
    server: AdminServer,
    socket: Option<OwnedFd>,
}

impl Retired {
    /// Waits until what was asked has its answer; gives what is needed to serve again.
    pub(crate) async fn close(self, within: Duration) -> Option<(SocketAddr, OwnedFd)> {
        self.server.close(within).await;
        Some((self.address, self.socket?))
    }
}

fn bind(settings: Option<&Admin>, inherited: &Inherited) -> Result<PreparedAdmin, AdminBindError> {
    let bound = settings.map(|admin| {
        let bound = match inherited.take(ADMIN, admin.bind) {
            Some(socket) => Bound::adopt(admin.bind, socket),
            None => Bound::bind(admin.bind),
        };
        bound.map(|bound| (admin.bind, bound))
    });
    bound.transpose().map(PreparedAdmin)
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
        reloader.admin.commit(admin);
        // Ready from here on.
        drop(running.reloader.set(reloader.clone()));
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
