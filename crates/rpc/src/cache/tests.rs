//! Shared and kept answers, with a clock that stands still.

use bytes::Bytes;
use http::HeaderMap;
use portcullis_types::{BodyView, Downstream};
use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::scan::Limits;

const GENESIS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getGenesisHash"}"#;
const BALANCE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["a"]}"#;

/// A request as a cache sees it.
struct Asked {
    body: Arc<dyn BodyView>,
    method: Method,
    host: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    headers: HeaderMap,
    downstream: Downstream,
}

impl Asked {
    fn new(text: &str) -> Self {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let downstream = Downstream { listener: "a".into(), peer, socket_peer: peer, local: peer, tls: None };
        let body = Arc::new(Body::read(text.to_owned().into(), &Limits::CEILING));
        let headers = HeaderMap::new();
        Self { body, method: Method::POST, host: "a", path: "/", query: None, headers, downstream }
    }

    fn view(&self) -> RequestView<'_> {
        RequestView {
            method: &self.method,
            host: self.host,
            port: None,
            path: self.path,
            query: self.query,
            headers: &self.headers,
            client: Ipv4Addr::LOCALHOST.into(),
            downstream: &self.downstream,
            body: Some(&*self.body),
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        Body::of(&*self.body).expect("one of ours").outcome()
    }

    async fn ask(&self, cache: &RpcCache) -> Option<CachedResponse> {
        cache.lookup(&self.view()).await.expect("no error")
    }

    /// Lets an answer pass.
    fn answer(&self, cache: &RpcCache, text: &str) {
        self.answer_with(cache, &Response::new(StatusCode::OK).header, text);
    }

    fn answer_with(&self, cache: &RpcCache, head: &ResponseHeader, text: &str) {
        let Some(mut fill) = cache.admit(&self.view(), head) else { return };
        let (first, second) = text.as_bytes().split_at(text.len() / 2);
        if fill.chunk(&Bytes::copy_from_slice(first)) && fill.chunk(&Bytes::copy_from_slice(second)) {
            fill.finish();
        }
    }
}

fn cache_of(keeps: Keeps, bounds: Bounds) -> RpcCache {
    let metrics = RpcMetrics::default();
    RpcCache { keeps, shared: Arc::new(Shared::new(bounds, &metrics)), metrics: metrics.cache("rpc") }
}

fn cache() -> RpcCache {
    cache_of(Keeps::WhatLasts, Bounds::default())
}

fn result(value: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"result\":{value},\"id\":1}}\n")
}

/// Asks, and answers a miss.
async fn fill(cache: &RpcCache, call: &str, value: &str) {
    let asked = Asked::new(call);
    assert!(asked.ask(cache).await.is_none(), "{call}");
    asked.answer(cache, &result(value));
}

fn field<'a>(response: &'a CachedResponse, name: &str) -> &'a str {
    response.header.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_given_out_under_the_id_of_each_call_with_its_age() {
    let cache = cache();
    fill(&cache, GENESIS, "\"5eykt\"").await;
    tokio::time::advance(Duration::from_millis(2500)).await;
    for id in ["1", "\"1\"", "7", "null"] {
        let asked = Asked::new(&GENESIS.replace(":1,", &format!(":{id},")));
        let hit = asked.ask(&cache).await.expect("a hit");
        assert_eq!(hit.body, format!("{{\"jsonrpc\":\"2.0\",\"result\":\"5eykt\",\"id\":{id}}}\n"));
        assert_eq!((field(&hit, "x-cache"), field(&hit, "age")), ("hit", "2"));
        assert_eq!(field(&hit, "content-type"), "application/json");
        assert_eq!(asked.outcome(), Some(Outcome::Hit));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_a_time_is_over_after_it() {
    let (cache, call) =
        (cache(), r#"{"jsonrpc":"2.0","id":1,"method":"getBlock","params":[5,{"commitment":"confirmed"}]}"#);
    fill(&cache, call, "{}").await;
    tokio::time::advance(Duration::from_millis(799)).await;
    assert!(Asked::new(call).ask(&cache).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(Asked::new(call).ask(&cache).await.is_none());
    assert_eq!(cache.shared.store.weight(), 0, "it is gone");
}

#[tokio::test(start_paused = true)]
async fn null_errors_and_what_is_never_kept_are_not() {
    let cache = cache();
    let block = GENESIS.replace("getGenesisHash\"", "getBlock\",\"params\":[5]");
    fill(&cache, &block, "null").await;
    fill(&cache, BALANCE, "5").await;
    let asked = Asked::new(GENESIS);
    assert!(asked.ask(&cache).await.is_none());
    asked.answer(&cache, r#"{"jsonrpc":"2.0","error":{"code":-32005},"id":1}"#);
    for call in [&block, BALANCE, GENESIS] {
        assert!(Asked::new(call).ask(&cache).await.is_none(), "{call}");
    }
    assert_eq!(cache.shared.store.weight(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_statuses_codings_and_answers_that_break_off_are_not_kept() {
    let cache = cache();
    let mut gzip = Response::new(StatusCode::OK).header;
    gzip.insert_header("content-encoding", "gzip").expect("a field");
    let mut long = Response::new(StatusCode::OK).header;
    long.insert_header("content-length", "99999999").expect("a field");
    for head in [Response::new(StatusCode::ACCEPTED).header, gzip, long] {
        let asked = Asked::new(GENESIS);
        assert!(asked.ask(&cache).await.is_none());
        assert!(cache.admit(&asked.view(), &head).is_none());
    }
    let asked = Asked::new(GENESIS);
    assert!(asked.ask(&cache).await.is_none());
    let mut fill = cache.admit(&asked.view(), &Response::new(StatusCode::OK).header).expect("wanted");
    assert!(fill.chunk(&result("1").into()));
    assert!(cache.shared.store.bytes_incoming() > 0);
    drop(fill);
    assert_eq!((cache.shared.store.bytes_incoming(), cache.shared.store.weight()), (0, 0));
    assert_eq!(cache.shared.flights.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_key_is_host_path_query_method_and_params_as_they_are_written() {
    let cache = cache();
    let call = |params: &str| GENESIS.replace("getGenesisHash\"", &format!("getTransaction\",\"params\":{params}"));
    fill(&cache, &call(r#"["aB", {"encoding": "x y"}]"#), "{}").await;
    let shared = &cache;
    let hit = |asked: Asked| async move { asked.ask(shared).await.is_some() };
    assert!(hit(Asked::new(&call("[ \"aB\",{\"encoding\":\"x y\"} ]"))).await, "white space between tokens");
    for other in [r#"["ab",{"encoding":"x y"}]"#, r#"["aB",{"encoding":"xy"}]"#, r#"["aB"]"#] {
        assert!(!hit(Asked::new(&call(other))).await, "{other}");
    }
    let same = || Asked::new(&call(r#"["aB", {"encoding": "x y"}]"#));
    assert!(!hit(Asked { host: "b", ..same() }).await);
    assert!(!hit(Asked { path: "/devnet", ..same() }).await);
    assert!(!hit(Asked { query: Some("network=devnet"), ..same() }).await);
    assert!(!hit(Asked { method: Method::PUT, ..same() }).await);
    assert!(hit(same()).await);
}

#[tokio::test(start_paused = true)]
async fn batches_notifications_and_sends_never_meet_a_cache() {
    let cache = cache();
    let send = BALANCE.replace("getBalance", "sendTransaction");
    let simulate = BALANCE.replace("getBalance", "simulateTransaction");
    for body in [
        &format!("[{GENESIS}]"),
        &GENESIS.replace("\"id\":1,", ""),
        &send,
        &simulate,
        &BALANCE.replace("getB", "eth_b"),
        "{",
    ] {
        let asked = Asked::new(body);
        assert!(asked.ask(&cache).await.is_none());
        assert_eq!((asked.outcome(), cache.shared.flights.len()), (None, 0), "{body}");
        assert!(cache.admit(&asked.view(), &Response::new(StatusCode::OK).header).is_none());
    }
}

/// Asks as tasks that are polled until each waits.
async fn waiting(cache: &RpcCache, calls: &[&str]) -> Vec<tokio::task::JoinHandle<Option<CachedResponse>>> {
    let before = cache.shared.flights.waiting();
    let ask = |call: &&str| {
        let (cache, asked) = (cache.clone(), Asked::new(call));
        tokio::spawn(async move { asked.ask(&cache).await })
    };
    let tasks: Vec<_> = calls.iter().map(ask).collect();
    while cache.shared.flights.waiting() < before + calls.len() {
        tokio::task::yield_now().await;
    }
    tasks
}

#[tokio::test(start_paused = true)]
async fn identical_reads_in_flight_share_the_answer_of_the_first_even_where_nothing_is_kept() {
    let cache = cache_of(Keeps::Nothing, Bounds::default());
    let leader = Asked::new(BALANCE);
    assert!(leader.ask(&cache).await.is_none());
    let other = BALANCE.replace(":1,", ":\"x\",");
    let tasks = waiting(&cache, &[BALANCE, &other]).await;
    leader.answer(&cache, &result("5"));
    for (task, id) in tasks.into_iter().zip(["1", "\"x\""]) {
        let shared = task.await.expect("it ran").expect("an answer");
        assert_eq!(shared.body, result("5").replace("\"id\":1", &format!("\"id\":{id}")));
        assert_eq!((field(&shared, "x-cache"), field(&shared, "age")), ("coalesced", "0"));
    }
    assert_eq!((cache.shared.flights.len(), cache.shared.store.weight()), (0, 0));
    assert!(Asked::new(BALANCE).ask(&cache).await.is_none(), "the next one asks again");
}

#[tokio::test(start_paused = true)]
async fn null_is_shared_in_flight_and_an_error_is_not() {
    let cache = cache();
    let leader = Asked::new(BALANCE);
    assert!(leader.ask(&cache).await.is_none());
    let tasks = waiting(&cache, &[BALANCE]).await;
    leader.answer(&cache, &result("null"));
    for task in tasks {
        assert!(task.await.expect("it ran").is_some());
    }
    let leader = Asked::new(BALANCE);
    assert!(leader.ask(&cache).await.is_none());
    let tasks = waiting(&cache, &[BALANCE]).await;
    leader.answer(&cache, r#"{"jsonrpc":"2.0","error":{"code":-32602},"id":1}"#);
    for task in tasks {
        assert!(task.await.expect("it ran").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_one_that_fails_goes_on_at_once_and_one_of_them_leads() {
    for fails in [
        // The client of the leader went away.
        (|leader: Asked, _: &RpcCache| drop(leader)) as fn(Asked, &RpcCache),
        |leader, cache| leader.answer_with(cache, &Response::new(StatusCode::BAD_GATEWAY).header, ""),
        |leader, cache| leader.answer(cache, "<html>"),
        // The answer broke off.
        |leader, cache| drop(cache.admit(&leader.view(), &Response::new(StatusCode::OK).header)),
    ] {
        let cache = cache();
        let leader = Asked::new(BALANCE);
        assert!(leader.ask(&cache).await.is_none());
        let before = tokio::time::Instant::now();
        let (one, two) = (Arc::new(Asked::new(BALANCE)), Arc::new(Asked::new(BALANCE)));
        let ask = |asked: &Arc<Asked>| {
            let (cache, asked) = (cache.clone(), asked.clone());
            tokio::spawn(async move { asked.ask(&cache).await.is_none() })
        };
        let tasks = [ask(&one), ask(&two)];
        while cache.shared.flights.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        fails(leader, &cache);
        for task in tasks {
            assert!(task.await.expect("it ran"), "it goes on as a miss");
        }
        assert_eq!((before.elapsed(), cache.shared.flights.len()), (Duration::ZERO, 1), "nobody waited, one leads");
        let followers = waiting(&cache, &[BALANCE]).await;
        one.answer(&cache, &result("5"));
        two.answer(&cache, &result("5"));
        for task in followers {
            assert!(task.await.expect("it ran").is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_bounded_time_nor_in_a_longer_line() {
    let cache = cache_of(Keeps::WhatLasts, Bounds { waiting: 1, flights: 1, ..Bounds::default() });
    let leader = Asked::new(BALANCE);
    assert!(leader.ask(&cache).await.is_none());
    let before = tokio::time::Instant::now();
    let tasks = waiting(&cache, &[BALANCE]).await;
    assert!(Asked::new(BALANCE).ask(&cache).await.is_none(), "the line is full");
    assert!(Asked::new(GENESIS).ask(&cache).await.is_none());
    assert_eq!((cache.shared.flights.len(), before.elapsed()), (1, Duration::ZERO), "there is no room for another");
    for task in tasks {
        assert!(task.await.expect("it ran").is_none());
    }
    assert_eq!((before.elapsed(), cache.shared.flights.waiting()), (Duration::from_secs(5), 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_on_as_another_route_does_not_wait_for_itself() {
    let cache = cache();
    let asked = Asked::new(BALANCE);
    assert!(asked.ask(&cache).await.is_none());
    assert!(asked.ask(&cache).await.is_none());
    let tasks = waiting(&cache, &[BALANCE]).await;
    asked.answer(&cache, &result("5"));
    for task in tasks {
        assert!(task.await.expect("it ran").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded_by_bytes_and_so_is_one_answer() {
    let bounds = Bounds { bytes: 400_000, entry: 20_000, ..Bounds::default() };
    let cache = cache_of(Keeps::WhatLasts, bounds);
    let block = |slot: usize| GENESIS.replace("getGenesisHash\"", &format!("getBlock\",\"params\":[{slot}]"));
    for slot in 0..200 {
        fill(&cache, &block(slot), &format!("\"{}\"", "x".repeat(10_000))).await;
        assert!(cache.shared.store.weight() <= 400_000, "{slot}");
    }
    assert!(cache.shared.store.weight() > 200_000, "the room is used");
    let large = block(1000);
    fill(&cache, &large, &format!("\"{}\"", "x".repeat(20_000))).await;
    assert!(Asked::new(&large).ask(&cache).await.is_none());
    assert_eq!(cache.shared.store.bytes_incoming(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_greatest_size_is_kept_by_default() {
    let cache = cache();
    let text = format!("\"{}\"", "x".repeat(Bounds::default().entry - result("\"\"").len()));
    fill(&cache, GENESIS, &text).await;
    assert!(Asked::new(GENESIS).ask(&cache).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn blockhashes_are_kept_where_asked_for_at_most_a_slot() {
    let call = GENESIS.replace("getGenesisHash", "getLatestBlockhash");
    let asked_for = cache_of(Keeps::BlockhashesToo, Bounds::default());
    fill(&asked_for, &call, "{}").await;
    tokio::time::advance(Duration::from_millis(399)).await;
    assert!(Asked::new(&call).ask(&asked_for).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(Asked::new(&call).ask(&asked_for).await.is_none());
    let usual = cache();
    fill(&usual, &call, "{}").await;
    assert!(Asked::new(&call).ask(&usual).await.is_none());
}

#[test]
fn the_caches_have_their_names() {
    let names = RpcCache::all(Bounds::default(), &RpcMetrics::default()).map(|(name, _)| name);
    assert_eq!(names, ["rpc", "rpc-blockhash", "rpc-coalesce"]);
}

#[tokio::test(start_paused = true)]
async fn what_caches_do_is_counted() {
    let (scrape, metrics) = crate::counted::metrics();
    let bounds = Bounds { bytes: 400_000, entry: 20_000, flights: 1, ..Bounds::default() };
    let shared = Arc::new(Shared::new(bounds, &metrics));
    let cache = RpcCache { keeps: Keeps::WhatLasts, shared, metrics: metrics.cache("rpc") };
    fill(&cache, GENESIS, "\"a\"").await;
    assert!(Asked::new(GENESIS).ask(&cache).await.is_some());
    let leader = Asked::new(BALANCE);
    assert!(leader.ask(&cache).await.is_none());
    let tasks = waiting(&cache, &[BALANCE, BALANCE]).await;
    let version = GENESIS.replace("getGenesisHash", "getVersion");
    assert!(Asked::new(&version).ask(&cache).await.is_none(), "it asks alone: one flight is all that there may be");
    scrape.is("portcullis_bound_used{bound=\"rpc_cache_flights\",of=\"gateway\"}", 1.0);
    scrape.is("portcullis_bound_refused_total{bound=\"rpc_cache_flights\",of=\"gateway\"}", 1.0);
    leader.answer(&cache, &result("5"));
    for task in tasks {
        assert!(task.await.expect("it ran").is_some());
    }
    for (outcome, count) in [("hit", 1.0), ("miss", 3.0), ("coalesced", 2.0)] {
        scrape.is(&format!("portcullis_rpc_cache_requests_total{{cache=\"rpc\",outcome=\"{outcome}\"}}"), count);
    }
    fill(&cache, &version, "\"3\"").await;
    scrape.is("portcullis_rpc_cache_entries", 2.0);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(Asked::new(&version).ask(&cache).await.is_none());
    scrape.is("portcullis_rpc_cache_entries", 1.0);
    scrape.is("portcullis_rpc_cache_evictions_total{cause=\"expired\"}", 1.0);
    scrape.is("portcullis_rpc_cache_evictions_total{cause=\"room\"}", 0.0);
    scrape.is("portcullis_bound_limit{bound=\"rpc_cache_bytes\",of=\"gateway\"}", 400_000.0);
    for slot in 0..100 {
        let block = GENESIS.replace("getGenesisHash\"", &format!("getBlock\",\"params\":[{slot}]"));
        fill(&cache, &block, &format!("\"{}\"", "x".repeat(10_000))).await;
    }
    assert!(scrape.value("portcullis_rpc_cache_evictions_total{cause=\"room\"}") > 50.0);
    let kept = scrape.value("portcullis_bound_used{bound=\"rpc_cache_bytes\",of=\"gateway\"}");
    assert!(kept > 200_000.0 && kept <= 400_000.0, "{kept}");
    scrape.is("portcullis_bound_used{bound=\"rpc_cache_incoming_bytes\",of=\"gateway\"}", 0.0);
}
