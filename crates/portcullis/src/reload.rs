//! The one place where a config becomes the one that serves, whoever asked: at start no one has to ask.
//!
//! Invariants: one change at a time, in the order in which they were asked for; everything that can fail (the check,
//! filters, the admin address, the access log, listeners) comes before anything changes; every attempt but a
//! dry run is counted, noted in the history and said in the log once.

use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use portcullis_admin::{AdminServer, Change, Changed, Expected, ReloadEntry, Stale};
use portcullis_config::{Candidate, Checked, Diff, Loaded, diff, rehearse};
use portcullis_proxy::Gateway;
use portcullis_snapshot::Snapshot;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_types::GenerationId;
use portcullis_yaml::{Diagnostics, render_json, render_text};

use crate::boot::AdminSlot;
use crate::files::State;
use crate::history::History;
use crate::logs::Logs;
use crate::output::count;
use crate::world::{World, serve_plans};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// SIGHUP.
    Signal,
    /// A file changed.
    Watch,
    /// The admin API.
    Api,
}

impl Trigger {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Watch => "watch",
            Self::Api => "api",
        }
    }
}

/// Changes the config of a running gateway.
pub(crate) struct Reloader {
    pub(crate) world: World,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) admin: AdminSlot,
    pub(crate) history: History,
    /// The files whose change should lead to a reload, as they were when they were read.
    pub(crate) watched: watch::Sender<State>,
    current: Arc<Mutex<Current>>,
}

/// What serves, as far as the next change needs to know.
pub(crate) struct Current {
    pub(crate) checked: Arc<Checked>,
    pub(crate) id: GenerationId,
    /// The main file's text, where the admin API put another in its place.
    pub(crate) applied: Option<String>,
}

/// Why a right config could not be put to work.
struct Failed {
    message: String,
    diagnostics: Option<serde_json::Value>,
}

impl From<String> for Failed {
    fn from(message: String) -> Self {
        Self { message, diagnostics: None }
    }
}

impl Reloader {
    pub(crate) fn new(
        world: World,
        (gateway, logs, admin): (Arc<Gateway>, Arc<Logs>, AdminSlot),
        current: Current,
        watched: State,
    ) -> Self {
        Self {
            world,
            gateway,
            logs,
            admin,
            history: History::default(),
            watched: watch::Sender::new(watched),
            current: Arc::new(Mutex::new(current)),
        }
    }

    /// Waits for the change that is under way, and lets none begin before what is given is dropped.
    pub(crate) async fn hold(&self) -> OwnedMutexGuard<Current> {
        self.current.clone().lock_owned().await
    }

    /// Makes a change, after those that were asked for before.
    pub(crate) async fn change(self: &Arc<Self>, trigger: Trigger, change: Change) -> Result<Changed, Stale> {
        let current = self.current.clone().lock_owned().await;
        let this = self.clone();
        // Reading and compiling take their time, and new sources are waited for: not on a worker's thread.
        let attempt = tokio::task::spawn_blocking(move || this.attempt(current, trigger, change));
        match attempt.await {
            Ok(outcome) => outcome,
            Err(error) => Ok(self.broken(&error.to_string())),
        }
    }

    fn attempt(
        &self,
        mut current: OwnedMutexGuard<Current>,
        trigger: Trigger,
        change: Change,
    ) -> Result<Changed, Stale> {
        let (started, at) = (Instant::now(), SystemTime::now());
        let dry = matches!(change, Change::DryRun { .. });
        let (loaded, watched) = self.load(&change, &current)?;
        if !dry {
            self.watched.send_replace(watched);
        }
        let changed = self.judge(loaded, &mut current, trigger, dry);
        if !dry {
            self.note(trigger, at, started, &changed);
        }
        if !dry && changed.outcome == ReloadOutcome::Applied {
            current.applied = match change {
                Change::Apply { text, .. } => Some(text),
                Change::Reread | Change::DryRun { .. } => None,
            };
        }
        Ok(changed)
    }

    fn load(&self, change: &Change, current: &Current) -> Result<(Loaded, State), Stale> {
        let hash = current.checked.hash();
        match change {
            Change::Reread => Ok(self.world.read(None)),
            Change::DryRun { text } => Ok(self.world.read(Some(text))),
            Change::Apply { text, expected } if expected.allows(hash) => Ok(self.world.read(Some(text))),
            Change::Apply { expected: Expected::Any | Expected::Hashes(_), .. } => {
                Err(Stale { current: hash.to_owned() })
            }
        }
    }

    fn judge(&self, loaded: Loaded, current: &mut Current, trigger: Trigger, dry: bool) -> Changed {
        let Loaded { candidate, mut diagnostics, sources, .. } = loaded;
        let mut changed = Changed {
            outcome: ReloadOutcome::Refused,
            generation: current.id,
            hash: current.checked.hash().to_owned(),
            diff: None,
            diagnostics: render_json(&diagnostics, &sources),
            message: render_text(&diagnostics, &sources),
        };
        let Some(candidate) = candidate else { return changed };
        let next = candidate.checked().clone();
        let differences = diff(&current.checked, &next);
        let same = differences.is_empty() && next.hash() == current.checked.hash();
        changed.diff = Some(differences);
        if dry {
            changed.outcome = if same { ReloadOutcome::Unchanged } else { ReloadOutcome::Applied };
            let consumers = self.world.prepare_consumers(&next, &mut diagnostics).is_some();
            if !rehearse(candidate, &mut diagnostics) || !consumers {
                // As the change itself would: it can be read, and cannot be put to work.
                changed.outcome = ReloadOutcome::Failed;
                changed.diagnostics = render_json(&diagnostics, &sources);
                changed.message = render_text(&diagnostics, &sources);
            }
            return changed;
        }
        // Who asks in person gets a new generation, and filters made anew, even where nothing changed.
        if same && trigger == Trigger::Watch {
            changed.outcome = ReloadOutcome::Unchanged;
            return changed;
        }
        let placed = self.put_in_place(candidate, current, trigger, &sources);
        if placed.is_err() {
            self.stay();
        }
        match placed {
            Ok(snapshot) => {
                (current.checked, current.id) = (next, snapshot.id);
                changed.outcome = ReloadOutcome::Applied;
                (changed.generation, changed.hash) = (snapshot.id, snapshot.origin.hash.clone());
            }
            Err(failed) => {
                changed.outcome = ReloadOutcome::Failed;
                changed.message = failed.message;
                changed.diagnostics = failed.diagnostics.unwrap_or(changed.diagnostics);
            }
        }
        changed
    }

    /// Everything that can fail first; then the change, which cannot.
    fn put_in_place(
        &self,
        candidate: Candidate,
        current: &Current,
        trigger: Trigger,
        sources: &portcullis_yaml::SourceMap,
    ) -> Result<Arc<Snapshot>, Failed> {
        let stamp = (GenerationId(current.id.0 + 1), trigger.as_str());
        let checked = candidate.checked().clone();
        let previous = self.gateway.generations().current();
        let next = self.world.activate(candidate, Some(&previous), stamp).map_err(|diagnostics| Failed {
            message: render_text(&diagnostics, sources),
            diagnostics: Some(render_json(&diagnostics, sources)),
        })?;
        let next = Arc::new(next);
        let mut found = Diagnostics::new();
        let Some(consumers) = self.world.prepare_consumers(&checked, &mut found) else {
            return Err(Failed {
                message: render_text(&found, sources),
                diagnostics: Some(render_json(&found, sources)),
            });
        };
        // What the new generation names is asked before it serves; whoever does not answer soon is not waited for.
        self.world.discovery.follow(&next.settings.dns);
        tokio::runtime::Handle::current().block_on(self.world.discovery.settle());
        let admin = self.admin.prepare(next.settings.admin.as_ref()).map_err(|error| error.to_string())?;
        let log = self.logs.prepare(next.settings.access_log.as_ref()).map_err(|error| error.to_string())?;
        self.gateway.apply(next.clone()).map_err(|error| error.to_string())?;
        serve_plans(&self.world.caps, &next);
        if next.settings.store.is_some() && self.world.keeper.get().is_none() {
            log::warn!("what callers spend and use is kept from the next start on; until then it does not last");
        }
        self.world.consumers.commit(consumers);
        tokio::runtime::Handle::current().block_on(self.world.consumers.settle());
        if let Some(admin) = admin {
            self.admin.commit(admin);
        }
        if let Some(log) = log {
            self.logs.commit(log);
        }
        Ok(next)
    }

    /// A generation was made and thrown away: endpoints and their sources are those of the one that serves.
    fn stay(&self) {
        let serves = self.gateway.generations().current();
        self.world.fleets.refresh_all(Instant::now());
        self.world.discovery.follow(&serves.settings.dns);
    }

    /// Counts an attempt, keeps it in the history and says it in the log.
    fn note(&self, trigger: Trigger, at: SystemTime, started: Instant, changed: &Changed) {
        self.world.metrics.gateway().reload(changed.outcome, at);
        let (trigger, took) = (trigger.as_str(), started.elapsed());
        let summary = summary(changed);
        match changed.outcome {
            ReloadOutcome::Applied => {
                log::info!("reload ({trigger}): generation {} serves, {summary}", changed.generation);
                let lines = changed.diff.as_ref().filter(|diff| !diff.is_empty());
                let lines = lines.map(ToString::to_string).unwrap_or_default();
                lines.lines().for_each(|line| log::info!("  {line}"));
                self.tell_of_old_generations();
            }
            ReloadOutcome::Unchanged => log::debug!("reload ({trigger}): {summary}"),
            ReloadOutcome::Refused | ReloadOutcome::Failed => {
                log::error!("reload ({trigger}): {summary}; generation {} goes on", changed.generation);
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

    /// The attempt itself broke: a fault of ours, said as such.
    fn broken(&self, error: &str) -> Changed {
        let snapshot = self.gateway.generations().current();
        Changed {
            outcome: ReloadOutcome::Failed,
            generation: snapshot.id,
            hash: snapshot.origin.hash.clone(),
            diff: None,
            diagnostics: serde_json::json!([]),
            message: format!("the reload broke off: {error}"),
        }
    }

    /// Where the admin API is served.
    pub(crate) fn admin_address(&self) -> Option<std::net::SocketAddr> {
        self.admin.with(|server| server.map(AdminServer::local_addr))
    }
}

/// One line of an attempt.
fn summary(changed: &Changed) -> String {
    match changed.outcome {
        ReloadOutcome::Applied => touched(changed.diff.as_ref()),
        ReloadOutcome::Unchanged => "nothing changed".to_owned(),
        ReloadOutcome::Refused => {
            let all = changed.diagnostics.as_array().map(Vec::as_slice).unwrap_or_default();
            let errors = all.iter().filter(|one| one.get("severity").is_some_and(|word| word == "error"));
            format!("the config has {}", count(errors.count(), "error"))
        }
        ReloadOutcome::Failed => {
            let first = changed.message.lines().next().unwrap_or_default();
            format!("the config could not be put to work: {first}")
        }
    }
}

fn touched(diff: Option<&Diff>) -> String {
    match diff {
        Some(diff) if !diff.is_empty() => {
            let (hosts, routes) = (count(diff.hosts.len(), "host"), count(diff.routes.len(), "route"));
            format!("{}, touching {hosts} and {routes}", count(diff.changes.len(), "change"))
        }
        _ => "nothing changed".to_owned(),
    }
}
