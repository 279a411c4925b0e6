//! What a reload costs: reading, checking and making a generation of 10,000 routes, and comparing two of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench whose config is wrong has nothing to measure")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_config::{Candidate, Environment, LoadInput, Stamp, activate, check, diff};
use portcullis_filter::seam::Seams;
use portcullis_filter::{Registry, StateStore};
use portcullis_snapshot::{Fleets, Snapshot};
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::GenerationId;
use portcullis_yaml::MemoryLoader;

/// The allocator of the gateway.
#[global_allocator]
static ALLOCATOR: portcullis_alloc::Allocator = portcullis_alloc::Allocator;

const ROUTES: usize = 10_000;
const CLUSTERS: usize = 100;

/// One host with routes of every kind of path, a few of them with conditions and filters.
fn config(routes: usize) -> String {
    let mut text = String::from("version: 1\nlisteners: { edge: { bind: \"127.0.0.1:8080\" } }\nclusters:\n");
    for cluster in 0..CLUSTERS {
        let port = 9000 + cluster;
        let _ = writeln!(text, "  c{cluster}:\n    endpoints: [\"10.0.0.1:{port}\", \"10.0.0.2:{port}\"]");
    }
    text.push_str("hosts:\n  - names: [\"www.example.com\"]\n    routes:\n");
    for route in 0..routes {
        let cluster = route % CLUSTERS;
        let matcher = match route % 10 {
            0..4 => format!("{{ path: /s{route}/v1 }}"),
            4..6 => format!("{{ exact: /s{route}/health, method: GET }}"),
            6..8 => format!("{{ template: \"/s{route}/users/{{id}}\", method: [GET, POST] }}"),
            8 => format!("{{ path: /s{route}, headers: {{ x-env: canary }} }}"),
            _ => format!("{{ path: /s{route}, query: {{ debug: {{ present: true }} }} }}"),
        };
        let _ = writeln!(text, "      - name: r{route}\n        match: {matcher}\n        to: c{cluster}");
        if route % 10 == 0 {
            text.push_str("        filters: [{ headers: { response: { set: { x-a: b } } } }]\n");
        }
    }
    text
}

struct World {
    registry: Registry,
    seams: Seams,
    state: StateStore,
    metrics: Arc<Metrics>,
    fleets: Arc<Fleets>,
}

impl World {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap());
        Self {
            registry: portcullis_filters::registry(),
            seams: Seams::default(),
            state: StateStore::default(),
            fleets: Fleets::new(metrics.clone()),
            metrics,
        }
    }

    fn check(&self, loader: &MemoryLoader) -> Candidate {
        let (path, now) = (Path::new("gate.yaml"), SystemTime::now());
        let input = LoadInput { path, loader, registry: &self.registry, seams: &self.seams, now };
        check(&input).candidate.unwrap()
    }

    fn activate(&self, candidate: Candidate, previous: Option<&Snapshot>) -> Snapshot {
        let environment = Environment {
            seams: &self.seams,
            state: &self.state,
            metrics: &self.metrics,
            fleets: &self.fleets,
            services: &portcullis_filter::Services::default(),
            certificates: &Arc::default(),
        };
        let id = GenerationId(1);
        let stamp = Stamp { id, trigger: "watch", created: SystemTime::now(), now: Instant::now(), seed: 0 };
        activate(candidate, previous, &environment, stamp).unwrap_or_else(|found| panic!("{found:?}"))
    }
}

fn reload(c: &mut Criterion) {
    let world = World::new();
    let text = config(ROUTES);
    let loader = MemoryLoader::new().file("gate.yaml", text.as_str());
    let previous = world.activate(world.check(&loader), None);
    let other = MemoryLoader::new().file("gate.yaml", text.replace("x-env: canary", "x-env: next"));
    let (old, new) = (world.check(&loader), world.check(&other));
    let mut group = c.benchmark_group("10000_routes");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("check", |b| b.iter(|| black_box(world.check(&loader))));
    group.bench_function("activate", |b| {
        let candidate = || world.check(&loader);
        b.iter_batched(candidate, |it| black_box(world.activate(it, Some(&previous))), BatchSize::PerIteration);
    });
    group.bench_function("reload", |b| b.iter(|| black_box(world.activate(world.check(&loader), Some(&previous)))));
    group.bench_function("diff", |b| b.iter(|| black_box(diff(old.checked(), new.checked()))));
    group.finish();
}

criterion_group!(benches, reload);
criterion_main!(benches);
