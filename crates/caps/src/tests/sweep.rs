//! Who is dropped, and who is not.

use super::*;

/// Sweeps twice: the first look only notes that nobody was used since.
fn sweep(kit: &Kit, millis: u64) -> usize {
    kit.ledger.sweep(at(millis), usize::MAX).dropped + kit.ledger.sweep(at(millis), usize::MAX).dropped
}

#[test]
fn only_who_means_nothing_any_more_is_dropped() {
    let mut kit = Kit::new();
    let set = kit.bind(plan(vec![rate("1/s", 5), quota(Unit::Credits, "100/d"), at_once(Held::Requests, 5)]));
    let free = CapSetSpec {
        credits: Some(0),
        name: "zero".into(),
        ..plan(vec![rate("1/s", 5), quota(Unit::Credits, "100/d")])
    };
    let free = kit.bind(free);
    let held = kit.ask(0, "held", &[&free], &[""]).unwrap();
    assert!(kit.ask(0, "spent", &[&set], &[""]).is_ok() && kit.ask(0, "idle", &[&free], &[""]).is_ok());
    assert_eq!((sweep(&kit, 10_000), kit.ledger.consumers()), (0, 3), "nothing is taken yet");
    assert_eq!(kit.ledger.take_changes().usage.len(), 3);
    assert_eq!((sweep(&kit, 900), kit.ledger.consumers()), (0, 3), "buckets are not full");
    assert_eq!((sweep(&kit, 1_001), kit.ledger.consumers()), (1, 2));
    drop(held);
    assert_eq!((sweep(&kit, 1_001), kit.ledger.consumers()), (1, 1));
    assert_eq!(kit.left(1_001, "spent", &[&set])[1].1, 99);
    assert_eq!((sweep(&kit, 2 * 86_400_000), kit.ledger.consumers()), (1, 0));
}

#[test]
fn a_look_is_bounded_and_comes_to_everybody() {
    let mut kit = Kit::with(LedgerOptions { shards: 4, usage: false, ..LedgerOptions::default() });
    let set = kit.bind(plan(vec![rate("1/s", 5)]));
    for nth in 0..1_000 {
        assert!(kit.ask(0, &format!("c{nth}"), &[&set], &[""]).is_ok());
    }
    let mut looked = 0;
    while kit.ledger.consumers() > 0 {
        let swept = kit.ledger.sweep(at(10_000), 100);
        assert!(swept.looked <= 100);
        looked += swept.looked;
        assert!(looked < 4_000);
    }
    assert!(kit.ask(10_000, "again", &[&set], &[""]).is_ok());
}

#[test]
fn a_ledger_that_is_full_takes_the_place_of_who_is_idle() {
    let mut kit = Kit::with(LedgerOptions { shards: 1, most_consumers: 10, usage: false, ..LedgerOptions::default() });
    let set = kit.bind(plan(vec![rate("1/s", 5)]));
    let ask = |millis, nth: u32| kit.ask(millis, &format!("c{nth}"), &[&set], &[""]).map(drop);
    assert!((0..10).all(|nth| ask(0, nth).is_ok()));
    let refusal = ask(0, 10).unwrap_err();
    assert_eq!((refusal.kind, refusal.retry_after()), (RefusalKind::NoRoom, Some(1)));
    assert!(ask(0, 9).is_ok(), "who is there stays");
    assert!((10..30).all(|nth| ask(60_000 + u64::from(nth) * 2_000, nth).is_ok()));
    assert_eq!(kit.ledger.consumers(), 10);
}

struct Store(Vec<SavedQuota>);

impl SavedQuotas for Store {
    fn load(&self, consumer: &str) -> Vec<SavedQuota> {
        self.0.iter().filter(|quota| quota.consumer.as_deref() == Some(consumer)).cloned().collect()
    }
}

#[test]
fn who_is_saved_elsewhere_is_dropped_and_found_again() {
    let mut first = Kit::new();
    let spec = plan(vec![quota(Unit::Requests, "100/month")]);
    let set = first.bind(spec.clone());
    assert_eq!(first.admitted(0, "acme", &[&set], 30), 30);
    let saved = Arc::new(Store(first.ledger.take_changes().quotas));
    let mut kit = Kit::with(LedgerOptions { shards: 1, saved: Some(saved), ..LedgerOptions::default() });
    let set = kit.bind(spec);
    // Who looks sees what was saved, and makes no account of it.
    assert_eq!((kit.left(0, "acme", &[&set])[0].1, kit.ledger.consumers()), (70, 0));
    assert_eq!(kit.ledger.sets_of(at(0), "acme"), Some(vec![(Scope::Plan, "free".into())]));
    assert_eq!((kit.left(0, "other", &[&set])[0].1, kit.ledger.sets_of(at(0), "other")), (100, None));
    let later = 70 * 86_400_000;
    assert_eq!((kit.left(later, "acme", &[&set])[0].1, kit.ledger.sets_of(at(later), "acme")), (100, None));
    assert_eq!(kit.admitted(0, "acme", &[&set], 30), 30);
    assert_eq!(kit.left(0, "acme", &[&set])[0].1, 40);
    assert_eq!((sweep(&kit, 0), kit.ledger.consumers()), (0, 1), "not saved yet");
    assert_eq!(kit.ledger.take_changes().quotas[0].spent, 60);
    assert_eq!((sweep(&kit, 0), kit.ledger.consumers()), (1, 0));
    // The store of this test did not hear of it.
    assert_eq!(kit.admitted(0, "acme", &[&set], 100), 70);
}

#[test]
fn what_a_route_that_is_gone_shared_is_dropped() {
    let mut kit = Kit::new();
    let route = CapSetSpec { shared: vec![rate("1/s", 5)], ..CapSetSpec::new(Scope::Route, "old") };
    let set = kit.bind(route.clone());
    assert_eq!(kit.admitted(0, "acme", &[&set], 9), 5);
    drop(set);
    kit.ledger.sweep(at(1_000), 10);
    let set = kit.bind(route.clone());
    assert_eq!(kit.admitted(1_000, "acme", &[&set], 9), 1, "it came back in time");
    drop(set);
    kit.ledger.sweep(at(10_000), 10);
    let set = kit.bind(route);
    assert_eq!(kit.admitted(1_000, "acme", &[&set], 9), 5, "it was forgotten");
}
