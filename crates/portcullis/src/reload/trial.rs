//! Changes that are watched: begun, told of what became of requests, ended by a verdict, by hand, or by another change.
//!
//! Invariants: one trial at a time; it begins and ends under the lock of changes, so no change comes between; a canary that
//! ends without success has never been the generation that serves.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::OwnedMutexGuard;

use portcullis_admin::{By, Change, Changed, EndTrial, Expected, ReloadEntry, Watch};
use portcullis_config::{Candidate, Checked};
use portcullis_snapshot::Snapshot;
use portcullis_snapshot::generations::Canary;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::{Step, timestamp::timestamp};
use portcullis_trial::Verdict as Found;
use portcullis_types::GenerationId;
use portcullis_yaml::{SourceMap, render_json, render_text};

use super::{Current, Reloader, Served, Trigger};
use crate::history::{Entry, Fate, Verdict};
use crate::sources::Sources;
use crate::trial::{Turn, Underway};
use crate::world::serve_plans;

/// Half seconds of before that a probation looks back to: two minutes.
const BEFORE: usize = 240;

/// The trial that is under way, and how the last one ended.
#[derive(Default)]
pub(crate) struct Trials(Mutex<State>);

#[derive(Default)]
struct State {
    now: Option<Now>,
    last: Option<Value>,
}

struct Now {
    underway: Underway,
    /// The generation on trial.
    number: u64,
    /// The one to go back to.
    before: u64,
    by: By,
    since: SystemTime,
    /// What is to serve when a canary does well.
    canary: Option<Standby>,
}

/// A generation that serves a share of callers.
struct Standby {
    snapshot: Arc<Snapshot>,
    checked: Arc<Checked>,
    sources: Sources,
    began: Instant,
}

/// Why a trial ends.
enum End {
    Found(Found),
    Hand(EndTrial, By),
    /// Another change comes; a rollback, by whom.
    Superseded(Option<By>),
}

impl End {
    /// Whether the new generation is to stay, and why.
    fn judged(&self, watch: Watch) -> (bool, String) {
        match (self, watch) {
            (Self::Found(found @ Found::Sound), _) => (true, found.to_string()),
            (Self::Found(found @ Found::Harm(_)), _) => (false, found.to_string()),
            (Self::Found(found), Watch::Canary { .. }) => (false, found.to_string()),
            // It serves everybody already: without a sign of harm it stays.
            (Self::Found(found), Watch::Probation { .. }) => (true, found.to_string()),
            (Self::Hand(EndTrial::Promote, by), _) => (true, format!("promoted by {}{}", by.who, because(by))),
            (Self::Hand(EndTrial::Abort, by), _) => (false, format!("aborted by {}{}", by.who, because(by))),
            (Self::Superseded(Some(by)), _) => (false, format!("rolled back by {}{}", by.who, because(by))),
            (Self::Superseded(None), Watch::Canary { .. }) => (false, "another change came".to_owned()),
            (Self::Superseded(None), Watch::Probation { .. }) => (true, "another change came".to_owned()),
        }
    }
}

fn because(by: &By) -> String {
    by.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default()
}

impl Trials {
    /// The trial, else how the last one ended.
    pub(crate) fn shown(&self) -> Value {
        let state = self.0.lock();
        let Some(now) = &state.now else { return json!({ "kind": null, "last": state.last }) };
        let mut shown = now.underway.shown();
        if let Some(object) = shown.as_object_mut() {
            object.insert("generation".to_owned(), json!(now.number));
            object.insert("before".to_owned(), json!(now.before));
            object.insert("who".to_owned(), json!(now.by.who));
            object.insert("note".to_owned(), json!(now.by.note));
            object.insert("since".to_owned(), json!(timestamp(now.since)));
        }
        shown
    }

    /// The trial in a sentence, while there is one.
    pub(crate) fn says(&self) -> Option<String> {
        let state = self.0.lock();
        let now = state.now.as_ref()?;
        Some(format!(
            "generation {} is on trial ({}), since {}",
            now.number,
            now.underway.watch().as_str(),
            timestamp(now.since)
        ))
    }

    /// The generation on trial.
    pub(crate) fn under_way(&self) -> Option<u64> {
        self.0.lock().now.as_ref().map(|now| now.number)
    }

    /// The generation of a canary that is under way.
    fn canary(&self) -> Option<u64> {
        self.0.lock().now.as_ref().filter(|now| now.canary.is_some()).map(|now| now.number)
    }

    fn begin(&self, now: Now) {
        self.0.lock().now = Some(now);
    }

    fn end(&self) -> Option<Now> {
        self.0.lock().now.take()
    }

    fn ended(&self, now: &Now, (good, says): (bool, &str)) {
        let last = json!({
            "kind": now.underway.watch().as_str(),
            "generation": now.number,
            "good": good,
            "says": says,
            "at": timestamp(SystemTime::now()),
            "trial": now.underway.shown(),
        });
        self.0.lock().last = Some(last);
    }
}

impl Reloader {
    /// What became of requests in the last half second.
    pub(crate) async fn feed_trial(self: &Arc<Self>, steps: [Step; 2]) {
        let turn = {
            let mut state = self.trials.0.lock();
            let Some(now) = &mut state.now else { return };
            let turn = now.underway.feed(steps);
            (turn, now.number)
        };
        match turn {
            (None, _) => {}
            (Some(Turn::Begin), number) => self.let_canary_serve(number).await,
            (Some(Turn::End(found)), number) => {
                let ended = self.end_with(End::Found(found), Some(number)).await;
                if let Err(why) = ended {
                    log::error!("the trial of generation {number} could not be ended: {why}");
                }
            }
        }
    }

    /// Ends the trial by hand.
    ///
    /// # Errors
    /// There is none, or it cannot be done.
    pub(crate) async fn end_trial(self: &Arc<Self>, how: EndTrial, by: By) -> Result<String, String> {
        self.end_with(End::Hand(how, by), None).await
    }

    /// After the lead-in the new generation serves its share.
    async fn let_canary_serve(self: &Arc<Self>, number: u64) {
        let current = self.current.clone().lock_owned().await;
        let standby = {
            let state = self.trials.0.lock();
            let now = state.now.as_ref().filter(|now| now.number == number);
            now.and_then(|now| now.canary.as_ref()).map(|standby| Arc::clone(&standby.snapshot))
        };
        let apart = self.gateway.generations().canary();
        if let (Some(snapshot), Some(apart)) = (standby, apart) {
            log::info!("trial: generation {number} begins to serve its share of callers");
            if let Err(error) = self.gateway.set_canary(Some(apart.served_by(snapshot))) {
                log::error!("trial: generation {number}: {error}");
            }
        }
        drop(current);
    }

    async fn end_with(self: &Arc<Self>, end: End, number: Option<u64>) -> Result<String, String> {
        let Some(current) = self.turn().await else { return Err(self.not_here().message) };
        let this = Arc::clone(self);
        // A rollback reads and compiles: not on a worker's thread.
        let ending = tokio::task::spawn_blocking(move || this.end_now(current, &end, number));
        ending.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn end_now(&self, mut current: OwnedMutexGuard<Current>, end: &End, number: Option<u64>) -> Result<String, String> {
        if number.is_some_and(|number| self.trials.0.lock().now.as_ref().is_none_or(|now| now.number != number)) {
            // Another change was faster.
            return Ok("it has ended already".to_owned());
        }
        let Some(now) = self.trials.end() else { return Err("no change is on trial".to_owned()) };
        let (good, says) = end.judged(now.underway.watch());
        if now.canary.is_none() {
            return self.end_probation(current, now, (good, says));
        }
        self.end_canary(&mut current, now, (good, says))
    }

    fn end_probation(
        &self,
        current: OwnedMutexGuard<Current>,
        now: Now,
        (good, says): (bool, String),
    ) -> Result<String, String> {
        self.trials.ended(&now, (good, &says));
        if good {
            log::info!("trial: generation {} stays: {says}", now.number);
            self.history.judge(now.number, Verdict { good, says: format!("stays after its probation: {says}") });
            return Ok(format!("generation {} stays", now.number));
        }
        log::error!("trial: generation {} is rolled back: {says}", now.number);
        let by = By { who: "the probation".to_owned(), note: Some(says) };
        let back = Change::Rollback { to: now.before, expected: Expected::Any };
        match self.attempt(current, Trigger::Trial, back, by) {
            Ok(changed) if changed.outcome == ReloadOutcome::Applied => {
                Ok(format!("generation {} serves again what {} was", changed.generation, now.before))
            }
            Ok(changed) => Err(changed.message),
            Err(_) => Err("another change was faster".to_owned()),
        }
    }

    fn end_canary(&self, current: &mut Current, now: Now, (good, says): (bool, String)) -> Result<String, String> {
        let promoted = if good { self.promote(current, &now) } else { Ok(()) };
        let (good, says) = match promoted {
            Ok(()) => (good, says),
            Err(why) => (false, format!("it was to be promoted and could not be: {why}")),
        };
        if let Err(error) = self.gateway.set_canary(None) {
            log::error!("trial: {error}");
        }
        if !good {
            self.stay();
        }
        self.trials.ended(&now, (good, &says));
        let fate = if good { Fate::Applied } else { Fate::Failed };
        if let Ok(mut entry) = self.history.entry(now.number) {
            let end = if good { "promoted" } else { "taken back" };
            entry.meta.fate = fate;
            entry.meta.summary = format!("a canary, {end}");
            entry.meta.verdict = Some(Verdict { good, says: says.clone() });
            self.history.keep(entry);
        }
        let what = if good { "serves everybody" } else { "serves nobody any more" };
        log::log!(
            if good { log::Level::Info } else { log::Level::Error },
            "trial: generation {} {what}: {says}",
            now.number
        );
        self.note_canary(&now, good, &says);
        if good {
            Ok(format!("generation {} serves everybody", now.number))
        } else {
            Ok(format!("generation {} serves nobody any more", now.number))
        }
    }

    /// The generation of a canary becomes the one that serves.
    fn promote(&self, current: &mut Current, now: &Now) -> Result<(), String> {
        let Some(standby) = &now.canary else { return Ok(()) };
        self.gateway.apply(Arc::clone(&standby.snapshot)).map_err(|error| error.to_string())?;
        serve_plans(&self.world.caps, &standby.snapshot);
        (current.checked, current.id) = (Arc::clone(&standby.checked), standby.snapshot.id);
        let who = now.by.who.clone();
        current.applied = Some(standby.sources.clone());
        let texts = standby.sources.fingerprint();
        let now = SystemTime::now();
        let served = Served { id: current.id, who, at: now, trigger: "trial", texts: texts.clone(), fallen: None };
        self.settle(&texts, Some(served));
        self.drift.look(&self.world, &self.served());
        Ok(())
    }

    fn note_canary(&self, now: &Now, good: bool, says: &str) {
        let (at, took) = (SystemTime::now(), now.canary.as_ref().map_or(Duration::ZERO, |one| one.began.elapsed()));
        let outcome = if good { ReloadOutcome::Applied } else { ReloadOutcome::Failed };
        self.world.metrics.gateway().reload(outcome, at);
        let summary = format!("a canary of generation {}: {says}", now.number);
        let generation = self.gateway.generations().peek().id;
        self.history.push(ReloadEntry { at, trigger: Trigger::Trial.as_str(), outcome, generation, took, summary });
    }

    /// Whether a change may come now, or has to wait for a canary.
    pub(super) fn may_come(&self, change: &Change) -> Result<(), String> {
        match (self.trials.canary(), change) {
            (Some(number), Change::Apply { .. }) => {
                Err(format!("a canary of generation {number} is under way: promote or abort it first"))
            }
            _ => Ok(()),
        }
    }

    /// Ends what is on trial for another change: a rollback, by whom, or any other.
    pub(super) fn make_way(&self, current: &mut Current, rollback: Option<&By>) {
        if self.trials.canary().is_none() {
            return self.leave_probation(rollback);
        }
        let Some(now) = self.trials.end() else { return };
        let verdict = End::Superseded(rollback.cloned()).judged(now.underway.watch());
        // It only fails where a canary is to be promoted.
        drop(self.end_canary(current, now, verdict));
    }

    /// Ends a probation, if there is one, for another change.
    fn leave_probation(&self, rollback: Option<&By>) {
        let Some(now) = self.trials.end() else { return };
        let (good, says) = End::Superseded(rollback.cloned()).judged(now.underway.watch());
        self.trials.ended(&now, (good, &says));
    }

    /// Begins to watch a generation that serves.
    pub(super) fn begin_probation(&self, (number, before): (u64, u64), by: By, watch: Watch) {
        let underway = Underway::new(watch, &self.timeline.last(BEFORE));
        self.trials.begin(Now { underway, number, before, by, since: SystemTime::now(), canary: None });
        log::info!("trial: generation {number} is on probation");
    }

    /// Makes a generation and lets it stand beside the one that serves.
    pub(super) fn begin_canary(
        &self,
        candidate: Candidate,
        entry: &mut Entry,
        (changed, map): (&mut Changed, &SourceMap),
        (share, watch): (f64, Watch),
    ) {
        let checked = Arc::clone(candidate.checked());
        entry.meta.fate = Fate::Trying;
        entry.meta.summary = format!("a canary with {} % of callers", share * 100.0);
        self.history.keep(entry.clone());
        let number = entry.meta.number;
        let begun = self.stand_beside(candidate, number, share, map);
        match begun {
            Ok(snapshot) => {
                changed.outcome = ReloadOutcome::Applied;
                changed.trial = Some(number);
                changed.notes.push(format!(
                    "generation {number} is a canary: {} % of callers are told apart, and served by it in three seconds",
                    share * 100.0
                ));
                let by = By { who: entry.meta.who.clone(), note: entry.meta.note.clone() };
                let standby = Standby { snapshot, checked, sources: entry.sources.clone(), began: Instant::now() };
                let before = changed.generation.0;
                let underway = Underway::new(watch, &[]);
                let since = SystemTime::now();
                self.leave_probation(None);
                self.trials.begin(Now { underway, number, before, by, since, canary: Some(standby) });
            }
            Err((message, diagnostics)) => {
                self.stay();
                changed.outcome = ReloadOutcome::Failed;
                changed.message = message;
                changed.diagnostics = diagnostics.unwrap_or_else(|| changed.diagnostics.clone());
            }
        }
    }

    fn stand_beside(
        &self,
        candidate: Candidate,
        number: u64,
        share: f64,
        map: &SourceMap,
    ) -> Result<Arc<Snapshot>, (String, Option<Value>)> {
        let previous = self.gateway.generations().current();
        let stamp = (GenerationId(number), Trigger::Api.as_str());
        let made = self.world.activate(candidate, Some(&previous), stamp);
        let next = made.map_err(|found| (render_text(&found, map), Some(render_json(&found, map))))?;
        self.world.discovery.follow(&next.settings.dns);
        tokio::runtime::Handle::current().block_on(self.world.discovery.settle());
        let begun = self.gateway.set_canary(Some(Canary::apart(share, number)));
        begun.map_err(|error| (error.to_string(), None))?;
        Ok(Arc::new(next))
    }
}

/// What of a change holds for the whole process, so that it cannot be tried on a share of callers.
pub(super) fn for_all(changed: &Changed) -> Vec<String> {
    let mut all: Vec<String> = changed
        .diff
        .iter()
        .flat_map(|diff| &diff.changes)
        .filter(|change| !change.what.starts_with("cluster ") && !change.what.starts_with("host "))
        .map(|change| change.what.clone())
        .collect();
    all.dedup();
    all
}
