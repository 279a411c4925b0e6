//! What requests get of caps that are composed.

use super::*;

#[test]
fn a_refused_request_spends_nothing_anywhere() {
    let mut kit = Kit::new();
    let gateway =
        kit.bind(CapSetSpec { shared: vec![rate("100/s", 100)], ..CapSetSpec::new(Scope::Gateway, "gateway") });
    let route = CapSetSpec {
        shared: vec![rate("50/s", 50)],
        each: vec![rate("20/s", 20)],
        ..CapSetSpec::new(Scope::Route, "archive")
    };
    let route = kit.bind(route);
    let caps = vec![quota(Unit::Credits, "1000/month"), at_once(Held::Requests, 2), rate("1/s", 5)];
    let plan = kit.bind(CapSetSpec { shared: vec![rate("30/s", 30)], ..plan(caps) });
    let sets = [&*gateway, &route, &plan];
    assert_eq!(kit.admitted(0, "acme", &sets, 8), 5);
    let left = [
        ("gateway.rate", 95),
        ("route.rate", 45),
        ("route.each.rate", 15),
        ("plan.rate", 25),
        ("credits.month", 995),
        ("concurrency", 2),
        ("rate", 0),
    ];
    assert_eq!(kit.left(0, "acme", &sets), left.map(|(name, left)| (name.to_owned(), left)));
    let refusal = kit.ask(400, "acme", &sets, &[""]).err().unwrap();
    assert_eq!((refusal.kind, &*refusal.standing.cap, &*refusal.set), (RefusalKind::OverRate, "rate", "free"));
    assert_eq!((refusal.wait, refusal.retry_after()), (Wait::For(Duration::from_millis(600)), Some(1)));
    assert_eq!(kit.admitted(1_000, "acme", &sets, 8), 1);
    assert_eq!(kit.admitted(1_000, "other", &sets, 8), 5, "another consumer has its own");
}

#[test]
fn of_several_that_refuse_the_longest_wait_is_told() {
    let mut kit = Kit::new();
    let caps = vec![rate("1/s", 1), quota(Unit::Requests, "1/d"), rate("1/m", 1), at_once(Held::Requests, 1)];
    let set = kit.bind(plan(caps));
    let _held = kit.ask(0, "acme", &[&set], &[""]).unwrap();
    let refusal = kit.ask(0, "acme", &[&set], &[""]).err().unwrap();
    assert_eq!((refusal.kind, &*refusal.standing.cap), (RefusalKind::OverQuota, "quota.day"));
    assert_eq!((refusal.standing.limit, refusal.standing.remaining, refusal.retry_after()), (1, 0, Some(86_400)));
    let refusal = kit.ask(0, "acme", &[&set], &["", ""]).err().unwrap();
    assert_eq!((refusal.wait, refusal.retry_after(), refusal.cost), (Wait::Never, None, 2));
}

#[test]
fn what_is_held_is_given_back_once() {
    let mut kit = Kit::new();
    let caps = vec![at_once(Held::Requests, 2), at_once(Held::Connections, 1), at_once(Held::Subscriptions, 3)];
    let shared = vec![at_once(Held::Requests, 3)];
    let set = kit.bind(CapSetSpec { shared, ..plan(caps) });
    let ask = |id: &str, holds| kit.ask_for(at(0), id, &[&set], (holds, &[]));
    let held: Vec<Admission> = (0..2).map(|_| ask("acme", Held::Requests).unwrap()).collect();
    let refusal = ask("acme", Held::Requests).err().unwrap();
    assert_eq!(
        (refusal.kind, &*refusal.standing.cap, refusal.retry_after()),
        (RefusalKind::OverConcurrency, "concurrency", Some(1))
    );
    let other = ask("other", Held::Requests).unwrap();
    assert_eq!(&*ask("third", Held::Requests).err().unwrap().standing.cap, "plan.concurrency");
    let connection = ask("acme", Held::Connections).unwrap();
    assert!(ask("acme", Held::Connections).is_err() && ask("acme", Held::Subscriptions).is_ok());
    drop((held, other, connection));
    assert!(ask("acme", Held::Connections).is_ok());
    let three: Vec<bool> =
        ["acme", "acme", "other"].iter().map(|id| ask(id, Held::Requests).map(std::mem::forget).is_ok()).collect();
    assert_eq!(three, [true; 3]);
    assert!(ask("other", Held::Requests).is_err());
}

#[test]
fn a_batch_is_all_or_nothing_and_priced_by_item() {
    let mut kit = Kit::new();
    let credits = Cap::rate(Unit::Credits, "1/s".parse().unwrap(), 30).unwrap();
    let methods =
        vec![rule("getProgramAccounts", Some(10), vec![rate("1/s", 2)]), rule("get*", Some(2), vec![rate("1/s", 9)])];
    let set = kit.bind(CapSetSpec { methods, ..plan(vec![rate("1/s", 10), credits]) });
    let admission =
        kit.ask(0, "acme", &[&set], &["getProgramAccounts", "getSlot", "other", "getProgramAccounts"]).unwrap();
    assert_eq!(admission.credits(), 23);
    for (calls, cap, remaining) in [
        (&["getProgramAccounts", "getSlot"][..], "credits.rate", 7),
        (&["getSlot", "getSlot", "getSlot", "getSlot"], "credits.rate", 7),
        (&["a", "b", "c", "d", "e", "f", "g"], "rate", 6),
        (&["getProgramAccounts"], "credits.rate", 7),
    ] {
        let refusal = kit.ask(0, "acme", &[&set], calls).err().unwrap();
        assert_eq!((&*refusal.standing.cap, refusal.standing.remaining), (cap, remaining), "{calls:?}");
    }
    let refusal = kit.ask(60_000, "acme", &[&set], &["getProgramAccounts"; 3]).err().unwrap();
    assert_eq!((&*refusal.standing.cap, refusal.cost, refusal.retry_after()), ("getProgramAccounts.rate", 3, None));
    assert!(kit.ask(60_000, "acme", &[&set], &["getSlot"; 9]).is_ok());
}

#[test]
fn a_free_call_needs_no_credits() {
    let mut kit = Kit::new();
    let methods = vec![rule("getHealth", Some(0), Vec::new()), rule("*", Some(5), Vec::new())];
    let set = kit.bind(CapSetSpec { methods, ..plan(vec![quota(Unit::Credits, "5/d")]) });
    assert!(kit.ask(0, "acme", &[&set], &["anything"]).is_ok());
    assert!(kit.ask(0, "acme", &[&set], &["getSlot"]).is_err());
    assert!(kit.ask(0, "acme", &[&set], &["getHealth"; 50]).is_ok());
}

#[test]
fn a_consumers_own_price_and_caps_come_on_top() {
    let mut kit = Kit::new();
    let methods = vec![rule("getSlot", Some(3), Vec::new())];
    let plan = kit.bind(CapSetSpec { methods, credits: Some(2), ..plan(vec![quota(Unit::Credits, "100/d")]) });
    let own = CapSetSpec {
        methods: vec![rule("getSlot", Some(7), vec![rate("1/m", 2)])],
        ..CapSetSpec::new(Scope::Consumer, "acme")
    };
    let own = kit.bind(own);
    let credits =
        |sets: &[&BoundSet], call: &str| kit.ask(0, "acme", sets, &[call]).map(|admission| admission.credits());
    assert_eq!(credits(&[&plan], "getSlot").unwrap(), 3);
    assert_eq!(credits(&[&plan, &own], "getSlot").unwrap(), 7);
    assert_eq!(credits(&[&plan, &own], "getBlock").unwrap(), 2);
    assert_eq!(credits(&[], "getBlock").unwrap(), 1);
    assert_eq!(credits(&[&plan, &own], "getSlot").unwrap(), 7);
    assert_eq!(&*credits(&[&plan, &own], "getSlot").unwrap_err().standing.cap, "own.getSlot.rate.minute");
}

#[test]
fn bytes_are_charged_afterwards_and_waited_off() {
    let mut kit = Kit::new();
    let bytes = Cap::rate(Unit::Bytes, "1000/s".parse().unwrap(), 2_000).unwrap();
    let set = kit.bind(plan(vec![bytes, quota(Unit::Bytes, "20000/d")]));
    let admission = kit.ask(0, "acme", &[&set], &[""]).unwrap();
    kit.ledger.charge_bytes(at(0), &admission, scopes(&[&set]), 1_500);
    assert!(kit.ask(0, "acme", &[&set], &[""]).is_ok(), "some are left");
    kit.ledger.charge_bytes(at(0), &admission, scopes(&[&set]), 10_500);
    let refusal = kit.ask(0, "acme", &[&set], &[""]).err().unwrap();
    assert_eq!((&*refusal.standing.cap, refusal.wait), ("bytes.rate", Wait::For(Duration::from_millis(10_001))));
    assert!(kit.ask(10_001, "acme", &[&set], &[""]).is_ok());
    kit.ledger.charge_bytes(at(10_001), &admission, scopes(&[&set]), 8_001);
    let refusal = kit.ask(86_399_000, "acme", &[&set], &[""]).err().unwrap();
    assert_eq!(
        (&*refusal.standing.cap, refusal.kind, refusal.retry_after()),
        ("bytes.day", RefusalKind::OverQuota, Some(1))
    );
    assert!(kit.ask(86_400_000, "acme", &[&set], &[""]).is_ok());
    kit.ledger.charge_credits(at(0), &admission, scopes(&[&set]), (kit.methods.find("getBlock"), 9));
    let used: Amount = kit.ledger.take_changes().usage.into_iter().fold(Amount::default(), |mut sum, delta| {
        sum += delta.amount;
        sum
    });
    assert_eq!(used, Amount { requests: 4, credits: 4 + 9, bytes: 20_001 });
}

#[test]
fn without_an_id_only_what_all_share_applies() {
    let mut kit = Kit::new();
    let set = kit.bind(CapSetSpec { shared: vec![rate("1/s", 3)], ..plan(vec![rate("1/s", 1)]) });
    let request = Request { scopes: scopes(&[&set]), consumer: None, holds: Held::Requests, calls: &[MethodId::HTTP] };
    assert_eq!((0..5).filter(|_| kit.ledger.decide(at(0), &request).is_ok()).count(), 3);
    assert_eq!(kit.ledger.consumers(), 0);
}

#[test]
fn a_shadow_counts_what_it_would_refuse_and_refuses_nothing() {
    let mut kit = Kit::new();
    let shadowed = kit.bind(CapSetSpec {
        shadow: true,
        ..plan(vec![rate("1/s", 2), quota(Unit::Requests, "10/d"), at_once(Held::Requests, 9)])
    });
    assert_eq!(kit.admitted(0, "acme", &[&shadowed], 5), 5);
    // As it would be without the shadow: what is refused spends nothing.
    assert_eq!(
        kit.left(0, "acme", &[&shadowed]),
        [("rate", 0), ("quota.day", 8), ("concurrency", 9)].map(|(name, left)| (name.to_owned(), left))
    );
    let admission = kit.ask(0, "acme", &[&shadowed], &[""]).unwrap();
    assert_eq!(&*admission.would_refuse().unwrap().standing.cap, "rate");
    assert!(kit.ask(1_000, "acme", &[&shadowed], &[""]).unwrap().would_refuse().is_none());
    let counts: Vec<(String, u64, u64)> =
        kit.ledger.counts().into_iter().map(|count| (count.cap.to_string(), count.refused, count.shadowed)).collect();
    assert_eq!(counts[0], ("rate".to_owned(), 0, 4));
    // One cap in shadow beside one that is not.
    let mixed = CapSetSpec {
        name: "mixed".into(),
        ..plan(vec![rate("1/s", 1).in_shadow(), rate("1/s", 3).named("hard").unwrap()])
    };
    let mixed = kit.bind(mixed);
    assert_eq!(kit.admitted(0, "acme", &[&mixed], 5), 3);
    let counts = kit.ledger.counts();
    let of = |cap: &str| {
        counts
            .iter()
            .find(|count| &*count.cap == cap && &*count.set == "mixed")
            .map(|count| (count.refused, count.shadowed))
    };
    assert_eq!((of("rate"), of("hard")), (Some((0, 2)), Some((2, 0))));
}

#[test]
fn the_fields_of_an_answer_are_those_of_its_caps() {
    let mut kit = Kit::new();
    let methods = vec![rule("getSlot", None, vec![rate("2/s", 3)])];
    let set = kit.bind(CapSetSpec {
        methods,
        ..plan(vec![rate("10/s", 20), quota(Unit::Credits, "1000/month"), at_once(Held::Requests, 5)])
    });
    let _held = kit.ask(0, "acme", &[&set], &["getSlot"]).unwrap();
    let (id, calls) = (Arc::from("acme"), kit.calls(&["getSlot"]));
    let request = Request { scopes: scopes(&[&set]), consumer: Some(&id), holds: Held::Requests, calls: &calls };
    let standings = kit.ledger.standings(at(0), &request);
    let (mut policy, mut limit) = (String::new(), String::new());
    write_policy(&standings, &mut policy);
    write_limit(&standings, &mut limit);
    assert_eq!(
        policy,
        "\"rate\";q=20;w=2, \"credits.month\";q=1000;qu=\"credits\";w=2678400, \
                        \"concurrency\";q=5;qu=\"concurrent-requests\", \"getSlot.rate\";q=3;w=2"
    );
    assert_eq!(
        limit,
        "\"rate\";r=19;t=1, \"credits.month\";r=999;t=2678400, \"concurrency\";r=4, \"getSlot.rate\";r=2;t=1"
    );
}
