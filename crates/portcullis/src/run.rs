//! `run`: the process from its start to the end of its drain.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use portcullis_proxy::Inherited;
use portcullis_telemetry::Metrics;
use portcullis_telemetry::metrics::{Build, MetricsOptions};

use crate::app::{App, finish};
use crate::boot::{self, Brought, First, Sockets};
use crate::cli::RunArgs;
use crate::consumers::metrics::Counted;
use crate::life::{Life, Signals};
use crate::output::count;
use crate::reload::Reloader;
use crate::systemd::{self, Notify};
use crate::upgrade::{Launch, Newcomer, Upgrader};
use crate::world::World;
use crate::{descriptors, first, logging, watch};

/// How long tasks that ignore the drain may take to go when the process ends.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs a gateway to its end.
pub(crate) fn run(app: App, args: &RunArgs) -> ExitCode {
    logging::start();
    // Before there are threads, and before anything else has a descriptor or may fail: the process before this one waits.
    let sockets = match Newcomer::from_env(app.version) {
        Ok(Some(newcomer)) => Sockets::From(Box::new(newcomer)),
        Ok(None) => Sockets::Passed(Inherited::new(systemd::sockets())),
        Err(error) => return finish(Err(error)),
    };
    let registry = prometheus::Registry::new();
    let build = Build { version: app.version.to_owned(), commit: String::new() };
    let metrics = Metrics::new(&registry, MetricsOptions { build, ..MetricsOptions::default() });
    let metrics = match metrics.and_then(|metrics| metrics.attach_rpc(&registry, &app.rpc).map(|()| metrics)) {
        Ok(metrics) => Arc::new(metrics),
        Err(error) => return finish(Err(format!("the metrics cannot be registered: {error}"))),
    };
    let launch = Launch::of(&app.line);
    let world = World::with_store(&args.config, app.registry, app.seams, metrics, app.store).counting(app.rpc);
    if let Err(error) = registry.register(Box::new(Counted::new(Arc::clone(&world.consumers.identities)))) {
        return finish(Err(format!("the metrics cannot be registered: {error}")));
    }
    let fallback = args.last_good.then_some(args.history.as_deref());
    let Some(first) = first::load(&world, fallback, sockets.before()) else { return ExitCode::FAILURE };
    let brought = Brought { version: app.version, sinks: app.sinks, registry };
    log::info!("{} {}, config {}", app.name, app.version, args.config.display());
    match descriptors::raise() {
        Some(limit) => log::debug!("up to {limit} open descriptors"),
        None => log::debug!("no limit of open descriptors"),
    }
    let threads = first.snapshot.settings.threads;
    let runtime = match runtime(threads) {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(format!("the runtime cannot start: {error}"))),
    };
    let outcome = runtime.block_on(serve(world, first, (brought, sockets), (launch, !args.no_watch)));
    runtime.shutdown_timeout(SHUTDOWN);
    finish(outcome.map(|()| true))
}

/// What requests run on. A single thread has nobody to share its queue with, and does without what sharing takes.
fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).thread_name("gateway").enable_all().build()
}

/// Serves; with `watched`, changes of the config's files count from when they were read.
async fn serve(
    world: World,
    mut first: First,
    (brought, sockets): (Brought, Sockets),
    (launch, watched): (Launch, bool),
) -> Result<(), String> {
    // Caught before anything serves: a signal that comes early must not kill what it meant to drain.
    let notify = Notify::from_env();
    let mut signals = Signals::new(notify.clone()).map_err(|error| format!("signals cannot be caught: {error}"))?;
    // Names, files and other sources of endpoints: most answer at once, and the first request finds their endpoints.
    world.discovery.follow(&first.snapshot.settings.dns);
    world.discovery.settle().await;
    let consumers = Arc::clone(&world.consumers);
    first.consumers.take().into_iter().for_each(|prepared| consumers.commit(prepared));
    consumers.settle().await;
    let version = brought.version;
    let started = boot::start(world, first, (brought, &sockets))?;
    if let Some(before) = sockets.before() {
        tokio::select! {
            word = before.wait_for_word(&started.reloader.gateway) => word?,
            name = signals.end_only() => return Err(format!("{name} before this process served")),
        }
    }
    let (lifecycle, running) = (started.running.lifecycle.clone(), started.running.clone());
    let (upgrader, successors) =
        Upgrader::new((launch, version), started.reloader.clone(), (lifecycle.clone(), notify.clone()));
    drop(running.upgrader.set(upgrader.clone()));
    let reloader = started.open();
    sockets.tell_unused();
    if let Some(before) = sockets.before() {
        before.follow(reloader.world.keeper.get().cloned(), lifecycle.clone());
    }
    boot::announce(&reloader).iter().for_each(|line| log::info!("{line}"));
    notify.ready(&serving(&reloader, version));
    notify.keep_watchdog_quiet();
    let watchers = watched
        .then(|| [tokio::spawn(watch::follow(reloader.clone())), tokio::spawn(watch::follow_consumers(consumers))]);
    let mut life = Life { reloader, lifecycle, notify, upgrader, signals, successors, sockets };
    life.last().await;
    watchers.iter().flatten().for_each(JoinHandle::abort);
    life.close().await;
    Ok(())
}

/// One line of what serves, for a service manager.
fn serving(reloader: &Reloader, version: &str) -> String {
    let snapshot = reloader.gateway.generations().current();
    format!("{version}: generation {} serves {}", snapshot.id, count(snapshot.listeners.len(), "listener"))
}
