//! Who gets what, and what is said of it.

use super::*;
use portcullis_caps::{Effect, Override, Spender, Target};
use portcullis_filter::cx::Explained;

#[test]
fn a_plan_is_held_and_a_refusal_says_which_cap_its_state_and_when() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { rate: 2/s, burst: 3, quota: 1000/month } }");
    let seen = run(&chain, get("acme", "free"));
    assert_eq!(outcome(&seen), (200, None));
    assert_eq!(field(&seen, "ratelimit-policy"), "\"rate\";q=3;w=2, \"quota.month\";q=1000;w=2678400");
    assert_eq!(field(&seen, "ratelimit"), "\"rate\";r=2;t=1, \"quota.month\";r=999;t=2678400");
    assert_eq!(answered(&chain, 5, || get("acme", "free")), 2);
    let seen = run(&chain, get("acme", "free"));
    assert_eq!(outcome(&seen), (429, Some(Reason::OverRate)));
    assert_eq!(field(&seen, "retry-after"), "1");
    assert_eq!(field(&seen, "ratelimit-policy"), "\"rate\";q=3;w=2");
    assert_eq!(field(&seen, "ratelimit"), "\"rate\";r=0;t=1");
    assert_eq!(answered(&chain, 5, || get("other", "free")), 3, "another has its own");
    gateway.pass(500);
    assert_eq!(answered(&chain, 5, || get("acme", "free")), 1);
    let of_acme = gateway.used().into_iter().find(|(id, ..)| id == "acme").unwrap();
    assert_eq!(of_acme.2, [4, 4, 0], "what is refused is not used");
}

#[test]
fn a_consumer_is_held_to_what_its_file_says_of_it_whichever_generation_serves() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { rate: 100/s } }");
    let own = |json: &str| gateway.caps.own(vec![own_set("acme", json).unwrap()]).unwrap();
    own(r#"{"rate":"2/h"}"#);
    assert_eq!(answered(&chain, 5, || get("acme", "free")), 2);
    assert_eq!(answered(&chain, 5, || get("other", "free")), 5);
    // A method that the config does not speak of.
    own(r#"{"methods":{"getBlock":{"rate":"1/h"}}}"#);
    assert_eq!(answered(&chain, 5, || call("acme", "free", &["getSlot"])), 5);
    assert_eq!(answered(&chain, 5, || call("acme", "free", &["getBlock"])), 1);
    assert_eq!(answered(&chain, 5, || call("other", "free", &["getBlock"])), 5);
    let next = gateway.plans("plans: { free: { rate: 200/s } }");
    assert_eq!(answered(&next, 5, || call("acme", "free", &["getBlock"])), 0, "what was spent stays spent");
    let said = gateway.plans("plans: { free: {} }\nconsumers: { acme: { rate: 3/d } }");
    assert_eq!(answered(&said, 5, || get("acme", "free")), 3, "the config goes before");
    let next = gateway.plans("plans: { free: {} }");
    assert_eq!(answered(&next, 5, || call("acme", "free", &["getBlock"])), 0);
    gateway.caps.own(Vec::new()).unwrap();
    assert_eq!(answered(&next, 5, || call("acme", "free", &["getBlock"])), 5);
}

#[test]
fn who_has_a_plan_that_is_not_there_is_refused() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { rate: 2/s } }");
    let seen = run(&chain, get("acme", "gold"));
    assert_eq!(outcome(&seen), (500, Some(Reason::PlanUnknown)));
    assert_eq!(gateway.caps.refused().unknown_plan, 1);
    assert_eq!((gateway.used(), gateway.caps.ledger().consumers()), (vec![], 0));
}

#[test]
fn hosts_routes_and_the_gateway_are_decided_at_once() {
    let gateway = Gateway::new();
    let plans = "gateway: { shared: { rate: 100/s, burst: 6 } }\nplans: { free: { rate: 10/s } }";
    let archive = ("hosts/rpc.example.com/routes/archive/filters/caps", "{ shared: { rate: 1/s, burst: 2 } }");
    let host = ("hosts/rpc.example.com/filters/caps", "{ rate: 5/s, burst: 5, fields: false }");
    let chain = gateway.generation(plans, &[host, archive]);
    assert_eq!(answered(&chain, 9, || get("a", "free")), 2, "the route, which all share");
    let seen = run(&chain, get("b", "free"));
    assert_eq!(outcome(&seen), (429, Some(Reason::OverRate)));
    assert_eq!(field(&seen, "ratelimit"), "", "turned off");
    // What was refused spent nothing of the others.
    let other = gateway.generation(plans, &[host]);
    assert_eq!(answered(&other, 9, || get("a", "free")), 3, "five for each on this host, of which two are gone");
    assert_eq!(answered(&other, 9, || get("b", "free")), 1, "six for all");
    let counts = gateway.caps.ledger().counts();
    let refused = |set: &str, cap: &str| {
        counts.iter().find(|count| &*count.set == set && &*count.cap == cap).map(|count| count.refused)
    };
    assert_eq!(refused("rpc.example.com/archive", "route.rate"), Some(8));
    assert_eq!(refused("rpc.example.com", "route.each.rate"), Some(6));
    assert_eq!(refused("gateway", "gateway.rate"), Some(8));
}

#[test]
fn a_batch_is_priced_by_call_and_admitted_whole_or_not_at_all() {
    let gateway = Gateway::new();
    let plans = "plans: { free: { credits: { price: 1, rate: 10/s, burst: 25 }, \
                 methods: { getProgramAccounts: { rate: 1/s, burst: 2, credits: 10 }, 'get*': 2 } } }";
    assert!(sets(plans).is_err(), "a method's settings are a map");
    let plans = "plans: { free: { credits: { price: 1, rate: 10/s, burst: 25 }, \
                 methods: { getProgramAccounts: { rate: 1/s, burst: 2, credits: 10 }, 'get*': { credits: 2 } } } }";
    let chain = gateway.plans(plans);
    let batch = || call("acme", "free", &["getProgramAccounts", "getSlot", "sendTransaction", ""]);
    assert_eq!(outcome(&run(&chain, batch())), (200, None));
    assert_eq!(
        gateway.used(),
        [("(other)", [2, 2, 0]), ("get*", [1, 2, 0]), ("getProgramAccounts", [1, 10, 0])].map(|(method, used)| (
            "acme".to_owned(),
            method.to_owned(),
            used
        ))
    );
    let seen = run(&chain, batch());
    assert_eq!(outcome(&seen), (429, Some(Reason::OverRate)));
    assert_eq!(field(&seen, "ratelimit"), "\"credits.rate\";r=11;t=1", "14 are needed");
    assert_eq!(outcome(&run(&chain, call("acme", "free", &["getProgramAccounts"]))), (200, None), "11 were left");
    let seen = run(&chain, call("acme", "free", &["getProgramAccounts"; 3]));
    assert_eq!(seen.reason, Some(Reason::OverRate));
    assert_eq!(field(&seen, "retry-after"), "", "three are more than ever there at once");
}

#[test]
fn parts_of_a_batch_are_decided_together_each_by_its_own_calls() {
    let gateway = Gateway::new();
    let archive = ("hosts/h/routes/archive/filters/caps", "{ shared: { rate: 1/s, burst: 2 } }");
    let default = ("hosts/h/routes/default/filters/caps", "{ shared: { rate: 1/s, burst: 3 } }");
    let archive = gateway.generation("plans: { free: { rate: 50/s } }", &[HOST, archive, default]);
    let at = |places: &[usize]| call("a", "free", &["getBlock", "getSlot", "getSlot"]).calls(places);
    // As long as every filter sees the same calls, each route is asked for them.
    assert_eq!(answered(&archive, 5, || at(&[0])), 2);
    assert_eq!(outcome(&run(&archive, at(&[1, 2]))), (429, Some(Reason::OverRate)));
    let used = gateway.used();
    assert_eq!(
        used.iter().map(|(.., used)| used[0]).sum::<u64>(),
        6,
        "the plan is asked for the whole batch: {used:?}"
    );
}

#[test]
fn requests_are_held_until_they_end() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { concurrency: 2, connections: 1 } }");
    let held = [run(&chain, get("acme", "free")), run(&chain, get("acme", "free"))];
    let seen = run(&chain, get("acme", "free"));
    assert_eq!(outcome(&seen), (429, Some(Reason::OverConcurrency)));
    assert_eq!(
        (field(&seen, "retry-after"), field(&seen, "ratelimit")),
        ("1".into(), "\"concurrency\";r=0;t=1".into())
    );
    let stream = run(&chain, get("acme", "free").field("accept", "text/event-stream"));
    assert_eq!(stream.status, 200, "a stream is no request at once");
    let grpc = || get("acme", "free").field("content-type", "application/grpc+proto");
    assert_eq!(outcome(&run(&chain, grpc())), (429, Some(Reason::OverConcurrency)));
    assert_eq!(run(&chain, get("acme", "free").asks_upgrade()).reason, Some(Reason::OverConcurrency));
    drop((held, stream));
    assert_eq!((run(&chain, get("acme", "free")).status, run(&chain, grpc()).status), (200, 200));
}

/// How many of five are answered that do not end.
fn at_once(chain: &Chain, request: impl Fn() -> Exchange) -> usize {
    let held: Vec<Seen> = (0..5).map(|_| run(chain, request())).collect();
    held.iter().filter(|seen| seen.status == 200).count()
}

#[test]
fn a_client_that_says_it_opens_a_stream_is_held_all_the_same() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { concurrency: 2 } }");
    let claims: [fn() -> Exchange; 3] = [
        || get("acme", "free").field("accept", "text/event-stream"),
        || get("acme", "free").field("content-type", "application/grpc"),
        || get("acme", "free").asks_upgrade(),
    ];
    for claim in claims {
        assert_eq!(at_once(&chain, claim), 2);
    }
    // What the gateway speaks itself is a connection for certain, and its calls are the requests.
    assert_eq!(at_once(&chain, || get("acme", "free").asks_upgrade().is_terminated()), 5);
    let chain = gateway.plans("plans: { free: { concurrency: 2, shared: { connections: 3 } } }");
    assert_eq!(at_once(&chain, claims[0]), 3);
}

#[test]
fn state_survives_a_reload_and_an_edit_of_the_very_cap() {
    let gateway = Gateway::new();
    let before = gateway.plans("plans: { free: { rate: 1/s, burst: 10, quota: 20/d } }");
    assert_eq!(answered(&before, 8, || get("acme", "free")), 8);
    let after = gateway.plans("plans: { free: { rate: 1/s, burst: 12, quota: 9/d }, gold: {} }");
    let seen = run(&after, get("acme", "free"));
    assert_eq!(field(&seen, "ratelimit"), "\"rate\";r=3;t=9, \"quota.day\";r=0;t=86400");
    assert_eq!(run(&after, get("acme", "free")).reason, Some(Reason::OverQuota));
    assert_eq!(run(&after, get("acme", "gold")).status, 200, "another plan, without caps");
    let back = gateway.plans("plans: { free: { rate: 1/s, burst: 10, quota: 20/d } }");
    assert_eq!(answered(&back, 8, || get("acme", "free")), 1, "nine were spent, and nothing was given twice");
}

#[test]
fn shadow_counts_and_refuses_nothing() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { rate: { limit: 1/s, shadow: true }, quota: 3/d } }");
    let seen: Vec<Seen> = (0..4).map(|_| run(&chain, get("acme", "free"))).collect();
    assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [200, 200, 200, 429]);
    let said: Vec<_> = seen.iter().map(|seen| seen.notes.annotations().to_vec()).collect();
    assert_eq!(said[0], []);
    assert_eq!(said[1], [("caps_shadow", "rate of the plan free: 0 of 1 requests left, 1 needed".to_owned())]);
    let count = gateway.caps.ledger().counts().into_iter().find(|count| &*count.cap == "rate").unwrap();
    assert_eq!((count.shadowed, count.refused), (2, 0));
}

#[test]
fn explain_says_what_would_be_and_spends_nothing() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { rate: 1/m, burst: 2 } }");
    let explained = || get("acme", "free").shared(Explained);
    for _ in 0..3 {
        let seen = run(&chain, explained());
        assert_eq!(seen.status, 200);
        assert_eq!(seen.notes.annotations(), [("caps", "acme; rate.minute: 2 of 2 left".to_owned())]);
    }
    assert_eq!(gateway.caps.ledger().consumers(), 0);
    assert_eq!(answered(&chain, 3, || get("acme", "free")), 2);
    let seen = run(&chain, explained());
    assert_eq!((outcome(&seen), field(&seen, "retry-after")), ((429, Some(Reason::OverRate)), "60".to_owned()));
}

#[test]
fn who_says_nothing_is_its_network() {
    let gateway = Gateway::new();
    let chain = gateway.generation("{}", &[("hosts/h/filters/caps", "{ rate: 1/m }")]);
    let from = |client: &str| run(&chain, Exchange::get("http://h/").client(client.parse().unwrap())).status;
    for (client, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:2:ffff::9", 429),
        ("2001:db8:1:3::1", 200),
    ] {
        assert_eq!(from(client), status, "{client}");
    }
    let ids: Vec<String> = gateway.used().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["net:192.0.2.1", "net:192.0.2.2", "net:2001:db8:1:2::/64", "net:2001:db8:1:3::/64"]);
}

#[test]
fn one_consumer_may_have_caps_of_its_own_and_an_override() {
    let gateway = Gateway::new();
    let chain = gateway.plans("plans: { free: { rate: 10/s } }\nconsumers: { acme: { rate: 1/s, burst: 4 } }");
    assert_eq!((answered(&chain, 20, || get("acme", "free")), answered(&chain, 20, || get("b", "free"))), (4, 10));
    let lift = |id: &str, cap: Option<&str>| Override {
        target: Target::Consumer(id.into()),
        cap: cap.map(Into::into),
        effect: Effect::Lift,
        until: START + 60,
        reason: "incident".into(),
    };
    gateway.caps.ledger().set_override(lift("acme", Some("own.rate")), START);
    assert_eq!(answered(&chain, 20, || get("acme", "free")), 6, "the plan still holds");
    gateway.caps.ledger().set_override(lift("acme", None), START);
    assert_eq!(answered(&chain, 20, || get("acme", "free")), 20);
    gateway.pass(61_000);
    assert_eq!(answered(&chain, 20, || get("acme", "free")), 4, "it is over");
}

#[test]
fn a_ledger_without_room_is_an_overloaded_gateway() {
    let options = LedgerOptions { shards: 1, most_consumers: 1, ..LedgerOptions::default() };
    let gateway = Gateway { caps: Arc::new(CapLedger::new(options)), ..Gateway::new() };
    let chain = gateway.plans("plans: { free: { quota: 10/month } }");
    assert_eq!(run(&chain, get("a", "free")).status, 200);
    let seen = run(&chain, get("b", "free"));
    assert_eq!((outcome(&seen), field(&seen, "ratelimit")), ((503, Some(Reason::Overloaded)), String::new()));
    assert_eq!(gateway.caps.refused().no_room, 1);
}

#[test]
fn a_filter_that_decides_leaves_a_spender_for_the_others() {
    let gateway = Gateway::new();
    let seen = run(&gateway.plans("plans: { free: {} }"), get("acme", "free"));
    assert!(seen.notes.get::<Spender>().is_some());
    assert!(run(&gateway.plans("plans: {}"), get("acme", "free")).notes.get::<Spender>().is_none());
}
