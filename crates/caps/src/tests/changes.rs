//! What is taken for a journal and a store, and given back after a crash.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn saved(consumer: Option<&str>, cap: &str, window: u32, spent: u64) -> SavedQuota {
    let (scope, set, period) =
        (Scope::Plan, "free".into(), if cap.ends_with("day") { Period::Day } else { Period::Month });
    SavedQuota { consumer: consumer.map(Arc::from), scope, set, cap: cap.into(), period, window, spent }
}

const MARCH: u32 = 56 * 12 + 2;

#[test]
fn pieces_together_are_the_whole_each_change_once() {
    let mut kit = Kit::with(LedgerOptions { shards: 16, ..LedgerOptions::default() });
    let shared = vec![quota(Unit::Requests, "1000/d")];
    let set = kit.bind(CapSetSpec { shared, ..plan(vec![quota(Unit::Requests, "100/month")]) });
    let ids: Vec<String> = (0..500).map(|number| format!("c{number}")).collect();
    ids.iter().for_each(|id| assert_eq!(kit.admitted(0, id, &[&set], 1), 1));
    let (mut usage, mut quotas, mut largest) = (Vec::new(), Vec::new(), 0);
    for piece in 0..7 {
        let changes = kit.ledger.take_changes_of(piece, 7);
        largest = largest.max(changes.usage.len());
        usage.extend(changes.usage.into_iter().map(|delta| delta.consumer.to_string()));
        quotas.extend(changes.quotas);
    }
    usage.sort();
    let mut expected = ids;
    expected.sort();
    assert_eq!(usage, expected);
    assert_eq!(quotas.len(), 501, "one of each consumer, and the one that all share");
    assert!(largest < 200, "{largest} of 500 in one piece of 7");
    assert_eq!(kit.ledger.take_changes(), Changes::default());
}

#[test]
fn quotas_come_as_they_are_when_they_changed() {
    let mut kit = Kit::new();
    let shared = vec![quota(Unit::Requests, "1000/d")];
    let set = kit.bind(CapSetSpec { shared, ..plan(vec![rate("1/s", 99), quota(Unit::Requests, "100/month")]) });
    assert_eq!(kit.admitted(0, "acme", &[&set], 3), 3);
    assert_eq!(kit.admitted(0, "other", &[&set], 1), 1);
    let mut quotas = kit.ledger.take_changes().quotas;
    quotas.sort_by_key(|quota| quota.consumer.clone());
    let shared = saved(None, "plan.quota.day", 20_513, 4);
    let month = |id, spent| saved(Some(id), "quota.month", MARCH, spent);
    assert_eq!(quotas, [shared.clone(), month("acme", 3), month("other", 1)]);
    assert_eq!(kit.ledger.take_changes(), Changes::default());
    assert_eq!(kit.admitted(0, "other", &[&set], 1), 1);
    assert_eq!(kit.ledger.take_changes().quotas, [month("other", 2), SavedQuota { spent: 5, ..shared.clone() }]);
    let mut all = Vec::new();
    kit.ledger.export(at(0), |quota| all.push(quota));
    all.sort_by_key(|quota| quota.consumer.clone());
    assert_eq!(all, [SavedQuota { spent: 5, ..shared }, month("acme", 3), month("other", 2)]);
    let mut all = 0;
    kit.ledger.export(at(70 * 86_400_000), |_| all += 1);
    assert_eq!(all, 0, "what is over is not exported");
}

#[test]
fn a_gateway_that_begins_anew_goes_on_where_it_was_saved() {
    let mut kit = Kit::new();
    let spec =
        CapSetSpec { shared: vec![quota(Unit::Requests, "1000/d")], ..plan(vec![quota(Unit::Requests, "100/month")]) };
    let set = kit.bind(spec.clone());
    assert_eq!(kit.admitted(0, "acme", &[&set], 40), 40);
    let mut all = Vec::new();
    kit.ledger.export(at(0), |quota| all.push(quota));
    assert_eq!(kit.admitted(0, "acme", &[&set], 7), 7, "what a crash loses");
    let mut again = Kit::new();
    // Before or after the plan is there, and more than once.
    assert_eq!(again.ledger.import(at(0), all.clone()), 0);
    let set = again.bind(spec);
    assert_eq!(again.ledger.import(at(0), all), 0);
    let left = [("plan.quota.day", 960), ("quota.month", 60)].map(|(name, left)| (name.to_owned(), left));
    assert_eq!(again.left(0, "acme", &[&set]), left);
    assert_eq!(
        again.ledger.import(
            at(0),
            [saved(Some("acme"), "quota.month", MARCH, 90), saved(Some("acme"), "quota.month", MARCH - 1, 99)]
        ),
        0
    );
    assert_eq!(again.left(0, "acme", &[&set])[1].1, 10);
}

#[test]
fn what_another_process_spent_is_added_and_taken_like_what_was_spent_here() {
    let mut kit = Kit::new();
    let shared = vec![quota(Unit::Requests, "1000/d")];
    let set = kit.bind(CapSetSpec { shared, ..plan(vec![quota(Unit::Requests, "100/month")]) });
    assert_eq!(kit.admitted(0, "acme", &[&set], 10), 10);
    drop(kit.ledger.take_changes());
    let spent = [
        saved(Some("acme"), "quota.month", MARCH, 5),
        saved(Some("other"), "quota.month", MARCH, 2),
        saved(None, "plan.quota.day", 20_513, 7),
        saved(Some("acme"), "quota.month", MARCH - 1, 50),
    ];
    assert_eq!(kit.ledger.add_spent(at(0), spent), 0);
    let mut quotas = kit.ledger.take_changes().quotas;
    quotas.sort_by_key(|quota| quota.consumer.clone());
    let month = |id, spent| saved(Some(id), "quota.month", MARCH, spent);
    assert_eq!(quotas, [saved(None, "plan.quota.day", 20_513, 17), month("acme", 15), month("other", 2)]);
    assert_eq!(kit.left(0, "acme", &[&set])[1].1, 85);
}

proptest! {
    #[test]
    fn usage_sums_up_to_what_was_admitted(
        steps in prop::collection::vec((0_usize..4, 0_usize..4, 1_usize..4, 0_u64..5_000, any::<bool>()), 1..150),
    ) {
        let mut kit = Kit::with(LedgerOptions { shards: 2, ..LedgerOptions::default() });
        let methods = vec![rule("a", Some(3), vec![rate("2/s", 9)]), rule("b*", Some(0), Vec::new())];
        let set = kit.bind(CapSetSpec { methods, ..plan(vec![rate("3/s", 20)]) });
        let (ids, names) = (["w", "x", "y", "z"], ["a", "bc", "other", ""]);
        let mut expected: BTreeMap<(String, String), Amount> = BTreeMap::new();
        let mut taken = expected.clone();
        let mut take = |kit: &Kit| {
            for delta in kit.ledger.take_changes().usage {
                let name = kit.methods.name(delta.method).to_owned();
                *taken.entry((delta.consumer.to_string(), name)).or_default() += delta.amount;
            }
        };
        for (nth, (who, method, many, bytes, now)) in steps.into_iter().enumerate() {
            let calls = vec![names[method]; many];
            let millis = nth as u64 * 150;
            if let Ok(admission) = kit.ask(millis, ids[who], &[&set], &calls) {
                kit.ledger.charge_bytes(at(millis), &admission, scopes(&[&set]), bytes);
                let name = kit.methods.name(kit.calls(&calls)[0]).to_owned();
                let price = match method { 0 => 3, 1 => 0, _ => 1 };
                let requests = many as u64;
                let of_bytes = if many > 1 { "(batch)".to_owned() } else { name.clone() };
                *expected.entry((ids[who].to_owned(), name)).or_default() += Amount { requests, credits: requests * price, bytes: 0 };
                *expected.entry((ids[who].to_owned(), of_bytes)).or_default() += Amount { bytes, ..Amount::default() };
            }
            if now {
                take(&kit);
            }
        }
        take(&kit);
        expected.retain(|_, amount| *amount != Amount::default());
        prop_assert_eq!(taken, expected);
    }
}
