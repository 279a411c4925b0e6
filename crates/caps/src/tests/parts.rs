//! Several routes at once: a batch that is sent in parts, and a route within a host that has caps of its own.

use super::*;

fn route(name: &str, shared: Vec<Cap>, each: Vec<Cap>) -> CapSetSpec {
    CapSetSpec { shared, each, ..CapSetSpec::new(Scope::Route, name) }
}

/// Two routes, a plan that prices a method, and the methods.
fn kit() -> (Kit, [Arc<BoundSet>; 3]) {
    let mut kit = Kit::new();
    let archive = kit.bind(route("archive", vec![rate("1/s", 4)], vec![quota(Unit::Credits, "50/d")]));
    let default = kit.bind(route("default", vec![rate("1/s", 2), at_once(Held::Requests, 1)], Vec::new()));
    let plan = kit.bind(CapSetSpec {
        methods: vec![rule("getBlock", Some(10), Vec::new()), rule("getSlot", None, Vec::new())],
        ..plan(vec![rate("10/s", 10)])
    });
    (kit, [archive, default, plan])
}

fn decide(kit: &Kit, plan: &BoundSet, parts: &[RoutePart<'_>], calls: &[MethodId]) -> Result<Admission, Refusal> {
    let id = Arc::from("acme");
    let scopes = Scopes::default().with(plan).with_parts(parts);
    kit.ledger.decide(at(0), &Request { scopes, consumer: Some(&id), holds: Held::Requests, calls })
}

fn left(kit: &Kit, sets: &[&BoundSet]) -> Vec<(String, u64)> {
    let id = Arc::from("acme");
    let of = |set: &&BoundSet| kit.ledger.standings_of(at(0), set, Some(&id));
    sets.iter().flat_map(of).map(|standing| (standing.cap.to_string(), standing.remaining)).collect()
}

#[test]
fn each_route_is_asked_for_its_own_calls_and_all_decide_together() {
    let (kit, [archive, default, plan]) = kit();
    let calls = kit.calls(&["getBlock", "getSlot", "getBlock", "getSlot"]);
    let (blocks, slots) = (kit.calls(&["getBlock", "getBlock"]), kit.calls(&["getSlot", "getSlot"]));
    let parts = [RoutePart { set: &archive, calls: Some(&blocks) }, RoutePart { set: &default, calls: Some(&slots) }];
    let admitted = decide(&kit, &plan, &parts, &calls).unwrap();
    assert_eq!(admitted.credits(), 22);
    let expected = |left: [u64; 5]| {
        let names = ["route.each.credits.day", "route.rate", "route.rate", "route.concurrency", "rate"];
        names.map(str::to_owned).into_iter().zip(left).collect::<Vec<_>>()
    };
    let sets: [&BoundSet; 3] = [&archive, &default, &plan];
    assert_eq!(left(&kit, &sets), expected([30, 2, 0, 0, 6]));
    // The second route refuses, so the first has not spent either.
    let refusal = decide(&kit, &plan, &parts, &calls).err().unwrap();
    assert_eq!((&*refusal.set, &*refusal.standing.cap), ("default", "route.rate"));
    assert_eq!(left(&kit, &sets), expected([30, 2, 0, 0, 6]));
    drop(admitted);
    assert_eq!(left(&kit, &sets), expected([30, 2, 0, 1, 6]));
}

#[test]
fn a_route_that_stands_twice_is_asked_for_the_calls_of_both() {
    let (kit, [archive, _, plan]) = kit();
    let (block, slots) = (kit.calls(&["getBlock"]), kit.calls(&["getSlot", "getSlot", "getSlot"]));
    let calls = [block.clone(), slots.clone()].concat();
    let parts = [RoutePart { set: &archive, calls: Some(&block) }, RoutePart { set: &archive, calls: Some(&slots) }];
    assert!(decide(&kit, &plan, &parts, &calls).is_ok());
    assert_eq!(left(&kit, &[&archive]), [("route.each.credits.day".to_owned(), 37), ("route.rate".to_owned(), 0)]);
    assert_eq!(&*decide(&kit, &plan, &parts, &calls).err().unwrap().standing.cap, "route.rate");
}

#[test]
fn routes_in_any_order_never_wait_for_each_other() {
    let (kit, [archive, default, plan]) = kit();
    let slot = kit.calls(&["getSlot"]);
    std::thread::scope(|scope| {
        for turn in 0..2 {
            let (kit, archive, default, plan, slot) = (&kit, &archive, &default, &plan, &slot);
            scope.spawn(move || {
                let sets: [&BoundSet; 2] = if turn == 0 { [archive, default] } else { [default, archive] };
                let parts = sets.map(|set| RoutePart { set, calls: None });
                (0..20_000).for_each(|_| drop(decide(kit, plan, &parts, slot)));
            });
        }
    });
    assert_eq!(left(&kit, &[&archive, &default])[1..3].iter().map(|(_, left)| left).sum::<u64>(), 2, "two of each");
}

#[test]
fn what_would_be_refused_is_told_without_spending() {
    let (kit, [archive, default, plan]) = kit();
    let (calls, id) = (kit.calls(&["getSlot", "getSlot"]), Arc::from("acme"));
    let parts = [RoutePart { set: &archive, calls: None }, RoutePart { set: &default, calls: None }];
    let scopes = Scopes::default().with(&plan).with_parts(&parts);
    let request = Request { scopes, consumer: Some(&id), holds: Held::Requests, calls: &calls };
    for _ in 0..3 {
        assert_eq!(kit.ledger.would_refuse(at(0), &request), None);
    }
    assert_eq!(kit.ledger.consumers(), 0);
    drop(kit.ledger.decide(at(0), &request).unwrap());
    let would = kit.ledger.would_refuse(at(0), &request).unwrap();
    assert_eq!(kit.ledger.decide(at(0), &request).err(), Some(would));
    assert_eq!(kit.ledger.counts().iter().map(|count| count.refused).sum::<u64>(), 1, "only what was decided counts");
}

#[test]
fn a_stream_hears_when_its_bytes_run_dry() {
    let mut kit = Kit::new();
    let bytes = |text: &str| Cap::quota(Unit::Bytes, text.parse().unwrap(), Zone::utc()).unwrap();
    let set = kit.bind(plan(vec![bytes("100/d"), bytes("10/month").in_shadow()]));
    let admission = kit.ask(0, "acme", &[&set], &[""]).unwrap();
    let pass = |bytes| kit.ledger.stream_bytes(at(0), &admission, scopes(&[&set]), bytes);
    assert_eq!((pass(60), pass(39)), (Ok(()), Ok(())));
    let refusal = pass(41).err().unwrap();
    assert_eq!((&*refusal.standing.cap, refusal.kind), ("bytes.day", RefusalKind::OverQuota));
    assert_eq!(kit.ledger.take_changes().usage[0].amount.bytes, 140, "what passed is charged");
}

#[test]
fn who_spent_is_known_by_the_sets_it_spent_of() {
    let (kit, [archive, _, plan]) = kit();
    assert_eq!(kit.ledger.sets_of(at(0), "acme"), None);
    let calls = kit.calls(&["getBlock"]);
    drop(decide(&kit, &plan, &[RoutePart { set: &archive, calls: None }], &calls).unwrap());
    let sets: Vec<_> = kit.ledger.sets_of(at(0), "acme").unwrap();
    assert_eq!(sets, [(Scope::Route, "archive".into()), (Scope::Plan, "free".into())]);
}
