//! What is kept when a plan is edited under a consumer.

use super::*;

fn left(kit: &Kit, millis: u64, set: &BoundSet) -> u64 {
    kit.left(millis, "acme", &[set])[0].1
}

#[test]
fn a_bucket_keeps_the_tokens_that_are_missing() {
    for (rate_after, burst_after, spent, left_at_once, left_in_a_second) in [
        ("10/s", 20, 15, 5, 14),
        ("100/s", 200, 15, 185, 200),
        ("1/s", 20, 15, 5, 5),
        ("10/s", 5, 15, 0, 5),
        ("10/s", 40, 20, 20, 29),
        ("3/s", 7, 20, 0, 3),
    ] {
        let mut kit = Kit::new();
        let before = kit.bind(plan(vec![rate("10/s", 20)]));
        assert_eq!(kit.admitted(0, "acme", &[&before], spent), spent);
        let after = kit.bind(plan(vec![rate(rate_after, burst_after)]));
        assert_eq!(left(&kit, 0, &after), left_at_once, "{rate_after} {burst_after}");
        let more = u64::from(left_at_once > 0);
        assert_eq!(kit.admitted(0, "acme", &[&after], 1) as u64, more);
        assert_eq!(left(&kit, 1_000, &after), left_in_a_second, "{rate_after} {burst_after}");
        // An old generation that still has a request reads the same tokens, less what a smaller burst cut off.
        let cut_off = (spent as u64).saturating_sub(burst_after);
        assert_eq!(
            left(&kit, 0, &before),
            (20 + cut_off).saturating_sub(spent as u64 + more),
            "{rate_after} {burst_after}"
        );
    }
}

#[test]
fn a_debt_of_bytes_is_paid_at_the_new_rate() {
    let bytes = |rate: &str| plan(vec![Cap::rate(Unit::Bytes, rate.parse().unwrap(), 1_000).unwrap()]);
    let mut kit = Kit::new();
    let slow = kit.bind(bytes("1000/s"));
    let admission = kit.ask(0, "acme", &[&slow], &[""]).unwrap();
    kit.ledger.charge_bytes(at(0), &admission, scopes(&[&slow]), 101_000);
    let fast = kit.bind(bytes("50000/s"));
    let refusal = kit.ask(0, "acme", &[&fast], &[""]).err().unwrap();
    assert_eq!(refusal.wait, Wait::For(Duration::from_micros(2_000_020)));
    // A refusal is enough for the new rate to count from then on.
    let refusal = kit.ask(1_000, "acme", &[&fast], &[""]).err().unwrap();
    assert_eq!(refusal.wait, Wait::For(Duration::from_micros(1_000_020)));
}

#[test]
fn a_quota_keeps_what_was_spent_over_edits_of_limit_and_zone() {
    let mut kit = Kit::new();
    let before = kit.bind(plan(vec![quota(Unit::Requests, "10/month")]));
    assert_eq!(kit.admitted(0, "acme", &[&before], 7), 7);
    let kiritimati =
        Cap::quota(Unit::Requests, "12/month".parse().unwrap(), Zone::named("Pacific/Kiritimati").unwrap()).unwrap();
    let after = kit.bind(plan(vec![kiritimati]));
    assert_eq!(left(&kit, 0, &after), 5);
    assert_eq!(kit.admitted(0, "acme", &[&after], 9), 5);
    let less = kit.bind(plan(vec![quota(Unit::Requests, "3/month")]));
    assert_eq!((left(&kit, 0, &less), left(&kit, 31 * 86_400_000, &less)), (0, 3));
}

#[test]
fn a_gauge_that_is_lowered_or_taken_away_meanwhile_is_given_back_rightly() {
    let mut kit = Kit::new();
    let five = kit.bind(plan(vec![at_once(Held::Requests, 5)]));
    let mut held: Vec<Admission> = (0..4).map(|_| kit.ask(0, "acme", &[&five], &[""]).unwrap()).collect();
    let two = kit.bind(plan(vec![at_once(Held::Requests, 2)]));
    assert!(kit.ask(0, "acme", &[&two], &[""]).is_err());
    let none = kit.bind(plan(Vec::new()));
    assert!(kit.ask(0, "acme", &[&none], &[""]).is_ok());
    held.truncate(1);
    assert_eq!(left(&kit, 0, &two), 1);
    held.clear();
    assert_eq!(left(&kit, 0, &two), 2);
}

#[test]
fn a_plan_of_another_name_begins_anew_and_a_set_needs_its_methods() {
    let mut kit = Kit::new();
    let free = kit.bind(plan(vec![rate("1/s", 5)]));
    assert_eq!(kit.admitted(0, "acme", &[&free], 5), 5);
    let pro = kit.bind(CapSetSpec { name: "pro".into(), ..plan(vec![rate("1/s", 5)]) });
    assert_eq!(left(&kit, 0, &pro), 5);
    let methods = vec![rule("neverSeen", None, vec![rate("1/s", 5)])];
    let set = CapSet::build(CapSetSpec { methods, ..plan(Vec::new()) }).unwrap();
    assert_eq!(kit.ledger.bind(&set, &kit.methods).err(), Some(BindError::Method("neverSeen".parse().unwrap())));
}
