//! From the config as written to plans: what a config means, checked.
//!
//! One file per section. Every check pushes what it finds and goes on with the next thing, so that an operator sees
//! all errors at once; what could not be compiled is left out of the plan, and a plan with errors is never used.

mod actions;
mod addresses;
mod admin;
mod attempts;
mod caps;
mod certificates;
mod clusters;
mod consumers;
mod endpoints;
mod fallbacks;
mod filters;
mod health;
mod heights;
mod history;
mod hosts;
mod limits;
mod listeners;
mod logs;
mod loops;
mod matchers;
mod names;
mod patterns;
mod ranges;
mod rewrites;
mod routes;
mod settings;
mod slos;
mod store;
mod tracing;
mod tuning;
mod upstream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use portcullis_filter::seam::Seams;
use portcullis_snapshot::ClusterIdx;
use portcullis_yaml::{Cx, Diagnostic, Named, SourceMap, Span, Spanned, code as yaml_code};

use crate::code;
use crate::plan::{Checked, ClusterPlan};
use crate::raw::clusters::RawCluster;
use crate::raw::top::Top;

pub(crate) use admin::TOKEN;
pub(crate) use caps::all_filters;
pub(crate) use filters::{ChainSpec, HostChains};
use names::ClusterNames;

/// What compiling needs beside the config, and what it has learnt so far.
pub(crate) struct Compiler<'a, 'c> {
    cx: &'a mut Cx<'c>,
    seams: &'a Seams,
    now: SystemTime,
    clusters: ClusterNames<'a>,
    used: HashSet<ClusterIdx>,
    /// Where the gateway stands.
    zone: Option<Arc<str>>,
    /// What routes select of each cluster.
    subsets: HashMap<ClusterIdx, Vec<BTreeMap<String, String>>>,
    /// Filters that act on upgrades alone.
    upgrades: Vec<Span>,
    /// Whether requests are traced, or would be if there were no error.
    traces: bool,
}

/// The world around a config.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    /// What the binary plugged in.
    pub(crate) seams: &'a Seams,
    /// The time, to tell which certificates are over.
    pub(crate) now: SystemTime,
}

/// What came of compiling: the plan, and the filters that belong to it.
pub(crate) struct Compiled {
    pub(crate) checked: Checked,
    pub(crate) chains: Vec<HostChains>,
}

/// Compiles a config. Errors are in the context; the result is only good when there are none.
pub(crate) fn compile(top: Spanned<Top>, cx: &mut Cx<'_>, world: World<'_>) -> Compiled {
    let Spanned { span, value: mut top } = top;
    let hosts = top.hosts.take();
    let text = text(cx.sources());
    let none = Named::default();
    let raw_clusters = top.clusters.as_ref().unwrap_or(&none);
    let clusters = ClusterNames::new(raw_clusters);
    let zone = top.zone.as_ref().map(|zone| Arc::from(zone.value.as_str()));
    let (used, subsets, upgrades) = (HashSet::new(), HashMap::new(), Vec::new());
    let traces = top.tracing.is_some() || top.tracing.is_broken();
    let (seams, now) = (world.seams, world.now);
    let mut compiler = Compiler { cx, seams, now, clusters, used, zone, subsets, upgrades, traces };
    compiler.version(&top, span);
    let mut settings = compiler.settings(&top, span);
    let consumers = top.consumers.as_ref().and_then(|consumers| Some(consumers.file.as_ref()?.span));
    compiler.check_addresses(&top, span);
    let listeners: Vec<_> = top.listeners.iter().flatten().filter_map(|entry| compiler.listener(entry)).collect();
    let mut clusters: Vec<ClusterPlan> = raw_clusters.iter().filter_map(|entry| compiler.cluster(entry)).collect();
    let (hosts, chains) = compiler.hosts(hosts.unwrap_or_default());
    compiler.check_upgrades(&listeners);
    let caps = compiler.plans(&top);
    compiler.check_plans(&top, &caps, &hosts);
    compiler.warn_idle_plans(&top, &hosts);
    compiler.check_shared(&top, &caps, &hosts);
    settings.slos = compiler.slos(&top, &hosts);
    compiler.check_log_hosts(&top, &hosts);
    settings.store = settings.store.or_else(|| compiler.implied_store(&top, &caps, &hosts, span));
    settings.history = compiler.history(top.history.as_ref(), settings.store.as_ref(), span);
    settings.slos_file = compiler.slos_file(&settings, span);
    for (index, cluster) in (0_u32..).map(ClusterIdx).zip(&mut clusters) {
        cluster.subsets = compiler.subsets.remove(&index).unwrap_or_default();
    }
    compiler.warn_unused(raw_clusters);
    Compiled {
        checked: Checked {
            listeners,
            clusters,
            hosts,
            caps,
            file: start(span),
            settings,
            consumers,
            hash: String::new(),
            text,
        },
        chains,
    }
}

/// The first character of a stretch.
const fn start(span: Span) -> Span {
    Span { source: span.source, start: span.start, end: span.start }
}

/// The main file's text.
fn text(sources: &SourceMap) -> Arc<str> {
    sources.iter().next().map_or_else(|| Arc::from(""), |source| Arc::from(source.text()))
}

impl Compiler<'_, '_> {
    fn version(&mut self, top: &Top, file: Span) {
        let diagnostic = match *top.version {
            Some(version) if version.value == 1 => return,
            Some(version) => {
                let message = format!("version {} of the format is not known", version.value);
                Diagnostic::error(code::UNSUPPORTED_VERSION, version.span, message)
            }
            None if top.version.is_broken() => return,
            None => Diagnostic::error(yaml_code::MISSING_KEY, start(file), "the key `version` is missing"),
        };
        self.cx.push(diagnostic.help("write `version: 1`"));
    }

    /// Filters may name any cluster at run time, so an unused one is only worth a warning. Beside errors it may be
    /// the consequence of one.
    fn warn_unused(&mut self, clusters: &Named<Spanned<RawCluster>>) {
        if self.cx.diagnostics().has_errors() {
            return;
        }
        for (index, entry) in (0_u32..).zip(clusters) {
            if !self.used.contains(&ClusterIdx(index)) {
                let message =
                    format!("no route sends requests to the cluster `{}`, and no filter names it", entry.name);
                let warning = Diagnostic::warning(code::UNUSED_CLUSTER, entry.span, message);
                self.cx.push(warning.help("remove it, or name it in the `to` of a route"));
            }
        }
    }
}
