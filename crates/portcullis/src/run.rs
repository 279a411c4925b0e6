//! `run`: the process from its start to the end of its drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use portcullis_admin::Change;
use portcullis_telemetry::Metrics;
use portcullis_telemetry::metrics::{Build, MetricsOptions};
use portcullis_types::quantity::format_duration;

use crate::app::{App, finish};
use crate::boot::{self, Brought, First};
use crate::cli::RunArgs;
use crate::consumers::metrics::Counted;
use crate::output::count;
use crate::reload::{Reloader, Trigger};
use crate::world::World;
use crate::{descriptors, first, logging, watch};

/// How long tasks that ignore the drain may take to go when the process ends.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs a gateway to its end.
pub(crate) fn run(app: App, args: &RunArgs) -> ExitCode {
    logging::start();
    let registry = prometheus::Registry::new();
    let build = Build { version: app.version.to_owned(), commit: String::new() };
    let metrics = Metrics::new(&registry, MetricsOptions { build, ..MetricsOptions::default() });
    let metrics = match metrics.and_then(|metrics| metrics.attach_rpc(&registry, &app.rpc).map(|()| metrics)) {
        Ok(metrics) => Arc::new(metrics),
        Err(error) => return finish(Err(format!("the metrics cannot be registered: {error}"))),
    };
    let world = World::with_store(&args.config, app.registry, app.seams, metrics, app.store).counting(app.rpc);
    if let Err(error) = registry.register(Box::new(Counted::new(Arc::clone(&world.consumers.identities)))) {
        return finish(Err(format!("the metrics cannot be registered: {error}")));
    }
    let brought = Brought { version: app.version, sinks: app.sinks, registry };
    let fallback = args.last_good.then_some(args.history.as_deref());
    let Some(first) = first::load(&world, fallback) else { return ExitCode::FAILURE };
    log::info!("{} {}, config {}", app.name, app.version, args.config.display());
    match descriptors::raise() {
        Some(limit) => log::debug!("up to {limit} open descriptors"),
        None => log::debug!("no limit of open descriptors"),
    }
    let threads = first.snapshot.settings.threads;
    let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name("gateway").enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(format!("the runtime cannot start: {error}"))),
    };
    let outcome = runtime.block_on(serve(world, first, brought, !args.no_watch));
    runtime.shutdown_timeout(SHUTDOWN);
    finish(outcome.map(|()| true))
}

/// Everything that ends or changes a running gateway from outside the network.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the word to end; reloads meanwhile.
    async fn end(&mut self, reloader: &Arc<Reloader>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => hangup(reloader),
            }
        }
    }
}

/// Serves; with `watched`, changes of the config's files count from when they were read.
async fn serve(world: World, mut first: First, brought: Brought, watched: bool) -> Result<(), String> {
    // Caught before anything serves: a signal that comes early must not kill what it meant to drain.
    let mut signals = Signals::new().map_err(|error| format!("signals cannot be caught: {error}"))?;
    // Names, files and other sources of endpoints: most answer at once, and the first request finds their endpoints.
    world.discovery.follow(&first.snapshot.settings.dns);
    world.discovery.settle().await;
    let consumers = Arc::clone(&world.consumers);
    first.consumers.take().into_iter().for_each(|prepared| consumers.commit(prepared));
    consumers.settle().await;
    let reloader = boot::start(world, first, brought)?;
    boot::announce(&reloader).iter().for_each(|line| log::info!("{line}"));
    let watchers = watched
        .then(|| [tokio::spawn(watch::follow(reloader.clone())), tokio::spawn(watch::follow_consumers(consumers))]);
    let name = signals.end(&reloader).await;
    watchers.iter().flatten().for_each(JoinHandle::abort);
    drain(&reloader, name, &mut signals).await;
    // Nobody spends any more: what was spent last is written.
    keep_rest(&reloader).await;
    Ok(())
}

/// Writes what is counted for objectives and what the ledger still has, and gives leases back.
async fn keep_rest(reloader: &Reloader) {
    if let Some(file) = reloader.gateway.generations().current().settings.slos_file.clone() {
        let slos = reloader.world.slos.clone();
        let saved = tokio::task::spawn_blocking(move || slos.save(&file, SystemTime::now())).await;
        saved.unwrap_or_else(|error| log::error!("error budgets: {error}"));
    }
    let Some(keeper) = reloader.world.keeper.get().cloned() else { return };
    match tokio::task::spawn_blocking(move || keeper.shutdown()).await {
        Ok(status) if status.saving.pending > 0 => {
            log::error!(
                "store: {} of quotas and usage could not be written: {}",
                status.saving.pending,
                status.saving.last_error.unwrap_or_default()
            );
        }
        Ok(_) => {}
        Err(error) => log::error!("store: {error}"),
    }
}

/// Reads the config again in a task of its own, so that the word to end is heard meanwhile.
fn hangup(reloader: &Arc<Reloader>) {
    reloader.logs.reopen();
    let reloader = reloader.clone();
    tokio::spawn(async move {
        // A reread is meant for whatever serves, so it is never stale; the outcome is in the log.
        drop(reloader.change(Trigger::Signal, Change::Reread, Trigger::Signal.by()).await);
    });
}

/// Lets requests in flight end; a second signal does not wait for them.
async fn drain(reloader: &Arc<Reloader>, name: &str, signals: &mut Signals) {
    log::info!("{name}: draining, no new connections");
    tokio::select! {
        report = reloader.gateway.drain() => {
            let took = format_duration(Duration::from_millis(u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX)));
            if report.complete {
                log::info!("drained in {took}");
            } else {
                log::warn!("drained for {took}, as long as it may; {} cut off", count(report.left, "connection"));
            }
        }
        name = signals.end(reloader) => log::warn!("{name} again: not waiting any longer"),
    }
    // Nobody is answered from here on whose call could not be written down.
    reloader.admin.close();
    let lost = reloader.logs.close();
    if lost > 0 {
        log::warn!(
            "logs: the last {} could not be written",
            count(usize::try_from(lost).unwrap_or(usize::MAX), "record")
        );
    }
}
