//! The speed bars of routing: a host among a million, a route among ten thousand, and what a million hosts cost.
//!
//! Queries lie in one buffer in random order, so that the search pays for its own cache misses and not for those of
//! the queries. The memory of a router is counted by the allocator and printed before the timings.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may panic on its own mistakes")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use portcullis_policy::matcher::{HeaderMatcher, MethodMatcher, ValueMatch};
use portcullis_policy::{
    Conditions, HostPattern, Matcher, PathMatcher, RouteSpec, Router, Seed, VirtualHost, VirtualHostSpec,
};
use portcullis_types::{Downstream, ListenerName, RequestView};

const HOSTS: u32 = 1_000_000;
const ROUTES: u32 = 10_000;
const QUERIES: u32 = 1 << 20;
const MIB: f64 = 1_048_576.0;

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap_or_default()
    }
}

/// Texts one after another in one buffer.
#[derive(Default)]
struct Texts {
    buffer: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.ends.push(self.buffer.len());
    }

    fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.buffer[start..self.ends[index]]
    }
}

/// One name in five is a wildcard.
fn name(n: u32) -> String {
    match n % 5 {
        0 => format!("*.customer-{n}.example.net"),
        1 | 2 => format!("www.shop-{n}.com"),
        3 => format!("site-{n}.example.org"),
        _ => format!("brand{n}.co.uk"),
    }
}

/// Three in five by their exact name, one by wildcard, one not there.
fn host_queries() -> Texts {
    let mut random = Random(1);
    let mut queries = Texts::default();
    for _ in 0..QUERIES {
        let n = random.below(HOSTS / 5) * 5;
        match random.below(5) {
            0 => queries.push(&format!("api.customer-{n}.example.net")),
            1 => queries.push(&format!("api.customer-{}.example.net", n + 1)),
            _ => queries.push(&name(n + 1 + random.below(4))),
        }
    }
    queries
}

fn pattern(n: u32) -> HostPattern {
    name(n).parse().expect("a host pattern")
}

fn one_route(text: &str, path: &str) -> Vec<RouteSpec<u32>> {
    let matcher = PathMatcher::prefix(path).expect("a path").into();
    vec![RouteSpec { name: text.into(), matcher, data: 1 }]
}

fn one_host_of_all_names() -> Router<u32, u32> {
    let mut builder = Router::builder();
    let names = (0..HOSTS).map(pattern).collect();
    builder.add(VirtualHostSpec { names, data: 1, routes: one_route("all", "/") }).expect("no conflict");
    builder.build()
}

fn a_host_per_name(routes: impl Fn(u32) -> Vec<RouteSpec<u32>>) -> Router<u32, u32> {
    let mut builder = Router::builder();
    for n in 0..HOSTS {
        builder.add(VirtualHostSpec { names: vec![pattern(n)], data: n, routes: routes(n) }).expect("no conflict");
    }
    builder.build()
}

fn measured<T>(what: &str, build: impl FnOnce() -> T) -> T {
    let mut built = None;
    let mut took = Duration::ZERO;
    let memory = allocation_counter::measure(|| {
        let start = Instant::now();
        built = Some(build());
        took = start.elapsed();
    });
    let held = memory.bytes_current as f64 / MIB;
    let most = memory.bytes_max as f64 / MIB;
    eprintln!("{what}: {held:.1} MiB held, {most:.1} MiB at most while building, {:.2} s", took.as_secs_f64());
    built.expect("it was built")
}

fn hosts(criterion: &mut Criterion) {
    drop(measured("1M hosts of one route, all names and paths different", || {
        a_host_per_name(|n| one_route(&format!("route-{n}"), &format!("/path-{n}")))
    }));
    let shared = measured("1M names of one host", one_host_of_all_names);
    let single = measured("1M hosts of one route, equal routes", || a_host_per_name(|_| one_route("all", "/")));
    let queries = host_queries();
    let mut group = criterion.benchmark_group("host_among_1M");
    for (name, router) in [("names of one host", &shared), ("one host per name", &single)] {
        group.bench_with_input(BenchmarkId::from_parameter(name), router, |bencher, router| {
            let mut index = 0;
            bencher.iter(|| {
                index = (index + 1) % queries.ends.len();
                black_box(router.host(queries.get(index)))
            });
        });
    }
    group.finish();
}

/// Of each hundred routes: 40 exact, 30 prefixes, 30 templates; every tenth asks for a method, every twentieth for a
/// header; and 48 regular expressions, 24 of them without a literal start.
fn route(n: u32) -> RouteSpec<u32> {
    let path = match (n % 208, n % 10) {
        (0, _) if n.is_multiple_of(416) => PathMatcher::regex(&format!("/svc-{n}/v[0-9]+/item-[a-z0-9]+")),
        (0, _) => PathMatcher::regex(&format!("/[a-z]+-{n}/.*\\.(png|jpg)")),
        (_, 0..=3) => PathMatcher::exact(&format!("/svc-{n}/v1/status")),
        (_, 4..=6) => PathMatcher::prefix(&format!("/svc-{n}/v1/api")),
        _ => PathMatcher::template(&format!("/svc-{n}/users/{{id}}/orders/{{order}}")),
    };
    let methods = (n % 100 < 10).then(|| MethodMatcher::new([Method::GET, Method::POST])).flatten();
    let header = HeaderMatcher { name: http::header::ACCEPT, value: ValueMatch::Prefix("application/".into()) };
    let headers = if n % 20 == 5 { vec![header] } else { Vec::new() };
    let conditions = Conditions { methods, headers, ..Conditions::default() };
    RouteSpec {
        name: format!("route-{n}").into(),
        matcher: Matcher { path: path.expect("a path"), conditions },
        data: n,
    }
}

/// One query in ten finds nothing, one in twenty is for a regular expression, the others are for any route.
fn route_queries() -> Texts {
    let mut random = Random(2);
    let mut queries = Texts::default();
    for _ in 0..QUERIES / 16 {
        let id = random.below(100_000);
        let n = match random.below(20) {
            0 | 1 => {
                queries.push(&format!("/nowhere-{id}/v1/status"));
                continue;
            }
            2 => random.below(ROUTES / 208) * 208,
            _ => random.below(ROUTES),
        };
        match (n % 208, n % 10) {
            (0, _) if n.is_multiple_of(416) => queries.push(&format!("/svc-{n}/v2/item-{id}")),
            (0, _) => queries.push(&format!("/img-{n}/a/b/{id}.png")),
            (_, 0..=3) => queries.push(&format!("/svc-{n}/v1/status")),
            (_, 4..=6) => queries.push(&format!("/svc-{n}/v1/api/things/{id}")),
            _ => queries.push(&format!("/svc-{n}/users/{id}/orders/{id}")),
        }
    }
    queries
}

fn routes(criterion: &mut Criterion) {
    let host =
        measured("10k routes of one host", || VirtualHost::new((), (0..ROUTES).map(route).collect(), Seed::random()));
    let queries = route_queries();
    let address: SocketAddr = "203.0.113.9:5000".parse().expect("an address");
    let (listener, tls) = (ListenerName::from("edge"), None);
    let downstream = Downstream { listener, peer: address, socket_peer: address, local: address, tls };
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    let view = |path| RequestView {
        method: &Method::GET,
        host: "a.example.com",
        port: None,
        path,
        query: None,
        headers: &headers,
        client: address.ip(),
        downstream: &downstream,
        body: None,
    };
    let found = (0..queries.ends.len()).filter(|n| host.find(&view(queries.get(*n))).is_some()).count();
    eprintln!("{found} of {} queries find a route", queries.ends.len());
    criterion.bench_function("route_among_10k", |bencher| {
        let mut index = 0;
        bencher.iter(|| {
            index = (index + 1) % queries.ends.len();
            host.find(black_box(&view(queries.get(index)))).map(|found| *found.route.data())
        });
    });
    criterion.bench_function("shadowed_among_10k", |bencher| bencher.iter(|| host.shadowed().len()));
    criterion.bench_function("compile_10k_routes", |bencher| {
        let specs: Vec<RouteSpec<u32>> = (0..ROUTES).map(route).collect();
        bencher.iter(|| VirtualHost::new((), specs.clone(), Seed::fixed(1)).routes().len());
    });
}

criterion_group! {
    name = policy;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    targets = hosts, routes
}
criterion_main!(policy);
