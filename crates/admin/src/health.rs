//! The verdict of a running gateway: facts are gathered, judged, and kept for the next look.
//!
//! Somebody calls [`AdminState::look`] every few seconds, so that the time since when something is wrong is known although nobody
//! asks; each question looks anew. Invariants: a look takes no lock that a request takes, and its cost is bounded by the
//! config and by [`SAMPLE`].

mod gather;
mod metrics;

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_health::{About, CertificateFacts, Memory, Seen, State, Verdict, affected, judge};
use portcullis_telemetry::Record;
use portcullis_telemetry::record::Kind;
use portcullis_types::{Fault, GenerationId};

use crate::control::AdminState;

/// The most requests that tell who suffers.
pub(crate) const SAMPLE: usize = 5000;
/// How far back these reach.
const LATELY: Duration = Duration::from_secs(300);

/// What is kept from look to look.
pub struct Health {
    memory: Mutex<Memory>,
    last: Mutex<Arc<Verdict>>,
    /// The certificates of a generation, which do not change.
    certificates: Mutex<Option<(GenerationId, Vec<CertificateFacts>)>>,
}

impl Default for Health {
    fn default() -> Self {
        let last = Verdict { state: State::Healthy, reasons: Vec::new() };
        Self { memory: Mutex::default(), last: Mutex::new(Arc::new(last)), certificates: Mutex::default() }
    }
}

impl Health {
    /// The verdict of the last look.
    #[must_use]
    pub fn last(&self) -> Arc<Verdict> {
        Arc::clone(&self.last.lock())
    }
}

impl AdminState {
    /// Looks at the gateway.
    #[must_use]
    pub fn look(&self, now: SystemTime) -> Arc<Verdict> {
        let facts = self.gather(now);
        let mut found = judge(&facts, now);
        if found.iter().any(|finding| finding.about != About::None) {
            let seen = self.seen(now);
            found.iter_mut().for_each(|finding| finding.affected = affected(&finding.about, &seen));
        }
        let reasons = self.health.memory.lock().hold(found, now);
        let verdict = Arc::new(Verdict::of(reasons));
        self.health.last.lock().clone_from(&verdict);
        verdict
    }

    /// The last requests.
    fn seen(&self, now: SystemTime) -> Vec<Seen> {
        let since = now.checked_sub(LATELY).unwrap_or(SystemTime::UNIX_EPOCH);
        let records = self.recent.latest(since, SAMPLE);
        records.iter().filter(|record| record.kind == Kind::Request).map(|record| seen(record)).collect()
    }
}

fn seen(record: &Record) -> Seen {
    let failed = match record.reason {
        Some(reason) => reason.fault() != Fault::Client,
        None => record.failed(),
    };
    Seen {
        host: record.virtual_host.clone(),
        route: record.route.as_ref().map(|route| Arc::from(route.as_str())),
        cluster: record.decision.cluster().map(|cluster| Arc::from(cluster.as_str())),
        consumer: record.consumer.clone(),
        reason: record.reason.map(portcullis_types::Reason::name),
        failed,
    }
}
