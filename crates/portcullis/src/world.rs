//! What every load of the config works with, whatever asks for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use portcullis_caps::LedgerOptions;
use portcullis_config::{Candidate, Checked, Environment, LoadInput, Loaded, Stamp, activate, check, consumers};
use portcullis_discovery::Discovery;
use portcullis_filter::seam::{Caller, Seams};
use portcullis_filter::{Registry, Services, StateStore};
use portcullis_filters::caps::{CapLedger, Plans};
use portcullis_identity::store::ConsumerStore;
use portcullis_proxy::OwnRequests;
use portcullis_snapshot::tls::DynamicCertificates;
use portcullis_snapshot::{Fleets, Snapshot};
use portcullis_store::{Keeper, Saved};
use portcullis_telemetry::Metrics;
use portcullis_telemetry::metrics::RpcMetrics;
use portcullis_types::GenerationId;
use portcullis_yaml::{Diagnostics, Loader, OsLoader};

use crate::consumers::{Consumers, Prepared};
use crate::files::{Reader, State};

/// Filters, seams and state: what lives longer than a generation.
pub(crate) struct World {
    pub(crate) path: PathBuf,
    pub(crate) registry: Arc<Registry>,
    pub(crate) seams: Seams,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fleets: Arc<Fleets>,
    state: StateStore,
    services: Services,
    /// What everybody has spent.
    pub(crate) caps: Arc<CapLedger>,
    /// What is saved of quotas, for consumers that the ledger dropped.
    pub(crate) saved: Saved,
    /// What keeps that on disk, once the gateway serves and if the config has a store.
    pub(crate) keeper: OnceLock<Arc<Keeper>>,
    pub(crate) consumers: Arc<Consumers>,
    /// Requests of the gateway's own, once there is one.
    pub(crate) own_requests: Arc<OwnRequests>,
    certificates: Arc<DynamicCertificates>,
    /// Where the endpoints of names, files and other sources come from; it follows nothing until it is told to.
    pub(crate) discovery: Discovery,
}

impl World {
    /// The world of a gateway without a store of consumers.
    #[cfg(test)]
    pub(crate) fn new(path: &Path, registry: Registry, seams: Seams, metrics: Arc<Metrics>) -> Self {
        Self::with_store(path, registry, seams, metrics, None)
    }

    /// The world of a running gateway, perhaps with a store of consumers.
    pub(crate) fn with_store(
        path: &Path,
        registry: Registry,
        seams: Seams,
        metrics: Arc<Metrics>,
        store: Option<Arc<dyn ConsumerStore>>,
    ) -> Self {
        let fleets = Fleets::new(metrics.clone());
        let saved = Saved::default();
        let options = LedgerOptions { seed: rand::random(), saved: Some(saved.lookup()), ..LedgerOptions::default() };
        let caps = Arc::new(CapLedger::new(options));
        let consumers = Arc::new(Consumers::new(store, Arc::clone(&caps)));
        let own_requests = Arc::new(OwnRequests::default());
        Self {
            path: path.to_owned(),
            registry: Arc::new(registry),
            discovery: Discovery::new(fleets.clone(), seams.endpoints.clone()),
            seams,
            fleets,
            metrics,
            state: StateStore::default(),
            services: Services::default()
                .with(Arc::clone(&consumers.identities))
                .with(Arc::new(Caller(own_requests.clone())))
                .with(Arc::clone(&caps)),
            consumers,
            own_requests,
            caps,
            saved,
            keeper: OnceLock::new(),
            certificates: Arc::default(),
        }
    }

    /// The same with filters of JSON-RPC that count here.
    pub(crate) fn counting(mut self, rpc: Arc<RpcMetrics>) -> Self {
        self.services = self.services.with(rpc);
        self
    }

    /// The same for another file.
    pub(crate) fn at(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Reads the config from its files.
    pub(crate) fn check(&self) -> Loaded {
        self.check_with(&OsLoader)
    }

    /// Reads the config, with another text in the place of the main file's if there is one; and says what the files
    /// were when they were read.
    pub(crate) fn read(&self, text: Option<&str>) -> (Loaded, State) {
        let overlay = text.map(|text| Overlay { path: &self.path, text });
        let reader = Reader::new(overlay.as_ref().map_or(&OsLoader, |overlay| overlay));
        let loaded = self.check_with(&reader);
        let state = reader.state(&loaded.watch);
        (loaded, state)
    }

    fn check_with(&self, loader: &dyn Loader) -> Loaded {
        let (path, registry, seams) = (&*self.path, &*self.registry, &self.seams);
        check(&LoadInput { path, loader, registry, seams, now: SystemTime::now() })
    }

    /// Reads who may call, where a config says other than what serves; what is wrong with it is pushed.
    pub(crate) fn prepare_consumers(&self, checked: &Checked, diagnostics: &mut Diagnostics) -> Option<Prepared> {
        match self.consumers.prepare(checked.settings()) {
            Ok(prepared) => {
                consumers(checked, |_, _| Ok(prepared.plans()), diagnostics);
                Some(prepared)
            }
            Err(problems) => {
                consumers(checked, |_, _| Err(problems), diagnostics);
                None
            }
        }
    }

    /// Makes a generation.
    pub(crate) fn activate(
        &self,
        candidate: Candidate,
        previous: Option<&Snapshot>,
        (id, trigger): (GenerationId, &'static str),
    ) -> Result<Snapshot, Diagnostics> {
        let environment = Environment {
            seams: &self.seams,
            state: &self.state,
            metrics: &self.metrics,
            fleets: &self.fleets,
            services: &self.services,
            certificates: &self.certificates,
        };
        let (created, now) = (SystemTime::now(), Instant::now());
        activate(candidate, previous, &environment, Stamp { id, trigger, created, now, seed: rand::random() })
    }
}

/// Says to what goes on for long that a generation serves, so that it is held to the plans of that one.
pub(crate) fn serve_plans(caps: &CapLedger, snapshot: &Snapshot) {
    let Some(plans) = snapshot.services.get::<Plans>() else { return };
    if let Err(error) = caps.serve(plans) {
        log::error!("consumers cannot be held to caps of their own: {error}");
    }
}

/// The files of this process, but for one text.
struct Overlay<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Loader for Overlay<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == self.path { Ok(self.text.to_owned()) } else { OsLoader.read(path) }
    }

    fn env(&self, name: &str) -> Option<String> {
        OsLoader.env(name)
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        OsLoader.glob(base, pattern)
    }
}
