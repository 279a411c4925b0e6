//! What the tests share: a loader rooted in a folder, sources that know nothing, and a world to activate in.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use portcullis_filter::seam::Seams;
use portcullis_filter::{Registry, StateStore};
use portcullis_identity::Directory;
use portcullis_identity::directory::{Limits, Problem};
use portcullis_snapshot::settings::ConsumersFile;
use portcullis_snapshot::tls::DynamicCertificates;
use portcullis_snapshot::{Fleets, Snapshot, SourceKey};
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::GenerationId;
use portcullis_yaml::{Loader, MemoryLoader, OsLoader, render_text};

use crate::{Candidate, ConsumersProblem, Environment, LoadInput, Loaded, Stamp, activate, check};

/// The folder of the examples.
pub(crate) fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

/// Reads files below a folder by paths relative to it; no variable is set.
pub(crate) struct Rooted(pub(crate) PathBuf);

impl Loader for Rooted {
    fn read(&self, path: &Path) -> io::Result<String> {
        OsLoader.read(&self.0.join(path))
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let found = OsLoader.glob(&self.0.join(base), pattern)?;
        Ok(found.iter().filter_map(|path| path.strip_prefix(&self.0).ok()).map(Path::to_path_buf).collect())
    }
}

/// Where no name resolves and no file of endpoints is right.
pub(crate) fn nothing_answers(sources: &[SourceKey]) -> Vec<Result<(), String>> {
    let one = |source: &SourceKey| match source {
        SourceKey::Name { .. } | SourceKey::Service { .. } => Err("no such name".to_owned()),
        SourceKey::File { path } => Err(format!("{} cannot be read", path.display())),
        SourceKey::Other { .. } => Ok(()),
    };
    sources.iter().map(one).collect()
}

/// What lives longer than a generation.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) seams: Seams,
    pub(crate) state: StateStore,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fleets: Arc<Fleets>,
    pub(crate) certificates: Arc<DynamicCertificates>,
}

impl Default for World {
    fn default() -> Self {
        let mut seams = Seams::default();
        portcullis_rpc::plug(&mut seams, &Default::default());
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap());
        Self {
            registry: portcullis_rpc::register(portcullis_filters::registry()),
            seams,
            state: StateStore::default(),
            fleets: Fleets::new(metrics.clone()),
            metrics,
            certificates: Arc::default(),
        }
    }
}

impl World {
    pub(crate) fn check(&self, path: &str, loader: &dyn Loader) -> Loaded {
        let path = Path::new(path);
        check(&LoadInput { path, loader, registry: &self.registry, seams: &self.seams, now: SystemTime::now() })
    }

    pub(crate) fn activate(
        &self,
        candidate: Candidate,
        previous: Option<&Snapshot>,
    ) -> Result<Snapshot, portcullis_yaml::Diagnostics> {
        let environment = Environment {
            seams: &self.seams,
            state: &self.state,
            metrics: &self.metrics,
            fleets: &self.fleets,
            services: &portcullis_filter::Services::default(),
            certificates: &self.certificates,
        };
        let id = GenerationId(previous.map_or(1, |previous| previous.id.0 + 1));
        let stamp = Stamp { id, trigger: "start", created: SystemTime::now(), now: Instant::now(), seed: 0 };
        activate(candidate, previous, &environment, stamp)
    }

    /// A candidate from a text; what is wrong with it is a failure of the test.
    pub(crate) fn candidate(&self, text: &str) -> Candidate {
        let loader = MemoryLoader::new().file("gate.yaml", text);
        let loaded = self.check("gate.yaml", &loader);
        let report = render_text(&loaded.diagnostics, &loaded.sources);
        loaded.candidate.unwrap_or_else(|| panic!("{report}"))
    }

    /// A generation from a text.
    pub(crate) fn generation(&self, text: &str, previous: Option<&Snapshot>) -> Snapshot {
        self.activate(self.candidate(text), previous).unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"))
    }
}

/// Reads a file of consumers whose path is relative to a folder.
pub(crate) fn read_consumers(root: &Path, file: &ConsumersFile) -> Result<BTreeSet<String>, Vec<ConsumersProblem>> {
    let text = std::fs::read(root.join(&file.path)).unwrap();
    let made = Directory::new(1).rebuild_from(file.format, &mut &*text, Limits::default());
    let problem = |one: &Problem| ConsumersProblem { line: one.line(), what: one.what() };
    let plans = |directory: &Directory| directory.plans().iter().map(|plan| plan.name().to_owned()).collect();
    made.map(|(directory, _)| plans(&directory)).map_err(|error| error.problems.iter().map(problem).collect())
}
