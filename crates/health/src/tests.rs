//! What is found, in which order, and what is kept between looks.

use super::*;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn ids(facts: &Facts) -> Vec<(String, Severity)> {
    judge(facts, now()).iter().map(|finding| (finding.id(), finding.severity)).collect()
}

fn check(facts: Facts, expected: &[(&str, Severity)]) {
    let expected: Vec<(String, Severity)> =
        expected.iter().map(|(id, severity)| ((*id).to_owned(), *severity)).collect();
    assert_eq!(ids(&facts), expected, "{facts:?}");
}

fn window(requests: u64, reasons: &[(&'static str, bool, u64)], answered: u64) -> Window {
    let sum = |client: bool| reasons.iter().filter(|one| one.1 == client).map(|one| one.2).sum::<u64>();
    Window { requests, failed: sum(false) + answered, refused: sum(true), reasons: reasons.to_vec() }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let clusters = vec![ClusterFacts { name: "a".into(), endpoints: 4, available: 3, ..ClusterFacts::default() }];
    let store = Some(StoreFacts { trouble: None, last_error: Some("once".into()), pending: 2 });
    let link = Some(LinkFacts { trouble: None, last_error: None });
    let traffic = Traffic {
        now: window(1000, &[("over_rate", true, 5)], 2),
        before: window(9000, &[], 20),
        ..Traffic::default()
    };
    let rooms =
        vec![RoomFacts { name: "x".into(), used: 89, limit: 100 }, RoomFacts { name: "y".into(), used: 9, limit: 0 }];
    let ends = now() + 30 * 24 * 60 * MINUTE;
    let certificates = vec![CertificateFacts { listener: "e".into(), subject: "s".into(), ends }];
    check(Facts { clusters, store, link, traffic, rooms, certificates, ..Facts::default() }, &[]);
}

#[test]
fn a_cluster_is_told_by_the_worst_of_it() {
    use Severity::{Degraded, Failing};
    let of = |endpoints, available, panicking| Facts {
        clusters: vec![ClusterFacts { name: "rpc".into(), endpoints, available, panicking, ..ClusterFacts::default() }],
        ..Facts::default()
    };
    check(of(0, 0, false), &[("cluster_down:rpc", Failing)]);
    check(of(3, 0, false), &[("cluster_down:rpc", Failing)]);
    check(of(3, 3, true), &[("cluster_panicking:rpc", Failing)]);
    check(of(3, 2, false), &[("cluster_degraded:rpc", Degraded)]);
    check(of(10, 8, false), &[]);
}

#[test]
fn errors_are_told_by_their_share_and_their_growth() {
    use Severity::{Degraded, Failing, Information};
    let of = |now: Window, before: Window| Facts {
        traffic: Traffic { now, before, latest: window(9, &[], 4) },
        ..Facts::default()
    };
    let calm = || window(9000, &[("upstream_reset", false, 9)], 0);
    check(of(window(19, &[("upstream_reset", false, 19)], 0), calm()), &[]);
    check(of(window(1000, &[("upstream_reset", false, 20)], 0), calm()), &[("errors_rising:upstream_reset", Degraded)]);
    let always = || window(9000, &[("upstream_reset", false, 180)], 0);
    check(of(window(1000, &[("upstream_reset", false, 20)], 0), always()), &[]);
    check(
        of(window(1000, &[("upstream_reset", false, 600)], 0), calm()),
        &[("errors", Failing), ("errors_rising:upstream_reset", Failing)],
    );
    let told = judge(&of(window(1000, &[("upstream_reset", false, 600)], 0), calm()), now());
    assert!(
        told.iter().any(|one| one.evidence.iter().any(|line| line == "in the last ten seconds 4 of 9")),
        "{told:?}"
    );
    check(of(window(1000, &[], 60), calm()), &[("errors", Degraded), ("errors_rising:answered_with_5xx", Degraded)]);
    check(of(window(1000, &[("over_rate", true, 400)], 0), calm()), &[("refusals_rising", Information)]);
}

#[test]
fn a_certificate_is_told_before_it_ends() {
    use Severity::{Degraded, Failing};
    let of = |ends: SystemTime| Facts {
        certificates: vec![CertificateFacts { listener: "edge".into(), subject: "a.example".into(), ends }],
        ..Facts::default()
    };
    let day = 24 * 60 * MINUTE;
    check(of(now() + 15 * day), &[]);
    check(of(now() + 13 * day), &[("certificate:edge/a.example", Degraded)]);
    check(of(now() + day / 2), &[("certificate:edge/a.example", Failing)]);
    check(of(now() - day), &[("certificate:edge/a.example", Failing)]);
}

#[test]
fn the_rest_is_told_too() {
    use Severity::{Degraded, Failing, Information};
    let burn = |factor, page| Burn {
        slo: "up".into(),
        host: "h".into(),
        route: None,
        page,
        factor,
        long: (60 * MINUTE, 20.0),
        short: (5 * MINUTE, 30.0),
        left: -0.5,
    };
    let failing = vec![SourceFacts { name: "dns a".into(), why: "no answer".into(), kept: 2, lasts: 5 * MINUTE }];
    let facts = Facts {
        clusters: vec![ClusterFacts {
            name: "a".into(),
            endpoints: 2,
            available: 2,
            failing,
            ..ClusterFacts::default()
        }],
        burns: vec![burn(14.4, true), burn(1.0, false)],
        store: Some(StoreFacts { trouble: Some("full".into()), last_error: None, pending: 3 }),
        link: Some(LinkFacts { trouble: Some("unreachable".into()), last_error: None }),
        sinks: vec![SinkFacts {
            name: "access_log".into(),
            cause: "queue_full".into(),
            dropped: Risen { count: 9, by: 4, ago: MINUTE },
        }],
        refuses: Some("memory".into()),
        rooms: vec![RoomFacts { name: "connections".into(), used: 95, limit: 100 }],
        overrides: Overrides { endpoints: vec!["drained".into()], ..Overrides::default() },
        draining: true,
        found: vec![Finding::new(Kind::Config, "drift", Degraded, "the file differs")],
        ..Facts::default()
    };
    let expected = [
        ("discovery:a/dns a", Degraded),
        ("slo_burn:up", Failing),
        ("store", Degraded),
        ("caps_unshared", Degraded),
        ("records_dropped:access_log/queue_full", Degraded),
        ("overload", Failing),
        ("bound_near:connections", Degraded),
        ("overrides", Information),
        ("draining", Degraded),
        ("config:drift", Degraded),
    ];
    check(facts, &expected);
}

#[test]
fn since_when_is_kept_between_looks() {
    let mut memory = Memory::default();
    let found = |of: &str| Finding::new(Kind::ClusterDown, of, Severity::Failing, "");
    let since = |reasons: &[Reason]| reasons.iter().map(|reason| reason.since).collect::<Vec<_>>();
    assert_eq!(since(&memory.hold(vec![found("a")], now())), [now()]);
    let later = now() + MINUTE / 2;
    assert_eq!(since(&memory.hold(vec![found("a"), found("b")], later)), [now(), later]);
    assert!(memory.hold(Vec::new(), later + MINUTE / 2).is_empty());
    assert_eq!(since(&memory.hold(vec![found("b")], later + MINUTE)), [later], "away for a moment");
    let much = later + 10 * MINUTE;
    assert_eq!(since(&memory.hold(vec![found("b")], much)), [much], "it was over");
}

#[test]
fn a_counter_rises_for_minutes_after_it_rose() {
    let mut memory = Memory::default();
    let mut look = |count, minutes| memory.rises("drops", count, now() + minutes * MINUTE).map(|risen| risen.by);
    assert_eq!(look(5, 0), None, "what was before is not known");
    assert_eq!(look(5, 1), None);
    assert_eq!(look(8, 2), Some(3));
    assert_eq!(look(9, 3), Some(4));
    assert_eq!(look(9, 7), Some(4));
    assert_eq!(look(9, 9), None, "it is over");
    assert_eq!(look(10, 20), Some(1));
    assert_eq!(look(0, 21), None, "another counter");
}

#[test]
fn reasons_stand_in_the_order_of_their_harm() {
    let reason = |kind, severity, share| {
        let mut finding = Finding::new(kind, "", severity, "");
        finding.affected.share = share;
        Reason { finding, since: now() }
    };
    let verdict = Verdict::of(vec![
        reason(Kind::Overrides, Severity::Information, Some(1.0)),
        reason(Kind::Store, Severity::Degraded, None),
        reason(Kind::CapsUnshared, Severity::Degraded, None),
        reason(Kind::ClusterDegraded, Severity::Degraded, Some(0.1)),
        reason(Kind::SloBurn, Severity::Failing, Some(0.2)),
        reason(Kind::ClusterDown, Severity::Failing, Some(0.1)),
    ]);
    let kinds: Vec<Kind> = verdict.reasons.iter().map(|reason| reason.finding.kind).collect();
    use Kind::{CapsUnshared, ClusterDegraded, ClusterDown, Overrides, SloBurn, Store};
    assert_eq!(kinds, [SloBurn, ClusterDown, ClusterDegraded, CapsUnshared, Store, Overrides]);
    assert_eq!(verdict.state, State::Failing);
    assert_eq!(Verdict::of(vec![reason(Overrides, Severity::Information, None)]).state, State::Healthy);
    assert_eq!(Verdict::of(Vec::new()).state, State::Healthy);
}

#[test]
fn who_suffers_is_told_from_the_last_requests() {
    let seen = |host: &str, cluster: &str, consumer: Option<&str>, failed: bool| Seen {
        host: Some(Arc::from(host)),
        route: Some(Arc::from("all")),
        cluster: Some(Arc::from(cluster)),
        consumer: consumer.map(Arc::from),
        reason: failed.then_some("upstream_reset"),
        failed,
    };
    let mut all =
        vec![seen("a", "x", Some("acme"), true), seen("b", "x", None, true), seen("b", "x", Some("zed"), false)];
    all.push(seen("c", "y", None, false));
    let of = |about: About| affected(&about, &all);
    assert_eq!(of(About::Cluster("x".into())).hosts, ["b", "a"]);
    assert_eq!(of(About::Cluster("x".into())).share, Some(0.75));
    assert_eq!(of(About::Reason("upstream_reset")).consumers, ["acme"]);
    assert_eq!(of(About::Host("b".into(), None)).share, Some(0.5));
    assert_eq!(of(About::Host("b".into(), Some("other".into()))).share, Some(0.0));
    assert_eq!(of(About::None), Affected::default());
    all.extend((0..9).map(|n| seen(&format!("h{n}"), "x", None, true)));
    let many = affected(&About::Failed, &all);
    assert_eq!((many.hosts.len(), many.more_hosts), (5, 6));
}

#[test]
fn every_kind_is_in_its_order() {
    assert!(Kind::ALL.is_sorted());
    let mut words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Kind::ALL.len());
}
