//! A process that serves, until it ends: signals, a successor, the drain.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinHandle};

use portcullis_admin::{Change, UpgradeAsk};
use portcullis_proxy::DrainReport;
use portcullis_types::quantity::format_duration;

use crate::boot::Sockets;
use crate::lifecycle::{Lifecycle, Step};
use crate::output::count;
use crate::reload::{Reloader, Trigger};
use crate::systemd::Notify;
use crate::upgrade::{Parted, Parting, Upgrader};

/// How long what was asked of the admin API may take to be answered when the process ends.
const ADMIN_CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// Everything that ends or changes a running gateway from outside the network.
pub(crate) struct Signals {
    hangup: Signal,
    replace: Signal,
    terminate: Signal,
    interrupt: Signal,
    notify: Notify,
}

impl Signals {
    pub(crate) fn new(notify: Notify) -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            replace: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            notify,
        })
    }

    /// Waits for the word to end; other signals wait.
    pub(crate) async fn end_only(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for the word to end; reloads and replaces the binary meanwhile.
    async fn end(&mut self, reloader: &Arc<Reloader>, upgrader: &Arc<Upgrader>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => hangup(reloader, &self.notify),
                _ = self.replace.recv() => {
                    let upgrader = upgrader.clone();
                    // What comes of it is in the log.
                    tokio::spawn(async move { drop(upgrader.upgrade(UpgradeAsk::default()).await) });
                }
            }
        }
    }
}

/// Reads the config again in a task of its own, so that the word to end is heard meanwhile.
fn hangup(reloader: &Arc<Reloader>, notify: &Notify) {
    reloader.logs.reopen();
    if reloader.is_elsewhere() {
        // The process that serves is told by itself.
        return;
    }
    notify.reloading();
    let (reloader, notify) = (reloader.clone(), notify.clone());
    tokio::spawn(async move {
        // A reread is meant for whatever serves, so it is never stale; the outcome is in the log.
        drop(reloader.change(Trigger::Signal, Change::Reread, Trigger::Signal.by()).await);
        let generation = reloader.gateway.generations().peek().id;
        notify.ready(&format!("generation {generation} serves"));
    });
}

/// What a process is ended with.
pub(crate) struct Life {
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) notify: Notify,
    pub(crate) upgrader: Arc<Upgrader>,
    pub(crate) signals: Signals,
    pub(crate) successors: UnboundedReceiver<Parting>,
    /// Where the sockets came from: the process before this one, while it drains, hears of the end.
    pub(crate) sockets: Sockets,
}

impl Life {
    /// Serves until the word to end or until another process serves, and drains.
    pub(crate) async fn last(&mut self) {
        loop {
            tokio::select! {
                name = self.signals.end(&self.reloader, &self.upgrader) => {
                    if matches!(self.step_back_already().await, None | Some(Parted::Gone)) {
                        self.leave(name).await;
                    }
                    return;
                }
                Some(parting) = self.successors.recv() => {
                    if self.step_back(parting).await != Parted::Gone {
                        return;
                    }
                }
            }
        }
    }

    /// Writes the last lines and counts.
    pub(crate) async fn close(self) {
        // Nobody is answered from here on whose call could not be written down.
        self.reloader.admin.retire().await.close(ADMIN_CLOSES_WITHIN).await;
        let lost = self.reloader.logs.close();
        if lost > 0 {
            log::warn!(
                "logs: the last {} could not be written",
                count(usize::try_from(lost).unwrap_or(usize::MAX), "record")
            );
        }
        keep_rest(&self.reloader).await;
    }

    fn enter(&self, step: Step, says: &str) {
        self.lifecycle.enter(step);
        log::info!("{says}");
    }

    /// Ends for good: an upgrade that is under way is given up. Where it was too late for that, another process serves, and
    /// this one is to drain as after any upgrade.
    async fn step_back_already(&mut self) -> Option<Parted> {
        self.upgrader.end();
        tokio::select! {
            () = self.upgrader.decided() => {}
            name = self.signals.end(&self.reloader, &self.upgrader) => log::warn!("{name} again: the upgrade is not waited for"),
        }
        let parting = self.successors.try_recv().ok()?;
        Some(self.step_back(parting).await)
    }

    /// Says that it is not ready, serves for as long as load balancers need to see it, and drains. A second signal does
    /// not wait.
    async fn leave(&mut self, name: &str) {
        if let Some(before) = self.sockets.before() {
            before.leave();
        }
        let delay = self.reloader.gateway.generations().peek().settings.drain_delay;
        if delay.is_zero() {
            log::info!("{name}: `drain.delay` is 0s, so the drain begins at once");
        } else {
            let says = format!("{name}: not ready any more, serving for {}", format_duration(delay));
            self.enter(Step::Leaving, &says);
            self.notify.stopping(&says);
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                name = self.signals.end(&self.reloader, &self.upgrader) => log::warn!("{name} again: draining now"),
            }
        }
        let says = format!("{name}: draining, no new connections");
        self.enter(Step::Draining, &says);
        self.notify.stopping(&says);
        tokio::select! {
            report = self.reloader.gateway.drain() => tell(report),
            name = self.signals.end(&self.reloader, &self.upgrader) => log::warn!("{name} again: not waiting any longer"),
        }
    }

    /// The end of the drain, or of the process that serves; one that was told to end leaves the drain to go on.
    async fn drained_or_gone(
        &mut self,
        mut drain: Pin<&mut impl Future<Output = DrainReport>>,
        parting: &mut JoinHandle<Parted>,
    ) -> Option<Result<Parted, JoinError>> {
        let mut gone = None;
        while !matches!(gone, Some(Ok(Parted::Gone) | Err(_))) {
            tokio::select! {
                parted = &mut *parting, if gone.is_none() => {
                    if matches!(parted, Ok(Parted::Left)) {
                        log::info!("upgrade: the process that serves has ended as it was told; this one ends with its drain");
                    }
                    gone = Some(parted);
                }
                report = &mut drain => {
                    tell(report);
                    break;
                }
                () = second_signal(&mut self.signals, (&self.reloader, &self.upgrader)) => break,
            }
        }
        gone
    }

    /// Leaves the sockets to a process that serves, and drains; when that one dies before all is over, takes them back.
    async fn step_back(&mut self, (successor, admin): Parting) -> Parted {
        let (pid, version) = (successor.pid(), successor.version.clone());
        self.enter(Step::Draining, &format!("draining: process {pid} ({version}) serves, no new connections here"));
        let admin = tokio::spawn(admin.close(ADMIN_CLOSES_WITHIN));
        let (drained, over) = channel::<()>();
        let reloader = self.reloader.clone();
        let mut parting = tokio::task::spawn_blocking(move || {
            let keeper = reloader.world.keeper.get();
            let parted = successor.accompany(&reloader.gateway, keeper, &over);
            if let Some(keeper) = keeper.filter(|_| parted != Parted::Done) {
                keeper.take_back();
            }
            parted
        });
        let gateway = self.reloader.gateway.clone();
        let drain = std::pin::pin!(gateway.step_back());
        let gone = self.drained_or_gone(drain, &mut parting).await;
        let admin = admin.await.ok().flatten();
        drop(drained);
        let parted = match gone {
            Some(parted) => parted,
            None => parting.await,
        };
        // A thread of ours that broke off says nothing of the other process, which serves.
        let parted = parted.unwrap_or(Parted::Done);
        if parted == Parted::Gone {
            log::error!("upgrade: process {pid} is gone; this process serves again");
            self.reloader.gateway.resume();
            self.reloader.take_back().await;
            self.enter(Step::Serving, "serving again");
            self.reloader.admin.serve_again(admin);
            self.notify.main_is(std::process::id());
            self.notify.ready("serves again after its successor died");
        }
        parted
    }
}

/// Resolves at the second signal to end: the first comes to all processes of a service.
async fn second_signal(signals: &mut Signals, (reloader, upgrader): (&Arc<Reloader>, &Arc<Upgrader>)) {
    let name = signals.end(reloader, upgrader).await;
    log::info!("{name}: this process drains already");
    let name = signals.end(reloader, upgrader).await;
    log::warn!("{name} again: not waiting any longer");
}

fn tell(report: DrainReport) {
    let took = format_duration(Duration::from_millis(u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX)));
    if report.complete {
        log::info!("drained in {took}");
    } else {
        log::warn!("drained for {took}, as long as it may; {} cut off", count(report.left, "connection"));
    }
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
