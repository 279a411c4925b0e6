//! What deciding allocates, and what consumers weigh.

use super::*;

/// A plan with every kind of cap that a request meets.
fn rich() -> CapSetSpec {
    let methods = vec![
        rule("getProgramAccounts", Some(10), vec![rate("1000/s", 5_000)]),
        rule("sendTransaction", None, vec![rate("1000/s", 5_000)]),
        rule("get*", None, Vec::new()),
    ];
    let caps = vec![
        rate("100000/s", 100_000),
        Cap::rate(Unit::Credits, "100000/s".parse().unwrap(), 100_000).unwrap(),
        Cap::rate(Unit::Bytes, "1000000000/s".parse().unwrap(), 1_000_000_000).unwrap(),
        at_once(Held::Requests, 100),
        quota(Unit::Requests, "1000000000/d"),
        quota(Unit::Credits, "1000000000/month"),
    ];
    CapSetSpec { methods, shared: vec![rate("1000000/s", 1_000_000)], ..plan(caps) }
}

#[test]
fn deciding_allocates_nothing_for_an_active_consumer() {
    let mut kit = Kit::new();
    let route = CapSetSpec { shared: vec![rate("1000000/s", 1_000_000)], ..CapSetSpec::new(Scope::Route, "archive") };
    let route = kit.bind(route);
    let set = kit.bind(rich());
    let id = Arc::from("acme");
    let calls = ["getProgramAccounts", "sendTransaction", "getSlot"].map(|name| kit.methods.find(name));
    let mut now = 0;
    let mut ask = |calls: &[MethodId]| {
        let request = Request { scopes: scopes(&[&route, &set]), consumer: Some(&id), holds: Held::Requests, calls };
        now += 1;
        let admission = kit.ledger.decide(at(now), &request).unwrap();
        kit.ledger.charge_bytes(at(now), &admission, request.scopes, 5_000);
    };
    ask(&calls);
    calls.iter().for_each(|call| ask(&[*call]));
    let cost = allocation_counter::measure(|| {
        for _ in 0..100 {
            calls.iter().for_each(|call| ask(&[*call]));
            ask(&calls);
        }
    });
    assert_eq!(cost.count_total, 0);
    assert!(!kit.ledger.take_changes().usage.is_empty());
    let cost = allocation_counter::measure(|| calls.iter().for_each(|call| ask(&[*call])));
    assert_eq!(cost.count_total, 0, "usage was taken meanwhile");
}

#[test]
fn a_refusal_allocates_nothing() {
    let mut kit = Kit::new();
    let set = kit.bind(plan(vec![rate("1/s", 1), quota(Unit::Requests, "1/d")]));
    let id = Arc::from("acme");
    let request =
        Request { scopes: scopes(&[&set]), consumer: Some(&id), holds: Held::Requests, calls: &[MethodId::HTTP] };
    assert!(kit.ledger.decide(at(0), &request).is_ok());
    let cost = allocation_counter::measure(|| assert!((0..100).all(|_| kit.ledger.decide(at(0), &request).is_err())));
    assert_eq!(cost.count_total, 0);
}

/// Bytes per consumer of this many, each with rate, concurrency, month quota and two methods' buckets in use, with what
/// it used of both methods.
fn weigh(consumers: usize, taken: bool) -> u64 {
    let mut kit = Kit::with(LedgerOptions::default());
    let methods = vec![
        rule("getProgramAccounts", Some(10), vec![rate("1/s", 5)]),
        rule("sendTransaction", None, vec![rate("1/s", 5)]),
    ];
    let caps = vec![rate("10/s", 20), at_once(Held::Requests, 5), quota(Unit::Credits, "1000000/month")];
    let set = kit.bind(CapSetSpec { methods, ..plan(caps) });
    let ids: Vec<Arc<str>> = (0..consumers).map(|nth| Arc::from(format!("consumer-{nth}"))).collect();
    let calls = ["getProgramAccounts", "sendTransaction"].map(|name| kit.methods.find(name));
    let measured = allocation_counter::measure(|| {
        for id in &ids {
            for call in &calls {
                let calls = std::slice::from_ref(call);
                let request = Request { scopes: scopes(&[&set]), consumer: Some(id), holds: Held::Requests, calls };
                assert!(kit.ledger.decide(at(0), &request).is_ok());
            }
        }
        if taken {
            drop(kit.ledger.take_changes());
        }
    });
    assert_eq!(kit.ledger.consumers(), consumers);
    u64::try_from(measured.bytes_current).unwrap() / consumers as u64
}

#[test]
fn an_active_consumer_weighs_at_most_200_bytes() {
    for (consumers, taken) in [(100_000, true), (100_000, false), (120_000, true), (60_000, true)] {
        let bytes = weigh(consumers, taken);
        println!("{consumers} consumers: {bytes} bytes each");
        assert!((100..=200).contains(&bytes), "{consumers}: {bytes}");
    }
}

#[test]
fn what_gateways_share_weighs_at_most_400_bytes_more_for_each_cap() {
    const CONSUMERS: u64 = 20_000;
    let terms = Terms { most: 10, overdraft: 2, ahead: Terms::AHEAD, ttl: Terms::TTL };
    let weigh = |shared: bool| {
        let caps = [rate("10/s", 20), quota(Unit::Credits, "1000000/month")];
        let share = |cap: Cap| if shared { cap.shared_by_gateways(terms).unwrap() } else { cap };
        let mut kit = Kit::with(LedgerOptions::default());
        let set = kit.bind(plan(caps.map(share).to_vec()));
        let ids: Vec<Arc<str>> = (0..CONSUMERS).map(|nth| Arc::from(format!("consumer-{nth}"))).collect();
        kit.ledger.link_heard(0, Terms::TTL, 3);
        let measured = allocation_counter::measure(|| {
            for id in &ids {
                let calls = &[MethodId::HTTP];
                let request = Request { scopes: scopes(&[&set]), consumer: Some(id), holds: Held::Requests, calls };
                assert!(kit.ledger.decide(at(0), &request).is_ok());
            }
        });
        u64::try_from(measured.bytes_current).unwrap() / CONSUMERS
    };
    let more = (weigh(true) - weigh(false)) / 2;
    println!("{more} bytes more for each shared cap");
    assert!((100..=400).contains(&more), "{more}");
}

#[test]
fn what_workers_hold_may_pass_between_them() {
    fn passes<T: Send + Sync>() {}
    passes::<(Ledger, Admission, BoundSet, Refusal, LeaseAsk, Changes)>();
    assert!(size_of::<Refusal>() <= 144 && size_of::<Admission>() <= 128, "they are moved about");
}
