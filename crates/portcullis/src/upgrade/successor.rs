//! The old process's part until the new one serves: it starts it, gives it what it needs, and judges it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, mpsc};

use portcullis_admin::{Retired, UpgradeAsk, Upgraded};

use super::carried::Carried;
use super::launch::{Launch, trusted};
use super::talk::{Talk, Why};
use super::wire::{BATCH, Wire, borrowed, large};
use super::words::LastWords;
use super::{MARK, Named, New, Old, PROTOCOL, step};
use crate::lifecycle::{Lifecycle, Step};
use crate::reload::{Current, Reloader};
use crate::systemd::{Notify, OF_THIS_PROCESS};

/// How long the new process may take to be ready when nobody says otherwise.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take from the word to accept until it does.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(10);

/// A new process that serves.
pub(crate) struct Successor {
    pub(super) wire: Wire,
    pub(super) child: Child,
    pub(crate) version: String,
    /// Until this is dropped no change of the config begins: while another process serves, this one changes nothing.
    pub(super) hold: OwnedMutexGuard<Current>,
}

impl Successor {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// A new process that serves, and the admin listeners that it serves in place of this one.
pub(crate) type Parting = (Successor, Retired);

/// Replaces the binary of a running gateway.
pub(crate) struct Upgrader {
    launch: Launch,
    version: &'static str,
    reloader: Arc<Reloader>,
    lifecycle: Arc<Lifecycle>,
    notify: Notify,
    /// Where a successor is reported to, for this process to drain.
    done: mpsc::UnboundedSender<Parting>,
    under_way: Mutex<UnderWay>,
    /// Held from the beginning of an upgrade until its outcome is known to whoever acts on it.
    busy: AsyncMutex<()>,
}

#[derive(Default)]
struct UnderWay {
    running: bool,
    /// This process ends by itself: nobody follows it.
    over: bool,
    wire: Option<Wire>,
}

impl Upgrader {
    pub(crate) fn new(
        (launch, version): (Launch, &'static str),
        reloader: Arc<Reloader>,
        (lifecycle, notify): (Arc<Lifecycle>, Notify),
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Parting>) {
        let (done, successors) = mpsc::unbounded_channel();
        let (under_way, busy) = (Mutex::default(), AsyncMutex::default());
        (Arc::new(Self { launch, version, reloader, lifecycle, notify, done, under_way, busy }), successors)
    }

    /// Replaces the binary, whether or not anybody waits for the answer.
    ///
    /// # Errors
    /// A sentence: why this process goes on as if nothing had been asked.
    pub(crate) async fn upgrade(self: &Arc<Self>, asked: UpgradeAsk) -> Result<Upgraded, String> {
        let this = self.clone();
        tokio::spawn(async move { this.attempt(asked).await }).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// This process ends: a successor that does not serve yet is given up, and none is started any more.
    pub(crate) fn end(&self) {
        let mut under_way = self.under_way.lock();
        under_way.over = true;
        if let Some(wire) = &under_way.wire {
            wire.hear_no_more();
        }
    }

    /// Waits until it is known what came of the upgrade that is under way, if there is one.
    pub(crate) async fn decided(&self) {
        drop(self.busy.lock().await);
    }

    async fn attempt(self: &Arc<Self>, asked: UpgradeAsk) -> Result<Upgraded, String> {
        self.begin().inspect_err(|why| log::error!("upgrade: refused: {why}"))?;
        let _busy = self.busy.lock().await;
        let (started, pid) = (Instant::now(), std::process::id());
        // A change that is under way ends first; none begins until this is decided.
        let hold = self.reloader.hold().await;
        self.lifecycle.enter(Step::Upgrading);
        log::info!("upgrade: starting {}", asked.binary.as_ref().unwrap_or(&self.launch.binary).display());
        let this = self.clone();
        let outcome = tokio::task::spawn_blocking(move || this.replace(&asked, hold)).await;
        let outcome = outcome.unwrap_or_else(|error| Err(format!("the upgrade broke off: {error}")));
        if outcome.is_err() {
            self.reloader.take_back().await;
        }
        let over = {
            let mut under_way = self.under_way.lock();
            (under_way.running, under_way.wire) = (false, None);
            under_way.over
        };
        match outcome {
            Ok(successor) => {
                let upgraded = Upgraded {
                    pid: successor.pid(),
                    version: successor.version.clone(),
                    before: pid,
                    took: started.elapsed(),
                };
                log::info!("upgrade: process {} ({}) serves", upgraded.pid, upgraded.version);
                self.reloader.serve_elsewhere();
                // Before the answer: who asks next asks the new one.
                let admin = self.reloader.admin.retire().await;
                drop(self.done.send((successor, admin)));
                Ok(upgraded)
            }
            Err(why) => {
                if !over {
                    self.lifecycle.enter(Step::Serving);
                }
                log::error!("upgrade: not done, this process goes on: {why}");
                Err(why)
            }
        }
    }

    fn begin(&self) -> Result<(), String> {
        let mut under_way = self.under_way.lock();
        if under_way.over || !self.reloader.gateway.is_ready() {
            return Err("this process drains".to_owned());
        }
        if std::process::id() == 1 {
            let why =
                "this process is the first of its container, with which everything in it ends: replace the container";
            return Err(why.to_owned());
        }
        if std::mem::replace(&mut under_way.running, true) {
            return Err("an upgrade is under way".to_owned());
        }
        Ok(())
    }

    /// Starts the new process and leads it to the point where it serves; otherwise nothing of it is left.
    fn replace(&self, asked: &UpgradeAsk, hold: OwnedMutexGuard<Current>) -> Result<Successor, String> {
        if let Some(number) = self.reloader.trials.under_way() {
            return Err(format!("generation {number} is on trial: promote or abort it first"));
        }
        let within = asked.within.unwrap_or(READY_WITHIN);
        if let Some(binary) = &asked.binary {
            trusted(binary)?;
        }
        let binary = asked.binary.as_ref().unwrap_or(&self.launch.binary);
        let (wire, end) = Wire::pair().map_err(|error| error.to_string())?;
        {
            let mut under_way = self.under_way.lock();
            if under_way.over {
                return Err("this process was told to end".to_owned());
            }
            under_way.wire = wire.try_clone().ok();
        }
        let mut child = self.spawn(binary, end).map_err(|error| format!("{}: {error}", binary.display()))?;
        let words = child.stderr.take().and_then(|stderr| LastWords::hear(stderr, child.id()).ok());
        let mut talk = Talk { wire, deadline: Instant::now() + within, within, store: false, told: false };
        match self.lead(&mut talk, &hold, child.id()) {
            Ok(version) => Ok(Successor { wire: talk.wire, child, version, hold }),
            Err(why) => {
                // Whatever it does, it must not serve.
                drop(child.kill());
                let ended = child.wait();
                if let Some(keeper) = self.reloader.world.keeper.get().filter(|_| talk.store) {
                    keeper.take_back();
                }
                if talk.told {
                    self.notify.main_is(std::process::id());
                }
                let why = why.sentence(ended.ok(), self.under_way.lock().over);
                Err(words.map_or(why.clone(), |words| words.after(&why)))
            }
        }
    }

    fn spawn(&self, binary: &Path, end: OwnedFd) -> std::io::Result<Child> {
        let mut command = Command::new(binary);
        for name in OF_THIS_PROCESS {
            command.env_remove(name);
        }
        command.args(&self.launch.args).env(MARK, "1").stdin(end).stderr(Stdio::piped()).spawn()
    }

    fn lead(&self, talk: &mut Talk, current: &Current, pid: u32) -> Result<String, Why> {
        let New::Hello { protocol, version } = talk.hear()? else { return Err(Why::Confused) };
        if protocol != PROTOCOL {
            return Err(Why::Said(format!("it speaks version {protocol} of the hand-over, this process {PROTOCOL}")));
        }
        step("OLD", "hello");
        self.give(talk, current)?;
        step("OLD", "sockets");
        loop {
            match talk.hear()? {
                New::Store => {
                    if let Some(keeper) = self.reloader.world.keeper.get() {
                        talk.store = true;
                        // What cannot be written is in the keeper's own log, and goes on waiting.
                        drop(keeper.hand_over());
                    }
                    step("OLD", "store");
                    talk.say(&Old::Store)?;
                }
                New::Ready { proof } => {
                    let proof = proof.unwrap_or_else(|| "no plain HTTP listener to ask".to_owned());
                    log::info!("upgrade: process {pid} ({version}) is ready ({proof})");
                    break;
                }
                New::Hello { .. } | New::Serving | New::Kept { .. } | New::Leaving => return Err(Why::Confused),
            }
        }
        step("OLD", "ready");
        // The service manager believes it only of the process that it knows.
        talk.told = true;
        self.notify.main_is(pid);
        talk.say(&Old::Go)?;
        step("OLD", "go");
        (talk.deadline, talk.within) = (Instant::now() + ACCEPTS_WITHIN, ACCEPTS_WITHIN);
        let New::Serving = talk.hear()? else { return Err(Why::Confused) };
        step("OLD", "serving");
        Ok(version)
    }

    /// Gives the sockets and the state.
    fn give(&self, talk: &Talk, current: &Current) -> Result<(), Why> {
        let mut all: Vec<(Named, OwnedFd)> = Vec::new();
        for socket in self.reloader.gateway.sockets()? {
            all.push((Named { listener: Some(socket.listener), bind: socket.bind }, socket.socket));
        }
        if let Some((bind, socket)) = self.reloader.admin.tcp_socket()? {
            all.push((Named { listener: None, bind }, socket));
        }
        while !all.is_empty() {
            let (sockets, descriptors): (Vec<Named>, Vec<OwnedFd>) = all.drain(..all.len().min(BATCH)).unzip();
            talk.give(&Old::Sockets { sockets }, &borrowed(&descriptors))?;
        }
        self.reloader.leave();
        let carried = Carried::gather(&self.reloader, current, self.version);
        let file = large(&serde_json::to_vec(&carried).map_err(std::io::Error::from)?)?;
        let stderr = std::io::stderr();
        talk.give(&Old::State, &[file.as_fd(), stderr.as_fd()])
    }
}
