//! From a candidate to a generation, sharing all that did not change.
//!
//! Filters are built here, so this can fail; then nothing has changed but state that nobody holds. Names are not
//! resolved here: that goes on in the background. Listeners and clusters that say what they said before are the very same objects, which is how the proxy
//! knows that it may leave them alone.

mod caps;
mod clusters;
mod endpoints;
mod hosts;
mod limits;
mod listeners;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use portcullis_filter::seam::{Caller, Seams};
use portcullis_filter::{Services, StateStore};
use portcullis_filters::caller::Declared;
use portcullis_snapshot::tls::DynamicCertificates;
use portcullis_snapshot::{ClusterIdx, Fleets, Origin, Places, Snapshot};
use portcullis_telemetry::Metrics;
use portcullis_types::GenerationId;
use portcullis_yaml::Diagnostics;

use crate::compile::HostChains;
use crate::load::Candidate;
use crate::plan::Checked;

/// What lives longer than a generation.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// What the binary plugged in; the same that the candidate was checked against.
    pub seams: &'a Seams,
    /// State that filters and listeners keep across generations.
    pub state: &'a StateStore,
    /// Counters by name.
    pub metrics: &'a Metrics,
    /// The endpoints of clusters.
    pub fleets: &'a Arc<Fleets>,
    /// What filters share with the gateway and with one another, for its whole life.
    pub services: &'a Services,
    /// Certificates that a source answered.
    pub certificates: &'a Arc<DynamicCertificates>,
}

/// What a generation is told about itself.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Which generation.
    pub id: GenerationId,
    /// `start`, `signal`, `watch` or `api`.
    pub trigger: &'static str,
    /// The wall clock.
    pub created: SystemTime,
    /// The monotonic clock.
    pub now: Instant,
    /// Where round robin starts; random, so that gateways started together do not walk in step.
    pub seed: u64,
}

/// Makes a generation.
///
/// # Errors
/// A filter that cannot be made of its settings, endpoints that make no set; all of them at once. The sources
/// of [`crate::Loaded`] show their places.
pub fn activate(
    candidate: Candidate,
    previous: Option<&Snapshot>,
    environment: &Environment<'_>,
    stamp: Stamp,
) -> Result<Snapshot, Diagnostics> {
    let Candidate { checked, chains } = candidate;
    environment.metrics.prune();
    let mut diagnostics = Diagnostics::new();
    let build = clusters::Build { previous, environment, stamp };
    let clusters = build.clusters(&checked.clusters, &mut diagnostics);
    let names: Vec<&str> = checked.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let services = environment.services.clone().with(Arc::new(declared(&checked)));
    let caps = caps::Caps::new(&checked, &services);
    let build = hosts::Build {
        environment,
        now: stamp.now,
        chains: hosts::Chains { state: environment.state, clusters: &names, services: &caps.services },
        plans: &checked.clusters,
        slow: checked.settings.tracing.as_ref().and_then(|tracing| tracing.unrouted.slow),
    };
    let router = hosts::router(&checked, chains, build, &mut diagnostics);
    caps.bind(&mut diagnostics);
    let listeners = listeners::listeners(&checked.listeners, previous, environment, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let places = Places {
        clusters: checked.clusters.iter().map(|plan| plan.place.clone()).collect(),
        listeners: checked.listeners.iter().map(|plan| plan.place.clone()).collect(),
    };
    let cluster_names: HashMap<_, _> =
        clusters.iter().map(|cluster| cluster.name.clone()).zip((0_u32..).map(ClusterIdx)).collect();
    Ok(Snapshot {
        id: stamp.id,
        created: stamp.created,
        claims: hosts::claims(&router),
        router,
        clusters,
        cluster_names,
        listeners,
        settings: checked.settings.clone(),
        seams: environment.seams.clone(),
        services: caps.services,
        origin: Origin { trigger: stamp.trigger, hash: checked.hash.clone(), text: checked.text.clone() },
        places,
    })
}

/// What filters are told that the config declares.
fn declared(checked: &Checked) -> Declared {
    let issuers = checked.settings.issuers.iter().map(|issuer| issuer.name.clone()).collect();
    Declared { consumers: checked.settings.consumers.is_some(), issuers }
}

/// Makes the filters and the TLS of listeners as [`activate`] would and throws them away, so that a check finds what
/// only shows then; host names are not resolved. What is wrong is pushed, and `false` is said. State is made anew: that
/// of a running gateway is not touched.
#[must_use]
pub fn rehearse(candidate: Candidate, diagnostics: &mut Diagnostics) -> bool {
    let Candidate { checked, chains } = candidate;
    let before = diagnostics.error_count();
    let state = StateStore::default();
    let names: Vec<&str> = checked.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let services = Services::default().with(Arc::new(declared(&checked))).with(Arc::new(Caller::inert()));
    let caps = caps::Caps::new(&checked, &services);
    let build = hosts::Chains { state: &state, clusters: &names, services: &caps.services };
    for HostChains { own, routes } in chains {
        for spec in std::iter::once(own).chain(routes) {
            drop(build.chain(spec, diagnostics));
        }
    }
    caps.bind(diagnostics);
    listeners::rehearse(&checked.listeners, &state, diagnostics);
    diagnostics.error_count() == before
}
