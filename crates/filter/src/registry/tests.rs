//! From YAML to a filter, with errors at their place and state that outlives a generation.

use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_types::ProxyError;
use portcullis_yaml::{Cx, Decode, MemoryLoader, SchemaGen, load, render_text};

use super::*;
use crate::chain::Chain;
use crate::cx::RequestCx;
use crate::filter::{Filter, Verdict};
use crate::phase::{Phase, Phases};
use crate::testkit::Exchange;

/// Counts requests and says how many there were.
struct Counter {
    step: u32,
    total: Arc<AtomicU32>,
}

/// Settings of the counter.
#[derive(Decode)]
struct CounterConfig {
    /// How much each request counts.
    #[config(default = 1)]
    step: u32,
    /// The cluster it counts for.
    cluster: Option<String>,
}

impl Filter for Counter {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let total = self.total.fetch_add(self.step, Ordering::Relaxed) + self.step;
        cx.notes.annotate("total", total.to_string());
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for Counter {
    const NAME: &'static str = "counter";

    type Config = CounterConfig;

    fn build(config: CounterConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        match config.cluster {
            Some(cluster) if !cx.clusters.contains(&cluster.as_str()) => Err(format!("no cluster `{cluster}`")),
            Some(_) | None => Ok(Self { step: config.step, total: cx.state("total", AtomicU32::default) }),
        }
    }
}

/// No settings.
#[derive(Decode)]
struct NoSettings;

/// A filter of the same name, in the other's place.
struct Replacement;

impl Filter for Replacement {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::NONE
    }
}

impl ConfiguredFilter for Replacement {
    const NAME: &'static str = "counter";

    type Config = NoSettings;

    fn build(_config: NoSettings, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self)
    }
}

fn read(registry: &Registry, name: &str, yaml: &str) -> Result<FilterSpec, String> {
    let loader = MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let mut watch = Vec::new();
    let mut cx = Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    let spec = registry.decode(name, loaded.root.as_ref().unwrap(), &mut cx);
    match spec {
        Some(spec) if !loaded.diagnostics.has_errors() => Ok(spec),
        Some(_) | None => Err(render_text(&loaded.diagnostics, &loaded.sources)),
    }
}

/// The total after one request through a counter built in a place.
fn count(state: &StateStore, place: &str, yaml: &str) -> (Chain, String) {
    let spec = read(&Registry::default().with::<Counter>(), "counter", yaml).unwrap();
    let link = spec.build(&BuildCx { place, state, clusters: &["east"], services: &Services::default() }).unwrap();
    let chain = Chain::new(vec![link]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seen = runtime.block_on(Exchange::get("http://a/").run(&chain));
    (chain, seen.notes.annotations()[0].1.clone())
}

#[test]
fn says_what_is_wrong_with_settings_at_their_place() {
    let registry = Registry::default().with::<Counter>();
    let report = read(&registry, "counter", "stepp: 2").err().unwrap();
    assert!(report.contains("test.yaml:1:1") && report.contains("did you mean `step`?"), "{report}");
    assert!(read(&registry, "unknown", "{}").is_err());
    assert!(registry.has("counter") && !registry.has("unknown"));
}

#[test]
fn a_filter_may_refuse_what_only_the_whole_config_tells() {
    let state = StateStore::default();
    let build = |cluster: &str| {
        let spec = read(&Registry::default().with::<Counter>(), "counter", &format!("cluster: {cluster}")).unwrap();
        assert_eq!(spec.name(), "counter");
        spec.build(&BuildCx { place: "p", state: &state, clusters: &["east"], services: &Services::default() })
            .map(|link| link.name().to_string())
    };
    assert_eq!(build("east"), Ok("counter".to_owned()));
    assert_eq!(build("west"), Err("no cluster `west`".to_owned()));
}

#[test]
fn state_outlives_a_generation_and_a_change_of_settings() {
    let state = StateStore::default();
    let (first, total) = count(&state, "hosts/a/filters", "step: 1");
    assert_eq!(total, "1");
    let (second, total) = count(&state, "hosts/a/filters", "step: 10");
    assert_eq!(total, "11");
    assert_eq!(count(&state, "hosts/b/filters", "{}").1, "1");
    drop((first, second));
    assert_eq!(count(&state, "hosts/a/filters", "{}").1, "1");
}

#[test]
fn a_filter_of_the_same_name_takes_the_place() {
    let registry = Registry::default().with::<Counter>().with::<Replacement>();
    assert_eq!(registry.names().collect::<Vec<_>>(), ["counter"]);
    assert!(read(&registry, "counter", "step: 1").is_err());
}

#[test]
fn schemas_hold_the_docs_of_each_key() {
    let mut schemas = SchemaGen::new();
    let registry = Registry::default().with::<Counter>();
    let made = registry.schemas(&mut schemas);
    let [(name, schema)] = made.as_slice() else { panic!("one filter") };
    let text = schemas.resolve(schema).to_string();
    assert_eq!(*name, "counter");
    assert!(text.contains("How much each request counts."), "{text}");
}
