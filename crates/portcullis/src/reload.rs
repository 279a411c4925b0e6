//! The one place where a config becomes the one that serves, whoever asked: at start no one has to ask.
//!
//! Invariants: one change at a time, in the order in which they were asked for; everything that can fail (the check,
//! filters, the admin address, the logs, listeners) comes before anything changes; every attempt but a
//! dry run is counted, noted in the history and said in the log once. An attempt to put a config to work is in the history
//! before it begins, so that one that ends the process is there too.

mod attempt;
mod dry;
mod place;
mod summary;
mod trial;
mod written;

use parking_lot::Mutex as SyncMutex;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use portcullis_admin::{AdminListeners, By, Change, Changed, ReloadEntry, Stale};
use portcullis_config::Checked;
use portcullis_proxy::Gateway;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::{Ring, Timeline};
use portcullis_types::GenerationId;

use crate::drift::Drift;
use crate::files::State;
use crate::history::{Entry, History, Meta};
use crate::logs::Logs;
use crate::output::count;
use crate::sources::Sources;
use crate::traffic::Traffic;
use crate::world::World;

pub(crate) use trial::Trials;

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// SIGHUP.
    Signal,
    /// A file changed.
    Watch,
    /// The admin API.
    Api,
    /// The admin API, for a generation of the history.
    Rollback,
    /// A trial that ended.
    Trial,
}

impl Trigger {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Watch => "watch",
            Self::Api => "api",
            Self::Rollback => "rollback",
            Self::Trial => "trial",
        }
    }

    /// Whoever asks without a name.
    pub(crate) fn by(self) -> By {
        let who = match self {
            Self::Signal => "SIGHUP",
            Self::Watch => "the file",
            Self::Api | Self::Rollback => "unknown",
            Self::Trial => "the trial",
        };
        By { who: who.to_owned(), note: None }
    }
}

/// Changes the config of a running gateway.
pub(crate) struct Reloader {
    pub(crate) world: World,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) admin: AdminListeners,
    pub(crate) history: History,
    pub(crate) drift: Drift,
    pub(crate) traffic: Traffic,
    /// What became of requests in the last minutes.
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) trials: Trials,
    /// The last records, for what a change would do to them.
    pub(crate) recent: Arc<Ring>,
    /// The files whose change should lead to a reload, as they were when they were read.
    pub(crate) watched: watch::Sender<State>,
    /// What serves, for who only looks.
    served: SyncMutex<Served>,
    current: Arc<Mutex<Current>>,
    /// Whether another process serves in the place of this one, which then changes nothing.
    elsewhere: watch::Sender<bool>,
}

/// What serves, as far as the next change needs to know.
pub(crate) struct Current {
    pub(crate) checked: Arc<Checked>,
    pub(crate) id: GenerationId,
    /// Its texts, where it was not read from the files.
    pub(crate) applied: Option<Sources>,
}

/// What serves, and who put it there.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) id: GenerationId,
    pub(crate) who: String,
    pub(crate) at: SystemTime,
    pub(crate) trigger: &'static str,
    /// The fingerprint of its texts.
    pub(crate) texts: String,
    /// What was wrong with the file, when this is the last good generation in its place.
    pub(crate) fallen: Option<String>,
}

/// What a reloader is made of beside the world.
pub(crate) struct Parts {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) admin: AdminListeners,
    pub(crate) recent: Arc<Ring>,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) history: History,
    pub(crate) watched: State,
    pub(crate) served: Served,
}

impl Reloader {
    pub(crate) fn new(world: World, current: Current, parts: Parts) -> Self {
        let Parts { gateway, logs, admin, recent, timeline, history, watched, served } = parts;
        // What was applied in the process before this one was not read from the files.
        let read = current.applied.is_none();
        let drift = if read { Drift::new(watched.clone(), &served) } else { Drift::default() };
        Self {
            world,
            gateway,
            logs,
            admin,
            history,
            drift,
            traffic: Traffic::default(),
            timeline,
            trials: Trials::default(),
            recent,
            watched: watch::Sender::new(watched),
            served: SyncMutex::new(served),
            current: Arc::new(Mutex::new(current)),
            elsewhere: watch::Sender::new(false),
        }
    }

    /// Waits for the change that is under way, and lets none begin before what is given is dropped.
    pub(crate) async fn hold(&self) -> OwnedMutexGuard<Current> {
        self.current.clone().lock_owned().await
    }

    /// Waits for the change that is under way; `None` when another process serves.
    async fn turn(&self) -> Option<OwnedMutexGuard<Current>> {
        let mut elsewhere = self.elsewhere.subscribe();
        tokio::select! {
            biased;
            _ = elsewhere.wait_for(|elsewhere| *elsewhere) => None,
            current = self.hold() => Some(current),
        }
    }

    /// Another process serves from now on: changes that waited for their turn are refused, and so are later ones.
    pub(crate) fn serve_elsewhere(&self) {
        self.elsewhere.send_replace(true);
    }

    /// Whether another process serves in the place of this one.
    pub(crate) fn is_elsewhere(&self) -> bool {
        *self.elsewhere.borrow()
    }

    /// Leaves what is kept in files to another process, as it is now. Blocks; must be called inside a Tokio runtime.
    pub(crate) fn leave(&self) {
        if let Some(file) = &self.gateway.generations().current().settings.slos_file {
            self.world.slos.save(file, SystemTime::now());
        }
        self.world.slos.leave();
        tokio::runtime::Handle::current().block_on(self.admin.overrides().leave());
    }

    /// The other process is gone, or does not serve.
    pub(crate) async fn take_back(&self) {
        self.elsewhere.send_replace(false);
        self.world.slos.take_back();
        self.admin.overrides().take_back().await;
    }

    /// Makes a change, after those that were asked for before.
    pub(crate) async fn change(self: &Arc<Self>, trigger: Trigger, change: Change, by: By) -> Result<Changed, Stale> {
        let Some(current) = self.turn().await else { return Ok(self.not_here()) };
        let this = self.clone();
        // Reading and compiling take their time, and new sources are waited for: not on a worker's thread.
        let attempt = tokio::task::spawn_blocking(move || this.attempt(current, trigger, change, by));
        match attempt.await {
            Ok(outcome) => outcome,
            Err(error) => Ok(self.broken(&error.to_string())),
        }
    }

    /// What serves, and who put it there.
    pub(crate) fn served(&self) -> Served {
        self.served.lock().clone()
    }

    /// Looks whether the file says what serves, and tries again what of the history could not be written.
    pub(crate) fn look_around(&self) {
        self.history.retry();
        self.drift.look(&self.world, &self.served());
    }

    /// Keeps the entry of an attempt, and what it found, where others look for it.
    fn note(&self, attempt: Attempted<'_>, changed: &Changed) {
        let Attempted { trigger, by, at, started } = attempt;
        let asked = asked(trigger.as_str(), matches!(trigger, Trigger::Api | Trigger::Rollback).then_some(by));
        self.world.metrics.gateway().reload(changed.outcome, at);
        let (trigger, took) = (trigger.as_str(), started.elapsed());
        let summary = summary::summary(changed);
        match changed.outcome {
            ReloadOutcome::Applied => {
                log::info!("reload ({asked}): generation {} serves, {summary}", changed.generation);
                let lines = changed.diff.as_ref().filter(|diff| !diff.is_empty());
                let lines = lines.map(ToString::to_string).unwrap_or_default();
                lines.lines().for_each(|line| log::info!("  {line}"));
                self.tell_of_old_generations();
            }
            ReloadOutcome::Unchanged => log::debug!("reload ({asked}): {summary}"),
            ReloadOutcome::Refused | ReloadOutcome::Failed => {
                log::error!("reload ({asked}): {summary}; generation {} goes on", changed.generation);
                changed.message.lines().for_each(|line| log::error!("  {line}"));
            }
        }
        let (outcome, generation) = (changed.outcome, changed.generation);
        self.history.push(ReloadEntry { at, trigger, outcome, generation, took, summary });
    }

    fn tell_of_old_generations(&self) {
        for held in self.gateway.generations().holders().iter().skip(1) {
            let requests: u32 = held.requests.iter().map(|(_, count)| count).sum();
            log::info!("  generation {} still serves {}", held.id, count(requests as usize, "request"));
        }
    }

    /// Nothing is changed where another process serves.
    fn not_here(&self) -> Changed {
        let snapshot = self.gateway.generations().current();
        let why = "another process serves by now, and this one drains: ask again".to_owned();
        unchanged(ReloadOutcome::Failed, snapshot.id, &snapshot.origin.hash, why)
    }

    /// The attempt itself broke: a fault of ours, said as such.
    fn broken(&self, error: &str) -> Changed {
        let snapshot = self.gateway.generations().current();
        let message = format!("the reload broke off: {error}");
        unchanged(ReloadOutcome::Failed, snapshot.id, &snapshot.origin.hash, message)
    }
}

/// Who asked, and what they say of it.
fn asked(trigger: &str, by: Option<&By>) -> String {
    match by {
        None => trigger.to_owned(),
        Some(By { who, note: None }) => format!("{trigger}, {who}"),
        Some(By { who, note: Some(note) }) => format!("{trigger}, {who}: {}", note.escape_debug()),
    }
}

/// When an attempt was made, and why.
#[derive(Clone, Copy)]
struct Attempted<'a> {
    trigger: &'a Trigger,
    by: &'a By,
    at: SystemTime,
    started: Instant,
}

/// Nothing has changed.
fn unchanged(outcome: ReloadOutcome, generation: GenerationId, hash: &str, message: String) -> Changed {
    Changed {
        outcome,
        generation,
        hash: hash.to_owned(),
        diff: None,
        diagnostics: serde_json::json!([]),
        message,
        effect: None,
        notes: Vec::new(),
        includes: Vec::new(),
        file: None,
        trial: None,
    }
}

/// The entry of the history for what is tried.
pub(crate) fn entry(meta: Meta, sources: &Sources) -> Entry {
    Entry { meta, diff: String::new(), says: String::new(), sources: sources.clone() }
}
