//! What the words mean, and what is said of wrong ones.

use super::*;
use crate::testing::check_refused;

#[test]
fn every_word_becomes_a_cap() {
    let yaml = r#"
plans:
  pro:
    rate: [10/s, { limit: 300/m, burst: 50, name: minute, shadow: true }]
    quota: [{ limit: 50000/d, zone: Europe/Berlin }, 1000000/month]
    concurrency: 10
    connections: { limit: 5, shadow: true }
    subscriptions: 50
    bytes: { rate: 1MiB/s, burst: 8MiB, quota: 10GB/d }
    credits: { price: 2, rate: 100/s, quota: 5000000/month }
    methods:
      getProgramAccounts: { rate: 1/s, credits: 10, concurrency: 1 }
      "get*": { credits: 1 }
    shared: { rate: 1000/s, methods: { getProgramAccounts: { rate: 5/s } } }
    zone: America/New_York
    gateways: shared
    outage: refuse
"#;
    let sets = sets(yaml).unwrap();
    let text = sets.plans[0].to_string().replace("plan pro: ", "");
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "rate: 10 requests per second, burst 10",
            "minute: 5 requests per second, burst 50, in shadow",
            "quota.day: 50000 requests per day (Europe/Berlin)",
            "quota.month: 1000000 requests per month (America/New_York)",
            "concurrency: 10 requests at once",
            "connections: 5 connections at once, in shadow",
            "subscriptions: 50 subscriptions at once",
            "bytes.rate: 1048576 bytes per second, burst 8388608",
            "bytes.day: 10000000000 bytes per day (America/New_York)",
            "credits.rate: 100 credits per second, burst 100",
            "credits.month: 5000000 credits per month (America/New_York)",
            "rate: 1000 requests per second, burst 1000, all together",
            "getProgramAccounts.rate: 1 requests per second, burst 1",
            "getProgramAccounts.concurrency: 1 requests at once",
            "getProgramAccounts.rate: 5 requests per second, burst 5, all together",
        ]
    );
    let spec = sets.plans[0].spec();
    assert_eq!((spec.credits, spec.outage), (Some(2), portcullis_caps::Outage::Refuse));
    let prices: Vec<_> = spec.methods.iter().map(|rule| (rule.pattern.as_str(), rule.credits)).collect();
    assert_eq!(prices, [("getProgramAccounts", Some(10)), ("get*", Some(1))]);
    let leases: Vec<_> = spec.each.iter().map(|cap| cap.terms().map(|terms| (terms.most, terms.overdraft))).collect();
    assert_eq!(leases[..5], [Some((3, 1)), Some((1, 1)), Some((50, 6)), Some((1000, 125)), None]);
}

#[test]
fn leases_are_written_out_where_they_must_be() {
    let yaml = "plans: { a: { rate: { limit: 100/s, gateways: { most: 40, ahead: 2s } }, \
                quota: { limit: 9/d, gateways: own }, gateways: shared } }";
    let sets = sets(yaml).unwrap();
    let terms: Vec<_> = sets.plans[0].spec().each.iter().map(|cap| cap.terms().copied()).collect();
    let first = terms[0].unwrap();
    assert_eq!((first.most, first.overdraft, first.ahead, first.ttl), (40, 5, first.ttl, Duration::from_secs(2)));
    assert_eq!(terms[1], None);
}

/// Asserts that a plan is refused with a report that holds a text.
fn refused(plan: &str, expected: &str) {
    let yaml = format!("plans: {{ a: {plan} }}");
    let report = sets(&yaml).expect_err(plan);
    assert!(report.contains(expected), "{plan}\nexpected: {expected}\nfound: {report}");
}

#[test]
fn wrong_words_are_refused_where_they_stand() {
    refused("{ rates: 10/s }", "did you mean `rate`?");
    refused("{ rate: 10 }", "expected a rate such as `50/s`");
    refused("{ rate: 0/s }", "the rate must be at least 1 per period");
    refused("{ rate: 5/month }", "a month is not a fixed time");
    refused("{ rate: 1MiB/s }", "requests are counted, not measured in bytes");
    refused("{ rate: 10/s, burst: 0 }", "the burst must be at least 1");
    refused("{ burst: 5 }", "`burst` belongs to one `rate`");
    refused("{ rate: [1/s, 9/m], burst: 5 }", "in a list, write each as `{ limit: 10/s, burst: 20 }`");
    refused("{ rate: { limit: 1/s, burst: 2 }, burst: 5 }", "the rate says its `burst` already");
    refused("{ quota: 5/h }", "a quota is per `d` or per `month`");
    refused("{ quota: 5/d, zone: Europe/Berlim }", "`Europe/Berlim` is no time zone of the IANA database");
    refused("{ concurrency: 0 }", "the number at once must be at least 1");
    refused("{ rate: [1/s, 2/s] }", "there are two caps named `rate`; give one another name");
    refused("{ rate: { limit: 1/s, name: 'a b' } }", "a cap's name has 1 to 64 printable ASCII characters");
    refused("{ bytes: {} }", "`bytes` limits nothing");
    refused("{ methods: { 'g*t': { rate: 1/s } } }", "a star only at the end");
    refused("{ methods: { getSlot: { connections: 1 } } }", "unknown key `connections`");
    refused("{ shared: { credits: 2 } }", "what a call costs is no matter of `shared`");
    refused("{ rate: 1/s, gateways: { most: 0 } }", "a gateway must be allowed to hold at least 1");
    refused("{ rate: 1/s, gateways: { ahead: 5s, ttl: 1s } }", "`ttl` must be at least `ahead`");
    refused("{ rate: 1/s, gateways: both }", "own");
    check_refused("caps", "{ rate: 1/s, credits: 3 }", "prices belong to plans and consumers, not to a route");
    check_refused("caps", "{ rat: 1/s }", "did you mean `rate`?");
}

#[test]
fn calls_that_are_always_refused_are_warned_of() {
    let report = crate::testing::warnings("caps", "{ rate: 1/s }");
    assert_eq!(report, "");
    let yaml = "plans: { a: { credits: { rate: 1/s, burst: 5 }, methods: { getBlock: { credits: 10 } } } }";
    let loader = MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let top: Top = loaded.decode(&loader, None).unwrap();
    let mut watch = Vec::new();
    let mut cx = Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    let plan = top.plans.iter().next().unwrap();
    assert!(plan.value.compile(Scope::Plan, "a", plan.span, &mut cx).is_some());
    let report = render_text(&loaded.diagnostics, &loaded.sources);
    let expected =
        "a call of `getBlock` costs 10 credits, and `credits.rate` never has more than 5: it is always refused";
    assert!(report.contains(expected), "{report}");
}
