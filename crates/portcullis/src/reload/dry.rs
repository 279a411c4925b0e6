//! What a text would change, without changing it.

use portcullis_admin::Changed;
use portcullis_config::{Loaded, diff};
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_yaml::{render_json, render_text};

use super::{Current, Reloader, unchanged, written};
use crate::effect;
use crate::sources::Sources;
use crate::world::Texts;

impl Reloader {
    pub(super) fn dry_run(&self, text: &str, current: &Current) -> Changed {
        let (loaded, _) = self.world.read(Texts::Main(text));
        let Loaded { candidate, mut diagnostics, sources, .. } = loaded;
        let said = render_text(&diagnostics, &sources);
        let mut changed = unchanged(ReloadOutcome::Refused, current.id, current.checked.hash(), said);
        changed.diagnostics = render_json(&diagnostics, &sources);
        changed.includes = Sources::of(&sources, &self.world.path).included();
        changed.file = written::fingerprint_of(&self.world.path);
        let Some(candidate) = candidate else { return changed };
        let next = candidate.checked().clone();
        let differences = diff(&current.checked, &next);
        let same = differences.is_empty() && next.hash() == current.checked.hash();
        changed.outcome = if same { ReloadOutcome::Unchanged } else { ReloadOutcome::Applied };
        let consumers = self.world.prepare_consumers(&next, &mut diagnostics).is_some();
        match self.world.imagine(candidate) {
            Ok(imagined) if consumers => {
                let serves = self.gateway.generations().current();
                let book = self.world.consumers.identities.book();
                let sides = effect::Sides { serves: &serves, next: &imagined, diff: &differences };
                let seen = effect::Seen { traffic: &self.traffic, recent: &self.recent, metrics: &self.world.metrics };
                changed.effect = Some(effect::of(sides, seen, &book.directory));
            }
            imagined => {
                // As the change itself would: it can be read, and cannot be put to work.
                if let Err(found) = imagined {
                    found.sorted().into_iter().for_each(|one| diagnostics.push(one.clone()));
                }
                changed.outcome = ReloadOutcome::Failed;
                changed.diagnostics = render_json(&diagnostics, &sources);
                changed.message = render_text(&diagnostics, &sources);
            }
        }
        changed.diff = Some(differences);
        changed
    }
}
