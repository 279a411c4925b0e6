//! How a request passes a cache, held by its body, which lives as long as the request does: who waits for its answer goes on
//! when it ends, in whatever way.

use parking_lot::Mutex;
use portcullis_telemetry::metrics::CacheOutcome as Outcome;

use super::flights::Lead;

/// The passage of one request.
#[derive(Debug, Default)]
pub(crate) struct Passage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    lead: Option<Lead>,
}

impl Passage {
    /// What the cache made of it; `None` when none was asked.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.0.lock().outcome
    }

    /// Says what the cache makes of it, and whether one said so before.
    pub(super) fn set(&self, outcome: Outcome) -> bool {
        self.0.lock().outcome.replace(outcome).is_some()
    }

    /// Others wait for this request.
    pub(super) fn lead(&self, lead: Lead) {
        self.0.lock().lead = Some(lead);
    }

    /// Takes the lead away, for whoever sees the answer pass.
    pub(super) fn take_lead(&self) -> Option<Lead> {
        self.0.lock().lead.take()
    }
}
