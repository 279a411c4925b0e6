//! What the tests of the filters share: chains from YAML, and what is said about wrong YAML.

use std::future::Future;

use portcullis_filter::chain::Link;
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{BuildCx, Chain, FilterSpec, Services, StateStore};
use portcullis_yaml::{Cx, Loaded, MemoryLoader, load, render_text};

/// Settings read by the registry: the filter, or the report of what is wrong with them.
pub(crate) fn read(name: &str, yaml: &str, loader: MemoryLoader) -> Result<FilterSpec, String> {
    let (spec, loaded) = decode(name, yaml, loader);
    match spec {
        Some(spec) if !loaded.diagnostics.has_errors() => Ok(spec),
        Some(_) | None => Err(render_text(&loaded.diagnostics, &loaded.sources)),
    }
}

/// What is said about settings that are taken; empty when nothing is.
pub(crate) fn warnings(name: &str, yaml: &str) -> String {
    let (spec, loaded) = decode(name, yaml, MemoryLoader::new());
    let report = render_text(&loaded.diagnostics, &loaded.sources);
    assert!(spec.is_some() && !loaded.diagnostics.has_errors(), "{report}");
    report
}

fn decode(name: &str, yaml: &str, loader: MemoryLoader) -> (Option<FilterSpec>, Loaded) {
    let loader = loader.file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let mut spec = None;
    if let Some(root) = &loaded.root {
        let mut watch = Vec::new();
        let mut cx = Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
        spec = crate::registry().decode(name, root, &mut cx);
    }
    (spec, loaded)
}

/// A filter of the registry, built.
pub(crate) fn link(name: &str, yaml: &str, state: &StateStore) -> Link {
    build(name, yaml, state, &Services::default()).expect("the filter is built")
}

fn build(name: &str, yaml: &str, state: &StateStore, services: &Services) -> Result<Link, String> {
    let spec = read(name, yaml, MemoryLoader::new()).unwrap_or_else(|report| panic!("{report}"));
    spec.build(&BuildCx { place: "test", state, clusters: &[], services })
}

/// A chain of filters that share services with the gateway.
pub(crate) fn chain_with(services: &Services, filters: &[(&str, &str)]) -> Chain {
    let state = StateStore::default();
    let link = |(name, yaml): &(&str, &str)| build(name, yaml, &state, services).expect("the filter is built");
    Chain::new(filters.iter().map(link).collect()).expect("the chain is short")
}

/// Why a filter with good settings cannot be built.
pub(crate) fn build_error(services: &Services, name: &str, yaml: &str) -> String {
    match build(name, yaml, &StateStore::default(), services) {
        Ok(_) => panic!("the filter is built: {yaml}"),
        Err(why) => why,
    }
}

/// A chain of filters with their settings, in order.
pub(crate) fn chain(filters: &[(&str, &str)]) -> Chain {
    let state = StateStore::default();
    Chain::new(filters.iter().map(|(name, yaml)| link(name, yaml, &state)).collect()).expect("the chain is short")
}

/// What is said about wrong settings.
pub(crate) fn refusal(name: &str, yaml: &str) -> String {
    match read(name, yaml, MemoryLoader::new()) {
        Ok(_) => panic!("these settings are taken: {yaml}"),
        Err(report) => report,
    }
}

/// Asserts that settings are refused with a report that holds a text.
pub(crate) fn check_refused(name: &str, yaml: &str, expected: &str) {
    let report = refusal(name, yaml);
    assert!(report.contains(expected), "{yaml}\nexpected: {expected}\nfound: {report}");
}

/// Runs a future with a paused clock.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime is made").block_on(future)
}

/// Runs an exchange through a chain.
pub(crate) fn run(chain: &Chain, exchange: Exchange) -> Seen {
    block_on(exchange.run(chain))
}

/// A field of the answer; empty when there is none, joined when there are several.
pub(crate) fn field(seen: &Seen, name: &str) -> String {
    joined(&seen.headers, name)
}

/// A field of the request that the upstream got.
pub(crate) fn upstream_field(seen: &Seen, name: &str) -> String {
    joined(&seen.upstream.as_ref().expect("the upstream was asked").headers, name)
}

fn joined(headers: &http::HeaderMap, name: &str) -> String {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII")).collect();
    values.join(", ")
}

/// Facts of a request for `example.com`.
pub(crate) fn facts() -> portcullis_filter::Facts {
    let address = std::net::SocketAddr::from(([192, 0, 2, 7], 40_000));
    let downstream = portcullis_types::Downstream {
        listener: "test".into(),
        peer: address,
        socket_peer: address,
        local: address,
        tls: None,
    };
    let id = portcullis_types::RequestId(1);
    portcullis_filter::Facts { host: "example.com".into(), ..portcullis_filter::Facts::new(id, downstream.into()) }
}
