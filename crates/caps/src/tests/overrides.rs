//! Emergency overrides, as requests meet them.

use std::num::NonZeroU32;

use super::*;

fn one(target: Target, cap: Option<&str>, effect: Effect, seconds: u64) -> Override {
    Override { target, cap: cap.map(Arc::from), effect, until: START + seconds, reason: "incident 7".into() }
}

fn times(n: u32) -> Effect {
    Effect::Multiply(NonZeroU32::new(n * 1_000).unwrap())
}

#[test]
fn a_multiplied_cap_allows_more_until_it_is_over() {
    let mut kit = Kit::new();
    let set = kit.bind(plan(vec![rate("1/s", 5), quota(Unit::Requests, "8/d"), at_once(Held::Requests, 1)]));
    let acme = Target::Consumer("acme".into());
    kit.ledger.set_override(one(acme.clone(), None, times(2), 60), START);
    assert_eq!(kit.admitted(0, "acme", &[&set], 20), 10);
    assert_eq!(kit.admitted(0, "other", &[&set], 20), 5);
    assert_eq!(kit.left(0, "acme", &[&set])[1], ("quota.day".to_owned(), 6));
    assert_eq!(kit.ledger.overrides(START).len(), 1);
    assert_eq!(kit.admitted(3_000, "acme", &[&set], 20), 6, "the quota, doubled");
    // It is over: the debt of 10 tokens of 2/s is clamped to the burst of 5, which come back at 1/s.
    assert_eq!(
        kit.left(60_000, "acme", &[&set]),
        [("rate", 5), ("quota.day", 0), ("concurrency", 1)].map(|(name, left)| (name.to_owned(), left))
    );
    assert!(kit.ledger.overrides(START + 60).is_empty());
    kit.ledger.lift_override(&acme, None, START);
    assert!(kit.ledger.overrides(START).is_empty());
}

#[test]
fn a_lifted_cap_counts_and_leaves_no_debt() {
    let mut kit = Kit::new();
    let set = kit.bind(plan(vec![rate("1/s", 5), quota(Unit::Requests, "100/d")]));
    kit.ledger.set_override(one(Target::Plan("free".into()), Some("rate"), Effect::Lift, 60), START);
    assert_eq!(kit.admitted(0, "acme", &[&set], 50), 50);
    assert_eq!(
        kit.left(0, "acme", &[&set]),
        [("rate", 0), ("quota.day", 50)].map(|(name, left)| (name.to_owned(), left))
    );
    kit.ledger.lift_override(&Target::Plan("free".into()), Some("rate"), START);
    assert_eq!(kit.admitted(2_000, "acme", &[&set], 50), 2);
}
