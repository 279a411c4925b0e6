//! A right config is put to work: whatever can fail comes first.

use std::sync::Arc;
use std::time::Instant;

use portcullis_config::Candidate;
use portcullis_snapshot::Snapshot;
use portcullis_types::GenerationId;
use portcullis_yaml::{Diagnostics, SourceMap, render_json, render_text};

use super::Reloader;
use crate::world::serve_plans;

/// Why a right config could not be put to work.
pub(super) struct Failed {
    pub(super) message: String,
    pub(super) diagnostics: Option<serde_json::Value>,
}

impl From<String> for Failed {
    fn from(message: String) -> Self {
        Self { message, diagnostics: None }
    }
}

impl Reloader {
    /// Everything that can fail first; then the change, which cannot.
    pub(super) fn put_in_place(
        &self,
        candidate: Candidate,
        stamp: (GenerationId, &'static str),
        sources: &SourceMap,
    ) -> Result<Arc<Snapshot>, Failed> {
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
        let logs = self.logs.prepare(&next.settings)?;
        self.gateway.apply(next.clone()).map_err(|error| error.to_string())?;
        serve_plans(&self.world.caps, &next);
        if next.settings.store.is_some() && self.world.keeper.get().is_none() {
            log::warn!("what callers spend and use is kept from the next start on; until then it does not last");
        }
        self.world.consumers.commit(consumers);
        tokio::runtime::Handle::current().block_on(self.world.consumers.settle());
        self.admin.commit(admin);
        self.logs.commit(logs);
        Ok(next)
    }

    /// A generation was made and thrown away: endpoints and their sources are those of the one that serves.
    pub(super) fn stay(&self) {
        let serves = self.gateway.generations().current();
        self.world.fleets.refresh_all(Instant::now());
        self.world.discovery.follow(&serves.settings.dns);
    }
}
