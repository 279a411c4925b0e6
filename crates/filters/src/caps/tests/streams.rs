//! What goes on after the admission: bytes, and what is spent on a connection that was upgraded.

use super::*;
use portcullis_caps::{Held, RefusalKind, Spender};
use portcullis_filter::Response;
use portcullis_filter::seam::StreamGuards;

fn answer(bytes: usize) -> Response {
    let mut response = Response::new(http::StatusCode::OK);
    response.body = vec![b'x'; bytes].into();
    response
}

#[test]
fn bytes_are_charged_when_the_request_is_over() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { bytes: { rate: 1KiB/s, burst: 4KiB } } }");
    let request = || Exchange::post("http://h/", vec![b'a'; 1000]).shared(caller("acme", "free"));
    let seen = run(&chain, request().answer(answer(9_240)));
    assert_eq!((seen.status, seen.complete), (200, true), "what began may end");
    assert_eq!(gateway.used(), [("acme".to_owned(), "(http)".to_owned(), [1, 1, 10_240])]);
    let seen = run(&chain, request());
    // Six KiB of debt, and one byte.
    assert_eq!((outcome(&seen), field(&seen, "retry-after")), ((429, Some(Reason::OverRate)), "7".to_owned()));
    gateway.pass(6_001);
    assert_eq!(run(&chain, request()).status, 200);
}

#[test]
fn a_stream_ends_where_a_cap_of_bytes_runs_dry() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { bytes: { quota: 10KB/d } } }");
    let stream = || get("acme", "free").field("content-type", "application/grpc").answer(answer(4_000));
    let seen = run(&chain, stream().answer_chunk(vec![b'y'; 5_999]));
    assert_eq!((seen.complete, seen.reason), (true, None));
    let seen = run(&chain, stream().answer_chunk("more"));
    assert_eq!((seen.complete, seen.reason, seen.body.len()), (false, Some(Reason::OverQuota), 4_000));
    let bytes: u64 = gateway.used().iter().map(|(.., used)| used[2]).sum();
    assert_eq!((bytes, gateway.caps.refused().dry_streams), (9_999 + 4_000, 1), "what passed is charged, once");
    assert_eq!(run(&chain, stream()).reason, Some(Reason::OverQuota));
}

/// The bytes that were charged since somebody looked.
fn charged(gateway: &Gateway) -> u64 {
    gateway.used().iter().map(|(.., used)| used[2]).sum()
}

fn tunnel(chain: &Chain) -> StreamGuards {
    run(chain, get("acme", "free").asks_upgrade()).notes.get::<StreamGuards>().cloned().expect("somebody who judges it")
}

#[test]
fn a_tunnel_is_charged_as_its_bytes_pass_and_ends_where_a_cap_runs_dry() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { bytes: { quota: 40KB/d } } }");
    let tunnel = tunnel(&chain);
    assert_eq!((tunnel.passes(16_383), charged(&gateway)), (Ok(()), 0), "not piece by piece");
    assert_eq!((tunnel.passes(1), charged(&gateway)), (Ok(()), 16_384), "but in grains");
    assert_eq!((tunnel.passes(616), tunnel.may_go_on(), charged(&gateway)), (Ok(()), Ok(()), 616), "or with time");
    assert_eq!((tunnel.passes(30_000), charged(&gateway)), (Ok(()), 30_000), "what a cap runs dry with passes");
    assert_eq!(tunnel.may_go_on(), Ok(()), "a tunnel that is silent owes nothing");
    let why = tunnel.passes(5).unwrap_err();
    assert_eq!(
        (why.reason, why.detail.as_deref()),
        (Reason::OverQuota, Some("bytes.day of the plan free: 0 of 40000 bytes left, 1 needed"))
    );
    assert_eq!((tunnel.passes(5), tunnel.may_go_on()), (Err(why.clone()), Err(why)), "it is over");
    assert_eq!(gateway.caps.refused().dry_streams, 1);
}

#[test]
fn a_tunnel_goes_on_when_time_has_brought_what_it_needs() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { bytes: { rate: 1KiB/s, burst: 16KiB } } }");
    let tunnel = tunnel(&chain);
    assert_eq!(tunnel.passes(17 * 1024), Ok(()));
    gateway.pass(1_001);
    assert_eq!(tunnel.passes(1), Ok(()));
    assert_eq!(tunnel.passes(16 * 1024), Ok(()));
    assert_eq!(tunnel.passes(1).unwrap_err().reason, Reason::OverRate);
}

#[test]
fn who_only_says_that_it_upgrades_or_is_served_by_the_gateway_is_charged_as_before() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { bytes: { quota: 40KB/d } } }");
    for request in [get("acme", "free"), get("acme", "free").asks_upgrade().is_terminated()] {
        assert!(run(&chain, request).notes.get::<StreamGuards>().is_none());
    }
    let seen = run(&chain, get("acme", "free").asks_upgrade().answer(answer(9_000)));
    assert_eq!((seen.status, charged(&gateway)), (200, 9_000), "an upgrade that was refused, charged once");
}

#[test]
fn a_connection_goes_on_to_spend_under_the_plans_that_serve() {
    let gateway = Gateway::new();
    let plans = |subscriptions: u32| {
        format!(
            "plans: {{ free: {{ rate: 10/s, connections: 1, subscriptions: {subscriptions}, \
             methods: {{ 'account*': {{ credits: 3 }} }} }} }}"
        )
    };
    let chain = gateway.plans(&plans(2));
    let seen = run(&chain, get("acme", "free").asks_upgrade());
    let Spender(spender) = seen.notes.get::<Spender>().unwrap();
    let spender = Arc::clone(spender);
    let held: Vec<_> = (0..2).map(|_| spender.hold(Held::Subscriptions, Some("accountSubscribe")).unwrap()).collect();
    assert_eq!(held[0].credits(), 3);
    let refusal = spender.hold(Held::Subscriptions, Some("accountSubscribe")).err().unwrap();
    assert_eq!((refusal.kind, &*refusal.standing.cap), (RefusalKind::OverConcurrency, "subscriptions"));
    // An edit counts for connections that are there.
    let _chain = gateway.plans(&plans(3));
    let third = spender.hold(Held::Subscriptions, Some("accountSubscribe")).unwrap();
    assert!(spender.hold(Held::Subscriptions, Some("accountSubscribe")).is_err());
    drop(third);
    assert!(spender.hold(Held::Subscriptions, Some("accountSubscribe")).is_ok());
    spender.bytes(500);
    spender.credits("accountSubscribe", 7);
    assert!(spender.call(&["getSlot", "getBlock"]).is_ok());
    assert!(
        spender.call(&["getSlot"; 9]).is_err(),
        "seven of ten are spent: one to open, four to subscribe, two calls"
    );
    assert_eq!(
        gateway.used(),
        [("(http)", [1, 1, 500]), ("(other)", [2, 2, 0]), ("account*", [4, 19, 0])].map(|(method, used)| (
            "acme".to_owned(),
            method.to_owned(),
            used
        ))
    );
    // The connection is held as long as the spender lives.
    drop((seen, held));
    assert!(run(&chain, get("acme", "free").asks_upgrade()).status == 429);
    drop(spender);
    assert!(run(&chain, get("acme", "free").asks_upgrade()).status == 200);
}
