//! Ticks, sides, reasons, and what is kept.

use super::*;
use crate::fixture;
use crate::record::{Flag, Record};
use crate::sink::RecordSink as _;
use portcullis_types::{ProxyError, Reason};
use std::time::UNIX_EPOCH;

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + millis)
}

fn timeline() -> (Arc<Outcomes>, Timeline) {
    let outcomes = Arc::new(Outcomes::default());
    (outcomes.clone(), Timeline::new(outcomes))
}

fn send(outcomes: &Outcomes, change: impl FnOnce(&mut Record)) {
    let mut record = fixture::typical(1);
    change(&mut record);
    outcomes.record(&Arc::new(record));
}

#[test]
fn a_tick_takes_what_came_since_the_last_one_by_side_and_reason() {
    let (outcomes, timeline) = timeline();
    send(&outcomes, |_| {});
    send(&outcomes, |record| record.fail(&ProxyError::from(Reason::NoRoute)));
    send(&outcomes, |record| record.status = 502);
    send(&outcomes, |record| {
        record.flags.set(Flag::OnTrial);
        record.fail(&ProxyError::from(Reason::UpstreamReset));
    });
    let [usual, on_trial] = timeline.tick(at(0));
    assert_eq!((usual.requests, usual.failed, usual.refused), (3, 1, 1));
    assert_eq!(usual.reasons, [(Reason::NoRoute, 1)]);
    assert_eq!((on_trial.requests, on_trial.failed, on_trial.refused), (1, 1, 0));
    assert_eq!(on_trial.reasons, [(Reason::UpstreamReset, 1)]);
    assert_eq!(usual.latencies.quantile(0.5).map(|p50| p50.as_millis()), Some(14), "12.3 ms lie below 14.3");
    let again = timeline.tick(at(500));
    assert!(again.iter().all(|step| step.requests == 0 && step.reasons.is_empty()));
}

#[test]
fn connections_do_not_count_and_streams_have_no_latency() {
    let (outcomes, timeline) = timeline();
    let connection = fixture::typical(2);
    let record = Record::connection(connection.id, connection.generation, connection.at, connection.downstream);
    outcomes.record(&Arc::new(record));
    send(&outcomes, |record| record.flags.set(Flag::Upgraded));
    let [usual, _] = timeline.tick(at(0));
    assert_eq!((usual.requests, usual.latencies.count()), (1, 0));
}

#[test]
fn what_is_kept_is_bounded_and_adds_up() {
    let (outcomes, timeline) = timeline();
    for tick in 0..4_000 {
        send(&outcomes, |_| {});
        timeline.tick(at(tick * 500));
    }
    assert_eq!((timeline.last(usize::MAX).len(), timeline.last(3).len()), (FINE, 3));
    let minutes = timeline.minutes();
    assert_eq!(minutes.len(), COARSE);
    assert!(minutes.iter().all(|step| step.requests == 10));
    assert!(minutes.is_sorted_by_key(|step| step.until));
    for (seconds, requests) in [(1, 2), (60, 120), (120, 240), (600, 1200), (86_400, 1800)] {
        assert_eq!(timeline.sum(Duration::from_secs(seconds)).requests, requests, "{seconds}");
    }
}
