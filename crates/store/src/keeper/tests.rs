//! The saver step by step, on a clock of the test's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_caps::{
    Admission, BoundSet, Cap, CapSet, CapSetSpec, Held, Ledger, LedgerOptions, MethodId, MethodRule, Methods, Moment,
    Refusal, Request, Scope, Scopes, Unit, Zone,
};

use super::saver::Saver;
use super::*;
use crate::journal::read_usage;

/// The first second of March 2026, UTC.
const START: u64 = 1_772_323_200_000;

fn at(millis: u64) -> Moment {
    Moment::new(Duration::from_millis(millis), Duration::from_millis(START + millis))
}

/// A gateway without a network: a ledger with a plan, and what saves it.
struct Gateway {
    saver: Saver,
    ledger: Arc<Ledger>,
    set: Arc<BoundSet>,
    methods: Methods,
}

impl Gateway {
    fn open(path: &Path, millis: u64) -> Self {
        Self::open_with(&StoreOptions::at(path), millis)
    }

    fn open_with(options: &StoreOptions, millis: u64) -> Self {
        let saved = Saved::default();
        let kept = Kept::open(options, &saved, at(millis)).unwrap();
        let options = LedgerOptions { saved: Some(saved.lookup()), shards: 4, ..LedgerOptions::default() };
        let ledger = Arc::new(Ledger::new(options));
        let quota = |text: &str| Cap::quota(Unit::Requests, text.parse().unwrap(), Zone::utc()).unwrap();
        let rule = MethodRule {
            pattern: "getBlock".parse().unwrap(),
            credits: Some(10),
            each: Vec::new(),
            shared: Vec::new(),
        };
        let set = CapSet::build(CapSetSpec {
            each: vec![quota("1000000/month")],
            shared: vec![quota("5000000/d")],
            methods: vec![rule],
            ..CapSetSpec::new(Scope::Plan, "free")
        });
        let set = set.unwrap();
        let methods = Methods::default().with(set.patterns()).unwrap();
        let set = ledger.bind(&set, &methods).unwrap();
        let mut saver = kept.saver;
        let names = methods.clone();
        saver.attach(&ledger, Arc::new(move |id| names.name(id).into()), at(millis));
        Self { saver, ledger, set, methods }
    }

    fn ask(&self, millis: u64, id: &str, method: &str) -> Result<Admission, Refusal> {
        self.ask_for(millis, id, &[method])
    }

    fn ask_for(&self, millis: u64, id: &str, methods: &[&str]) -> Result<Admission, Refusal> {
        let calls: Vec<MethodId> = methods.iter().map(|method| self.methods.find(method)).collect();
        let id = Arc::from(id);
        let request = Request {
            scopes: Scopes::default().with(&self.set),
            consumer: Some(&id),
            holds: Held::Requests,
            calls: &calls,
        };
        self.ledger.decide(at(millis), &request)
    }

    fn spend(&self, millis: u64, id: &str, requests: u64) {
        (0..requests).for_each(|_| drop(self.ask(millis, id, "getBlock").unwrap()));
    }

    /// What is left of the month's quota of a consumer, and of the day's that all share.
    fn left(&self, millis: u64, id: &str) -> (u64, u64) {
        let (id, calls) = (Arc::from(id), [MethodId::HTTP]);
        let request = Request {
            scopes: Scopes::default().with(&self.set),
            consumer: Some(&id),
            holds: Held::Requests,
            calls: &calls,
        };
        // Looking makes no account; deciding does, with what is saved.
        drop(self.ledger.decide(at(millis), &request));
        let left =
            |name: &str, standing: &portcullis_caps::Standing| (&*standing.cap == name).then_some(standing.remaining);
        let standings = self.ledger.standings(at(millis), &request);
        let find = |name: &str| standings.iter().find_map(|standing| left(name, standing)).unwrap();
        (find("quota.month"), find("plan.quota.day"))
    }

    fn totals(&self, query: &UsageQuery) -> Totals {
        let mut sums = Sums::new(query);
        self.saver.add_usage(query, &mut sums).unwrap();
        if self.saver.has_files() {
            sums.add_files(&journal_of(self.saver.directory())).unwrap();
        }
        sums.totals
    }
}

#[test]
fn what_was_saved_is_there_after_a_crash_and_what_came_after_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::open(directory.path(), 0);
    gateway.spend(0, "acme", 7);
    gateway.saver.tick(at(500));
    gateway.spend(600, "acme", 3);
    // Dropped in the middle of a second: the same as a crash.
    drop(gateway);
    let gateway = Gateway::open(directory.path(), 5_000);
    assert_eq!(gateway.left(5_000, "acme"), (1_000_000 - 8, 5_000_000 - 8));
    let nowhere = tempfile::tempdir().unwrap().path().join("usage");
    for journal in [directory.path().join("usage"), nowhere] {
        assert_eq!(read_usage(&journal, &UsageQuery::default()).unwrap(), Totals::default());
    }
    assert_eq!(gateway.totals(&UsageQuery::default()).of("acme").requests, 7);
}

#[test]
fn a_consumer_that_was_dropped_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::open(directory.path(), 0);
    gateway.spend(0, "acme", 5);
    for tick in 1..6 {
        gateway.saver.tick(at(tick * 500));
    }
    assert_eq!(gateway.ledger.consumers(), 0, "idle and saved");
    assert_eq!(gateway.left(3_000, "acme").0, 1_000_000 - 6);
}

#[test]
fn windows_end_at_full_minutes_and_usage_is_seen_before() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("usage");
    let mut gateway = Gateway::open(directory.path(), 30_000);
    gateway.spend(30_000, "acme", 3);
    gateway.saver.tick(at(30_500));
    let query = UsageQuery { consumer: Some("acme".to_owned()), ..UsageQuery::default() };
    assert_eq!(gateway.totals(&query).of("acme").credits, 30);
    gateway.spend(59_000, "acme", 2);
    gateway.saver.tick(at(59_500));
    gateway.saver.tick(at(60_000));
    let totals = read_usage(&journal, &query).unwrap();
    assert_eq!((totals.of("acme").requests, &totals), (5, &gateway.totals(&query)));
    let text = std::fs::read_to_string(journal.join("usage.ndjson")).unwrap();
    assert!(text.contains("\"start\":\"2026-03-01T00:00:30.5Z\",\"end\":\"2026-03-01T00:01:00Z\""), "{text}");
    gateway.spend(61_000, "acme", 4);
    gateway.saver.finish(at(61_500));
    assert_eq!(read_usage(&journal, &query).unwrap().of("acme").requests, 9, "the end closes the window");
}

/// Every step between the ledger and the journal may be the last before a crash.
#[test]
fn a_crash_between_any_two_steps_leaves_each_line_once() {
    for step in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("usage");
        let mut gateway = Gateway::open(directory.path(), 0);
        gateway.spend(0, "acme", 5);
        gateway.saver.tick(at(500));
        gateway.saver.crash_at(step, at(60_000));
        drop(gateway);
        let mut gateway = Gateway::open(directory.path(), 90_000);
        gateway.spend(90_000, "acme", 1);
        gateway.saver.tick(at(90_500));
        assert_eq!(gateway.totals(&UsageQuery::default()).of("acme").requests, 6, "{step}");
        gateway.saver.finish(at(91_000));
        let totals = read_usage(&journal, &UsageQuery::default()).unwrap();
        assert_eq!((totals.of("acme").requests, totals.repeated, totals.unreadable), (6, 0, 0), "{step}");
    }
}

#[test]
fn a_second_process_waits_for_the_first_and_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Gateway::open(directory.path(), 0);
    let mut second = Gateway::open(directory.path(), 0);
    assert_eq!(second.saver.status().state, Saving::Waiting);
    first.spend(0, "acme", 9);
    second.spend(100, "acme", 2);
    second.saver.tick(at(2_000));
    assert_eq!((second.saver.status().state, second.saver.status().pending), (Saving::Waiting, 3));
    first.saver.finish(at(2_500));
    drop(first);
    second.saver.tick(at(4_000));
    let status = second.saver.status();
    assert_eq!((status.state, status.pending, status.since), (Saving::Good, 0, START + 4_000));
    assert_eq!(second.left(4_500, "acme").0, 1_000_000 - 10, "of two words the greater holds");
    assert_eq!(second.totals(&UsageQuery::default()).of("acme").requests, 11);
}

#[test]
fn a_patient_store_begins_without_a_directory_and_keeps_what_was_spent_once_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let mut before = Gateway::open(&path, 0);
    before.spend(0, "acme", 9);
    before.saver.finish(at(500));
    drop(before);
    // A file in its place: no directory can be made, whoever asks.
    let aside = directory.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(Kept::open(&StoreOptions::at(&path), &Saved::default(), at(1_000)).is_err());
    let mut gateway = Gateway::open_with(&StoreOptions { patient: true, ..StoreOptions::at(&path) }, 1_000);
    let status = gateway.saver.status();
    assert_eq!(status.state, Saving::Failing);
    assert!(status.last_error.unwrap().contains("data"));
    gateway.spend(1_100, "acme", 2);
    gateway.saver.tick(at(2_500));
    assert_eq!((gateway.saver.status().state, gateway.saver.status().pending), (Saving::Failing, 3));
    assert_eq!(gateway.totals(&UsageQuery::default()).of("acme").requests, 2, "what waits is counted");
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    gateway.saver.tick(at(4_000));
    assert_eq!((gateway.saver.status().state, gateway.saver.status().pending), (Saving::Good, 0));
    assert_eq!(gateway.left(4_500, "acme").0, 1_000_000 - 10, "what was spent before is known");
    assert_eq!(gateway.totals(&UsageQuery::default()).of("acme").requests, 11);
}

#[test]
fn a_million_requests_with_restarts_between_add_up_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let (consumers, methods) = (["a", "b", "c", "d", "e"], ["getBlock", "getSlot", ""]);
    let mut expected = std::collections::BTreeMap::<(&str, &str), u64>::new();
    let mut random = 7_u64;
    let mut made = 0;
    for restart in 0..20_u64 {
        let begin = restart * 100_000;
        let mut gateway = Gateway::open(directory.path(), begin);
        for tick in 0..10_u64 {
            let now = begin + tick * 7_000;
            for _ in 0..500 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let pick = usize::try_from(random >> 40).unwrap();
                let (id, method) = (consumers[pick % 5], methods[pick / 5 % 3]);
                // Ten calls a time, as in a batch: each counts.
                drop(gateway.ask_for(now, id, &[method; 10]).unwrap());
                *expected.entry((id, if method == "getBlock" { method } else { "(other)" })).or_default() += 10;
                made += 10;
            }
            gateway.saver.tick(at(now + 500));
        }
        // Every second one ends well, every other crashes after its last tick.
        if restart % 2 == 0 {
            gateway.saver.finish(at(begin + 80_000));
        }
    }
    assert_eq!(made, 1_000_000);
    Gateway::open(directory.path(), 3_000_000).saver.finish(at(3_000_000));
    let totals = read_usage(&directory.path().join("usage"), &UsageQuery::default()).unwrap();
    let read: std::collections::BTreeMap<(&str, &str), u64> = totals
        .consumers
        .iter()
        .flat_map(|(id, methods)| {
            methods.iter().map(move |(method, sum)| ((id.as_str(), method.as_str()), sum.requests))
        })
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn a_file_that_is_damaged_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let mut gateway = Gateway::open(directory.path(), 0);
    gateway.spend(0, "acme", 5);
    gateway.saver.finish(at(500));
    drop(gateway);
    let good = std::fs::read(&path).unwrap();
    let open = || Kept::open(&StoreOptions::at(directory.path()), &Saved::default(), at(1_000)).map(drop);
    for (damage, bytes) in [
        ("other text", b"not a store at all, but long enough to be looked at as one, since it has some words".to_vec()),
        ("cut to a quarter", good[..good.len() / 4].to_vec()),
        ("a broken head", [&[0xff; 512][..], &good[512..]].concat()),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("move it away"), "{damage}: {error}");
        assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len(), "{damage}: it is left as it is");
    }
    std::fs::write(&path, &good).unwrap();
    assert!(open().is_ok());
}

#[test]
fn a_store_that_was_handed_over_gets_what_is_spent_after_that_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = Gateway::open(directory.path(), 0);
    old.spend(0, "acme", 7);
    old.saver.hand_over(at(500)).unwrap();
    assert_eq!(old.saver.status().state, Saving::HandedOver);
    let mut new = Gateway::open(directory.path(), 600);
    assert_eq!(new.saver.status().state, Saving::Good, "it is free");
    new.spend(700, "acme", 2);
    assert_eq!(new.left(700, "acme"), (1_000_000 - 10, 5_000_000 - 10), "looking spent one, too");
    // Both an account that the new one has and one that it does not know.
    old.spend(800, "acme", 3);
    old.spend(800, "other", 4);
    let (number, spending) = old.saver.unsent().unwrap();
    assert!(new.saver.add(spending, at(900)));
    old.saver.received(number);
    assert!(old.saver.unsent().is_none(), "each once");
    assert_eq!(old.saver.status().pending, 0);
    old.spend(1_000, "acme", 1);
    let (_, spending) = old.saver.unsent().unwrap();
    assert_eq!(spending.quotas.iter().map(|quota| quota.spent).collect::<Vec<_>>(), [1, 1], "a difference");
    assert!(new.saver.add(spending, at(1_100)));
    assert_eq!(new.left(1_200, "acme"), (1_000_000 - 15, 5_000_000 - 19));
    new.saver.finish(at(1_300));
    let totals = new.totals(&UsageQuery::default());
    assert_eq!((totals.of("acme").requests, totals.of("other").requests), (7 + 2 + 3 + 1 + 2, 4));
    drop(new);
    // What was written is what the new one knew.
    let again = Gateway::open(directory.path(), 2_000);
    assert_eq!(again.left(2_000, "acme").0, 1_000_000 - 16);
}

#[test]
fn a_store_that_comes_back_has_what_was_not_known_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = Gateway::open(directory.path(), 0);
    old.spend(0, "acme", 7);
    old.saver.hand_over(at(500)).unwrap();
    let mut new = Gateway::open(directory.path(), 600);
    old.spend(700, "acme", 3);
    let (number, spending) = old.saver.unsent().unwrap();
    assert!(new.saver.add(spending, at(800)));
    old.saver.received(number);
    old.spend(900, "acme", 2);
    // Sent, and never heard of again.
    assert!(old.saver.unsent().is_some());
    old.spend(950, "acme", 1);
    drop(new);
    old.saver.take_back(at(1_000));
    assert_eq!((old.saver.status().state, old.saver.status().pending), (Saving::Good, 0));
    assert_eq!(old.totals(&UsageQuery::default()).of("acme").requests, 13);
    drop(old);
    let again = Gateway::open(directory.path(), 2_000);
    assert_eq!(again.left(2_000, "acme").0, 1_000_000 - 14);
}
