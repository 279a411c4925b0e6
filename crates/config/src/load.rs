//! From a file to a candidate: read, decoded, compiled. Nothing that runs is touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use portcullis_filter::Registry;
use portcullis_filter::seam::Seams;
use portcullis_snapshot::Settings;
use portcullis_yaml::{Cx, Diagnostics, Loader, SourceMap, Spanned};

use crate::compile::{Compiled, HostChains, World, compile};
use crate::digest::Recorder;
use crate::plan::Checked;
use crate::raw::top::Top;

/// What a check needs.
#[derive(Clone, Copy)]
pub struct LoadInput<'a> {
    /// The main file.
    pub path: &'a Path,
    /// Where files and variables come from.
    pub loader: &'a dyn Loader,
    /// The filters that the config may name.
    pub registry: &'a Registry,
    /// What the binary plugs in, by the names that the config may use.
    pub seams: &'a Seams,
    /// The time, to tell which certificates are over.
    pub now: SystemTime,
}

/// What came of a check.
pub struct Loaded {
    /// The config, if there is no error in it.
    pub candidate: Option<Candidate>,
    /// Settings of the gateway as a whole, as far as they could be read, also where there are errors; for who looks where a
    /// broken config keeps things.
    pub settings: Option<Settings>,
    /// All errors and warnings.
    pub diagnostics: Diagnostics,
    /// The texts that the diagnostics point into.
    pub sources: SourceMap,
    /// Every file that was read or tried, certificates and secrets included, and the folders in which a new file
    /// would be included: what a change of should lead to another load.
    pub watch: Vec<PathBuf>,
}

/// A config without errors, ready to be made into a generation once.
pub struct Candidate {
    pub(crate) checked: Arc<Checked>,
    pub(crate) chains: Vec<HostChains>,
}

impl Candidate {
    /// What the config says, to be compared with another.
    #[must_use]
    pub fn checked(&self) -> &Arc<Checked> {
        &self.checked
    }
}

/// Reads a config with all that it names, and says everything that is wrong with it at once.
///
/// Host names of endpoints are not resolved and filters are not built here: both happen in [`crate::activate`].
#[must_use]
pub fn check(input: &LoadInput<'_>) -> Loaded {
    let loader = Recorder::new(input.loader);
    let mut read = portcullis_yaml::load(input.path, &loader);
    let top: Option<Spanned<Top>> = read.decode(&loader, Some(input.registry));
    let mut cx = Cx::new(&mut read.diagnostics, &read.sources, &loader, &mut read.watch);
    let world = World { seams: input.seams, now: input.now };
    let compiled = top.map(|top| compile(top, &mut cx, world));
    let settings = compiled.as_ref().map(|compiled| compiled.checked.settings.clone());
    let clean = !read.diagnostics.has_errors();
    let candidate = compiled.filter(|_| clean).map(|Compiled { checked, chains }| {
        // Only now has everything been read.
        let checked = Checked { hash: loader.digest(), ..checked };
        Candidate { checked: Arc::new(checked), chains }
    });
    Loaded { candidate, settings, diagnostics: read.diagnostics, sources: read.sources, watch: read.watch }
}

/// Checks a text that may hold anything, as the fuzzer does: with the built-in filters, without files or variables.
pub fn fuzz_check(text: &str) {
    let loader = portcullis_yaml::MemoryLoader::new().file("fuzz.yaml", text);
    let registry = portcullis_filters::registry();
    let seams = Seams::default();
    let path = Path::new("fuzz.yaml");
    let loaded =
        check(&LoadInput { path, loader: &loader, registry: &registry, seams: &seams, now: SystemTime::UNIX_EPOCH });
    // The renderers see the same text, so they are part of what must not fail.
    drop(portcullis_yaml::render_text(&loaded.diagnostics, &loaded.sources));
    drop(portcullis_yaml::render_json(&loaded.diagnostics, &loaded.sources));
}
