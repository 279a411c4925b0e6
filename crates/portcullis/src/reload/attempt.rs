//! One attempt, from the texts that are asked for to what came of it.

use std::time::{Instant, SystemTime};
use tokio::sync::OwnedMutexGuard;

use portcullis_admin::{By, Change, Changed, Expected, Stale, Watch};
use portcullis_config::{Candidate, Loaded, diff};
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_yaml::{SourceMap, render_json, render_text};

use super::trial::for_all;
use super::{Attempted, Current, Reloader, Served, Trigger, entry, summary, unchanged, written};
use crate::files::State;
use crate::history::{Entry, Fate, Meta, Verdict};
use crate::sources::Sources;
use crate::world::Texts;

/// What is tried, and who tries it.
struct Task {
    trigger: Trigger,
    by: By,
    at: SystemTime,
    loaded: Loaded,
    sources: Sources,
    /// Its texts are those of the files.
    files: bool,
    /// The generation of the history that it is.
    of: Option<Meta>,
    write: Option<String>,
    watch: Option<Watch>,
}

/// Why nothing is tried.
enum Refusal {
    Stale(Stale),
    /// The history does not have what was asked for.
    Lost(String),
}

impl Reloader {
    pub(super) fn attempt(
        &self,
        mut current: OwnedMutexGuard<Current>,
        trigger: Trigger,
        change: Change,
        by: By,
    ) -> Result<Changed, Stale> {
        let (started, at) = (Instant::now(), SystemTime::now());
        if let Change::DryRun { text } = &change {
            return Ok(self.dry_run(text, &current));
        }
        let trigger = match (&change, trigger) {
            (Change::Rollback { .. }, Trigger::Api) => Trigger::Rollback,
            (_, trigger) => trigger,
        };
        let said = by.clone();
        let attempt = Attempted { trigger: &trigger, by: &said, at, started };
        if let Err(why) = self.may_come(&change) {
            let changed = unchanged(ReloadOutcome::Failed, current.id, current.checked.hash(), why);
            self.note(attempt, &changed);
            return Ok(changed);
        }
        let (task, watched) = match self.task(change, &current, (trigger, by, at)) {
            Ok(task) => task,
            Err(Refusal::Stale(stale)) => return Err(stale),
            Err(Refusal::Lost(why)) => {
                let changed = unchanged(ReloadOutcome::Failed, current.id, current.checked.hash(), why);
                self.note(attempt, &changed);
                return Ok(changed);
            }
        };
        self.watched.send_replace(watched);
        let changed = self.judge(task, &mut current);
        self.note(attempt, &changed);
        Ok(changed)
    }

    fn task(
        &self,
        change: Change,
        current: &Current,
        (trigger, by, at): (Trigger, By, SystemTime),
    ) -> Result<(Task, State), Refusal> {
        let allowed = |expected: &Expected| {
            if expected.allows(current.checked.hash()) { Ok(()) } else { Err(Refusal::Stale(self.stale(current))) }
        };
        let (mut of, mut writes, mut watches) = (None, None, None);
        let files = matches!(change, Change::Reread);
        let (loaded, watched) = match change {
            Change::Reread => self.world.read(Texts::Files),
            Change::DryRun { text } => self.world.read(Texts::Main(&text)),
            Change::Apply { text, expected, write, watch } => {
                allowed(&expected)?;
                (writes, watches) = (write, watch);
                self.world.read(Texts::Main(&text))
            }
            Change::Rollback { to, expected } => {
                allowed(&expected)?;
                let entry = self.history.entry(to).map_err(Refusal::Lost)?;
                of = Some(entry.meta);
                self.world.read(Texts::Kept(&entry.sources))
            }
        };
        let sources = Sources::of(&loaded.sources, &self.world.path);
        Ok((Task { trigger, by, at, loaded, sources, files, of, write: writes, watch: watches }, watched))
    }

    /// Which config serves, for whom meant another.
    pub(super) fn stale(&self, current: &Current) -> Stale {
        let Served { who, at, .. } = self.served();
        Stale { current: current.checked.hash().to_owned(), generation: current.id, who, at }
    }

    fn judge(&self, task: Task, current: &mut Current) -> Changed {
        let Task { trigger, by, at, loaded, sources, files, of, write, watch } = task;
        let Loaded { candidate, diagnostics, sources: map, .. } = loaded;
        let mut changed =
            unchanged(ReloadOutcome::Refused, current.id, current.checked.hash(), render_text(&diagnostics, &map));
        changed.diagnostics = render_json(&diagnostics, &map);
        changed.includes = sources.included();
        let texts = sources.fingerprint();
        let meta = |number| Meta {
            number,
            at,
            who: by.who.clone(),
            trigger: trigger.as_str().to_owned(),
            note: by.note.clone(),
            fate: Fate::Refused,
            verdict: None,
            hash: None,
            texts: texts.clone(),
            summary: String::new(),
            of: of.as_ref().map(|meta| meta.number),
        };
        let reread = matches!(trigger, Trigger::Signal | Trigger::Watch);
        let Some(candidate) = candidate else {
            if reread {
                self.drift.refused(&texts);
            }
            let entry = entry(meta(self.history.number(current.id.0)), &sources);
            self.finish(entry, &changed);
            return changed;
        };
        let next = candidate.checked().clone();
        let differences = diff(&current.checked, &next);
        let same = differences.is_empty() && next.hash() == current.checked.hash();
        // Who asks in person gets a new generation, and filters made anew, even where nothing changed.
        if same && trigger == Trigger::Watch {
            changed.diff = Some(differences);
            changed.outcome = ReloadOutcome::Unchanged;
            self.settle(&texts, None);
            self.drift.look(&self.world, &self.served());
            return changed;
        }
        let mut entry = entry(meta(self.history.number(current.id.0)), &sources);
        (entry.meta.hash, entry.diff) = (Some(next.hash().to_owned()), differences.to_string());
        changed.diff = Some(differences);
        let before = current.id.0;
        let Some(candidate) = self.begin_watched(candidate, watch, &mut entry, (&mut changed, &map)) else {
            return changed;
        };
        self.try_it(candidate, &mut entry, (&mut changed, &map), trigger);
        if changed.outcome == ReloadOutcome::Applied {
            // What was on trial ends for a change that is put to work, and for nothing less.
            self.make_way(current, of.as_ref().map(|_| &by));
            (current.checked, current.id) = (next, changed.generation);
            current.applied = (!files).then(|| sources.clone());
            self.history.bound(current.checked.settings().history.as_ref());
            let (who, id, trigger) = (by.who.clone(), current.id, trigger.as_str());
            self.settle(&texts, Some(Served { id, who, at, trigger, texts: texts.clone(), fallen: None }));
            self.tell(&mut changed, of.as_ref(), (&by, before));
            if let Some(fingerprint) = write {
                let wrote = written::write(&self.world.path, &sources.main, &fingerprint);
                changed.notes.push(wrote);
            }
            self.tell_of_drift(&mut changed, reread);
            if let Some(watch) = watch {
                changed.trial = Some(changed.generation.0);
                self.begin_probation((changed.generation.0, before), by, watch);
            }
        } else if reread {
            self.drift.refused(&texts);
        }
        self.finish(entry, &changed);
        self.drift.look(&self.world, &self.served());
        changed
    }

    /// Lets a canary stand beside what serves. Gives back a candidate that is to serve everybody; of others it is noted here what
    /// came of them.
    fn begin_watched(
        &self,
        candidate: Candidate,
        watch: Option<Watch>,
        entry: &mut Entry,
        (changed, map): (&mut Changed, &SourceMap),
    ) -> Option<Candidate> {
        if let Some(why) = self.cannot_watch(watch, changed) {
            changed.outcome = ReloadOutcome::Failed;
            changed.message = why;
        } else if let Some(canary @ Watch::Canary { share, .. }) = watch {
            self.begin_canary(candidate, entry, (changed, map), (share, canary));
        } else {
            return Some(candidate);
        }
        if changed.outcome == ReloadOutcome::Failed {
            self.finish(entry.clone(), changed);
        }
        None
    }

    /// Why a change cannot be watched as it is asked for.
    fn cannot_watch(&self, watch: Option<Watch>, changed: &Changed) -> Option<String> {
        match watch? {
            Watch::Canary { .. } => {
                let all = for_all(changed);
                let why = format!("a canary cannot try what holds for everybody: {}; use a probation", all.join(", "));
                (!all.is_empty()).then_some(why)
            }
            Watch::Probation { .. } => {
                let why = "a probation goes back to a generation of the history, and none is kept";
                self.history.standing().is_none().then(|| why.to_owned())
            }
        }
    }

    /// Puts a right config to work, or says why not.
    fn try_it(
        &self,
        candidate: Candidate,
        entry: &mut Entry,
        (changed, map): (&mut Changed, &SourceMap),
        trigger: Trigger,
    ) {
        entry.meta.fate = Fate::Trying;
        "it is being put to work".clone_into(&mut entry.meta.summary);
        self.history.keep(entry.clone());
        let stamp = (portcullis_types::GenerationId(entry.meta.number), trigger.as_str());
        match self.put_in_place(candidate, stamp, map) {
            Ok(snapshot) => {
                changed.outcome = ReloadOutcome::Applied;
                (changed.generation, changed.hash) = (snapshot.id, snapshot.origin.hash.clone());
            }
            Err(failed) => {
                self.stay();
                changed.outcome = ReloadOutcome::Failed;
                changed.message = failed.message;
                changed.diagnostics = failed.diagnostics.unwrap_or_else(|| changed.diagnostics.clone());
            }
        }
    }

    /// Keeps what came of an attempt.
    fn finish(&self, mut entry: Entry, changed: &Changed) {
        entry.meta.fate = match changed.outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => Fate::Applied,
            ReloadOutcome::Refused => Fate::Refused,
            ReloadOutcome::Failed => Fate::Failed,
        };
        entry.meta.summary = summary::summary(changed);
        if entry.meta.fate != Fate::Applied {
            entry.says.clone_from(&changed.message);
        }
        self.history.keep(entry);
    }

    /// Notes what serves now, and that these texts are known.
    pub(super) fn settle(&self, texts: &str, served: Option<Served>) {
        let mut now = self.served.lock();
        match served {
            Some(served) => *now = served,
            None => {
                texts.clone_into(&mut now.texts);
                now.fallen = None;
            }
        }
        self.world.metrics.changes().set_last_good(now.fallen.is_some());
    }

    /// What is to know of a change that was made.
    fn tell(&self, changed: &mut Changed, of: Option<&Meta>, (by, before): (&By, u64)) {
        let Some(of) = of else { return };
        let same = of.hash.as_deref() == Some(&changed.hash);
        changed.notes.push(if same {
            "what its texts refer to (files, variables) was read anew, and is what it was".to_owned()
        } else {
            "what its texts refer to (files, variables) was read anew, and is NOT what it was".to_owned()
        });
        let why = by.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        let says = format!("rolled back by {} to generation {}{why}", by.who, of.number);
        self.history.judge(before, Verdict { good: false, says });
    }

    fn tell_of_drift(&self, changed: &mut Changed, reread: bool) {
        if reread {
            return;
        }
        self.drift.look(&self.world, &self.served());
        if self.drift.told().is_some() {
            let file = self.world.path.display();
            changed.notes.push(format!("a restart would start what {file} says, which is another config"));
        }
    }
}
