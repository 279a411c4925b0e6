//! What the rings keep, and what can be asked of them.

use super::*;
use crate::fixture;
use portcullis_types::{ProxyError, Reason};

fn ring(recent: usize) -> Ring {
    Ring::new(RingOptions { recent, failed: 3, refused: 3, slow: 3, slow_after: Duration::from_millis(100) })
}

fn numbered(id: u128) -> Record {
    let mut record = fixture::typical(id);
    record.at += Duration::from_millis(u64::try_from(id).unwrap());
    record
}

fn failed(id: u128, reason: Reason) -> Record {
    let mut record = numbered(id);
    record.fail(&ProxyError::new(reason));
    record.status = reason.status();
    record
}

fn ids(ring: &Ring, pairs: &[(&str, &str)]) -> Vec<u128> {
    let query = Query::from_pairs(pairs.iter().copied()).unwrap();
    ring.query(&query).iter().map(|record| record.id.0).collect()
}

#[test]
fn keeps_the_latest_and_gives_them_latest_first() {
    let ring = ring(4);
    (0..10).for_each(|id| ring.push(&Arc::new(numbered(id))));
    assert_eq!(ids(&ring, &[]), [9, 8, 7, 6]);
    assert_eq!(ids(&ring, &[("limit", "2")]), [9, 8]);
    assert!(ring.find(RequestId(3)).is_none() && ring.find(RequestId(7)).is_some());
}

#[test]
fn failures_and_slow_ones_outlive_what_went_well() {
    let ring = ring(2);
    ring.push(&Arc::new(failed(1, Reason::UpstreamReset)));
    let mut slow = numbered(2);
    slow.timers.total = Duration::from_millis(100);
    ring.push(&Arc::new(slow));
    let mut unexplained = numbered(3);
    unexplained.status = 500;
    ring.push(&Arc::new(unexplained));
    (10..20).for_each(|id| ring.push(&Arc::new(numbered(id))));
    assert_eq!(ids(&ring, &[]), [19, 18, 3, 2, 1]);
}

#[test]
fn a_flood_of_refusals_does_not_push_out_failures() {
    let ring = ring(2);
    ring.push(&Arc::new(failed(1, Reason::Internal)));
    (10..1000).for_each(|id| ring.push(&Arc::new(failed(id, Reason::OverRate))));
    assert_eq!(ids(&ring, &[]), [999, 998, 997, 1]);
}

#[test]
fn upgraded_streams_are_not_slow() {
    let ring = ring(1);
    let mut stream = numbered(1);
    stream.timers.total = Duration::from_secs(3600);
    stream.flags.set(Flag::Upgraded);
    ring.push(&Arc::new(stream));
    ring.push(&Arc::new(numbered(2)));
    assert_eq!(ids(&ring, &[]), [2]);
}

#[test]
fn each_filter_narrows_the_answer() {
    let ring = ring(10);
    ring.push(&Arc::new(numbered(1)));
    ring.push(&Arc::new(failed(2, Reason::OverRate)));
    let mut other = failed(3, Reason::UpstreamConnectTimeout);
    other.route = Some("default".into());
    other.timers.total = Duration::from_millis(300);
    ring.push(&Arc::new(other));
    let check = |pairs: &[(&str, &str)], expected: &[u128]| assert_eq!(ids(&ring, pairs), expected, "{pairs:?}");
    check(&[("reason", "over_rate")], &[2]);
    check(&[("failed", "true")], &[3, 2]);
    check(&[("failed", "false")], &[1]);
    check(&[("class", "5xx")], &[3]);
    check(&[("class", "2")], &[1]);
    check(&[("route", "archive"), ("class", "4xx")], &[2]);
    check(&[("route", "default")], &[3]);
    check(&[("host", "RPC.example.com")], &[3, 2, 1]);
    check(&[("host", "example.com")], &[]);
    check(&[("consumer", "acme"), ("cluster", "rpc-east"), ("limit", "1")], &[3]);
    check(&[("min_duration", "250ms")], &[3]);
    check(&[("id", &format!("{:032x}", 2))], &[2]);
}

#[test]
fn bad_questions_are_refused_with_what_would_be_right() {
    let check = |key: &str, value: &str, expected: &str| {
        assert_eq!(Query::from_pairs([(key, value)]).unwrap_err().to_string(), expected);
    };
    check("class", "9xx", "`class`: expected 1xx to 5xx, or 0xx for no answer");
    check("limit", "-1", "`limit`: expected a whole number");
    check(
        "reason",
        "bad luck",
        "`reason`: expected the name of a reason, such as `over_rate` (docs/errors.md has all)",
    );
    check("id", "7", "`id`: expected 32 hex digits");
    check("min_duration", "1", "`min_duration`: expected a duration such as 250ms");
    assert!(matches!(Query::from_pairs([("colour", "red")]), Err(QueryError::UnknownKey(key)) if key == "colour"));
}

#[test]
fn a_push_skips_a_slot_that_is_held_and_counts_it() {
    let ring = ring(1);
    ring.push(&Arc::new(numbered(1)));
    let held = ring.recent.slots[0].lock();
    ring.push(&Arc::new(numbered(2)));
    drop(held);
    assert_eq!(ids(&ring, &[]), [1]);
    assert_eq!(ring.stats()[0], SinkStat::Dropped { cause: "slot_busy", count: 1 });
}

#[test]
fn a_ring_of_size_zero_keeps_nothing() {
    let ring = Ring::new(RingOptions { recent: 0, failed: 0, refused: 0, slow: 0, slow_after: Duration::ZERO });
    ring.push(&Arc::new(failed(1, Reason::Internal)));
    assert_eq!(ids(&ring, &[]), [0_u128; 0]);
    assert_eq!(ring.stats()[0], SinkStat::Dropped { cause: "slot_busy", count: 0 });
}
